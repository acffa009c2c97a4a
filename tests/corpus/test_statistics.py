"""Counts of a corpus, notes on its files, and its fingerprint."""

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from corpus_files import GOOD, GOOD_PASSAGE, write_json
from gliner_distill.corpus.reader import read_passages, sample_path, write_passages
from gliner_distill.corpus.statistics import (
    CorpusHash,
    CorpusNotes,
    CorpusScan,
    Spread,
    corpus_fingerprint,
    describe_corpus,
    scan_corpus,
)
from gliner_distill.entities import Entity, Passage


def test_corpus_notes_keep_the_first_twenty_messages(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", GOOD, *[{}] * 25)
    notes = CorpusNotes()
    list(read_passages(path, skip_bad=True, notes=notes))
    assert (notes.bad_records, len(notes.bad_messages)) == (25, 20)
    assert notes.lines()[-1] == "  and 5 more"


def test_corpus_fingerprint_ignores_format_and_order_within_a_passage(tmp_path: Path) -> None:
    passage = Passage(("a", "b"), (Entity(0, 1, "x", 0.5), Entity(1, 2, "y")), ("y", "x"))
    reordered = Passage(("a", "b"), (Entity(1, 2, "y"), Entity(0, 1, "x")), ("x", "y"))
    fingerprint = corpus_fingerprint([passage])
    assert corpus_fingerprint([reordered]) == fingerprint
    write_passages(tmp_path / "a.json", [passage])
    assert corpus_fingerprint(read_passages(tmp_path / "a.json")) == fingerprint


def test_corpus_fingerprint_depends_on_words_entities_labels_and_passage_order() -> None:
    corpora = [
        [Passage(("a", "b"))],
        [Passage(("ab",))],
        [Passage(("a",)), Passage(("b",))],
        [Passage(("b",)), Passage(("a",))],
        [Passage(("a", "b"), (Entity(0, 1, "x"),))],
        [Passage(("a", "b"), (Entity(0, 2, "x"),))],
        [Passage(("a", "b"), (Entity(0, 1, "y"),))],
        [Passage(("a", "b"), (), ("x",))],
        [],
    ]
    assert len({corpus_fingerprint(passages) for passages in corpora}) == len(corpora)


def test_corpus_hash_by_passage_equals_the_fingerprint_of_all() -> None:
    corpus_hash = CorpusHash()
    corpus_hash.update(GOOD_PASSAGE)
    corpus_hash.update(GOOD_PASSAGE)
    assert corpus_hash.hexdigest() == corpus_fingerprint([GOOD_PASSAGE] * 2)
    assert len(corpus_hash.hexdigest()) == 64


def test_describe_corpus_counts_a_small_corpus() -> None:
    words = tuple("abcdefghijklmnop")
    entities = (
        Entity(0, 13, "long"),
        Entity(0, 2, "x"),
        Entity(1, 3, "y"),
        Entity(1, 3, "z"),
        Entity(14, 15, "x"),
    )
    notes = CorpusNotes(duplicate_entities=4)
    passages = [Passage(words, entities, ("x", "asked")), Passage(words), Passage(("q",))]
    description = describe_corpus(iter(passages), notes)
    assert description.as_json() == {
        "n_passages": 3,
        "n_words": 33,
        "n_entities": 5,
        "n_labels": 4,
        "n_asked_labels": 1,
        "passage_words": {"min": 1, "median": 16, "p95": 16, "max": 16},
        "entity_words": {"min": 1, "median": 2, "p95": 13, "max": 13},
        "passage_labels": {"min": 0, "median": 0, "p95": 5, "max": 5},
        "n_wider_than_8": 1,
        "n_wider_than_12": 1,
        "n_nested_pairs": 3,
        "n_crossing_pairs": 2,
        "n_multi_label_spans": 1,
        "n_empty_passages": 2,
        "n_repeated_passages": 1,
        "n_singleton_labels": 3,
        "frequent_labels": {"x": 2, "long": 1, "y": 1, "z": 1},
        "oddities": ["duplicate entities dropped: 4"],
    }
    assert json.loads(json.dumps(description.as_json())) == description.as_json()
    text = "\n".join(description.lines())
    assert "passages: 3 (2 without entities, 1 repeated word for word)" in text
    assert "words: 33; per passage: min 1, median 16, p95 16, max 16" in text
    assert "most frequent labels: x (2), long (1)" in text
    assert text.endswith("duplicate entities dropped: 4")


def test_describe_corpus_counts_nothing_in_an_empty_corpus() -> None:
    description = describe_corpus([], CorpusNotes())
    assert description.passage_words == Spread(0, 0.0, 0, 0)
    assert description.lines()[0].startswith("passages: 0")


@given(st.lists(st.integers(0, 50), min_size=1))
def test_spread_p95_is_the_smallest_value_that_covers_95_percent(values: list[int]) -> None:
    p95 = Spread.from_values(values).p95
    assert sum(value <= p95 for value in values) >= 0.95 * len(values)
    assert sum(value < p95 for value in values) < 0.95 * len(values)


@given(st.sets(st.tuples(st.integers(0, 8), st.integers(1, 4)), max_size=8))
def test_describe_corpus_counts_pairs_that_share_words_like_brute_force(
    spans: set[tuple[int, int]],
) -> None:
    entities = [Entity(start, start + width, "x") for start, width in spans]
    pairs = [(a, b) for i, a in enumerate(entities) for b in entities[i + 1 :]]
    covered = [
        (set(range(a.start_word, a.end_word)), set(range(b.start_word, b.end_word)))
        for a, b in pairs
    ]
    n_sharing = sum(bool(a & b) for a, b in covered)
    n_nested = sum(a <= b or b <= a for a, b in covered)
    passage = Passage(tuple("abcdefghijkl"), tuple(entities))
    description = describe_corpus([passage], CorpusNotes())
    assert description.n_nested_pairs == n_nested
    assert description.n_crossing_pairs == n_sharing - n_nested


def test_sample_readme_states_the_counts_of_describe_corpus() -> None:
    readme = (sample_path("train").parent / "README.md").read_text("utf-8")
    for split in ("train", "dev", "test"):
        description = describe_corpus(read_passages(sample_path(split)), CorpusNotes())
        counts = (description.n_passages, description.n_words, description.n_entities)
        row = " | ".join(f"{count:,}" for count in (*counts, description.n_labels))
        assert f"| `{split}.json` | {row} |" in readme


def test_scan_corpus_counts_passages_words_and_the_passages_of_each_label() -> None:
    passages = [GOOD_PASSAGE, GOOD_PASSAGE, Passage(("a", "b"), (), ("city", "river"))]
    assert scan_corpus(iter(passages)) == CorpusScan(
        fingerprint=corpus_fingerprint(passages),
        n_passages=3,
        n_words=12,
        label_counts={"city": 3, "river": 1},
    )
