"""The bootstrap over passages: against plain drawing of whole passages, and its edges."""

import numpy as np
import pytest

from gliner_distill.entities import Entity
from gliner_distill.evaluation.intervals import (
    N_DRAWS,
    SEED,
    f1_difference_interval,
    f1_intervals,
)
from gliner_distill.metrics import score_spans, score_spans_by_label

RIGHT, WRONG, RIVER = Entity(0, 1, "city"), Entity(1, 2, "city"), Entity(2, 3, "river")
PREDICTED = [[RIGHT], [WRONG], [RIGHT, RIVER], [], [RIGHT, WRONG], [RIVER]] * 3
REFERENCE = [[RIGHT], [RIGHT], [RIGHT, RIVER], [], [RIGHT], [RIGHT]] * 3


def drawn_passages():
    """Yield the passages of each draw."""
    rng = np.random.default_rng(SEED)
    for _ in range(N_DRAWS):
        yield rng.integers(len(REFERENCE), size=len(REFERENCE))


@pytest.mark.slow
def test_f1_intervals_equal_those_of_drawn_passages():
    overall, by_label = f1_intervals(PREDICTED, REFERENCE)
    f1s, f1s_of = [], {"city": [], "river": []}
    for numbers in drawn_passages():
        sides = [[side[number] for number in numbers] for side in (PREDICTED, REFERENCE)]
        f1s.append(score_spans(*sides).f1)
        for label, scores in score_spans_by_label(*sides).items():
            f1s_of[label].append(scores.f1)
    assert overall == pytest.approx(tuple(np.percentile(f1s, (2.5, 97.5))))
    assert set(by_label) == {"city", "river"}
    for label, interval in by_label.items():
        assert interval == pytest.approx(tuple(np.percentile(f1s_of[label], (2.5, 97.5))))
    low, high = overall
    assert low < score_spans(PREDICTED, REFERENCE).f1 < high


def test_f1_intervals_are_wider_where_passages_are_alike():
    """Ten entities in each of a few passages that are all right or all wrong."""
    many = [Entity(place, place + 1, "x") for place in range(10)]
    together = f1_intervals([many, [], many, []], [many] * 4)[0]
    apart = f1_intervals([[many[0]], []] * 20, [[many[0]]] * 40)[0]
    assert together[1] - together[0] > 2 * (apart[1] - apart[0])


def test_f1_intervals_of_nothing_divide_by_nothing():
    assert f1_intervals([], []) == ((1.0, 1.0), {})
    assert f1_intervals([[], []], [[], []]) == ((1.0, 1.0), {})
    assert f1_intervals([[]], [[RIGHT]]) == ((0.0, 0.0), {"city": (0.0, 0.0)})


@pytest.mark.slow
def test_f1_difference_interval_equals_that_of_drawn_passages():
    other = [[RIGHT], [RIGHT], [], [], [RIGHT], [RIGHT]] * 3
    differences = []
    for numbers in drawn_passages():
        gold = [REFERENCE[number] for number in numbers]
        first, second = (
            score_spans([side[number] for number in numbers], gold).f1
            for side in (PREDICTED, other)
        )
        differences.append(first - second)
    expected = tuple(np.percentile(differences, (2.5, 97.5)))
    assert f1_difference_interval(PREDICTED, other, REFERENCE) == pytest.approx(expected)


def test_f1_difference_interval_of_a_model_and_itself_is_zero():
    assert f1_difference_interval(PREDICTED, PREDICTED, REFERENCE) == (0.0, 0.0)
    assert f1_difference_interval([[]], [[]], [[]]) == (0.0, 0.0)
