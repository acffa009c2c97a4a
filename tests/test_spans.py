"""Candidate spans of many passages at once, and the entities picked from them.

The oracles are GLiNER's own decoder and a brute-force search over all spans.
"""

from itertools import groupby

import numpy as np
import pytest
import torch
from gliner.decoding import TokenDecoder
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.decoding import decode_entities, pick_entities, resolve_overlaps
from gliner_distill.entities import END, INSIDE, START, Entity
from gliner_distill.spans import TagScores, find_bounds, join_words

LABELS = ("zebra", "ant", "mule", "yak")
GRID = (0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9)


def scores_where_inside(probs, thresholds):
    """Return all three probabilities of the words at which a label's inside one is high enough."""
    rows = [
        (passage, label, word, *of_passage[word, label, [START, END, INSIDE]])
        for passage, of_passage in enumerate(probs)
        for label in range(of_passage.shape[1])
        for word in range(len(of_passage))
        if of_passage[word, label, INSIDE] >= thresholds[label]
    ]
    columns = np.array(rows, dtype=np.float64).reshape(len(rows), 6).T
    return TagScores(*columns[:3].astype(np.int64), *columns[3:].astype(np.float32))


def decode(probs, thresholds, labels, **rules):
    thresholds = np.array(thresholds, dtype=np.float32)
    spans = find_bounds(scores_where_inside(probs, thresholds), thresholds).spans()
    return pick_entities(spans, labels, len(probs), **rules)


def draw_probs(seed, lengths, n_labels):
    """Return each passage's probabilities; few distinct values make ties and equal thresholds."""
    draws = np.random.default_rng(seed)
    logits = [torch.logit(torch.tensor(draws.choice(GRID, (n, n_labels, 3)))) for n in lengths]
    return logits, [torch.sigmoid(array.float()).numpy() for array in logits]


def as_tuples(entities):
    return [(e.start_word, e.end_word, e.label, e.score) for e in entities]


class TestDecoding:
    @pytest.mark.parametrize("flat_ner", [True, False])
    @pytest.mark.parametrize("multi_label", [True, False])
    @given(
        st.lists(st.integers(0, 7), min_size=1, max_size=4),
        st.integers(1, 4),
        st.sampled_from([0.125, 0.25, 0.3, 0.5, 0.75, 0.9]),
        st.integers(0, 10**6),
    )
    def test_pick_entities_equals_gliners_token_decoder(
        self, flat_ner, multi_label, lengths, n_labels, threshold, seed
    ):
        logits, probs = draw_probs(seed, lengths, n_labels)
        padded = torch.full((len(lengths), max(lengths), n_labels, 3), 8.0)
        for row, array in enumerate(logits):
            padded[row, : len(array)] = array
        expected = TokenDecoder(config=None).decode(
            [["word"] * length for length in lengths],
            dict(enumerate(LABELS[:n_labels], start=1)),
            padded,
            flat_ner=flat_ner,
            threshold=threshold,
            multi_label=multi_label,
        )
        found = decode(
            probs,
            [threshold] * n_labels,
            LABELS[:n_labels],
            flat_ner=flat_ner,
            multi_label=multi_label,
        )
        assert [as_tuples(entities) for entities in found] == [
            [
                (span.start, span.end + 1, span.entity_type, pytest.approx(span.score, abs=1e-6))
                for span in spans
            ]
            for spans in expected
        ]

    @pytest.mark.parametrize("flat_ner", [True, False])
    @pytest.mark.parametrize("multi_label", [True, False])
    @given(st.lists(st.integers(0, 9), max_size=4), st.integers(0, 10**6))
    def test_decoders_equal_brute_force(self, flat_ner, multi_label, lengths, seed):
        _, probs = draw_probs(seed, lengths, 3)
        rules = {"flat_ner": flat_ner, "multi_label": multi_label}
        expected = [
            as_tuples(decode_by_brute_force(array, [0.5] * 3, LABELS[:3], **rules))
            for array in probs
        ]
        batched = decode(probs, [0.5] * 3, LABELS[:3], **rules)
        single = [decode_entities(array, LABELS[:3], threshold=0.5, **rules) for array in probs]
        assert [as_tuples(entities) for entities in batched] == expected
        assert [as_tuples(entities) for entities in single] == expected

    @pytest.mark.parametrize("flat_ner", [True, False])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("threshold", [0.1, 0.3])
    def test_decode_entities_equals_brute_force_with_many_candidates(
        self, flat_ner, dtype, threshold
    ):
        probs = np.random.default_rng(1).choice(GRID, (40, 4, 3)).astype(dtype)
        entities = decode_entities(probs, LABELS, threshold=threshold, flat_ner=flat_ner)
        thresholds = np.full(4, threshold, dtype)
        expected = decode_by_brute_force(
            probs, thresholds, LABELS, flat_ner=flat_ner, multi_label=False
        )
        assert as_tuples(entities) == as_tuples(expected)
        assert len(entities) > 10

    @pytest.mark.parametrize("flat_ner", [True, False])
    @given(st.lists(st.sampled_from(GRID[:-1]), min_size=3, max_size=3), st.integers(0, 10**6))
    def test_pick_entities_uses_each_labels_own_threshold(self, flat_ner, thresholds, seed):
        _, probs = draw_probs(seed, [6, 8], 3)
        thresholds = np.array(thresholds, np.float32).tolist()
        rules = {"flat_ner": flat_ner, "multi_label": False}
        decoded = decode(probs, thresholds, LABELS[:3], **rules)
        for entities, array in zip(decoded, probs, strict=True):
            expected = decode_by_brute_force(array, thresholds, LABELS[:3], **rules)
            assert as_tuples(entities) == as_tuples(expected)

    def test_pick_entities_of_a_label_ignores_the_thresholds_of_others(self):
        _, probs = draw_probs(3, [40], 2)
        rules = {"flat_ner": True, "multi_label": True}
        with_all = decode(probs, [0.5, 0.05], LABELS[:2], **rules)[0]
        without_other = decode(probs, [0.5, 0.95], LABELS[:2], **rules)[0]
        assert {entity.label for entity in with_all} == {"zebra", "ant"}
        assert {entity.label for entity in without_other} == {"zebra"}
        alone = decode([probs[0][:, :1]], [0.5], LABELS[:1], **rules)[0]
        assert as_tuples(without_other) == as_tuples(alone)

    def test_pick_entities_of_no_passages_is_empty(self):
        assert decode([], [0.5], LABELS[:1], flat_ner=True, multi_label=False) == []

    def test_find_bounds_joins_no_words_across_passages_or_labels(self):
        # Word 1 of a passage stands right before word 2 of the next one, and so with labels.
        certain, impossible = np.ones((2, 1, 3), np.float32), np.zeros((2, 1, 3), np.float32)
        second = np.concatenate([impossible, certain])
        found = decode([certain, second], [0.5], LABELS[:1], flat_ner=False, multi_label=True)
        assert {(entity.start_word, entity.end_word) for entity in found[0]} == {
            (0, 1),
            (1, 2),
            (0, 2),
        }
        assert {(entity.start_word, entity.end_word) for entity in found[1]} == {
            (2, 3),
            (3, 4),
            (2, 4),
        }
        probs = np.zeros((4, 2, 3), np.float32)
        probs[:2, 0], probs[2:, 1] = 1, 1
        (found,) = decode([probs], [0.5] * 2, LABELS[:2], flat_ner=False, multi_label=True)
        assert not any(e.start_word < 2 < e.end_word for e in found)


class TestFindBounds:
    @given(st.lists(st.integers(0, 8), min_size=1, max_size=4), st.integers(0, 10**6))
    def test_find_bounds_counts_the_spans_of_each_passage(self, lengths, seed):
        _, probs = draw_probs(seed, lengths, 2)
        thresholds = np.array([0.25, 0.5], np.float32)
        bounds = find_bounds(scores_where_inside(probs, thresholds), thresholds)
        spans = bounds.spans()
        starts = bounds.scores.passage[bounds.starts]
        counts = np.bincount(starts, weights=bounds.n_ends, minlength=len(lengths)).tolist()
        assert counts == np.bincount(spans.passage, minlength=len(lengths)).tolist()

    def test_find_bounds_does_not_depend_on_the_order_of_batches(self):
        _, probs = draw_probs(5, [9, 0, 7], 2)
        thresholds = np.array([0.4, 0.4], np.float32)
        scores = scores_where_inside(probs, thresholds)
        rows = np.random.default_rng(0).permutation(len(scores.word))
        halves = [scores.take(rows[:10]), scores.take(rows[10:])]
        shuffled = TagScores.concatenate(halves).in_reading_order()
        for expected, found in zip(
            (getattr(find_bounds(scores, thresholds).spans(), name) for name in ("label", "score")),
            (
                getattr(find_bounds(shuffled, thresholds).spans(), name)
                for name in ("label", "score")
            ),
            strict=True,
        ):
            np.testing.assert_array_equal(found, expected)


def runs_of(word_labels):
    """Return start, end and label of each run of one label."""
    place, runs = 0, []
    for label, run in groupby(word_labels):
        end = place + len(list(run))
        runs += [(place, end, label)] if label else []
        place = end
    return runs


class TestJoinWords:
    @given(
        st.lists(
            st.lists(st.sampled_from([None, "zebra", "ant"]), max_size=8), min_size=1, max_size=3
        ),
        st.integers(0, 10**6),
    )
    def test_join_words_makes_each_run_of_a_label_one_entity(self, word_labels, seed):
        draws = np.random.default_rng(seed)
        scores = [draws.uniform(0.6, 1.0, len(of_passage)) for of_passage in word_labels]
        probs = [np.zeros((len(of_passage), 2, 3), np.float32) for of_passage in word_labels]
        for array, of_passage, word_scores in zip(probs, word_labels, scores, strict=True):
            for word, label in enumerate(of_passage):
                if label:
                    array[word, LABELS.index(label)] = word_scores[word]
        thresholds = np.full(2, 0.5, np.float32)
        joined = join_words(scores_where_inside(probs, thresholds))
        found = pick_entities(
            find_bounds(joined, thresholds).spans(),
            LABELS[:2],
            len(probs),
            flat_ner=True,
            multi_label=False,
        )
        expected = [
            [
                (start, end, label, pytest.approx(word_scores[start:end].min(), abs=1e-6))
                for start, end, label in runs_of(of_passage)
            ]
            for of_passage, word_scores in zip(word_labels, scores, strict=True)
        ]
        assert [as_tuples(entities) for entities in found] == expected


def decode_by_brute_force(probs, thresholds, labels, **rules):
    """Return the entities of one passage by looking at every span of every label."""
    candidates = [
        Entity(start, end, labels[label], float(score))
        for start in range(len(probs))
        for label, threshold in enumerate(thresholds)
        for end in range(start + 1, len(probs) + 1)
        if (first := probs[start, label, START]) > threshold
        and (last := probs[end - 1, label, END]) > threshold
        and (inside := probs[start:end, label, INSIDE].min()) >= threshold
        and (score := min(first, last, inside))
    ]
    return resolve_by_comparing_all(candidates, **rules)


def resolve_by_comparing_all(candidates, *, flat_ner, multi_label):
    """Return the candidates of a greedy selection that compares each one with all kept ones."""
    kept = []
    for entity in sorted(candidates, key=lambda entity: -entity.score):
        span = set(range(entity.start_word, entity.end_word))
        for other in kept:
            other_span = set(range(other.start_word, other.end_word))
            if span == other_span:
                clash = not multi_label
            elif span <= other_span or other_span <= span:
                clash = flat_ner
            else:
                clash = bool(span & other_span)
            if clash:
                break
        else:
            kept.append(entity)
    return sorted(kept, key=lambda entity: entity.start_word)


@pytest.mark.parametrize("flat_ner", [True, False])
@pytest.mark.parametrize("multi_label", [True, False])
@pytest.mark.parametrize("seed", range(10))
def test_resolve_overlaps_equals_comparing_all_pairs(flat_ner, multi_label, seed):
    draws = np.random.default_rng(seed)
    starts = draws.integers(0, 60, 120).tolist()
    candidates = [
        Entity(start, start + length, label, score)
        for start, length, label, score in zip(
            starts,
            draws.integers(1, 8, 120).tolist(),
            draws.choice(LABELS, 120).tolist(),
            draws.choice([0.5, 0.6, 0.7, 0.8], 120).tolist(),
            strict=True,
        )
    ]
    rules = {"flat_ner": flat_ner, "multi_label": multi_label}
    found = resolve_overlaps(candidates, **rules)
    assert 0 < len(found) < 120
    assert as_tuples(found) == as_tuples(resolve_by_comparing_all(candidates, **rules))
