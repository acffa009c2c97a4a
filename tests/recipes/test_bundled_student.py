"""The recipe of the open-label student, from the sets to the card."""

import importlib
import json
import runpy
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from gliner_distill.entities import Passage, count_words

RECIPES = Path(__file__).resolve().parents[2] / "recipes"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not RECIPES.is_dir(), reason="the recipes are in the repository, not in the package"
    ),
]


@pytest.fixture
def bundled_student(monkeypatch):
    """The recipe of the student as a module."""
    monkeypatch.syspath_prepend(str(RECIPES))
    return importlib.import_module("bundled_student")


class TestTimed:
    def test_timed_adds_up_runs_that_were_stopped(self, tmp_path, bundled_student, monkeypatch):
        clock = iter([0.0, 3600.0, 5000.0, 6800.0])
        monkeypatch.setattr(bundled_student.time, "perf_counter", lambda: next(clock))
        with pytest.raises(KeyboardInterrupt), bundled_student.timed(tmp_path, "training"):
            raise KeyboardInterrupt
        with bundled_student.timed(tmp_path, "training"):
            pass
        assert json.loads((tmp_path / "hours.json").read_text()) == {"training": 1.5}


class TestJoinSets:
    def test_join_sets_takes_about_the_words_asked_for(self, bundled_student):
        sets = {
            name: [Passage((f"{name}{row}",) * 5) for row in range(40)] for name in ("one", "two")
        }
        material = bundled_student.Material([], sets, {"one": [], "two": []})
        joined = bundled_student.join_sets(material, 100)
        assert list(joined) == ["one", "two"]
        for name, passages in joined.items():
            assert 100 <= count_words(passages) < 180
            assert {word[:3] for passage in passages for word in passage.words} == {name}
        assert bundled_student.join_sets(material, 100) == joined

    def test_join_sets_reads_a_small_set_several_times(self, bundled_student):
        passages = [Passage((f"w{row}",) * 5) for row in range(8)]
        material = bundled_student.Material([], {"small": passages}, {"small": []})
        [joined] = bundled_student.join_sets(material, 120).values()
        assert 120 <= count_words(joined) < 200
        counts = Counter(word for passage in joined for word in passage.words)
        assert set(counts) == {f"w{row}" for row in range(8)}
        assert min(counts.values()) >= 10


def write_lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def rows_of(name, n_rows, label="city"):
    """Return rows of words of their own, so that no two share eight of them."""
    letters = [f"{name}-{chr(97 + row)}" for row in range(n_rows)]
    return [
        {"tokenized_text": [f"{letter}a", "in", f"{letter}b"], "ner": [[2, 2, label]]}
        for letter in letters
    ]


@pytest.fixture
def data(bundled_student, tmp_path, monkeypatch):
    """A folder of tiny sets and open files; the sample is small as well."""
    transfer_set = importlib.import_module("transfer_set")
    folder = tmp_path / "data"
    sets = (*transfer_set.HELD_OUT, *transfer_set.IN_DOMAIN, "presidio_pii", "more")
    for position, name in enumerate(sets):
        write_lines(folder / "corpora" / f"{name}.jsonl", rows_of(name, 5))
        listed = folder / "corpora" / f"{name}.labels.json"
        listed.write_text(json.dumps(["city", "person", f"kind {position}"]))
    (folder / "open").mkdir()
    for name in ("train", "more", "focus", "real"):
        rows = rows_of(f"open-{name}", 9, label="river")
        for number, row in enumerate(rows):
            # A passage with an unknown label is not taken for one without personal data.
            row["ner"] += [[0, 0, "poet"], [0, 0, "writer"], [1, 1, f"unknown {name}"]]
            row["source"] = f"more:{number}"
        (folder / "open" / f"{name}.json").write_text(json.dumps(rows))
    relations = {"poet": "writer", "writer": "artist", "river": "water", "city": "settlement"}
    relations |= {"settlement": "area", "water": "nature", "kind": "type"}
    entries = [
        {
            "label": label,
            "synonyms": [f"{label} so called"],
            "broader": [broader],
            "siblings": ["lake"],
            "descriptions": [f"some {label}", f"such a {label}"],
        }
        for label, broader in relations.items()
    ]
    write_lines(folder / "open" / "labels.jsonl", entries)
    (folder / "permissive.json").write_text(json.dumps(sets))
    sources = "".join(f"| {name} | me/{name} | MIT |\n" for name in sets)
    (folder / "corpora" / "SOURCES_A.md").write_text(sources)
    # The sample of the package has 90,000 words.
    sample = folder / "open" / "train.json"
    for module in (transfer_set, importlib.import_module("finishing")):
        monkeypatch.setattr(module, "sample_path", lambda split: sample)
    return folder


@pytest.fixture
def benchmarks_run(bundled_student, monkeypatch):
    """The names of the benchmarks that the recipe ran: in this process, which is faster.

    That of personal data reads twelve passages of its test set.
    """
    names = []
    monkeypatch.syspath_prepend(str(RECIPES.parent / "benchmarks"))
    personal_passages = importlib.import_module("personal_passages")
    few = personal_passages.read_test_set()[::40]
    monkeypatch.setattr(personal_passages, "read_test_set", lambda: few)

    def run(command, *, check):
        _, script, *arguments = command
        names.append(script.name)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", [str(script), *map(str, arguments)])
            runpy.run_path(str(script), run_name="__main__")

    monkeypatch.setattr(bundled_student, "subprocess", SimpleNamespace(run=run))
    return names


def test_recipe_runs_from_the_sets_to_the_card(
    bundled_student, data, tmp_path, gliner_folder, monkeypatch, benchmarks_run
):
    from gliner_distill import StudentNER
    from gliner_distill.student.files import load_student

    for constant in ("N_UNRELATED", "N_PER_CATCH_ALL"):
        monkeypatch.setattr(importlib.import_module("label_relations"), constant, 20)
    monkeypatch.setattr(bundled_student, "ASKED_WORDS_PER_SET", 100)
    out = tmp_path / "out"
    options = {"words": 60, "epochs": 1, "dev-passages": 2, "in-domain-passages": 1}
    options |= {"wording-steps": 3, "precision": "fp32"}  # not every processor trains in bf16
    command = ["bundled_student.py", data, gliner_folder, out]
    command += [f"--{name}={value}" for name, value in options.items()]
    monkeypatch.setattr("sys.argv", [str(argument) for argument in command])
    bundled_student.main()
    assert len(benchmarks_run) == 5
    folder = out / "student"
    assert {path.name for path in folder.iterdir()} == {
        *("README.md", "metrics.json", "student.safetensors", "student_config.json"),
        *("tokenizer.json",),
    }
    student, vocabulary = load_student(folder)
    planned = bundled_student.ARCHITECTURE
    for name in ("head", "hidden_width", "n_layers", "label_hidden_width", "label_lstm_width"):
        assert getattr(student.config, name) == getattr(planned, name)
    assert student.config.relation_width > 0
    # The teacher's vocabulary is that of the student, without its marks.
    teacher_pieces = json.loads((gliner_folder / "tokenizer.json").read_text())["model"]["vocab"]
    left_out = set(teacher_pieces) - set(vocabulary.pieces())
    assert {"[CLS]", "[SEP]"} <= left_out
    assert all(piece.startswith(("[", "<")) for piece in left_out)
    assert StudentNER.from_pretrained(folder).precision == "int8"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert set(metrics["hours"]) == {"labeling", "training"}
    assert set(metrics["kept apart"]["flat"]["at 0.5"]) == {"rare", "real", "written", "mean"}
    card = (folder / "README.md").read_text()
    held_out = importlib.import_module("transfer_set").HELD_OUT
    for row in (held_out[0], "open and sample", "written", "labels as a description"):
        assert f"\n| {row} | " in card
