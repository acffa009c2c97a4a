"""Teacher against gold: agreement, kinds of disagreement, and lines about them."""

import pytest
from rich.cells import cell_len

from gliner_distill.decoding import decode_entities
from gliner_distill.entities import Entity
from gliner_distill.metrics import score_spans
from gliner_distill.store.disagreements import (
    Disagreement,
    GoldComparison,
    PairAgreement,
    teacher_gold_disagreements,
)
from labeled_passages import labeled


def disagreements_of(*items):
    comparison = GoldComparison()
    for position, item in enumerate(items):
        comparison.add(position, item)
    return comparison.disagreements


@pytest.mark.parametrize(
    ("n_pairs", "n_teacher", "n_gold", "n_both", "rate", "kappa"),
    [
        # By chance 0.3 * 0.3 + 0.7 * 0.7 = 0.58 agree.
        (10, 3, 3, 2, 0.8, (0.8 - 0.58) / (1 - 0.58)),
        (10, 3, 3, 3, 1.0, 1.0),
        (10, 0, 4, 0, 0.6, 0.0),
        (4, 2, 2, 0, 0.0, -1.0),
        (4, 4, 4, 4, 1.0, 1.0),
    ],
)
def test_pair_agreement_equals_numbers_computed_by_hand(
    n_pairs, n_teacher, n_gold, n_both, rate, kappa
):
    pairs = PairAgreement(n_pairs, n_teacher, n_gold, n_both)
    assert (pairs.rate, pairs.kappa) == pytest.approx((rate, kappa))


def test_gold_comparison_counts_a_pair_once_and_only_labels_asked():
    item = labeled(
        "the bank of acme",
        ["company"],
        teacher=[(1, 2, "company", 0.9)],
        gold=[(0, 4, "company"), (3, 4, "company"), (3, 4, "person")],
    )
    comparison = GoldComparison()
    comparison.add(0, item)
    assert comparison.pairs == PairAgreement(n_pairs=4, n_teacher=1, n_gold=4, n_both=1)
    assert (comparison.n_gold, comparison.n_asked_gold) == (3, 2)


def test_span_shares_equal_those_of_all_passages_at_once(five_passages):
    comparison = GoldComparison()
    for position, item in enumerate(five_passages):
        comparison.add(position, item)
    at_once = score_spans(
        [decode_entities(item.probs, item.labels) for item in five_passages],
        [item.passage.entities for item in five_passages],
    )
    assert comparison.span_shares == (at_once.precision, at_once.recall, at_once.f1)
    assert at_once.recall < 1


@pytest.mark.parametrize(
    ("teacher", "gold", "kinds"),
    [
        ([(1, 3, "city", 0.9)], [(1, 3, "city")], []),
        ([(1, 3, "city", 0.9)], [], [("only the teacher", 0.9, None)]),
        # Gold's entity next to it shares no word; another label over other words does not matter.
        (
            [(1, 3, "city", 0.9)],
            [(3, 4, "person"), (1, 2, "person")],
            [
                ("only the teacher", 0.9, None),
                ("only gold", 0.98, None),
                ("only gold", 0.98, None),
            ],
        ),
        ([(1, 3, "city", 0.9)], [(2, 4, "city")], [("other border", 0.9, Entity(2, 4, "city"))]),
        # An equal entity settles it, whatever else overlaps.
        ([(1, 3, "city", 0.9)], [(0, 4, "city"), (1, 3, "city")], []),
        (
            [(1, 3, "city", 0.9)],
            [(1, 3, "river")],
            [("other label", 0.9, Entity(1, 3, "river"))],
        ),
        (
            [(1, 3, "city", 0.9)],
            [(1, 3, "person")],
            [("other label", 0.9, Entity(1, 3, "person")), ("only gold", 0.98, None)],
        ),
        # Gold's own label goes before another one's.
        (
            [(1, 3, "city", 0.9)],
            [(1, 3, "river"), (0, 2, "city")],
            [("other border", 0.9, Entity(0, 2, "city"))],
        ),
        # The largest inside probability counts, here of one word of two.
        ([(1, 2, "person", 0.3)], [(0, 2, "person")], [("only gold", 0.7, None)]),
        ([], [(0, 2, "river")], []),
    ],
)
def test_teacher_gold_disagreements_are_of_four_kinds(teacher, gold, kinds):
    # "river" was not asked.
    item = labeled("a b c d", ["person", "city"], teacher=teacher, gold=gold)
    entities = decode_entities(item.probs, item.labels)
    found = list(teacher_gold_disagreements(0, item, entities))
    assert [(row.kind, pytest.approx(row.confidence), row.gold) for row in found] == kinds


def test_gold_comparison_keeps_the_twenty_most_confident_disagreements():
    # Confidences 0.505 + 0, 1, ..., 9 hundredths, over and over.
    items = [
        labeled("x y", ["city"], teacher=[(1, 2, "city", 0.505 + position % 10 / 100)])
        for position in range(100)
    ]
    found = [(row.position, round(row.confidence, 3)) for row in disagreements_of(*items)]
    assert found == [
        *((position, 0.595) for position in range(9, 100, 10)),
        *((position, 0.585) for position in range(8, 100, 10)),
    ]


def test_gold_comparison_orders_equal_confidences_by_word():
    item = labeled("x y z", ["city"], gold=[(2, 3, "city"), (0, 1, "city")])
    assert [row.entity.start_word for row in disagreements_of(item)] == [0, 2]


def line_of(text, start, end, label="city", **others):
    entity = Entity(start, end, label)
    metadata = {"kind": "only the teacher", "words": tuple(text.split(" ")), "gold": None} | others
    return Disagreement(1234, 0.95, entity=entity, **metadata).line()


def test_line_shows_an_entity_between_up_to_four_words():
    head = "    1,234  0.950  only the teacher  city: "
    assert line_of("a b c d e f g h i j k", 5, 7) == f"{head}b c d e [f g] h i j k"
    assert line_of("a b c", 0, 1) == f"{head}[a] b c"
    assert line_of("a b c", 1, 3) == f"{head}a [b c]"


def test_line_shows_the_alternative_of_gold():
    border = line_of("in old york", 2, 3, kind="other border", gold=Entity(1, 3, "city"))
    assert border == "    1,234  0.950  other border      city (gold: old york): in old [york]"
    label = line_of("in old york", 1, 3, kind="other label", gold=Entity(1, 3, "name"))
    assert label == "    1,234  0.950  other label       city (gold: name): in [old york]"


def test_line_shows_fewer_words_if_it_would_be_too_long():
    head = "    1,234  0.950  only the teacher  city: "
    n_left = 120 - len(head)
    words = ["a", "b", "c", "d", "entity", "e", "f", "g", "h"]
    for n_letters, sides in ((n_left - 18, 4), (n_left - 17, 3), (n_left - 2, 0)):
        words[4] = "x" * n_letters
        left, right = words[4 - sides : 4], words[5 : 5 + sides]
        expected = head + " ".join([*left, f"[{words[4]}]", *right])
        assert len(expected) <= 120
        assert line_of(" ".join(words), 4, 5) == expected
    words[4] = "x" * (n_left - 1)
    assert line_of(" ".join(words), 4, 5) == f"{head}[{'x' * (n_left - 2)}…"


def test_line_cuts_long_labels_and_counts_wide_letters_twice():
    assert ("  " + "a" * 23 + "…: [x]") in line_of("x", 0, 1, label="a" * 30)
    assert ("  " + "東" * 11 + " …: [x]") in line_of("x", 0, 1, label="東" * 30)
    assert cell_len(line_of("東" * 100, 0, 1)) <= 120


def test_line_replaces_control_characters():
    line = line_of("a\x1b[2J b\nb c\u202e", 1, 2)
    assert line.endswith(": a\ufffd[2J [b\ufffdb] c\ufffd")
