"""Decoding and splitting against hand-made numbers, brute force and GLiNER itself."""

from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from gliner.data_processing.tokenizer import WhitespaceTokenSplitter
from gliner.decoding import TokenDecoder
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.decoding import (
    decode_entities,
    entities_from_word_labels,
    entities_to_probs,
    resolve_overlaps,
)
from gliner_distill.entities import END, INSIDE, START, Entity, Passage, split_words


def probs_of(n_words, n_labels, cells):
    """Return an array of zeros with `{(word, label, kind): prob}` set."""
    probs = np.zeros((n_words, n_labels, 3), dtype=np.float32)
    for cell, prob in cells.items():
        probs[cell] = prob
    return probs


def found(probs, labels, threshold=0.5):
    return [
        (one.start_word, one.end_word, one.label, pytest.approx(one.score, abs=1e-6))
        for one in decode_entities(probs, labels, threshold=threshold)
    ]


class TestDecodeEntities:
    def test_scores_a_span_by_its_smallest_probability(self):
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
        assert found(probs, ["city"]) == [(1, 3, "city", 0.7)]

    def test_needs_every_word_to_be_inside(self):
        cells = {(0, 0, START): 0.9, (2, 0, END): 0.9}
        inside = {(0, 0, INSIDE): 0.9, (1, 0, INSIDE): 0.4, (2, 0, INSIDE): 0.9}
        assert found(probs_of(3, 1, cells | inside), ["city"]) == []
        inside[1, 0, INSIDE] = 0.6
        assert found(probs_of(3, 1, cells | inside), ["city"]) == [(0, 3, "city", 0.6)]

    def test_start_and_end_must_exceed_the_threshold_and_inside_must_reach_it(self):
        sure = {(0, 0, START): 0.9, (0, 0, END): 0.9, (0, 0, INSIDE): 0.9}
        assert found(probs_of(1, 1, sure | {(0, 0, START): 0.5}), ["city"]) == []
        assert found(probs_of(1, 1, sure | {(0, 0, END): 0.5}), ["city"]) == []
        at_the_edge = probs_of(1, 1, sure | {(0, 0, INSIDE): 0.5})
        assert found(at_the_edge, ["city"]) == [(0, 1, "city", 0.5)]

    def test_adjacent_entities_of_one_label_stay_apart(self):
        probs = probs_of(4, 1, {(word, 0, INSIDE): 0.9 for word in range(4)})
        probs[[0, 2], 0, START] = 0.9, 0.8
        probs[[1, 3], 0, END] = 0.9, 0.8
        # (0, 4) and (2, 4) score 0.8 alike, but (0, 2) was there before.
        assert found(probs, ["city"]) == [(0, 2, "city", 0.9), (2, 4, "city", 0.8)]

    def test_an_end_before_the_start_is_no_entity(self):
        probs = probs_of(2, 1, {(1, 0, START): 0.9, (0, 0, END): 0.9})
        probs[..., INSIDE] = 1
        assert found(probs, ["city"]) == []

    def test_the_better_label_takes_the_span(self):
        probs = np.stack([np.full((2, 3), 0.7), np.full((2, 3), 0.8)], axis=1)
        assert found(probs, ["city", "person"]) == [(0, 1, "person", 0.8), (1, 2, "person", 0.8)]

    def test_ties_go_to_the_first_start_then_the_first_label_then_the_shorter(self):
        probs = np.full((3, 2, 3), 0.75, dtype=np.float32)
        expected = [(word, word + 1, "zebra", 0.75) for word in range(3)]
        assert found(probs, ["zebra", "ant"]) == expected
        probs[0, 0, END] = 0
        assert found(probs, ["zebra", "ant"])[0] == (0, 2, "zebra", 0.75)

    @pytest.mark.parametrize("shape", [(0, 2, 3), (4, 0, 3), (0, 0, 3)])
    def test_of_nothing_is_nothing(self, shape):
        assert decode_entities(np.ones(shape), ["city", "person"][: shape[1]]) == []

    @given(
        st.integers(1, 6),
        st.integers(1, 3),
        st.sampled_from([0.25, 0.5, 0.75]),
        st.integers(0, 10**6),
    )
    def test_equals_gliners_token_decoder_ties_and_all(self, n_words, n_labels, threshold, seed):
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
            (one.start_word, one.end_word, one.label, one.score)
            for one in decode_entities(probs, labels, threshold=threshold)
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
    def test_is_the_best_set_in_the_order_of_score_and_place(self, candidates):
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
        assert [one.score for one in kept] == [
            one.score for one in sorted(expected, key=lambda entity: entity.start_word)
        ]

    def test_takes_the_first_of_equals(self):
        first, second = Entity(0, 2, "river", 0.5), Entity(1, 3, "city", 0.5)
        assert resolve_overlaps([first, second]) == [first]
        assert resolve_overlaps([second, first]) == [second]

    def test_keeps_neighbours_and_orders_them(self):
        left, right = Entity(0, 2, "city", 0.4), Entity(2, 3, "city", 0.9)
        assert resolve_overlaps([right, left]) == [left, right]

    @pytest.mark.parametrize("flat_ner", [True, False])
    @pytest.mark.parametrize("multi_label", [True, False])
    @given(drawn=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4), st.integers(0, 2))))
    def test_follows_gliners_rules_of_nesting_and_labels(self, flat_ner, multi_label, drawn):
        from gliner.decoding.decoder import Span, TokenDecoder

        spans = dict.fromkeys((start, start + width, "abc"[label]) for start, width, label in drawn)
        candidates = [
            Entity(start, end, label, 1 - 0.01 * rank)
            for rank, (start, end, label) in enumerate(spans)
        ]
        spans = [Span(one.start_word, one.end_word - 1, one.label, one.score) for one in candidates]
        theirs = TokenDecoder.greedy_search(None, spans, flat_ner, multi_label)
        ours = resolve_overlaps(candidates, flat_ner=flat_ner, multi_label=multi_label)
        assert {(one.start_word, one.end_word - 1, one.label) for one in ours} == {
            (span.start, span.end, span.entity_type) for span in theirs
        }

    def test_takes_one_label_for_a_span(self):
        low, high = Entity(0, 2, "city", 0.4), Entity(0, 2, "river", 0.9)
        assert resolve_overlaps([low, high]) == [high]


@st.composite
def flat_entities(draw):
    """Entities that share no word, some of them neighbours of one label."""
    entities, word = [], 0
    for _ in range(draw(st.integers(0, 5))):
        start = word + draw(st.integers(0, 2))
        word = start + draw(st.integers(1, 3))
        # Few scores, all exact in float32, so that neighbours are often alike.
        score = draw(st.sampled_from([0.5625, 0.75, 1.0]))
        entities.append(Entity(start, word, draw(st.sampled_from(["city", "river"])), score))
    return entities, word + draw(st.integers(0, 2))


class TestEntitiesToProbs:
    @given(flat_entities(), st.randoms(use_true_random=False))
    def test_decode_gives_flat_entities_back(self, drawn, shuffler):
        entities, n_words = drawn
        shuffled = shuffler.sample(entities, len(entities))
        for labels in (["city", "river"], ["river", "zebra", "city"]):
            decoded = decode_entities(entities_to_probs(shuffled, labels, n_words), labels)
            assert decoded == entities
            assert [one.score for one in decoded] == [one.score for one in entities]

    def test_equals_an_array_made_by_hand(self):
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

    def test_the_largest_score_wins_in_either_order(self):
        nested = [Entity(0, 3, "city", 0.5), Entity(1, 2, "city", 0.75), Entity(0, 1, "city", 0.25)]
        for entities in (nested, nested[::-1]):
            probs = entities_to_probs(entities, ["city"], n_words=3)[:, 0]
            assert probs[:, START].tolist() == [0.5, 0.75, 0]
            assert probs[:, END].tolist() == [0.25, 0.75, 0.5]
            assert probs[:, INSIDE].tolist() == [0.5, 0.75, 0.5]

    def test_one_span_may_have_several_labels(self):
        both = [Entity(0, 1, "city", 0.25), Entity(0, 1, "river", 0.75)]
        probs = entities_to_probs(both, ["city", "river"], n_words=1)
        assert probs.tolist() == [[[0.25] * 3, [0.75] * 3]]

    def test_labels_not_asked_are_left_out(self):
        entities = [Entity(0, 1, "dog"), Entity(1, 2, "city")]
        probs = entities_to_probs(entities, ["city"], n_words=2)
        assert probs.tolist() == [[[0, 0, 0]], [[1, 1, 1]]]

    def test_of_nothing_is_zeros(self):
        assert not entities_to_probs([], ["city"], n_words=2).any()
        assert entities_to_probs([], ["city"], n_words=0).shape == (0, 1, 3)
        assert entities_to_probs([Entity(0, 1, "city")], [], n_words=1).shape == (1, 0, 3)

    @pytest.mark.parametrize("span", [(-1, 1), (1, 1), (2, 1), (2, 4), (3, 4)])
    @pytest.mark.parametrize("label", ["city", "not asked"])
    def test_an_entity_outside_the_words_is_refused(self, span, label):
        entity = Entity(*span, label)
        with pytest.raises(ValueError, match="is no span of a passage of 3 words") as caught:
            entities_to_probs([entity], ["city"], n_words=3)
        assert str(entity) in str(caught.value)

    @pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
    def test_a_score_that_is_no_probability_is_refused(self, score):
        entity = Entity(0, 1, "city", score)
        with pytest.raises(ValueError, match=r"has a score outside \[0, 1\]") as caught:
            entities_to_probs([entity], ["city"], n_words=3)
        assert str(entity) in str(caught.value)


class TestEntitiesFromWordLabels:
    @given(st.lists(st.sampled_from([None, "city", "river"]), max_size=8))
    def test_reads_back_as_the_same_labels(self, word_labels):
        entities = entities_from_word_labels(word_labels)
        read: list[str | None] = [None] * len(word_labels)
        for entity in entities:
            for word in words_of(entity):
                read[word] = entity.label
        assert read == word_labels
        for first, second in pairwise(entities):
            assert first.end_word < second.start_word or first.label != second.label

    def test_of_no_words_is_nothing(self):
        assert entities_from_word_labels([]) == []

    def test_labels_that_touch_are_apart(self):
        expected = [Entity(0, 2, "city"), Entity(2, 3, "river")]
        assert entities_from_word_labels(["city", "city", "river"]) == expected


class TestSplitWords:
    @given(st.text(max_size=60))
    def test_equals_gliners_splitter(self, text):
        expected = list(WhitespaceTokenSplitter()(text))
        assert [(one.text, one.start_char, one.end_char) for one in split_words(text)] == expected

    @given(st.text(alphabet="aB1-_ .,'é漢\u200b\t\n", max_size=30))
    def test_equals_gliners_splitter_around_joints(self, text):
        expected = list(WhitespaceTokenSplitter()(text))
        assert [(one.text, one.start_char, one.end_char) for one in split_words(text)] == expected

    @pytest.mark.parametrize("text", ["", " ", "\n\t\u00a0"])
    def test_of_blank_text_is_nothing(self, text):
        assert split_words(text) == []


def test_own_labels_are_the_entities_then_the_listed_each_once():
    entities = (Entity(1, 2, "river"), Entity(0, 1, "city"), Entity(2, 3, "river"))
    passage = Passage(("a", "b", "c"), entities, labels=("person", "city"))
    assert passage.own_labels == ("river", "city", "person")


def test_entities_compare_by_place_and_label_alone():
    assert Entity(0, 1, "city", 0.3) == Entity(0, 1, "city", 0.9)
    assert Entity(0, 1, "city") < Entity(0, 2, "ant") < Entity(1, 2, "ant")
