"""Spans from the scores of many passages at once, against GLiNER's decoder and brute force."""

import numpy as np
import pytest
import torch
from gliner.decoding import TokenDecoder
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.decoding import (
    TagScores,
    decode_entities,
    entities_from_word_labels,
    find_spans,
    join_words,
    pick_entities,
    resolve_overlaps,
)
from gliner_distill.entities import END, INSIDE, START, Entity
from gliner_distill.errors import InputError

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
    spans = find_spans(scores_where_inside(probs, thresholds), thresholds)
    return pick_entities(spans, labels, len(probs), **rules)


def draw_probs(seed, lengths, n_labels):
    """Return each passage's probabilities; few distinct values make ties and equal thresholds."""
    draws = np.random.default_rng(seed)
    logits = [torch.logit(torch.tensor(draws.choice(GRID, (n, n_labels, 3)))) for n in lengths]
    return logits, [torch.sigmoid(one.float()).numpy() for one in logits]


def as_tuples(entities):
    return [(one.start_word, one.end_word, one.label, one.score) for one in entities]


class TestDecoding:
    @pytest.mark.parametrize("flat_ner", [True, False])
    @pytest.mark.parametrize("multi_label", [True, False])
    @given(
        st.lists(st.integers(0, 7), min_size=1, max_size=4),
        st.integers(1, 4),
        st.sampled_from([0.125, 0.25, 0.3, 0.5, 0.75, 0.9]),
        st.integers(0, 10**6),
    )
    def test_equals_gliners_token_decoder(
        self, flat_ner, multi_label, lengths, n_labels, threshold, seed
    ):
        logits, probs = draw_probs(seed, lengths, n_labels)
        padded = torch.full((len(lengths), max(lengths), n_labels, 3), 8.0)
        for row, one in enumerate(logits):
            padded[row, : len(one)] = one
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
    def test_equals_decode_entities(self, flat_ner, multi_label, lengths, seed):
        _, probs = draw_probs(seed, lengths, 3)
        rules = {"flat_ner": flat_ner, "multi_label": multi_label}
        found = decode(probs, [0.5] * 3, LABELS[:3], **rules)
        expected = [decode_entities(one, LABELS[:3], threshold=0.5, **rules) for one in probs]
        assert [as_tuples(one) for one in found] == [as_tuples(one) for one in expected]

    @pytest.mark.parametrize("flat_ner", [True, False])
    @given(st.lists(st.sampled_from(GRID[:-1]), min_size=3, max_size=3), st.integers(0, 10**6))
    def test_takes_each_label_at_its_own_threshold(self, flat_ner, thresholds, seed):
        _, probs = draw_probs(seed, [6, 8], 3)
        thresholds = np.array(thresholds, np.float32).tolist()
        found = decode(probs, thresholds, LABELS[:3], flat_ner=flat_ner, multi_label=False)
        for entities, of_passage in zip(found, probs, strict=True):
            candidates = [
                Entity(start, end, LABELS[label], float(score))
                for start in range(len(of_passage))
                for label, threshold in enumerate(thresholds)
                for end in range(start + 1, len(of_passage) + 1)
                if (first := of_passage[start, label, START]) > threshold
                and (last := of_passage[end - 1, label, END]) > threshold
                and (inside := of_passage[start:end, label, INSIDE].min()) >= threshold
                and (score := min(first, last, inside))
            ]
            expected = resolve_by_comparing_all(candidates, flat_ner=flat_ner, multi_label=False)
            assert as_tuples(entities) == as_tuples(expected)

    def test_of_one_label_alone_does_not_change_with_anothers_threshold(self):
        _, probs = draw_probs(3, [40], 2)
        rules = {"flat_ner": True, "multi_label": True}
        with_all = decode(probs, [0.5, 0.05], LABELS[:2], **rules)[0]
        without_other = decode(probs, [0.5, 0.95], LABELS[:2], **rules)[0]
        assert {one.label for one in with_all} == {"zebra", "ant"}
        assert {one.label for one in without_other} == {"zebra"}
        alone = decode([probs[0][:, :1]], [0.5], LABELS[:1], **rules)[0]
        assert as_tuples(without_other) == as_tuples(alone)

    def test_of_no_passages_is_nothing(self):
        assert decode([], [0.5], LABELS[:1], flat_ner=True, multi_label=False) == []

    def test_does_not_join_passages_or_labels_that_follow_on(self):
        # Word 1 of a passage stands right before word 2 of the next one, and so with labels.
        certain, impossible = np.ones((2, 1, 3), np.float32), np.zeros((2, 1, 3), np.float32)
        second = np.concatenate([impossible, certain])
        found = decode([certain, second], [0.5], LABELS[:1], flat_ner=False, multi_label=True)
        assert {(one.start_word, one.end_word) for one in found[0]} == {(0, 1), (1, 2), (0, 2)}
        assert {(one.start_word, one.end_word) for one in found[1]} == {(2, 3), (3, 4), (2, 4)}
        probs = np.zeros((4, 2, 3), np.float32)
        probs[:2, 0], probs[2:, 1] = 1, 1
        (found,) = decode([probs], [0.5] * 2, LABELS[:2], flat_ner=False, multi_label=True)
        assert not any(one.start_word < 2 < one.end_word for one in found)


class TestFindSpans:
    def test_refuses_more_spans_than_memory_is_for(self):
        # Any two of 500 words in a row: 125,250 spans.
        probs = [np.ones((500, 1, 3), np.float32)]
        with pytest.raises(InputError, match=r"threshold 0\.001 leaves 125,250 candidate spans in"):
            decode(probs, [0.001], LABELS[:1], flat_ner=True, multi_label=False)

    @pytest.mark.parametrize(
        ("limit", "said"),
        [
            ("MAX_SPANS_A_PASSAGE", "10 candidate spans in one text, more than 9; raise it"),
            ("MAX_SPANS", "10 candidate spans in 1 texts, more than 9; raise it, or lower batch"),
        ],
    )
    def test_allows_as_many_as_the_limit(self, monkeypatch, limit, said):
        probs = [np.ones((4, 1, 3), np.float32)]
        monkeypatch.setattr(f"gliner_distill.decoding.{limit}", 10)
        decode(probs, [0.5], LABELS[:1], flat_ner=True, multi_label=False)
        monkeypatch.setattr(f"gliner_distill.decoding.{limit}", 9)
        with pytest.raises(InputError, match=said):
            decode(probs, [0.5], LABELS[:1], flat_ner=True, multi_label=False)

    def test_does_not_depend_on_the_order_of_batches(self):
        _, probs = draw_probs(5, [9, 0, 7], 2)
        thresholds = np.array([0.4, 0.4], np.float32)
        scores = scores_where_inside(probs, thresholds)
        rows = np.random.default_rng(0).permutation(len(scores.word))
        halves = [scores.take(rows[:10]), scores.take(rows[10:])]
        shuffled = TagScores.concatenate(halves).in_reading_order()
        for expected, found in zip(
            (getattr(find_spans(scores, thresholds), name) for name in ("label", "score")),
            (getattr(find_spans(shuffled, thresholds), name) for name in ("label", "score")),
            strict=True,
        ):
            np.testing.assert_array_equal(found, expected)


class TestJoinWords:
    @given(
        st.lists(
            st.lists(st.sampled_from([None, "zebra", "ant"]), max_size=8), min_size=1, max_size=3
        ),
        st.integers(0, 10**6),
    )
    def test_makes_each_run_of_a_label_one_entity(self, word_labels, seed):
        draws = np.random.default_rng(seed)
        scores = [draws.uniform(0.6, 1.0, len(of_passage)) for of_passage in word_labels]
        probs = [np.zeros((len(of_passage), 2, 3), np.float32) for of_passage in word_labels]
        for array, of_passage, of_words in zip(probs, word_labels, scores, strict=True):
            for word, label in enumerate(of_passage):
                if label:
                    array[word, LABELS.index(label)] = of_words[word]
        thresholds = np.full(2, 0.5, np.float32)
        joined = join_words(scores_where_inside(probs, thresholds))
        found = pick_entities(
            find_spans(joined, thresholds),
            LABELS[:2],
            len(probs),
            flat_ner=True,
            multi_label=False,
        )
        expected = [
            [
                (
                    one.start_word,
                    one.end_word,
                    one.label,
                    pytest.approx(of_words[one.start_word : one.end_word].min(), abs=1e-6),
                )
                for one in entities_from_word_labels(of_passage)
            ]
            for of_passage, of_words in zip(word_labels, scores, strict=True)
        ]
        assert [as_tuples(one) for one in found] == expected


def resolve_by_comparing_all(candidates, *, flat_ner, multi_label):
    """Return what a greedy reader keeps who compares each candidate with all that it kept."""
    kept = []
    for entity in sorted(candidates, key=lambda one: -one.score):
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
    return sorted(kept, key=lambda one: one.start_word)


@pytest.mark.parametrize("flat_ner", [True, False])
@pytest.mark.parametrize("multi_label", [True, False])
@pytest.mark.parametrize("seed", range(10))
def test_resolve_overlaps_equals_comparing_all_with_all(flat_ner, multi_label, seed):
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
