"""Entities of an answer, found again in the passage."""

import pytest

from gliner_distill.entities import word_texts
from gliner_distill.teacher.llm.grounding import (
    AMBIGUOUS,
    INSIDE_A_WORD,
    NOT_FOUND,
    OTHER_LABEL,
    FoundEntity,
    PassageText,
    ground,
)

TEXT = "Mary-Ann paid £3.50 in Paris; John (Paris) left Paris for New York-based Acme Inc."
WORDS = word_texts(TEXT)


def spans_of(*entities, words=WORDS, labels=("person", "city", "price", "company")):
    grounded = ground(PassageText(words), labels, entities)
    named = {
        (" ".join(words[start:end]), start, labels[label]) for start, end, label in grounded.spans
    }
    return named, dict(grounded.counts)


@pytest.mark.parametrize("text", ["£3.50", "£ 3 . 50", " £3.\n50 "])
def test_ground_ignores_white_space_alone(text):
    assert spans_of(FoundEntity(text, "price")) == ({("£ 3 . 50", 2, "price")}, {})


@pytest.mark.parametrize(
    ("entity", "reason"),
    [
        (FoundEntity("London", "city"), NOT_FOUND),
        (FoundEntity("paris", "city"), NOT_FOUND),
        (FoundEntity("Mary–Ann", "person"), NOT_FOUND),
        (FoundEntity(" ", "person"), NOT_FOUND),
        (FoundEntity("Mary", "person"), INSIDE_A_WORD),
        (FoundEntity("New York", "city"), INSIDE_A_WORD),
        (FoundEntity("John", "river"), OTHER_LABEL),
    ],
)
def test_ground_drops_and_counts_what_is_not_there(entity, reason):
    assert spans_of(entity) == (set(), {reason: 1})


def test_ground_takes_the_only_place_whatever_the_context():
    entity = FoundEntity("John", "person", before="it was", after="who said")
    assert spans_of(entity) == ({("John", 9, "person")}, {})


@pytest.mark.parametrize(
    ("before", "after", "place"),
    [
        ("50 in", "; John", 7),
        ("John (", ") left", 11),
        ("Paris) left", "for New", 14),
        ("invented words in", "", 7),
        ("", ")", 11),
    ],
)
def test_ground_lets_the_context_decide_between_places(before, after, place):
    entity = FoundEntity("Paris", "city", before, after)
    assert spans_of(entity) == ({("Paris", place, "city")}, {})


def test_ground_takes_all_places_that_fit_equally_well():
    places = {("Paris", place, "city") for place in (7, 11, 14)}
    assert spans_of(FoundEntity("Paris", "city")) == (places, {AMBIGUOUS: 1})
    assert spans_of(FoundEntity("Paris", "city", "never", "there")) == (places, {AMBIGUOUS: 1})


def test_ground_finds_places_that_overlap():
    words = ["na", "na", "na"]
    found, counts = spans_of(FoundEntity("na na", "person"), words=words)
    assert found == {("na na", 0, "person"), ("na na", 1, "person")}
    assert counts == {AMBIGUOUS: 1}


def test_ground_keeps_the_best_probability_of_a_span_and_any_spelling_of_a_label():
    entities = [
        FoundEntity("John", label, prob=prob) for label, prob in (("Person", 0.4), ("person", 0.7))
    ]
    grounded = ground(PassageText(WORDS), ["person"], entities)
    assert grounded.spans == {(9, 10, 0): 0.7}
    assert grounded.n_entities == 2
