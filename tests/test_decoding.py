"""The decoder against hand-made numbers, brute force and GLiNER itself."""

from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from gliner.decoding import TokenDecoder
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.decoding import (
    decode_entities,
    decode_words,
    entities_to_probs,
    resolve_overlaps,
)
from gliner_distill.entities import END, INSIDE, START, Entity


def probs_of(n_words, n_labels, cells):
    """Return an array of zeros with `{(word, label, kind): prob}` set."""
    probs = np.zeros((n_words, n_labels, 3), dtype=np.float32)
    for cell, prob in cells.items():
        probs[cell] = prob
    return probs


def decoded(probs, labels, threshold=0.5):
    return [
        (entity.start_word, entity.end_word, entity.label, pytest.approx(entity.score, abs=1e-6))
        for entity in decode_entities(probs, labels, threshold=threshold)
    ]


class TestDecodeEntities:
    def test_decode_entities_scores_a_span_by_its_smallest_probability(self):
        probs = probs_of(
            4,
            1,
            {
                (1, 0, START): 0.9,
                (2, 0, END): 0.7,
                (1, 0, INSIDE): 0.8,
                (2, 0, INSIDE): 0.95,
            },
        )
        assert decoded(probs, ["city"]) == [(1, 3, "city", 0.7)]

    def test_decode_entities_needs_every_word_of_a_span_inside(self):
        cells = {(0, 0, START): 0.9, (2, 0, END): 0.9}
        inside = {(0, 0, INSIDE): 0.9, (1, 0, INSIDE): 0.4, (2, 0, INSIDE): 0.9}
        assert decoded(probs_of(3, 1, cells | inside), ["city"]) == []
        inside[1, 0, INSIDE] = 0.6
        assert decoded(probs_of(3, 1, cells | inside), ["city"]) == [(0, 3, "city", 0.6)]

    def test_decode_entities_needs_start_and_end_above_and_inside_at_the_threshold(self):
        sure = {(0, 0, START): 0.9, (0, 0, END): 0.9, (0, 0, INSIDE): 0.9}
        assert decoded(probs_of(1, 1, sure | {(0, 0, START): 0.5}), ["city"]) == []
        assert decoded(probs_of(1, 1, sure | {(0, 0, END): 0.5}), ["city"]) == []
        at_the_edge = probs_of(1, 1, sure | {(0, 0, INSIDE): 0.5})
        assert decoded(at_the_edge, ["city"]) == [(0, 1, "city", 0.5)]

    def test_decode_entities_keeps_adjacent_entities_of_one_label_apart(self):
        probs = probs_of(4, 1, {(word, 0, INSIDE): 0.9 for word in range(4)})
        probs[[0, 2], 0, START] = 0.9, 0.8
        probs[[1, 3], 0, END] = 0.9, 0.8
        # (0, 4) and (2, 4) score 0.8 alike, but (0, 2) was there before.
        assert decoded(probs, ["city"]) == [(0, 2, "city", 0.9), (2, 4, "city", 0.8)]

    def test_decode_entities_ignores_an_end_before_the_start(self):
        probs = probs_of(2, 1, {(1, 0, START): 0.9, (0, 0, END): 0.9})
        probs[..., INSIDE] = 1
        assert decoded(probs, ["city"]) == []

    def test_decode_entities_gives_a_span_to_the_better_label(self):
        probs = np.stack([np.full((2, 3), 0.7), np.full((2, 3), 0.8)], axis=1)
        assert decoded(probs, ["city", "person"]) == [(0, 1, "person", 0.8), (1, 2, "person", 0.8)]

    def test_decode_entities_breaks_ties_by_start_then_label_then_length(self):
        probs = np.full((3, 2, 3), 0.75, dtype=np.float32)
        expected = [(word, word + 1, "zebra", 0.75) for word in range(3)]
        assert decoded(probs, ["zebra", "ant"]) == expected
        probs[0, 0, END] = 0
        assert decoded(probs, ["zebra", "ant"])[0] == (0, 2, "zebra", 0.75)

    @pytest.mark.parametrize("shape", [(0, 2, 3), (4, 0, 3), (0, 0, 3)])
    def test_decode_entities_of_no_words_or_labels_is_empty(self, shape):
        assert decode_entities(np.ones(shape), ["city", "person"][: shape[1]]) == []

    @given(
        st.integers(1, 6),
        st.integers(1, 3),
        st.sampled_from([0.25, 0.5, 0.75]),
        st.integers(0, 10**6),
    )
    def test_decode_entities_equals_gliners_token_decoder_ties_included(
        self, n_words, n_labels, threshold, seed
    ):
        # Few distinct values make ties and probabilities that equal the threshold.
        values = np.array([0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9])
        logits = torch.logit(
            torch.tensor(np.random.default_rng(seed).choice(values, (n_words, n_labels, 3)))
        )
        labels = ["zebra", "ant", "mule"][:n_labels]
        spans = TokenDecoder(config=None).decode(
            [["word"] * n_words],
            dict(enumerate(labels, start=1)),
            logits[None],
            flat_ner=True,
            threshold=threshold,
        )[0]
        expected = [(span.start, span.end + 1, span.entity_type, span.score) for span in spans]
        probs = torch.sigmoid(logits).numpy()
        assert [
            (entity.start_word, entity.end_word, entity.label, entity.score)
            for entity in decode_entities(probs, labels, threshold=threshold)
        ] == expected


@st.composite
def candidate_lists(draw):
    candidates = []
    for _ in range(draw(st.integers(0, 7))):
        start = draw(st.integers(0, 6))
        end = draw(st.integers(start + 1, 8))
        score = draw(st.sampled_from([0.2, 0.5, 0.9, 1.0]))
        candidates.append(Entity(start, end, draw(st.sampled_from(["city", "river"])), score))
    return candidates


def words_of(entity):
    return set(range(entity.start_word, entity.end_word))


class TestResolveOverlaps:
    @given(candidate_lists())
    def test_resolve_overlaps_is_the_first_set_without_overlap_by_score_and_position(
        self, candidates
    ):
        # Greedy: of all sets without overlap, the first in this order of who comes first.
        ranked = sorted(range(len(candidates)), key=lambda place: (-candidates[place].score, place))
        best: tuple[int, ...] = ()
        for size in range(len(ranked) + 1):
            for ranks in combinations(range(len(ranked)), size):
                chosen = [candidates[ranked[rank]] for rank in ranks]
                words = [word for entity in chosen for word in words_of(entity)]
                if len(words) == len(set(words)):
                    padded = (*ranks, *[99] * 8)[:8]
                    best = min(best, padded) if best else padded
        expected = [candidates[ranked[rank]] for rank in best if rank != 99]
        kept = resolve_overlaps(candidates)
        assert kept == sorted(expected, key=lambda entity: entity.start_word)
        assert [entity.score for entity in kept] == [
            entity.score for entity in sorted(expected, key=lambda entity: entity.start_word)
        ]

    def test_resolve_overlaps_keeps_the_first_of_equal_candidates(self):
        first, second = Entity(0, 2, "river", 0.5), Entity(1, 3, "city", 0.5)
        assert resolve_overlaps([first, second]) == [first]
        assert resolve_overlaps([second, first]) == [second]

    def test_resolve_overlaps_keeps_neighbors_in_order_of_position(self):
        left, right = Entity(0, 2, "city", 0.4), Entity(2, 3, "city", 0.9)
        assert resolve_overlaps([right, left]) == [left, right]

    @pytest.mark.parametrize("flat_ner", [True, False])
    @pytest.mark.parametrize("multi_label", [True, False])
    @given(drawn=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4), st.integers(0, 2))))
    def test_resolve_overlaps_equals_gliners_greedy_search(self, flat_ner, multi_label, drawn):
        from gliner.decoding.decoder import Span, TokenDecoder

        spans = dict.fromkeys((start, start + width, "abc"[label]) for start, width, label in drawn)
        candidates = [
            Entity(start, end, label, 1 - 0.01 * rank)
            for rank, (start, end, label) in enumerate(spans)
        ]
        spans = [Span(e.start_word, e.end_word - 1, e.label, e.score) for e in candidates]
        theirs = TokenDecoder.greedy_search(None, spans, flat_ner, multi_label)
        ours = resolve_overlaps(candidates, flat_ner=flat_ner, multi_label=multi_label)
        assert {(e.start_word, e.end_word - 1, e.label) for e in ours} == {
            (span.start, span.end, span.entity_type) for span in theirs
        }

    def test_resolve_overlaps_keeps_one_label_per_span(self):
        low, high = Entity(0, 2, "city", 0.4), Entity(0, 2, "river", 0.9)
        assert resolve_overlaps([low, high]) == [high]


@st.composite
def flat_entities(draw):
    """Draw entities that share no word, some of them neighbors of one label."""
    entities, word = [], 0
    for _ in range(draw(st.integers(0, 5))):
        start = word + draw(st.integers(0, 2))
        word = start + draw(st.integers(1, 3))
        # Few scores, all exact in float32, so that neighbors are often alike.
        score = draw(st.sampled_from([0.5625, 0.75, 1.0]))
        entities.append(Entity(start, word, draw(st.sampled_from(["city", "river"])), score))
    return entities, word + draw(st.integers(0, 2))


class TestEntitiesToProbs:
    @given(flat_entities(), st.randoms(use_true_random=False))
    def test_entities_to_probs_is_undone_by_decode_entities(self, drawn, shuffler):
        entities, n_words = drawn
        shuffled = shuffler.sample(entities, len(entities))
        for labels in (["city", "river"], ["river", "zebra", "city"]):
            decoded = decode_entities(entities_to_probs(shuffled, labels, n_words), labels)
            assert decoded == entities
            assert [entity.score for entity in decoded] == [entity.score for entity in entities]

    def test_entities_to_probs_equals_an_array_made_by_hand(self):
        entities = [Entity(0, 2, "city", 0.75), Entity(3, 4, "river", 0.25)]
        probs = entities_to_probs(entities, ["river", "city"], n_words=4)
        expected = probs_of(
            4,
            2,
            {
                (0, 1, START): 0.75,
                (1, 1, END): 0.75,
                (0, 1, INSIDE): 0.75,
                (1, 1, INSIDE): 0.75,
                (3, 0): 0.25,
            },
        )
        np.testing.assert_array_equal(probs, expected)
        assert probs.dtype == np.float32

    def test_entities_to_probs_keeps_the_largest_score_in_either_order(self):
        nested = [Entity(0, 3, "city", 0.5), Entity(1, 2, "city", 0.75), Entity(0, 1, "city", 0.25)]
        for entities in (nested, nested[::-1]):
            probs = entities_to_probs(entities, ["city"], n_words=3)[:, 0]
            assert probs[:, START].tolist() == [0.5, 0.75, 0]
            assert probs[:, END].tolist() == [0.25, 0.75, 0.5]
            assert probs[:, INSIDE].tolist() == [0.5, 0.75, 0.5]

    def test_entities_to_probs_gives_one_span_several_labels(self):
        both = [Entity(0, 1, "city", 0.25), Entity(0, 1, "river", 0.75)]
        probs = entities_to_probs(both, ["city", "river"], n_words=1)
        assert probs.tolist() == [[[0.25] * 3, [0.75] * 3]]

    def test_entities_to_probs_leaves_out_labels_that_are_not_asked(self):
        entities = [Entity(0, 1, "dog"), Entity(1, 2, "city")]
        probs = entities_to_probs(entities, ["city"], n_words=2)
        assert probs.tolist() == [[[0, 0, 0]], [[1, 1, 1]]]

    def test_entities_to_probs_of_no_entities_is_zero(self):
        assert not entities_to_probs([], ["city"], n_words=2).any()
        assert entities_to_probs([], ["city"], n_words=0).shape == (0, 1, 3)
        assert entities_to_probs([Entity(0, 1, "city")], [], n_words=1).shape == (1, 0, 3)

    @pytest.mark.parametrize("span", [(-1, 1), (1, 1), (2, 1), (2, 4), (3, 4)])
    @pytest.mark.parametrize("label", ["city", "not asked"])
    def test_entities_to_probs_refuses_an_entity_outside_the_words(self, span, label):
        entity = Entity(*span, label)
        with pytest.raises(ValueError, match="3 words") as caught:
            entities_to_probs([entity], ["city"], n_words=3)
        assert str(entity) in str(caught.value)

    @pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
    def test_entities_to_probs_refuses_a_score_outside_0_and_1(self, score):
        entity = Entity(0, 1, "city", score)
        with pytest.raises(ValueError, match=r"outside \[0, 1\]") as caught:
            entities_to_probs([entity], ["city"], n_words=3)
        assert str(entity) in str(caught.value)


def decode_word_labels(word_labels, scores=None):
    """Decode words that have one label or None, as a softmax head would score them."""
    labels = ["city", "river"]
    best = np.array([labels.index(label) if label else 0 for label in word_labels], dtype=np.int64)
    scores = [1.0] * len(word_labels) if scores is None else scores
    kept = [score if label else 0.1 for label, score in zip(word_labels, scores, strict=True)]
    return decode_words(best, np.array(kept, dtype=np.float32), labels)


class TestDecodeWords:
    @given(st.lists(st.sampled_from([None, "city", "river"]), max_size=8), st.integers(0, 10**6))
    def test_decode_words_returns_the_runs_of_each_label(self, word_labels, seed):
        scores = np.random.default_rng(seed).uniform(0.6, 1.0, len(word_labels))
        entities = decode_word_labels(word_labels, scores)
        decoded: list[str | None] = [None] * len(word_labels)
        for entity in entities:
            for word in words_of(entity):
                decoded[word] = entity.label
            expected = scores[entity.start_word : entity.end_word].min()
            assert entity.score == pytest.approx(expected, abs=1e-6)
        assert decoded == word_labels
        for first, second in pairwise(entities):
            assert first.end_word < second.start_word or first.label != second.label

    def test_decode_words_of_no_words_is_empty(self):
        assert decode_word_labels([]) == []

    def test_decode_words_keeps_touching_labels_apart(self):
        expected = [Entity(0, 2, "city"), Entity(2, 3, "river")]
        assert decode_word_labels(["city", "city", "river"]) == expected

    def test_decode_words_needs_a_score_above_the_threshold(self):
        assert decode_word_labels(["city", "city"], [0.5, 0.75]) == [Entity(1, 2, "city")]
