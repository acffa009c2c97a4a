"""GLiNER's form of annotated passages, and its form of the scores."""

import numpy as np
import pytest

from gliner_distill.entities import Entity
from gliner_distill.errors import InputError
from gliner_distill.runtime.gliner_api.passages import read_test_data

ADA = {"tokenized_text": ["Ada", "left", "London"], "ner": [[0, 0, "Person"], (2, 2, "city")]}
BO = {"tokenized_text": ["Bo"], "ner": []}


def names(asked):
    return [[label for label, _ in prompts] for prompts in asked]


def test_read_test_data_converts_inclusive_ends_and_cleans_labels():
    passages = read_test_data([ADA], None)
    assert passages.words == [["Ada", "left", "London"]]
    assert passages.gold == [[Entity(0, 1, "person"), Entity(2, 3, "city")]]


def test_read_test_data_asks_all_labels_of_the_data_unless_a_passage_has_its_own():
    passages = read_test_data([ADA, BO, {**BO, "ner_labels": ["River"]}], None)
    assert names(passages.asked) == [["person", "city"], ["person", "city"], ["river"]]


@pytest.mark.parametrize(
    ("entity_types", "asked"),
    [
        (["person"], [["person"], ["person"]]),
        ([["PERSON"], ["city", "river"]], [["person"], ["city", "river"]]),
        ([], [[], []]),
        (np.array(["person"]), [["person"], ["person"]]),
        ("person", [["person"], ["person"]]),
    ],
)
def test_read_test_data_asks_the_given_labels(entity_types, asked):
    assert names(read_test_data([ADA, BO], entity_types).asked) == asked


@pytest.mark.parametrize(
    ("test_data", "said"),
    [
        (None, "test_data is None"),
        ([ADA, "text"], r"test_data\[1\] is 'text'"),
        ([{"ner": []}], r"test_data\[0\]: tokenized_text is None"),
        ([{"tokenized_text": ["a", 3], "ner": []}], r"test_data\[0\]: tokenized_text is "),
        ([{"tokenized_text": ["a"]}], r"test_data\[0\]: ner is None"),
        ([{"tokenized_text": ["a"], "ner": [[0, 1, "x"]]}], r"ner holds \[0, 1, 'x'\].*1 words"),
        ([{"tokenized_text": ["a"], "ner": [[0, 0]]}], r"ner holds \[0, 0\]"),
        ([{"tokenized_text": ["a"], "ner": [["0", 0, "x"]]}], r"ner holds \['0', 0, 'x'\]"),
    ],
)
def test_read_test_data_names_what_is_wrong(test_data, said):
    with pytest.raises(InputError, match=said):
        read_test_data(test_data, None)


def test_read_test_data_refuses_lists_of_labels_for_other_passages():
    with pytest.raises(InputError, match="entity_types holds 2 lists for 1 passages"):
        read_test_data([ADA], [["a"], ["b"]])
