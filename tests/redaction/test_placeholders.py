"""Placeholders: their names, their numbers, and the way back to the text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.errors import InputError
from gliner_distill.redaction.placeholders import (
    Placeholders,
    check_mapping,
    placeholder_name,
    restore,
)


@pytest.mark.parametrize(
    ("label", "name"),
    [
        *(("person", "PERSON"), ("date of birth", "DATE_OF_BIRTH"), ("e-mail", "E_MAIL")),
        *(
            ("driver's license", "DRIVER_S_LICENSE"),
            ("名前", "名前"),
            ("+ +", "ENTITY"),
            ("", "ENTITY"),
        ),
        *(("x_1", "X_1"), ("[a]", "A"), ("a" * 500, "A" * 60)),
    ],
)
def test_placeholder_name_is_upper_case_words(label, name):
    assert placeholder_name(label) == name


@given(st.text(max_size=100), st.text(max_size=5))
def test_placeholder_of_any_label_and_text_is_restored(label, text):
    mapping = {}
    placeholder = Placeholders(mapping).get(text, label)
    assert mapping == {placeholder: text}
    assert restore(placeholder, mapping) == text


def test_placeholders_number_texts_by_label_and_repeat_equal_ones():
    placeholders = Placeholders({})
    asked = [("Ada", "person"), ("Bo", "person"), ("Ada", "city"), ("Ada", "person")]
    got = [placeholders.get(text, label) for text, label in asked]
    assert got == ["[PERSON_1]", "[PERSON_2]", "[CITY_1]", "[PERSON_1]"]


def test_placeholders_continue_a_mapping_without_taking_a_number_twice():
    mapping = {"[PERSON_2]": "Ada", "[PERSON_7]": "Bo", "[CITY_999999999999]": "Rome"}
    before = dict(mapping)
    placeholders = Placeholders(mapping)
    assert placeholders.get("Ada", "person") == "[PERSON_2]"
    new = [placeholders.get(str(number), "person") for number in range(9)]
    assert placeholders.get("Bonn", "city") == "[CITY_2]"
    assert len({*new, *before}) == 12
    assert before.items() <= mapping.items()
    assert len(mapping) == 13


def test_escape_replaces_only_what_looks_like_a_placeholder():
    mapping = {}
    text = "[PERSON_1] [PERSON] [_1] [a_1 b] [x_1] PERSON_1 [PERSON_1"
    escaped = Placeholders(mapping).escape(text)
    assert escaped == "[LITERAL_1] [PERSON] [_1] [a_1 b] [LITERAL_2] PERSON_1 [PERSON_1"
    assert restore(escaped, mapping) == text


def test_used_in_returns_the_placeholders_of_one_text():
    placeholders = Placeholders({})
    one, two = placeholders.get("Ada", "person"), placeholders.get("Bo", "person")
    assert placeholders.used_in(f"{two} met {two}") == {two: "Bo"}
    assert placeholders.used_in(f"{two} met {one}") == {two: "Bo", one: "Ada"}


def test_restore_reads_edited_text_and_keeps_unknown_placeholders():
    mapping = {"[PERSON_1]": "Ada [PERSON_2]", "[PERSON_2]": "Bo"}
    assert restore("[PERSON_2][PERSON_1], [PERSON_3]", mapping) == "BoAda [PERSON_2], [PERSON_3]"
    assert restore("", {}) == ""


@pytest.mark.parametrize(
    "text", ["[" * 10**6, "[" + "a" * 10**6, "[a_" + "1" * 10**6, "[a_1" * 10**5]
)
def test_escape_and_restore_read_hostile_text(text):
    assert Placeholders({}).escape(text) == text
    assert restore(text, {"[A_1]": "x"}) == text


@pytest.mark.parametrize(
    ("mapping", "fact"),
    [
        (None, "None"),
        (["[PERSON_1]"], "mapping"),
        ({"PERSON_1": "Ada"}, "'PERSON_1'"),
        ({1: "Ada"}, "1"),
        ({"[PERSON_1]": 7}, "[PERSON_1]"),
    ],
)
def test_check_mapping_refuses_other_values(mapping, fact):
    with pytest.raises(InputError) as error:
        check_mapping(mapping)
    assert fact in str(error.value)
    with pytest.raises(InputError):
        restore("text", mapping)


def test_restore_refuses_a_text_that_is_not_a_string():
    with pytest.raises(InputError, match="7"):
        restore(7, {})
