"""The kinds of mistakes, against cases that are told apart by hand."""

import pytest

from gliner_distill.entities import Entity
from gliner_distill.evaluation.mistakes import find_mistakes

WORDS = tuple("abcdefgh")


def kinds(predicted, gold):
    """Return the kind, the gold entity and the answer of each mistake in one passage."""
    found = find_mistakes([predicted], [gold], [WORDS])
    return [(mistake.kind, mistake.expected, mistake.found) for mistake in found]


def test_find_mistakes_tells_four_kinds_apart():
    exact, wrong_label, wrong_borders = Entity(0, 1, "x"), Entity(1, 2, "x"), Entity(2, 4, "x")
    missed, invented = Entity(5, 6, "x"), Entity(7, 8, "x", 0.75)
    other, shifted = Entity(1, 2, "y"), Entity(3, 5, "x")
    assert kinds(
        [exact, other, shifted, invented], [exact, wrong_label, wrong_borders, missed]
    ) == [
        ("wrong label", wrong_label, other),
        ("wrong borders", wrong_borders, shifted),
        ("missed", missed, None),
        ("invented", None, invented),
    ]


def test_find_mistakes_does_not_pair_what_shares_neither_borders_nor_label():
    gold, answer = Entity(0, 2, "x"), Entity(1, 2, "y")
    assert kinds([answer], [gold]) == [("missed", gold, None), ("invented", None, answer)]
    beside = Entity(2, 3, "x")
    assert [kind for kind, *_ in kinds([beside], [gold])] == ["missed", "invented"]


def test_find_mistakes_uses_each_entity_once_and_prefers_the_most_common_words():
    long, short, answer = Entity(0, 4, "x"), Entity(4, 6, "x"), Entity(1, 5, "x")
    assert kinds([answer], [long, short]) == [
        ("wrong borders", long, answer),
        ("missed", short, None),
    ]
    parts = [Entity(0, 1, "x"), Entity(2, 4, "x")]
    assert kinds(parts, [long]) == [
        ("invented", None, parts[0]),
        ("wrong borders", long, parts[1]),
    ]


def test_find_mistakes_counts_a_second_label_of_a_found_span_as_missed():
    first, second = Entity(0, 1, "x"), Entity(0, 1, "y")
    assert kinds([first], [first, second]) == [("missed", second, None)]


def test_find_mistakes_is_empty_for_equal_answers_whatever_their_scores():
    assert kinds([Entity(0, 1, "x", 0.6)], [Entity(0, 1, "x")]) == []


def test_find_mistakes_keeps_the_order_of_the_passages():
    found = find_mistakes([[], [Entity(1, 2, "x")], []], [[Entity(0, 1, "x")], [], []], [WORDS] * 3)
    assert [(mistake.passage, mistake.kind) for mistake in found] == [
        (0, "missed"),
        (1, "invented"),
    ]
    with pytest.raises(ValueError, match="shorter"):
        find_mistakes([[]], [], [WORDS])


def test_mistake_as_json_counts_passages_from_one_and_shows_six_words_on_each_side():
    words = [f"w{place}" for place in range(20)]
    gold, answer = Entity(10, 12, "x"), Entity(11, 12, "x", 0.87654)
    [mistake] = find_mistakes([[answer]], [[gold]], [words])
    assert mistake.as_json() == {
        "kind": "wrong borders",
        "passage": 1,
        "before": "w4 w5 w6 w7 w8 w9",
        "after": "w12 w13 w14 w15 w16 w17",
        "expected": {"start_word": 10, "end_word": 12, "text": "w10 w11", "label": "x"},
        "found": {
            **{"start_word": 11, "end_word": 12, "text": "w11", "label": "x"},
            "score": 0.8765,
        },
    }
    [missed] = find_mistakes([[]], [[gold]], [words])
    assert missed.as_json()["found"] is None
