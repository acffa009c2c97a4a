"""Overlap and equality of labels: each rule by examples, and properties of any two strings."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.labeling.synonyms import (
    labels_mean_the_same,
    labels_overlap,
    read_thesaurus,
)
from gliner_distill.labeling.word_forms import joined_words

SAME_WORDS = [
    ("company", "companies"),
    ("disease", "diseases"),
    ("virus", "viruses"),
    ("house", "houses"),
    ("box", "boxes"),
    ("class", "classes"),
    ("church", "churches"),
    ("headache", "headaches"),
    ("movie", "movies"),
    ("shoe", "shoes"),
    ("hero", "heroes"),
    ("analysis", "analyses"),
    ("crisis", "crises"),
    ("gas", "gases"),
    ("lens", "lenses"),
    ("criterion", "criteria"),
    ("policeman", "policemen"),
    ("child", "children"),
    ("musical theme", "musical themes"),
    ("localisation", "localization"),
    ("colour", "color"),
    ("neighbourhoods", "neighborhood"),
    ("theatre", "theater"),
    ("catalogue", "catalogs"),
    ("software licences", "software license"),
    ("programme", "programs"),
    ("archaeological find", "archeological find"),
    ("smart card", "smartcard"),
    ("e-mail", "email"),
    ("date_of_birth", "birth date"),
    ("U.S. State", "us state"),
    ("c++", "the C++"),
]
NAMING_WORDS = [
    ("person name", "person"),
    ("name of person", "person"),
    ("name of a person", "persons"),
    ("named person", "person"),
    ("driver's name", "driver"),
    ("vehicle type", "vehicle"),
    ("type of food", "food"),
    ("dog breed", "dog"),
    ("penguin species", "penguins"),
    ("item of clothing", "clothing"),
    ("amount of money", "money"),
    ("job title", "job"),
    ("car model", "car"),
    ("city or town", "towns"),
    ("date/time", "date"),
    ("food and drink", "drink"),
    ("music work (song or album)", "album"),
]
MODIFIED = [
    ("toy company", "company"),
    ("toy company", "firms"),
    ("city in france", "city"),
    ("cost per person", "price"),
    ("american toy company", "toy company"),
    ("automobile company", "car company"),
    ("chief executive of a bank", "bank chief executive"),
]
TABLE_TERMS = [
    ("org", "organisation"),
    ("loc", "location"),
    ("per", "person"),
    ("gpe", "geopolitical entity"),
    ("gpe", "city"),
    ("fac", "facility"),
    ("human", "people"),
    ("firm", "corporation"),
    ("movie", "film"),
    ("drug", "medications"),
    ("chief executive officer", "ceo"),
    ("phone number", "telephone numbers"),
    ("organization", "university"),
    ("organization", "toy company"),
    ("institution", "football club"),
    ("location", "country"),
    ("place", "mountain range"),
    ("person", "novelist"),
    ("person", "theoretical physicist"),
    ("people", "actress"),
    ("politician", "foreign minister"),
    ("date", "year"),
    ("birth date", "year of birth"),
    ("monetary value", "ticket price"),
    ("work of art", "song"),
    ("event", "battle"),
    ("product", "smartphone"),
]
PERSONS_BY_ENDING = [("person", "beekeeper"), ("person", "clarinettist"), ("human", "chairperson")]

SIBLINGS = [
    ("toy company", "car company"),
    ("first name", "last name"),
    ("dog breed", "cat breed"),
    ("date of birth", "date of death"),
    ("departure city", "arrival city"),
    ("novelist", "painter"),
    ("river", "mountain"),
    ("year", "month"),
    ("phone number", "account number"),
    ("song", "film"),
    ("disease", "symptom"),
    ("person", "organization"),
    ("person", "location"),
    ("location", "organization"),
    ("person", "ethnic group"),
]
OTHER_HEADS = [
    ("company", "company car"),
    ("company", "number of companies"),
    ("city", "mayor of a city"),
    ("football", "football club"),
    ("person", "cost per person"),
    ("music", "music genre"),
    ("name", "name day"),
    ("organization", "company car"),
]
NARROWER_OTHERWISE = [
    ("international organization", "toy company"),
    ("birth date", "year"),
    ("french city", "city in spain"),
]
LOOKALIKES = [
    ("car", "card"),
    ("cat", "category"),
    ("per", "percentage"),
    ("org", "organ"),
    ("loc", "lock"),
    ("plan", "plane"),
    ("bus", "business"),
    ("new", "news"),
    ("cor", "core"),
    ("hour", "hor"),
    ("court", "cort"),
    ("gas", "ga"),
    ("c", "c++"),
    ("c++", "c#"),
]
NO_PERSONS = [
    ("person", "river"),
    ("person", "computer"),
    ("person", "parameter"),
    ("person", "number"),
    ("person", "colour"),
    ("person", "playlist"),
]
ODD = [
    ("", "person"),
    ("?!", "..."),
    ("", "()"),
    ("人物", "地点"),
    ("человек", "город"),
    ("व्यक्ति", "शक्ति"),
    ("of", "in"),
]


EQUAL = [
    ("company", "firm"),
    ("film", "movie"),
    ("person", "people"),
    ("ceo", "chief executive"),
    ("toy company", "toy firms"),
    ("chief executive of a bank", "bank ceo"),
    ("movie title", "film titles"),
    ("city or town", "town"),
    ("phone number", "telephone numbers"),
]
BROADER_AND_NARROWER = [
    ("person", "employee"),
    ("date", "year"),
    ("price", "size"),
    ("organization", "company"),
    ("location", "city"),
    ("toy company", "company"),
    ("person", "person name"),
    ("dog", "dog breed"),
    ("date", "date or time"),
    ("album or song", "album"),
    ("person", "beekeeper"),
]


@pytest.mark.parametrize(
    ("first", "second"), SAME_WORDS + NAMING_WORDS + MODIFIED + TABLE_TERMS + PERSONS_BY_ENDING
)
def test_labels_overlap_for_equal_and_for_broader_and_narrower_labels(first, second):
    assert labels_overlap(first, second)
    assert labels_overlap(second, first)


@pytest.mark.parametrize(
    ("first", "second"),
    SIBLINGS + OTHER_HEADS + NARROWER_OTHERWISE + LOOKALIKES + NO_PERSONS + ODD,
)
def test_labels_overlap_is_false_for_distinct_labels(first, second):
    assert not labels_overlap(first, second)
    assert not labels_overlap(second, first)


@pytest.mark.parametrize("label", ["", " ", "_", "?!", "or", "the", "of", "a/b", "人物", "व्यक्ति"])
def test_labels_overlap_is_true_for_an_odd_label_and_itself(label):
    assert labels_overlap(label, label)


def test_labels_overlap_counts_inner_words_of_other_scripts():
    assert labels_overlap("российский город", "город")
    assert not labels_overlap("город", "городской парк")


@pytest.mark.parametrize(("first", "second"), SAME_WORDS + EQUAL)
def test_labels_mean_the_same_for_spellings_plurals_and_synonyms(first, second):
    assert labels_mean_the_same(first, second)
    assert labels_mean_the_same(second, first)


@pytest.mark.parametrize(
    ("first", "second"),
    BROADER_AND_NARROWER + SIBLINGS + OTHER_HEADS + NARROWER_OTHERWISE + LOOKALIKES + ODD,
)
def test_labels_mean_the_same_is_false_for_other_meanings(first, second):
    assert not labels_mean_the_same(first, second)
    assert not labels_mean_the_same(second, first)


# Words of the thesaurus, of the rules and of no meaning, so that random labels do meet.
TERMS = [term for entry in read_thesaurus() for term in (*entry.synonyms, *entry.narrower)]
TERM_WORDS = sorted({word for term in TERMS for word in re.findall(r"[a-z]+", term)})
OTHER_WORDS = ["of", "in", "or", "and", "the", "type", "toy", "blue", "/", "(", ").", "новый"]
LABELS = st.one_of(
    st.lists(st.sampled_from(TERM_WORDS + OTHER_WORDS), max_size=5).map(" ".join),
    st.text(max_size=30),
)


@given(LABELS, LABELS)
def test_labels_overlap_is_symmetric(first, second):
    assert labels_overlap(first, second) == labels_overlap(second, first)


@given(LABELS)
def test_labels_overlap_is_reflexive(label):
    assert labels_overlap(label, label)


@given(LABELS, LABELS)
def test_labels_mean_the_same_is_symmetric_and_implies_overlap(first, second):
    is_same = labels_mean_the_same(first, second)
    assert is_same == labels_mean_the_same(second, first)
    assert labels_overlap(first, second) or not is_same


# A preposition by itself ("of") is not a label that a modifier could stand before.
PREPOSITIONS = {"of", "in", "for", "from", "by", "with", "at", "on", "to", "per"}
NAMES = [word for word in TERM_WORDS if word not in PREPOSITIONS | {"a", "s", "other", "and"}]


@given(st.sampled_from(NAMES), st.sampled_from(["toy", "blue", "1879", "новый"]))
def test_labels_overlap_for_a_label_with_a_modifier(label, modifier):
    assert labels_overlap(label, f"{modifier} {label}")


def test_read_thesaurus_reads_every_entry_and_continuation_line():
    entries = list(read_thesaurus())
    assert entries[0].synonyms == ("name",)
    assert entries[0].narrower == ("person", "alias", "username", "code name")
    assert len(entries) > 100
    assert not [term for term in TERMS if "#" in term or "\n" in term]
    person = next(entry for entry in entries if entry.synonyms[0] == "person")
    assert {"woman", "monarch", "nickname"} < set(person.narrower)


def test_read_thesaurus_has_each_synonym_in_one_entry():
    terms = [joined_words(term) for entry in read_thesaurus() for term in entry.synonyms]
    assert len(terms) == len(set(terms))


def test_read_thesaurus_lists_no_narrower_concept_twice_in_an_entry():
    for entry in read_thesaurus():
        assert len(entry.narrower) == len(set(map(joined_words, entry.narrower))), entry


def test_labels_overlap_within_each_entry_of_the_thesaurus():
    for entry in read_thesaurus():
        first, *others = entry.synonyms
        for other in (*others, *entry.narrower):
            assert labels_overlap(first, other), (first, other)


def test_labels_mean_the_same_for_the_synonyms_of_each_entry():
    for entry in read_thesaurus():
        first, *others = entry.synonyms
        assert all(labels_mean_the_same(first, other) for other in others), entry
        assert not any(labels_mean_the_same(first, other) for other in entry.narrower), entry


def test_labels_are_compared_without_their_spelling():
    assert labels_mean_the_same("FILM_TITLES", "movie title")
    assert labels_overlap("EMPLOYEE", "Person")
