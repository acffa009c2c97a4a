"""The metrics, compared with hand-computed numbers, brute force, seqeval and nervaluate."""

import random
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nervaluate import Evaluator
from seqeval.metrics import classification_report, f1_score, precision_score, recall_score
from seqeval.scheme import IOB2

from gliner_distill.entities import Entity
from gliner_distill.metrics import (
    SpanScores,
    WordScores,
    expected_calibration_error,
    mean_and_spread,
    score_spans,
    score_spans_by_label,
    score_words,
)

LABELS = ["city", "person", "river"]


@st.composite
def entity_lists(draw, n_words):
    entities = []
    for _ in range(draw(st.integers(0, 5)) if n_words else 0):
        start = draw(st.integers(0, n_words - 1))
        end = draw(st.integers(start + 1, n_words))
        score = draw(st.sampled_from([0.5, 0.9, 1.0]))
        entities.append(Entity(start, end, draw(st.sampled_from(LABELS)), score))
    return entities


@st.composite
def passages_of_both_sides(draw):
    n_words = draw(st.lists(st.integers(0, 7), max_size=4))
    predicted = [draw(entity_lists(length)) for length in n_words]
    reference = [draw(entity_lists(length)) for length in n_words]
    return predicted, reference, n_words


def share(numerator, denominator, other_side):
    if denominator:
        return numerator / denominator
    return 0.0 if other_side else 1.0


def harmonic(precision, recall):
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def slow_word_scores(predicted, reference, n_words):
    """Look at each word alone, scanning all entities for it."""
    pairs = []
    for entities, gold, length in zip(predicted, reference, n_words, strict=True):
        for word in range(length):
            covering = [e for e in entities if e.start_word <= word < e.end_word]
            covering.sort(key=lambda e: (e.start_word, e.start_word - e.end_word, e.label))
            label = covering[0].label if covering else None
            pairs.append((label, {e.label for e in gold if e.start_word <= word < e.end_word}))
    agreeing = [label in allowed if label else not allowed for label, allowed in pairs]
    with_label = [pair for pair in pairs if pair[0]]
    with_reference = [pair for pair in pairs if pair[1]]
    precision = share(sum(a in b for a, b in with_label), len(with_label), with_reference)
    recall = share(sum(a in b for a, b in with_reference), len(with_reference), with_label)
    accuracy = sum(agreeing) / len(pairs) if pairs else 1.0
    return accuracy, precision, recall, harmonic(precision, recall)


def slow_span_scores(predicted, reference, label=None):
    def triples(side):
        found = []
        for index, entities in enumerate(side):
            for e in entities:
                key = (index, e.start_word, e.end_word, e.label)
                if key not in found and label in (None, e.label):
                    found.append(key)
        return found

    a, b = triples(predicted), triples(reference)
    n_correct = sum(key in b for key in a)
    precision, recall = share(n_correct, len(a), b), share(n_correct, len(b), a)
    return precision, recall, harmonic(precision, recall), n_correct, len(a), len(b)


def flat_bio_passages(seed, n_passages=40):
    """Random BIO tags: twice the same passage, the second with some tags of its own."""
    rng = random.Random(seed)

    def tags(length):
        row = []
        while len(row) < length:
            if rng.random() < 0.5:
                row.append("O")
            else:
                label = rng.choice(LABELS)
                row += [f"B-{label}"] + [f"I-{label}"] * rng.randint(0, 2)
        return row[:length]

    reference = [tags(rng.randint(1, 12)) for _ in range(n_passages)]
    predicted = [row if rng.random() < 0.5 else tags(len(row)) for row in reference]
    return predicted, reference


def entities_of_bio(tags):
    entities = []
    for position, tag in enumerate(tags):
        if tag.startswith("B-"):
            end = position + 1
            while end < len(tags) and tags[end] == "I-" + tag[2:]:
                end += 1
            entities.append(Entity(position, end, tag[2:]))
    return entities


def test_score_words_equals_numbers_computed_by_hand():
    predicted = [[Entity(0, 2, "person"), Entity(3, 4, "city")], []]
    reference = [[Entity(0, 1, "person"), Entity(3, 5, "city")], [Entity(0, 1, "river")]]
    scores = score_words(predicted, reference, [6, 2])
    # Words agreeing: 0, 2, 3 and 5 of the first passage, 1 of the second.
    assert scores.accuracy == pytest.approx(5 / 8)
    assert scores.precision == pytest.approx(2 / 3)
    assert scores.recall == pytest.approx(2 / 4)
    assert scores.f1 == pytest.approx(4 / 7)


def test_score_spans_equals_numbers_computed_by_hand():
    predicted = [[Entity(0, 2, "person"), Entity(3, 4, "city")], [Entity(0, 1, "river")]]
    reference = [[Entity(0, 2, "person"), Entity(3, 5, "city"), Entity(3, 4, "river")], []]
    assert score_spans(predicted, reference) == SpanScores(1 / 3, 1 / 3, 1 / 3, 1, 3, 3)
    assert score_spans_by_label(predicted, reference) == {
        "city": SpanScores(0.0, 0.0, 0.0, 0, 1, 1),
        "person": SpanScores(1.0, 1.0, 1.0, 1, 1, 1),
        "river": SpanScores(0.0, 0.0, 0.0, 0, 1, 1),
    }


def test_score_words_gives_overlapped_words_to_the_first_then_the_longer_entity():
    predicted = [[Entity(1, 3, "late"), Entity(0, 1, "short"), Entity(0, 2, "long")]]
    as_read = [[Entity(0, 2, "long"), Entity(2, 3, "late")]]
    assert score_words(predicted, as_read, [3]).accuracy == 1.0


def test_score_words_accepts_any_of_the_reference_labels_of_a_word():
    reference = [[Entity(0, 2, "person"), Entity(0, 2, "author"), Entity(1, 2, "name")]]
    assert score_words([[Entity(0, 2, "author")]], reference, [2]).f1 == 1.0
    assert score_words([[Entity(0, 2, "name")]], reference, [2]).recall == 0.5


def test_score_words_agrees_on_the_same_words_in_different_spans():
    predicted, reference = [[Entity(0, 2, "city")]], [[Entity(0, 1, "city"), Entity(1, 2, "city")]]
    assert score_words(predicted, reference, [2]).f1 == 1.0
    assert score_spans(predicted, reference).f1 == 0.0


@pytest.mark.parametrize("n_words", [[], [0], [3]])
def test_scores_are_perfect_if_both_sides_are_empty(n_words):
    empty = [[] for _ in n_words]
    assert score_words(empty, empty, n_words) == WordScores(1.0, 1.0, 1.0, 1.0)
    assert score_spans(empty, empty) == SpanScores(1.0, 1.0, 1.0, 0, 0, 0)
    assert score_spans_by_label(empty, empty) == {}


def test_scores_are_0_if_one_side_is_empty():
    some, none = [[Entity(0, 1, "city")]], [[]]
    assert score_words(some, none, [4]) == WordScores(0.75, 0.0, 0.0, 0.0)
    assert score_words(none, some, [4]) == WordScores(0.75, 0.0, 0.0, 0.0)
    assert score_spans(some, none) == SpanScores(0.0, 0.0, 0.0, 0, 1, 0)
    assert score_spans(none, some) == SpanScores(0.0, 0.0, 0.0, 0, 0, 1)


def test_score_spans_ignores_entity_scores_and_counts_repeats_once():
    predicted = [[Entity(0, 1, "city", 0.6), Entity(0, 1, "city", 0.7)]]
    assert score_spans(predicted, [[Entity(0, 1, "city")]]) == SpanScores(1.0, 1.0, 1.0, 1, 1, 1)


@pytest.mark.parametrize("entity", [Entity(2, 4, "city"), Entity(-1, 1, "city"), Entity(2, 2, "x")])
def test_score_words_refuses_an_entity_outside_its_passage(entity):
    with pytest.raises(ValueError, match="3 words"):
        score_words([[entity]], [[]], [3])
    with pytest.raises(ValueError, match="3 words"):
        score_words([[]], [[entity]], [3])


def test_scores_refuse_sides_of_different_lengths():
    with pytest.raises(ValueError, match="longer"):
        score_spans([[]], [[], []])
    with pytest.raises(ValueError, match="longer"):
        score_words([[]], [[]], [1, 1])


@pytest.mark.slow
@given(passages_of_both_sides())
def test_score_words_equals_brute_force(sides):
    scores = score_words(*sides)
    expected = slow_word_scores(*sides)
    assert (scores.accuracy, scores.precision, scores.recall, scores.f1) == pytest.approx(expected)


@pytest.mark.slow
@given(passages_of_both_sides())
def test_score_spans_equals_brute_force(sides):
    predicted, reference, _ = sides
    assert _numbers(score_spans(predicted, reference)) == pytest.approx(
        slow_span_scores(predicted, reference)
    )
    by_label = score_spans_by_label(predicted, reference)
    assert list(by_label) == sorted({e.label for side in predicted + reference for e in side})
    for label, scores in by_label.items():
        assert _numbers(scores) == pytest.approx(slow_span_scores(predicted, reference, label))


@pytest.mark.slow
@given(passages_of_both_sides())
def test_scores_are_perfect_for_a_side_and_itself(sides):
    predicted, _, n_words = sides
    assert score_words(predicted, predicted, n_words) == WordScores(1.0, 1.0, 1.0, 1.0)
    assert score_spans(predicted, predicted).f1 == 1.0


@pytest.mark.parametrize("seed", range(5))
def test_score_spans_equals_seqeval(seed):
    predicted_tags, reference_tags = flat_bio_passages(seed)
    predicted = [entities_of_bio(tags) for tags in predicted_tags]
    reference = [entities_of_bio(tags) for tags in reference_tags]
    strict = {"mode": "strict", "scheme": IOB2}
    scores = score_spans(predicted, reference)
    assert scores.precision == pytest.approx(
        precision_score(reference_tags, predicted_tags, **strict)
    )
    assert scores.recall == pytest.approx(recall_score(reference_tags, predicted_tags, **strict))
    assert scores.f1 == pytest.approx(f1_score(reference_tags, predicted_tags, **strict))
    report = classification_report(reference_tags, predicted_tags, output_dict=True, **strict)
    for label, by_label in score_spans_by_label(predicted, reference).items():
        assert by_label.precision == pytest.approx(report[label]["precision"])
        assert by_label.recall == pytest.approx(report[label]["recall"])
        assert by_label.f1 == pytest.approx(report[label]["f1-score"])
        assert by_label.n_reference == report[label]["support"]


@pytest.mark.parametrize("seed", range(5))
def test_score_spans_equals_nervaluate_strict(seed):
    predicted_tags, reference_tags = flat_bio_passages(seed)
    evaluator = Evaluator(reference_tags, predicted_tags, tags=LABELS, loader="list")
    results = evaluator.evaluate()
    predicted = [entities_of_bio(tags) for tags in predicted_tags]
    reference = [entities_of_bio(tags) for tags in reference_tags]
    pairs = [(score_spans(predicted, reference), results["overall"]["strict"])]
    for label, scores in score_spans_by_label(predicted, reference).items():
        pairs.append((scores, results["entities"][label]["strict"]))
    for scores, theirs in pairs:
        assert scores.n_correct == theirs.correct
        assert scores.n_predicted == theirs.actual
        assert scores.n_reference == theirs.possible
        assert (scores.precision, scores.recall) == pytest.approx((theirs.precision, theirs.recall))
        assert scores.f1 == pytest.approx(theirs.f1)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_mean_and_spread_equals_the_standard_library(values):
    mean, spread = mean_and_spread(values)
    assert mean == pytest.approx(statistics.mean(values))
    assert spread == pytest.approx(statistics.stdev(values))


def test_mean_and_spread_has_no_spread_for_one_value_and_no_mean_for_none():
    assert mean_and_spread([0.25]) == (0.25, None)
    with pytest.raises(ValueError, match="no values"):
        mean_and_spread([])


def calibration_error(outcomes, **arguments):
    scores, correct = zip(*outcomes, strict=True)
    return expected_calibration_error(np.array(scores), np.array(correct), **arguments)


def test_expected_calibration_error_is_0_if_scores_are_the_shares_of_right_answers():
    outcomes = [(tenths / 10 + 0.05, False) for tenths in range(10) for _ in range(20)]
    for tenths in range(10):
        n_right = 2 * tenths + 1  # of 20, which is tenths + 0.5 of 10
        first = 20 * tenths
        outcomes[first : first + n_right] = [(tenths / 10 + 0.05, True)] * n_right
    assert calibration_error(outcomes) == pytest.approx(0.0, abs=1e-12)
    # The order of the answers does not matter.
    assert calibration_error(outcomes[::-1]) == pytest.approx(0.0, abs=1e-12)


def test_expected_calibration_error_equals_a_number_computed_by_hand():
    # In three bins: 0.62 and 0.68, mean 0.65, half right; 0.95, right; 0.15 and 0.11, mean
    # 0.13, both wrong. Distances 0.15, 0.05 and 0.13, weighted by 2, 1 and 2 of 5.
    outcomes = [(0.62, True), (0.15, False), (0.95, True), (0.68, False), (0.11, False)]
    expected = (2 * 0.15 + 1 * 0.05 + 2 * 0.13) / 5
    assert calibration_error(outcomes) == pytest.approx(expected)


def test_expected_calibration_error_cancels_within_bins_and_adds_up_over_bins():
    one_part, two_parts = [(0.92, True), (0.98, False)], [(0.82, True), (0.98, False)]
    assert calibration_error(one_part) == pytest.approx((0.92 + 0.98 - 1) / 2)
    assert calibration_error(two_parts) == pytest.approx((0.18 + 0.98) / 2)
    assert calibration_error(two_parts, n_bins=1) == pytest.approx((0.82 + 0.98 - 1) / 2)
    assert calibration_error(two_parts, n_bins=5) == pytest.approx((0.82 + 0.98 - 1) / 2)


def test_expected_calibration_error_puts_1_into_the_last_and_0_into_the_first_bin():
    # In bins of their own the two errors would add up to 1.05 of 2.
    assert calibration_error([(1.0, False), (0.95, True)]) == pytest.approx(0.95 / 2)
    assert calibration_error([(0.0, True), (0.05, False)]) == pytest.approx(0.95 / 2)
    assert calibration_error([(1.0, True), (0.0, False)]) == 0.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_expected_calibration_error_of_no_answers_is_0(dtype):
    assert expected_calibration_error(np.zeros(0, dtype), np.zeros(0, bool)) == 0.0


def _numbers(scores):
    return (
        scores.precision,
        scores.recall,
        scores.f1,
        scores.n_correct,
        scores.n_predicted,
        scores.n_reference,
    )
