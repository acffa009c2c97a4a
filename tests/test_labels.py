"""The rule by which labels are compared: what makes no difference in their spelling."""

import pytest

from gliner_distill.entities import Entity, Passage
from gliner_distill.labels import by_clean_label, clean_label, spellings_by_label, strip_label

RAW = [
    ('"Village"', "Village", "village"),
    ('\\"Village\\"', "Village", "village"),
    ('""Village""', "Village", "village"),
    ("work_of  art", "work_of  art", "work of art"),
    ("\tORG \n", "ORG", "org"),
    ('6" pipe', '6" pipe', '6" pipe'),
    ("pipe", "pipe", "pipe"),
    ("_", "_", ""),
]


@pytest.mark.parametrize(("raw", "stripped", "clean"), RAW)
def test_clean_label_removes_quotes_underscores_case_and_spare_spaces(raw, stripped, clean):
    assert strip_label(raw) == stripped
    assert clean_label(raw) == clean_label(stripped) == clean_label(clean) == clean


def test_spellings_by_label_keeps_the_first_spelling():
    assert spellings_by_label(["US", "Place_Name", "us"]) == {
        "us": "US",
        "place name": "Place_Name",
    }


def test_by_clean_label_keeps_the_values():
    assert by_clean_label({"PERSON": 0.3, "place_name": 0.6}) == {"person": 0.3, "place name": 0.6}


def test_passage_respell_changes_the_labels_that_are_named():
    passage = Passage(("a", "b"), (Entity(0, 1, "place_name"), Entity(1, 2, "x")), ("Place Name",))
    assert passage.respell({"place name": "PLACE"}) == Passage(
        ("a", "b"), (Entity(0, 1, "PLACE"), Entity(1, 2, "x")), ("PLACE",)
    )
