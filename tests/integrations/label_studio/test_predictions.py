"""Predictions: regions, scores, and tasks whose text cannot be read."""

import pytest

from gliner_distill.integrations.label_studio.labeling_config import TextLabels
from gliner_distill.integrations.label_studio.payloads import PayloadError
from gliner_distill.integrations.label_studio.predictions import (
    Predictor,
    check_tasks,
    name_version,
)

WORDS = {"Ada": ("person", 0.91239), "London": ("city", 0.6), "York": ("city", 0.8)}
LABELS = TextLabels("label", "text", "text", (("person", "person"), ("city", "city")))


class WordModel:
    """A model that knows some words; it notes what it was asked."""

    def __init__(self):
        self.asked = []

    def inference(
        self, texts, labels, flat_ner=True, threshold=0.5, multi_label=False, *, patterns
    ):
        self.asked.append((list(texts), dict(labels), threshold, patterns))
        return [
            [
                {
                    "start": text.index(word),
                    "end": text.index(word) + len(word),
                    "text": word,
                    "label": label,
                    "score": score,
                }
                for word, (label, score) in WORDS.items()
                if word in text and label in labels
            ]
            for text in texts
        ]


@pytest.fixture
def model():
    return WordModel()


@pytest.fixture
def predictor(model):
    return Predictor(model, version="words-1", threshold=0.3, patterns=False)


def test_predict_gives_the_regions_of_label_studio(predictor, model):
    task = {"id": 1, "data": {"text": "🙂 Ada left London."}}
    [prediction] = predictor.predict([task], [LABELS])
    person = {"start": 2, "end": 5, "text": "Ada", "labels": ["person"], "score": 0.9124}
    city = {"start": 11, "end": 17, "text": "London", "labels": ["city"], "score": 0.6}
    place = {"from_name": "label", "to_name": "text", "type": "labels"}
    assert prediction == {
        "model_version": "words-1",
        "score": 0.6,
        "result": [
            {**place, "value": person, "score": 0.9124},
            {**place, "value": city, "score": 0.6},
        ],
    }
    assert model.asked == [
        (["🙂 Ada left London."], {"person": "person", "city": "city"}, 0.3, False)
    ]


@pytest.mark.parametrize(
    ("task", "fact"),
    [
        ({}, "data: is missing"),
        ({"data": None}, "data: found null"),
        ({"data": {}}, "data.text: is missing"),
        ({"data": {"text": None}}, "data.text: found null"),
        ({"data": {"text": ["Ada"]}}, "data.text: found a list"),
        # Such a text would make the whole answer one that cannot be sent.
        ({"data": {"text": "Ada \ud800"}}, "data.text: it holds half of a surrogate pair"),
    ],
)
def test_predict_says_why_a_task_has_no_regions_and_answers_the_others(predictor, task, fact):
    good = {"data": {"text": "Ada"}}
    first, bad, last = predictor.predict([good, task, good], [LABELS])
    assert len(first["result"]) == len(last["result"]) == 1
    assert bad["result"] == []
    assert fact in bad["error"]
    assert bad["score"] is None
    assert "error" not in first


def test_predict_does_not_download_a_text(predictor, model):
    labels = TextLabels("label", "text", "text", (("person", "person"),), is_url=True)
    task = {"data": {"text": "http://127.0.0.1:1/Ada"}}
    [prediction] = predictor.predict([task], [labels])
    assert "address" in prediction["error"]
    assert prediction["result"] == model.asked == []


def test_predict_reads_an_address_in_a_field_of_texts_as_a_text(predictor):
    task = {"data": {"text": "http://example.com/Ada"}}
    assert len(predictor.predict([task], [LABELS])[0]["result"]) == 1


def test_predict_answers_several_sets_of_labels_for_several_texts(predictor):
    config = [
        TextLabels("who", "title", "title", (("person", "person"),)),
        TextLabels("who", "body", "body", (("person", "person"),)),
        TextLabels("where", "body", "body", (("city", "city"),)),
    ]
    tasks = [{"data": {"title": "Ada", "body": "Ada, York"}}, {"data": {"body": "York"}}]
    both, one = predictor.predict(tasks, config)
    assert [(region["from_name"], region["to_name"]) for region in both["result"]] == [
        ("who", "title"),
        ("who", "body"),
        ("where", "body"),
    ]
    assert len(one["result"]) == 1
    assert "data.title: is missing" in one["error"]


def test_predict_of_no_tasks_is_empty(predictor, model):
    assert predictor.predict([], [LABELS]) == model.asked == []


def test_check_tasks_refuses_too_many_and_other_values():
    assert check_tasks([{}], max_tasks=1) == [{}]
    with pytest.raises(PayloadError, match="2"):
        check_tasks([{}, {}], max_tasks=1)
    with pytest.raises(PayloadError) as error:
        check_tasks([{}, "Ada"], max_tasks=5)
    assert error.value.field == "tasks[1]"


def test_name_version_changes_with_what_changes_answers(tmp_path):
    version = name_version(None, threshold=0.5, patterns=True)
    assert version.startswith("bundled_student-")
    assert version == name_version(None, threshold=0.5, patterns=True)
    others = {
        name_version(None, threshold=0.4, patterns=True),
        name_version(None, threshold=0.5, patterns=False),
    }
    assert len(others | {version}) == 3
    for content in ("{}", '{"a": 1}'):
        (tmp_path / "student_config.json").write_text(content, encoding="utf-8")
        others.add(name_version(tmp_path, threshold=0.5, patterns=True))
    assert len(others) == 4
