"""A small world to distill in: a tiny start student, quick settings, and the first four steps."""

import shutil
from pathlib import Path

import pytest

from distillation_world import LABELS, LEXICON, make_texts, write_texts


@pytest.fixture(scope="session")
def start_folder(tmp_path_factory, build_student, small_vocabulary):
    """A student with a boundary head to start from."""
    from gliner_distill.student.files import save_student

    folder = tmp_path_factory.mktemp("start") / "tiny_start"
    student = build_student(head="boundary", label_hidden_width=12)
    save_student(folder, student, small_vocabulary, metadata={})
    return folder


@pytest.fixture(scope="session")
def settings(start_folder):
    """Settings with few epochs, from a small student, in full precision."""
    from gliner_distill.distillation.job import DistillSettings

    return DistillSettings(
        epochs=2,
        learning_rate=0.02,
        precision="fp32",
        start=start_folder,
        shard_passages=8,
        min_tuning_epochs=2,
        max_tuning_epochs=2,
        timed_words=20,
        timed_seconds=0.01,
    )


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    """A test with relative paths in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def texts(in_folder):
    """The file `texts.txt` with 40 documents."""
    write_texts(make_texts(40))


@pytest.fixture(scope="session")
def train_here(lexicon_teacher, settings):
    """A function like that of `make_trained`, for any working folder."""
    from gliner_distill.callbacks import no_progress
    from gliner_distill.distillation.collect import collect
    from gliner_distill.distillation.job import DistillJob
    from gliner_distill.distillation.label import label
    from gliner_distill.distillation.pipeline import refine, train
    from gliner_distill.distillation.teachers import TeacherSource
    from gliner_distill.distillation.weigh import weigh
    from gliner_distill.distillation.workspace import open_workspace

    def run(
        out="out",
        *,
        texts="texts.txt",
        labels=LABELS,
        teacher=None,
        fail_at_passage=None,
        settings=settings,
        progress=no_progress,
        **options,
    ):
        if teacher is None:
            teacher = lexicon_teacher(LEXICON, fail_at_passage=fail_at_passage)
        job = DistillJob(texts, labels, **options)
        source = TeacherSource(teacher)
        with open_workspace(Path(out), job, source, settings, progress) as work:
            return train(work, refine(work, weigh(work, label(work, collect(work))))), teacher

    return run


@pytest.fixture
def make_trained(in_folder, train_here):
    """A function that collects, labels, refines and trains; it returns that and the teacher.

    The teacher is made anew each time, as each process loads it.
    """
    return train_here


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory, train_here):
    """A folder with 40 texts and `out`, where a student was trained: do not change it."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_texts(make_texts(40))
        train_here()
    return folder


@pytest.fixture
def trained(texts, trained_once):
    """The working folder of such a run: `texts.txt` and `out`."""
    shutil.copytree(trained_once / "out", "out")
