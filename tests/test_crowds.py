"""Candidate spans where they crowd: the limits, and that portions change no answer."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.crowds import MAX_SPANS, PIECE_WORDS, list_spans
from gliner_distill.decoding import decode_entities, decode_scores, pick_entities
from gliner_distill.entities import END, INSIDE, START
from gliner_distill.spans import Spans, TagScores, find_bounds

LABELS = ("zebra", "ant", "mule")


def bounds_of(*passages, threshold=0.5):
    parts = [TagScores.from_probs(probs, threshold) for probs in passages]
    for number, part in enumerate(parts):
        part.passage[:] = number
    n_labels = passages[0].shape[1]
    return find_bounds(TagScores.concatenate(parts), np.full(n_labels, threshold, np.float32))


def draw_probs(seed, n_words, n_labels=3, low=0.2):
    draws = np.random.default_rng(seed)
    return draws.uniform(low, 1, (n_words, n_labels, 3)).astype(np.float32)


def rows_of(spans):
    columns = (spans.passage, spans.label, spans.start_word, spans.end_word, spans.score)
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def all_rows(bounds, **limits):
    return sorted(row for spans in list_spans(bounds, **limits) for row in rows_of(spans))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.integers(0, 10**6))
def test_list_spans_changes_nothing_below_the_limit(lengths, seed):
    bounds = bounds_of(*(draw_probs(seed + place, n) for place, n in enumerate(lengths)))
    expected = rows_of(bounds.spans())
    assert all_rows(bounds) == expected
    largest = max(1, len(expected))
    assert all_rows(bounds, max_spans=largest, at_once=1) == expected


@given(st.integers(0, 10**6), st.integers(1, 200))
def test_list_spans_in_portions_gives_the_same_entities(seed, at_once):
    passages = [draw_probs(seed, 60, low=0.3), draw_probs(seed + 1, 30)]
    bounds = bounds_of(*passages, threshold=0.4)
    portions = list(list_spans(bounds, max_spans=50, piece_words=8, at_once=at_once))
    together = pick_entities(Spans.concatenate(portions), LABELS, 2)
    apart = [pick_entities(spans, LABELS, 2) for spans in portions]
    assert [list(chain.from_iterable(found)) for found in zip(*apart, strict=True)] == together
    other = list_spans(bounds, max_spans=50, piece_words=8, at_once=10**6)
    assert sorted(row for spans in other for row in rows_of(spans)) == sorted(
        row for spans in portions for row in rows_of(spans)
    )


def test_list_spans_cuts_a_crowded_stretch_alone():
    crowded, usual = np.ones((50, 1, 3), np.float32), draw_probs(1, 6, n_labels=1, low=0.4)
    alone = all_rows(bounds_of(usual))
    found = all_rows(bounds_of(crowded, usual), max_spans=100, piece_words=10)
    assert [(0, *row[1:]) for row in found if row[0] == 1] == alone
    spans = {(start, end) for number, _, start, end, _ in found if number == 0}
    assert spans == {
        (start, end)
        for start in range(50)
        for end in range(start + 1, 51)
        if start // 10 == (end - 1) // 10
    }


def test_list_spans_does_not_depend_on_the_words_before_a_stretch():
    crowded, gap = np.ones((50, 1, 3), np.float32), np.zeros((7, 1, 3), np.float32)
    limits = {"max_spans": 100, "piece_words": 16}
    alone = all_rows(bounds_of(crowded), **limits)
    moved = all_rows(bounds_of(np.concatenate([gap, crowded, gap, crowded])), **limits)
    shifted = [(0, 0, start + at, end + at, 1.0) for at in (7, 64) for *_, start, end, _ in alone]
    assert moved == sorted(shifted)


def test_list_spans_keeps_the_strongest_of_a_piece():
    probs = draw_probs(3, 12, low=0.6)
    bounds = bounds_of(probs)
    every = rows_of(bounds.spans())
    found = all_rows(bounds, max_spans=40, piece_words=100, at_once=30)
    assert len(found) == 40
    assert {row[-1] for row in found} == set(sorted((row[-1] for row in every), reverse=True)[:40])
    # Among equally strong ones, the shortest come first.
    ties = all_rows(bounds_of(np.ones((12, 1, 3), np.float32)), max_spans=23, piece_words=100)
    assert [end - start for *_, start, end, _ in sorted(ties)].count(1) == 12
    assert max(end - start for *_, start, end, _ in ties) == 2


def test_decode_entities_of_a_word_without_end_keeps_memory_and_finds_entities():
    probs = np.full((5 * PIECE_WORDS + 300, 1, 3), 0.9, np.float32)
    assert len(probs) * (len(probs) + 1) // 2 > MAX_SPANS
    probs[700:, 0] = 0
    probs[800, 0] = 0.8
    entities = decode_entities(probs, ["date"])
    assert [(e.start_word, e.end_word) for e in entities] == [
        *((word, word + 1) for word in range(700)),
        (800, 801),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("flat_ner", [True, False])
def test_decode_scores_of_a_passage_does_not_depend_on_others(flat_ner):
    passages = [draw_probs(seed, 40, low=0.4) for seed in range(3)] + [
        np.ones((450, 3, 3), np.float32)
    ]
    parts = [TagScores.from_probs(probs, 0.5) for probs in passages]
    for number, part in enumerate(parts):
        part.passage[:] = number
    thresholds = np.full(3, 0.5, np.float32)
    scores = TagScores.concatenate(parts)
    found = decode_scores(scores, thresholds, LABELS, 4, flat_ner=flat_ner)
    alone = [decode_entities(probs, LABELS, flat_ner=flat_ner) for probs in passages]
    assert found == alone
    assert [[e.score for e in entities] for entities in found] == [
        [e.score for e in entities] for entities in alone
    ]


def test_candidates_of_a_cut_stretch_lie_inside():
    probs = np.zeros((30, 1, 3), np.float32)
    probs[:, 0, INSIDE] = 0.9
    probs[::3, 0, START], probs[2::3, 0, END] = 0.9, 0.8
    bounds = bounds_of(probs)
    found = all_rows(bounds, max_spans=10, piece_words=9)
    assert {(start, end) for *_, start, end, _ in found} == {
        (start, end)
        for start in range(0, 30, 3)
        for end in range(start + 3, 31, 3)
        if start // 9 == (end - 1) // 9
    }
