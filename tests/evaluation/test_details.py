"""The figures per label in detail, against counting by hand."""

import pytest

from gliner_distill.entities import Entity
from gliner_distill.evaluation.details import detail_spans
from gliner_distill.evaluation.intervals import f1_intervals
from gliner_distill.metrics import score_spans, score_spans_by_label, wilson_interval

WORDS = [tuple("abcdef")] * 3
GOLD = [
    [Entity(0, 1, "city"), Entity(2, 4, "city"), Entity(5, 6, "river")],
    [Entity(0, 1, "city"), Entity(3, 4, "river")],
    [],
]
PREDICTED = [
    [Entity(0, 1, "city"), Entity(3, 4, "city"), Entity(5, 6, "city")],
    [Entity(0, 1, "river")],
    [Entity(0, 1, "lake")],
]


def details(predicted=PREDICTED, gold=GOLD, words=WORDS):
    return detail_spans(
        predicted,
        gold,
        words,
        overall=score_spans(predicted, gold),
        by_label=score_spans_by_label(predicted, gold),
    )


def test_detail_spans_counts_each_kind_at_the_label_of_gold():
    rows = details().by_label
    counts = {
        label: (row.n_wrong_borders, row.n_wrong_label, row.n_missed, row.n_invented)
        for label, row in rows.items()
    }
    assert counts == {"city": (1, 1, 0, 0), "lake": (0, 0, 0, 1), "river": (0, 1, 1, 0)}
    overall = details().overall
    assert (overall.n_wrong_borders, overall.n_wrong_label) == (1, 2)
    assert (overall.n_missed, overall.n_invented) == (1, 1)
    assert overall.scores.n_correct == 1


@pytest.mark.parametrize("label", ["city", "river"])
def test_detail_spans_accounts_for_every_gold_entity(label):
    row = details().by_label[label]
    parts = (row.scores.n_correct, row.n_wrong_borders, row.n_wrong_label, row.n_missed)
    assert sum(parts) == row.scores.n_reference


def test_detail_spans_has_the_wider_end_of_two_intervals():
    gold = [[Entity(0, 1, "x")]] * 4
    row = details(gold, gold, [tuple("ab")] * 4).by_label["x"]
    assert f1_intervals(gold, gold)[0] == (1.0, 1.0)
    assert row.interval == wilson_interval(1.0, 4)
    many = [Entity(place, place + 1, "x") for place in range(10)]
    half = details([many, []] * 2, [many] * 4, [tuple("abcdefghij")] * 4).overall
    assert half.interval == f1_intervals([many, []] * 2, [many] * 4)[0]


def test_details_as_json_have_all_figures_of_a_label():
    content = details().as_json()
    assert content["details_by_label"]["city"] == {
        **{"precision": 0.3333, "recall": 0.3333, "f1": 0.3333},
        "f1_interval": [0.0, 0.7923],  # the lower end from drawn passages, the upper one Wilson's
        **{"n_gold": 3, "n_found": 3, "n_correct": 1},
        **{"n_wrong_borders": 1, "n_wrong_label": 1, "n_missed": 0, "n_invented": 0},
    }
    assert content["details_by_label"]["lake"]["f1_interval"] is None
    assert content["details"]["n_gold"] == 5
    assert [error["kind"] for error in content["errors"]] == [
        *("wrong borders", "wrong label", "wrong label", "missed", "invented"),
    ]
    assert content["intervals"]["level"] == 0.95
