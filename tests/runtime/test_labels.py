"""Labels as users give them: what is read, and that what is refused is named."""

import numpy as np
import pytest

from gliner_distill.errors import DistillError, InputError
from gliner_distill.runtime.labels import (
    MAX_LABELS,
    EncodedLabels,
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
    def test_reads_each_label_once_in_order(self, labels):
        assert read_label_set(labels) == TWO

    def test_reads_a_generator(self):
        assert read_label_set(label for label in ("person", "city")) == TWO

    def test_reads_one_string_as_one_label(self):
        assert read_label_set("place name") == (("place name", "place name"),)

    def test_reads_descriptions_in_place_of_names(self):
        assert read_label_set({"per": "name of a person"}) == (("per", "name of a person"),)

    @pytest.mark.parametrize("labels", [[], (), {}])
    def test_reads_nothing_as_no_labels(self, labels):
        assert read_label_set(labels) == ()

    def test_gives_encoded_labels_back(self):
        encoded = EncodedLabels(("per",), ("a person",), np.zeros((1, 3, 4), np.float32))
        assert read_label_set(encoded) == (("per", "a person"),)

    @pytest.mark.parametrize(
        ("labels", "said"),
        [
            (None, r"labels is None; expected a list of strings"),
            (b"city", r"labels is b'city'; expected a list of strings"),
            (5, r"labels is 5; expected a list of strings"),
            (["city", None], r"labels holds None; expected strings alone"),
            (["city", b"person"], r"labels holds b'person'; expected strings alone"),
            (["city", 3], r"labels holds 3; expected strings alone"),
            (["city", ""], r"labels holds a blank label"),
            (["city", " \t\n"], r"labels holds a blank label"),
            ("", r"labels holds a blank label"),
            ({"city": None}, r"labels holds None; expected strings alone"),
            ({"city": " "}, r"labels holds a blank label"),
            ({7: "city"}, r"labels holds 7; expected strings alone"),
            (["x" * 3, ["y" * 100]], r"labels holds \['yyy.*\.\.\.; expected strings alone"),
        ],
    )
    def test_refuses_what_is_no_label_and_says_what_it_is(self, labels, said):
        with pytest.raises(InputError, match=said):
            read_label_set(labels)

    def test_refuses_with_an_error_that_is_also_a_value_error(self):
        with pytest.raises(ValueError, match="labels is None") as error:
            read_label_set(None)
        assert isinstance(error.value, DistillError)

    def test_calls_the_labels_as_it_is_told(self):
        with pytest.raises(InputError, match=r"^labels\[3\] holds 1; expected"):
            read_label_set([1], where="labels[3]")

    def test_reads_ten_thousand_labels_and_no_more(self):
        labels = [f"label {number}" for number in range(MAX_LABELS)]
        assert len(read_label_set([*labels, *labels])) == MAX_LABELS
        with pytest.raises(InputError, match="labels holds more than 10,000 labels"):
            read_label_set([*labels, "one more"])


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
    def test_is_told_by_a_list_or_mapping_among_them(self, labels, expected):
        assert is_per_text(labels) is expected

    def test_sets_are_read_each_by_itself(self):
        read = read_per_text([["city", "city"], (), {"per": "a person"}, ("person", "city")])
        assert read == [(("city", "city"),), (), (("per", "a person"),), TWO]

    @pytest.mark.parametrize(
        ("labels", "said"),
        [
            ([["city"], "person"], r"labels\[1\] is 'person'; where one text has a list"),
            ([["city"], None], r"labels\[1\] is None; where one text has a list"),
            ([["city"], ["person", 3]], r"labels\[1\] holds 3; expected strings alone"),
            ([{"city": ""}], r"labels\[0\] holds a blank label"),
        ],
    )
    def test_sets_that_are_refused_are_named_by_their_place(self, labels, said):
        with pytest.raises(InputError, match=said):
            read_per_text(labels)
