"""A student that knows five passages, and two tiny sets, for several benchmarks."""

import contextlib
import importlib
import io
import json
import sys
from pathlib import Path

import pytest

from gliner_distill.corpus.reader import write_passages
from gliner_distill.entities import Entity, Passage

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def benchmarks():
    """A function that returns a benchmark as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module


@pytest.fixture(scope="module")
def student_folder(tmp_path_factory, build_student, small_vocabulary, five_passages):
    """A run folder with a student, boundary head, that has learned the five passages nearly."""
    from gliner_distill.training.loop import train_student
    from gliner_distill.training.settings import TrainingSettings

    folder = tmp_path_factory.mktemp("student") / "run"
    settings = TrainingSettings(
        alpha=0.0, epochs=25, batch_size=5, learning_rate=0.05, embedding_lr_factor=1.0
    )
    student = build_student(head="boundary", label_hidden_width=12)
    train_student(student, small_vocabulary, five_passages, folder, settings)
    return folder


@pytest.fixture(scope="module")
def sets(five_passages):
    """Passages of two sets: what the student has learned, and the same with other gold."""
    learned = [item.passage for item in five_passages]
    # The tiny teacher finds every word or two to be a river; two of these are gold here.
    others = [
        learned[2],
        Passage(learned[2].words, (Entity(0, 1, "river"), Entity(1, 2, "river"))),
        Passage(learned[1].words, (Entity(0, 3, "river"), Entity(2, 3, "city"))),
        Passage(learned[3].words, (Entity(1, 2, "city"), Entity(2, 3, "not asked"))),
    ]
    return {"learned": learned, "others": others}


def write_sets(folder, sets):
    """Write two sets, and one with an empty list of labels."""
    folder.mkdir()
    for name, passages in (sets | {"vague": sets["learned"]}).items():
        listed = [] if name == "vague" else ["Person", "City_", "river", "company", "person"]
        write_passages(folder / f"{name}.jsonl", passages)
        (folder / f"{name}.labels.json").write_text(json.dumps(listed))


@pytest.fixture
def world(sets, tmp_path, monkeypatch):
    """A working folder with `data`: the two sets, and one with an empty list of labels."""
    monkeypatch.chdir(tmp_path)
    write_sets(tmp_path / "data", sets)
    return tmp_path


@pytest.fixture(scope="module")
def run_once(sets, tmp_path_factory):
    """A function that runs a benchmark's `main` in a world of its own.

    It returns what the benchmark printed, and the folder, which is to stay as it is.
    """

    def run(module, *args, files=None):
        folder = tmp_path_factory.mktemp(module.__name__)
        write_sets(folder / "data", sets)
        for name, content in (files or {}).items():
            (folder / name).write_text(content)
        printed = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
            patch.chdir(folder)
            patch.setattr(sys, "argv", [f"{module.__name__}.py", *map(str, args)])
            module.main()
        return printed.getvalue(), folder

    return run


@pytest.fixture
def run(monkeypatch, capsys):
    """A function that runs a benchmark's `main` and returns what it printed."""

    def run(module, *args, **options):
        monkeypatch.setattr(sys, "argv", [f"{module.__name__}.py", *map(str, args)])
        capsys.readouterr()
        module.main(**options)
        return capsys.readouterr().out

    return run


@pytest.fixture
def quick_settings(student_folder):
    """Settings of `distill`: two epochs from a small student, and a tuned student counts half."""
    from gliner_distill.distillation.job import DistillSettings

    return DistillSettings(
        epochs=2,
        precision="fp32",
        start=student_folder / "student",
        min_tuning_epochs=2,
        max_tuning_epochs=2,
        ensemble_shares=(0.0, 0.5),
        min_f1_share=0.0,
    )


@pytest.fixture
def data_folder(tmp_path, monkeypatch):
    """The empty folder `data` in a working folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    return tmp_path / "data"
