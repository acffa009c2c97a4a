"""The check of settings and the search that the components for documents share."""

import pytest

from gliner_distill.errors import InputError
from gliner_distill.integrations.documents import check_settings, find_entities
from gliner_distill.runtime.ner import StudentNER


@pytest.mark.parametrize(
    ("labels", "threshold", "thresholds"),
    [
        ([], 0.5, None),
        ({}, 0.5, None),
        (["person"], 1.5, None),
        (["person"], 0.5, {"person": -1}),
        (["person"], 0.5, {"persons": 0.3}),
    ],
)
def test_check_settings_refuses_wrong_settings(labels, threshold, thresholds):
    with pytest.raises(InputError):
        check_settings(labels, threshold, thresholds)


def test_check_settings_accepts_labels_with_descriptions():
    check_settings({"city": "a large town"}, 0.3, {"city": 0.7})


@pytest.mark.slow
def test_find_entities_keeps_the_places_of_documents_without_text():
    student = StudentNER.from_pretrained()
    texts = [None, "Ada Lovelace lived in London.", None, ""]
    found = find_entities(student, texts, ["person"], 0.5, None)
    assert [[entity["text"] for entity in entities] for entities in found] == [
        [],
        ["Ada Lovelace"],
        [],
        [],
    ]
