"""The specific label wins: against brute force, and what may have no influence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.decoding import pick_entities
from gliner_distill.spans import Spans
from gliner_distill.specificity import LabelKinds, keep_specific

N_LABELS = 5
LABELS = ("person", "politician", "place", "country", "entity")


def make_spans(candidates):
    """Return candidates `(passage, label, start, end, score)` as spans."""
    columns = np.array(candidates, dtype=np.float64).reshape(-1, 5).T
    return Spans(*columns[:4].astype(np.int64), columns[4].astype(np.float32))


def as_tuples(spans):
    columns = (spans.passage, spans.label, spans.start_word, spans.end_word)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def kinds_of(more_specific):
    """Return numbers by which label y is more specific than label x where the table says so."""
    table = np.array(more_specific, dtype=np.float32)
    return LabelKinds(2 * table, np.eye(len(table), dtype=np.float32), -np.ones(len(table)))


def share_a_word(span, other):
    return span[0] == other[0] and span[2] < other[3] and other[2] < span[3]


def keep_by_definition(spans, more_specific):
    """Return what stays, candidate by candidate and in rounds; each passage by itself."""
    kept = []
    for passage in {span[0] for span in spans}:
        pool = [span for span in spans if span[0] == passage]
        while pool:
            yielding = [
                x
                for x in pool
                if any(share_a_word(x, y) and more_specific[y[1]][x[1]] for y in pool)
            ]
            staying = [span for span in pool if span not in yielding] or pool
            kept += staying
            pool = [
                x
                for x in yielding
                if x not in staying and not any(share_a_word(x, y) for y in staying)
            ]
    return sorted(kept)


@st.composite
def candidate_lists(draw, n_passages=2):
    candidates = set()
    for _ in range(draw(st.integers(0, 9))):
        start = draw(st.integers(0, 6))
        passage, label = draw(st.integers(0, n_passages - 1)), draw(st.integers(0, N_LABELS - 1))
        candidates.add((passage, label, start, draw(st.integers(start + 1, 8))))
    scores = st.sampled_from([0.25, 0.5, 0.75, 0.875])
    return [(*candidate, draw(scores)) for candidate in sorted(candidates)]


def tables():
    """Return tables of which label is more specific than which, circles included."""
    row = st.lists(st.booleans(), min_size=N_LABELS, max_size=N_LABELS)
    return st.lists(row, min_size=N_LABELS, max_size=N_LABELS)


def one_way(table):
    """Return the table without the pairs that are true both ways."""
    return [[table[y][x] and not table[x][y] for x in range(N_LABELS)] for y in range(N_LABELS)]


class TestLabelKinds:
    @given(tables())
    def test_more_specific_needs_one_way_alone(self, table):
        assert kinds_of(table).more_specific().tolist() == one_way(table)

    def test_more_specific_is_by_narrow_broad_and_breadth(self):
        kinds = LabelKinds.from_rows(np.array([[1, 2, 0.5, 1, -3], [2, 1, -1, 1, 0.0]]))
        # narrow[1] · broad[0] + breadth[0] = 2 * 0.5 + 1 * 1 - 3; the other way: -1 + 2 + 0
        assert kinds.more_specific().tolist() == [[False, True], [False, False]]
        assert kinds.more_specific(slice(1, 2)).tolist() == [[True], [False]]

    def test_take_returns_rows(self):
        kinds = kinds_of(np.triu(np.ones((4, 4)), 1)).take([3, 1])
        assert kinds.more_specific().tolist() == [[False, False], [True, False]]


class TestKeepSpecific:
    @given(candidate_lists(), tables())
    def test_keep_specific_equals_its_definition(self, candidates, table):
        spans = make_spans(candidates)
        expected = keep_by_definition(as_tuples(spans), one_way(table))
        assert sorted(as_tuples(keep_specific(spans, kinds_of(table)))) == expected

    @pytest.mark.parametrize(("n_labels", "n_candidates"), [(1500, 1600), (4, 300)])
    def test_keep_specific_equals_its_definition_for_many_candidates(self, n_labels, n_candidates):
        draws = np.random.default_rng(0)
        start = draws.integers(0, 400, n_candidates)
        columns = draws.integers(0, 2, n_candidates), draws.integers(0, n_labels, n_candidates)
        lengths = draws.integers(1, 6, n_candidates)
        rows = np.stack([*columns, start, start + lengths], axis=1)
        candidates = sorted(map(tuple, np.unique(rows, axis=0).tolist()))
        spans = make_spans([(*candidate, 0.5) for candidate in candidates])
        kinds = LabelKinds.from_rows(draws.normal(size=(n_labels, 7)).astype(np.float32))
        kept = as_tuples(keep_specific(spans, kinds))
        expected = keep_by_definition(as_tuples(spans), kinds.more_specific())
        assert kept == expected
        assert 20 < len(kept) < len(candidates) - 20

    def test_keep_specific_lets_the_broad_label_yield_whatever_the_scores(self):
        table = [[False] * N_LABELS for _ in range(N_LABELS)]
        table[1][0] = True
        spans = make_spans([(0, 0, 0, 3, 0.99), (0, 1, 2, 4, 0.51), (0, 0, 4, 5, 0.6)])
        found = pick_entities(spans, LABELS, 1, kinds=kinds_of(table))[0]
        assert [(e.start_word, e.end_word, e.label) for e in found] == [
            (2, 4, "politician"),
            (4, 5, "person"),
        ]
        (first, *_) = pick_entities(spans, LABELS, 1)[0]
        assert first.label == "person"

    def test_keep_specific_brings_back_what_yielded_to_what_yields(self):
        # Label 2 yields to label 1 at word 0, and label 1 yields to label 0 at word 5.
        table = [[False, True, False], [False, False, True], [False] * 3]
        spans = make_spans([(0, 2, 0, 1, 0.9), (0, 1, 0, 6, 0.9), (0, 0, 5, 6, 0.9)])
        assert as_tuples(keep_specific(spans, kinds_of(table))) == [(0, 2, 0, 1), (0, 0, 5, 6)]

    def test_keep_specific_leaves_a_circle_to_the_scores(self):
        table = [[False, True, False], [False, False, True], [True, False, False]]
        spans = make_spans([(0, label, 0, 2, 0.5 + label / 10) for label in range(3)])
        assert as_tuples(keep_specific(spans, kinds_of(table))) == as_tuples(spans)
        (entity,) = pick_entities(spans, LABELS, 1, kinds=kinds_of(table))[0]
        assert entity.label == "place"

    def test_keep_specific_of_no_candidates_is_empty(self):
        spans = make_spans([])
        assert as_tuples(keep_specific(spans, kinds_of([[True] * 2] * 2))) == []


class TestPickEntities:
    @given(candidate_lists(), tables())
    def test_pick_entities_never_overlaps(self, candidates, table):
        kinds = kinds_of(table)
        for entities in pick_entities(make_spans(candidates), LABELS, 2, kinds=kinds):
            words = [word for e in entities for word in range(e.start_word, e.end_word)]
            assert len(words) == len(set(words))

    @given(candidate_lists(), tables(), st.permutations(range(N_LABELS)))
    def test_keep_specific_does_not_depend_on_the_order_of_labels(self, candidates, table, order):
        kinds = kinds_of(table)
        expected = as_tuples(keep_specific(make_spans(candidates), kinds))
        place = {label: number for number, label in enumerate(order)}
        renamed = [(p, place[label], *rest) for p, label, *rest in reversed(candidates)]
        found = as_tuples(keep_specific(make_spans(renamed), kinds.take(list(order))))
        assert sorted((p, order[label], *rest) for p, label, *rest in found) == sorted(expected)

    @given(candidate_lists(), tables())
    def test_pick_entities_of_a_passage_does_not_depend_on_others(self, candidates, table):
        kinds = kinds_of(table)
        together = pick_entities(make_spans(candidates), LABELS, 2, kinds=kinds)
        for passage, expected in enumerate(together):
            own = [(0, *rest) for number, *rest in candidates if number == passage]
            assert pick_entities(make_spans(own), LABELS, 1, kinds=kinds) == [expected]

    @given(candidate_lists(), tables(), st.integers(0, N_LABELS - 1))
    def test_pick_entities_of_one_label_is_as_without_comparison(self, candidates, table, label):
        spans = make_spans([row for row in candidates if row[1] == label])
        found = pick_entities(spans, LABELS, 2, kinds=kinds_of(table))
        assert found == pick_entities(spans, LABELS, 2)

    @pytest.mark.parametrize(
        "rules",
        [{"flat_ner": False}, {"multi_label": True}, {"flat_ner": False, "multi_label": True}],
        ids=str,
    )
    @given(candidate_lists(), tables())
    def test_pick_entities_compares_labels_in_flat_mode_alone(self, rules, candidates, table):
        spans = make_spans(candidates)
        found = pick_entities(spans, LABELS, 2, kinds=kinds_of(table), **rules)
        assert found == pick_entities(spans, LABELS, 2, **rules)


@pytest.mark.parametrize("n_labels", [5, 600])
def test_more_specific_is_in_c_order_for_any_number_of_labels(n_labels):
    # The compiled kernel reads the rows from memory, and numpy lays out large results differently.
    rows = np.random.default_rng(1).normal(size=(n_labels, 9)).astype(np.float32)
    assert LabelKinds.from_rows(rows).more_specific().flags.c_contiguous
