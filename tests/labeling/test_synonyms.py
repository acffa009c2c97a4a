"""Which labels are near-synonyms: each rule by examples, and what must hold of any two strings."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.labeling.synonyms import _IGNORED, _TABLE, _entries, _joined, labels_overlap

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


@pytest.mark.parametrize(
    ("first", "second"), SAME_WORDS + NAMING_WORDS + MODIFIED + TABLE_TERMS + PERSONS_BY_ENDING
)
def test_near_synonyms(first, second):
    assert labels_overlap(first, second)
    assert labels_overlap(second, first)


@pytest.mark.parametrize(
    ("first", "second"),
    SIBLINGS + OTHER_HEADS + NARROWER_OTHERWISE + LOOKALIKES + NO_PERSONS + ODD,
)
def test_no_synonyms(first, second):
    assert not labels_overlap(first, second)
    assert not labels_overlap(second, first)


@pytest.mark.parametrize("label", ["", " ", "_", "?!", "or", "the", "of", "a/b", "人物", "व्यक्ति"])
def test_odd_labels_equal_themselves(label):
    assert labels_overlap(label, label)


def test_inner_words_of_other_scripts_count():
    assert labels_overlap("российский город", "город")
    assert not labels_overlap("город", "городской парк")


# Words of the table, of the rules and of no meaning, so that the labels do meet.
TABLE_WORDS = sorted(set(re.findall(r"[a-z]+", _TABLE)))
OTHER_WORDS = ["of", "in", "or", "and", "the", "type", "toy", "blue", "/", "(", ").", "новый"]
LABELS = st.one_of(
    st.lists(st.sampled_from(TABLE_WORDS + OTHER_WORDS), max_size=5).map(" ".join),
    st.text(max_size=30),
)


@given(LABELS, LABELS)
def test_symmetric(first, second):
    assert labels_overlap(first, second) == labels_overlap(second, first)


@given(LABELS)
def test_reflexive(label):
    assert labels_overlap(label, label)


# A preposition by itself ("of") is no label that a modifier could stand before.
NAMES = [word for word in TABLE_WORDS if not _IGNORED.fullmatch(word)]


@given(st.sampled_from(NAMES), st.sampled_from(["toy", "blue", "1879", "новый"]))
def test_a_modified_label_stays_near(label, modifier):
    assert labels_overlap(label, f"{modifier} {label}")


class TestTable:
    def test_a_term_has_synonyms_in_one_entry(self):
        terms = [_joined(term) for synonyms, _ in _entries() for term in synonyms]
        assert len(terms) == len(set(terms))

    def test_no_entry_lists_a_narrower_concept_twice(self):
        for _, narrower in _entries():
            assert len(narrower) == len(set(map(_joined, narrower))), narrower

    def test_all_of_an_entry_are_near_its_first_term(self):
        for (first, *others), narrower in _entries():
            for other in others + narrower:
                assert labels_overlap(first, other), (first, other)
