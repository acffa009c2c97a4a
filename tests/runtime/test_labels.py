"""Labels as users give them: every form that is read, and the naming of what is refused."""

from enum import StrEnum

import numpy as np
import pytest

from gliner_distill.errors import DistillError, InputError
from gliner_distill.runtime.labels import (
    MAX_LABELS,
    EncodedLabels,
    check_asked,
    is_per_text,
    read_label_set,
    read_per_text,
)

TWO = (("person", "person"), ("city", "city"))


class TestReadLabelSet:
    @pytest.mark.parametrize(
        "labels",
        [
            ["person", "city"],
            ("person", "city"),
            {"person": "person", "city": "city"},
            {"person": 1, "city": 2}.keys(),
            np.array(["person", "city"]),
            ["person", "city", "person", "city"],
        ],
        ids=["list", "tuple", "mapping", "keys", "array", "duplicates"],
    )
    def test_read_label_set_returns_each_label_once_in_order(self, labels):
        assert read_label_set(labels) == TWO

    def test_read_label_set_takes_a_generator(self):
        assert read_label_set(label for label in ("person", "city")) == TWO

    def test_read_label_set_makes_plain_strings_of_enumerations(self):
        kinds = StrEnum("Kinds", {"PERSON": "person", "CITY": "city"})
        for labels in (kinds, {kinds.PERSON: kinds.PERSON, kinds.CITY: kinds.CITY}):
            pairs = read_label_set(labels)
            assert pairs == TWO
            assert {type(text) for pair in pairs for text in pair} == {str}

    def test_read_label_set_takes_one_string_as_one_label(self):
        assert read_label_set("place name") == (("place name", "place name"),)

    def test_read_label_set_pairs_labels_with_descriptions(self):
        assert read_label_set({"per": "name of a person"}) == (("per", "name of a person"),)

    @pytest.mark.parametrize("labels", [[], (), {}])
    def test_read_label_set_of_nothing_is_empty(self, labels):
        assert read_label_set(labels) == ()

    def test_read_label_set_takes_encoded_labels(self):
        encoded = EncodedLabels(("per",), ("a person",), np.zeros((1, 3, 4), np.float32))
        assert read_label_set(encoded) == (("per", "a person"),)

    @pytest.mark.parametrize(
        ("labels", "said"),
        [
            (None, r"labels is None"),
            (b"city", r"labels is b'city'"),
            (5, r"labels is 5"),
            (["city", None], r"labels holds None"),
            (["city", b"person"], r"labels holds b'person'"),
            (["city", 3], r"labels holds 3"),
            (["city", ""], r"labels holds a blank label"),
            (["city", " \t\n"], r"labels holds a blank label"),
            ("", r"labels holds a blank label"),
            (["__"], r"labels holds a blank label"),
            ({"city": None}, r"labels holds None"),
            ({"city": " "}, r"labels holds a blank label"),
            ({7: "city"}, r"labels holds 7"),
            (["x" * 3, ["y" * 100]], r"labels holds \['yyy.*\.\.\."),
        ],
    )
    def test_read_label_set_refuses_and_shows_a_wrong_value(self, labels, said):
        with pytest.raises(InputError, match=said):
            read_label_set(labels)

    @pytest.mark.parametrize(
        ("labels", "first", "second"),
        [
            (["US", "city", "us"], "US", "us"),
            (["place_name", "Place  Name"], "place_name", "Place  Name"),
            ({"US": "a country", "us": "a pronoun"}, "US", "us"),
        ],
    )
    def test_read_label_set_refuses_two_spellings_of_a_label(self, labels, first, second):
        with pytest.raises(InputError, match=f"labels: '{first}' and '{second}' are the same"):
            read_label_set(labels)

    def test_read_label_set_keeps_the_spelling(self):
        assert read_label_set(["PERSON", "Place_Name"]) == (
            ("PERSON", "PERSON"),
            ("Place_Name", "Place_Name"),
        )

    def test_read_label_set_raises_a_value_error_too(self):
        with pytest.raises(ValueError, match="labels is None") as error:
            read_label_set(None)
        assert isinstance(error.value, DistillError)

    def test_read_label_set_names_the_argument_as_told(self):
        with pytest.raises(InputError, match=r"^labels\[3\] holds 1; expected"):
            read_label_set([1], where="labels[3]")

    def test_read_label_set_takes_at_most_10000_labels(self):
        labels = [f"label {number}" for number in range(MAX_LABELS)]
        assert len(read_label_set([*labels, *labels])) == MAX_LABELS
        with pytest.raises(InputError, match="labels holds more than 10,000 labels"):
            read_label_set([*labels, "one more"])


class TestCheckAsked:
    def test_check_asked_accepts_other_spellings(self):
        check_asked({"Home_Town": 0.3, "city": 0.4}, {"city": "a town", "home town": "a place"})

    def test_check_asked_names_what_is_not_asked_for_and_what_is(self):
        said = "thresholds: 'citty' is not in entity_mapping; choose from 'person', 'city'$"
        with pytest.raises(InputError, match=said):
            check_asked({"person": 0.3, "citty": 0.4}, ["person", "city"], where="entity_mapping")


class TestPerText:
    @pytest.mark.parametrize(
        ("labels", "expected"),
        [
            ([["city"], ["person"]], True),
            ((("city",), ("person",)), True),
            ([{"city": "a city"}], True),
            ([[], []], True),
            (["city", ["person"]], True),
            (["city", "person"], False),
            ([], False),
            ({"city": "a city"}, False),
            ("city", False),
            (None, False),
        ],
    )
    def test_is_per_text_looks_for_a_list_or_mapping(self, labels, expected):
        assert is_per_text(labels) is expected

    def test_read_per_text_reads_each_set_on_its_own(self):
        read = read_per_text([["city", "city"], (), {"per": "a person"}, ("person", "city")])
        assert read == [(("city", "city"),), (), (("per", "a person"),), TWO]

    @pytest.mark.parametrize(
        ("labels", "said"),
        [
            ([["city"], "person"], r"labels\[1\] is 'person'"),
            ([["city"], None], r"labels\[1\] is None"),
            ([["city"], ["person", 3]], r"labels\[1\] holds 3"),
            ([{"city": ""}], r"labels\[0\] holds a blank label"),
        ],
    )
    def test_read_per_text_names_the_position_of_a_wrong_set(self, labels, said):
        with pytest.raises(InputError, match=said):
            read_per_text(labels)
