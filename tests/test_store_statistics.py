"""What people are told about a store."""

import pytest

from gliner_distill import labelling
from gliner_distill.entities import Entity, Passage
from gliner_distill.errors import StoreError
from gliner_distill.labelling import LabelPolicy, label_corpus
from gliner_distill.soft_labels import SoftLabelStore
from gliner_distill.store_statistics import describe_store

PASSAGES = [
    # The teacher knows mary, paris and acme. "old bank" it misses; acme it finds without gold.
    Passage(("mary", "left", "paris"), (Entity(0, 1, "person"), Entity(2, 3, "city"))),
    Passage(("acme", "or", "old", "bank"), (Entity(2, 4, "company"),)),
    Passage(("nothing", "here"), (Entity(1, 2, "person"),)),
]
LEXICON = {"mary": "person", "paris": "city", "acme": "company"}


@pytest.fixture
def label(tmp_path, lexicon_teacher, monkeypatch):
    monkeypatch.setattr(labelling, "SHARD_PASSAGES", 2)

    def run(fail_at_passage=None):
        teacher = lexicon_teacher(LEXICON, fail_at_passage=fail_at_passage)
        label_corpus(PASSAGES, teacher, tmp_path / "store", policy=LabelPolicy())

    return run


def facts(folder):
    """Return the lines as name and value."""
    lines = describe_store(folder)
    return {line[:19].strip(): line[19:] for line in lines if line[18:19] == " "}


def test_a_finished_store_is_described_with_what_is_in_it(label, tmp_path):
    label()
    store = SoftLabelStore(tmp_path / "store")
    found = facts(store.folder)
    assert found.pop("labelled in").endswith(" s")
    n_pairs = 3 * 2 + 4 * 1 + 2 * 1
    assert found == {
        "teacher": "lexicon (ffffffffffff)",
        "corpus": store.manifest.corpus_fingerprint[:12],
        "label policy": "{'negatives': 0, 'fixed': [], 'seed': 0}",
        "passages": "3 of 3",
        "shards": "2",
        "words": "9",
        "word-label pairs": str(n_pairs),
        "size": f"{store.size_bytes:,} bytes, {store.size_bytes / n_pairs:.2f} a pair",
        "labels": "3: person (2), city (1), company (1)",
        "teacher's entities": "3 (threshold 0.5)",
        "gold entities": "4",
        # 2 of the teacher's 3 are gold's, and 2 of gold's 4 the teacher's.
        "teacher on gold": "precision 0.667, recall 0.500, F1 0.571 (exact spans)",
    }
    assert describe_store(store.folder)[0] == "soft-label store, format version 1"


def test_an_unfinished_store_is_described_by_its_manifest(label, tmp_path):
    with pytest.raises(RuntimeError, match="went away"):
        label(fail_at_passage=2)
    folder = tmp_path / "store"
    lines = describe_store(folder)
    assert lines[-1] == "unfinished: run the same label command again to finish it"
    found = facts(folder)
    assert found["passages"] == "2 of 3"
    assert (found["shards"], found["words"], found["word-label pairs"]) == ("1", "7", "10")
    assert "labels" not in found
    label()
    assert "unfinished" not in "".join(describe_store(folder))


def test_a_store_without_words_to_label_is_described_without_dividing_by_zero(
    tmp_path, lexicon_teacher
):
    passages = [Passage(("nothing",)), Passage(("acme",), (Entity(0, 1, "company"),))]
    teacher = lexicon_teacher({})
    label_corpus(passages, teacher, tmp_path / "store", policy=LabelPolicy())
    found = facts(tmp_path / "store")
    assert found["teacher's entities"] == "0 (threshold 0.5)"
    assert found["teacher on gold"] == "precision 0.000, recall 0.000, F1 0.000 (exact spans)"


def test_something_else_and_a_broken_shard_are_named(label, tmp_path):
    with pytest.raises(StoreError, match="this is no soft-label store"):
        describe_store(tmp_path)
    label()
    (tmp_path / "store" / "shard-00001.parquet").write_bytes(b"")
    with pytest.raises(StoreError, match=r"shard-00001\.parquet: is not what was written"):
        describe_store(tmp_path / "store")
