"""`gliner-distill label` with teachers from a Python file: good ones, bad ones, and what stays."""

import re
import sys
from functools import partial
from pathlib import Path

import pytest

from gliner_distill.decoding import decode_entities
from gliner_distill.labeling import pipeline as labeling
from gliner_distill.labeling.jobs import ShardLimits
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.store.manifest import read_manifest
from gliner_distill.store.store import SoftLabelStore

TEACHER = """
import numpy as np
from gliner_distill import SpanTeacher


def find_spans(texts):
    return [[(0, 5, "city")] if text.startswith("paris") else [] for text in texts]


rules = SpanTeacher(find_spans, ["city"], name="rules", version="1")


class Numbers:
    name = "numbers"
    fingerprint = "1"

    def score_passages(self, passages, labels):
        if any("bad" in words for words in passages):
            {fault}
        return [
            np.full((len(words), len(asked), 3), 0.6, np.float32)
            for words, asked in zip(passages, labels)
        ]
"""
FAULTS = {
    "raise ValueError('no such row')": "score_passages failed in .*: ValueError: no such row",
    "return [np.full((3, 2, 3), np.nan, np.float32)] * len(passages)": r"every value in \[0, 1\]",
    "return [np.zeros((1, 2, 3), np.float32)] * len(passages)": r"expected shape \(3, 2, 3\)",
    "return None": "returned None; expected a list of numpy arrays",
    "return [[0.5]] * len(passages)": "expected a list of numpy arrays",
    "return []": "returned 0 arrays for 4 passages",
}


@pytest.fixture
def label(tmp_path, monkeypatch, run_cli):
    """A function that labels six texts of three words, in shards of 4, with a teacher of a file."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        labeling, "label_corpus", partial(label_corpus, limits=ShardLimits(passages=4))
    )
    texts = [f"paris saw {n}" for n in range(4)] + ["bad saw 5", "bad saw 6", "bad 7 8", "bad 8 9"]
    (tmp_path / "notes.txt").write_text("\n".join(texts) + "\n")
    (tmp_path / "labels.txt").write_text("city\nperson\n")

    def run(*teachers, fault="pass", file="my_rules"):
        (tmp_path / f"{file}.py").write_text(TEACHER.replace("{fault}", fault))
        names = [part for name in teachers for part in ("--teacher", f"python:{file}:{name}")]
        return run_cli("label", "notes.txt", "--labels", "labels.txt", *names, "--out", "store")

    return run


def found_in(store):
    return [
        [(entity.label, entity.score) for entity in decode_entities(item.probs, item.labels)]
        for item in SoftLabelStore(store)
    ]


@pytest.mark.slow
def test_label_asks_a_teacher_of_a_file_in_the_current_folder(label):
    ended = label("rules", file="my_good_rules")
    assert ended.code == 0, ended.err
    assert [len(found) for found in found_in("store")] == [1, 1, 1, 1, 0, 0, 0, 0]
    manifest = read_manifest(Path("store"))
    assert (manifest.teacher, manifest.teacher_metadata["labels"]) == ("rules", ["city"])


@pytest.mark.slow
def test_label_leaves_a_teacher_out_of_labels_that_it_does_not_know(label):
    ended = label("rules", "Numbers", file="my_two_rules")
    assert ended.code == 0, ended.err
    # "city" is the mean of both teachers, and "person" is the answer of the one that knows it.
    item = next(iter(SoftLabelStore("store")))
    assert item.probs[0, :, 0].tolist() == pytest.approx([0.8, 0.6], abs=0.01)
    assert item.probs[1, :, 0].tolist() == pytest.approx([0.3, 0.6], abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "fault"), list(enumerate(FAULTS)))
def test_label_keeps_what_it_has_before_a_bad_answer(label, number, fault):
    ended = label("Numbers", fault=fault, file=f"my_faulty_rules_{number}")
    assert ended.code == 1
    assert re.search(rf"^gliner-distill: numbers: .*{FAULTS[fault]}", ended.err, re.MULTILINE)
    assert "Traceback" not in ended.err
    assert [shard.n_passages for shard in read_manifest(Path("store")).shards] == [4]
    # The same command, with the fault corrected, continues.
    ended = label("Numbers", file=f"my_corrected_rules_{number}")
    assert ended.code == 0, ended.err
    assert len(SoftLabelStore("store")) == 8


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("python:nothing:here", "has neither nothing.py nor"),
        ("python:nothing", "expected python:MODULE:OBJECT"),
        ("notes.txt", "this folder does not exist"),
        ("my_rules.py", "python:my_rules:OBJECT"),
        ("rules/mine.py", "python:mine:OBJECT"),
    ],
)
def test_label_names_a_teacher_that_cannot_be_opened(label, run_cli, name, part):
    ended = run_cli("label", "notes.txt", "--labels", "labels.txt", "--teacher", name, "--out", "s")
    assert ended.code == 1
    [message] = ended.err.splitlines()
    assert part in message
