"""Events of Label Studio: which annotations become gold, and what is refused.

The events are like those that Label Studio 1.23.2 sends; `test_app.py` replays whole ones.
"""

import copy
import json
import logging

import pytest

from gliner_distill.integrations.label_studio.gold import GoldFile
from gliner_distill.integrations.label_studio.payloads import PayloadError
from gliner_distill.integrations.label_studio.webhook import take_event

CONFIG = """\
<View><Labels name="label" toName="text"><Label value="person"/><Label value="city"/></Labels>
<Text name="text" value="$text"/><Choices name="tone" toName="text"><Choice value="a"/></Choices>
</View>"""
REGION = {
    "id": "r1",
    "type": "labels",
    "from_name": "label",
    "to_name": "text",
    "value": {"start": 0, "end": 3, "text": "Ada", "labels": ["person"]},
}
TONE = {"type": "choices", "from_name": "tone", "to_name": "text", "value": {"choices": ["a"]}}
EVENT = {
    "action": "ANNOTATION_CREATED",
    "annotation": {
        "id": 5,
        "result": [REGION, TONE],
        "was_cancelled": False,
        "updated_at": "2026-11-29T03:00:00.250000Z",
    },
    "task": {"id": 7, "data": {"text": "Ada left London."}},
    "project": {"id": 1, "label_config": CONFIG},
}


def make_event(action="ANNOTATION_CREATED", **changes):
    """Return an event; `annotation__result=[]` changes one of its parts."""
    event = copy.deepcopy(EVENT) | {"action": action}
    for path, value in changes.items():
        *parents, key = path.split("__")
        place = event
        for parent in parents:
            place = place[parent]
        place[key] = value
    return event


@pytest.fixture
def gold(needs, tmp_path):
    needs("filelock")
    return GoldFile(tmp_path / "gold.jsonl")


def records_of(gold):
    lines = gold.path.read_text(encoding="utf-8").splitlines() if gold.path.exists() else []
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("action", ["ANNOTATION_CREATED", "ANNOTATION_UPDATED"])
def test_take_event_keeps_the_entities_of_an_annotation(gold, action):
    assert take_event(make_event(action), gold) == {"status": "saved", "texts": 1}
    assert records_of(gold) == [
        {
            "text": "Ada left London.",
            "entities": [{"start": 0, "end": 3, "text": "Ada", "label": "person"}],
            "project": 1,
            "task": 7,
            "to_name": "text",
            "annotation": 5,
            "updated_at": "2026-11-29T03:00:00.250000Z",
            "older": [],
        }
    ]


def test_take_event_keeps_an_annotation_without_entities(gold):
    take_event(make_event(annotation__result=[]), gold)
    assert [record["entities"] for record in records_of(gold)] == [[]]


def test_take_event_does_not_keep_a_skipped_task(gold):
    skipped = make_event(annotation__was_cancelled=True)
    assert take_event(skipped, gold)["status"] == "ignored"
    assert records_of(gold) == []
    take_event(make_event(), gold)
    take_event(skipped, gold)
    assert records_of(gold) == []


def test_take_event_keeps_a_list_of_annotations(gold):
    second = {"id": 6, "result": [], "updated_at": "2026-11-29T03:00:00Z"}
    event = make_event(
        "ANNOTATIONS_CREATED",
        annotation=[EVENT["annotation"], second],
        task=[EVENT["task"], {"id": 8, "data": {"text": "Nobody."}}],
    )
    assert take_event(event, gold) == {"status": "saved", "texts": 2}
    assert [record["task"] for record in records_of(gold)] == [7, 8]


def test_take_event_removes_deleted_annotations(gold):
    take_event(make_event(), gold)
    event = {"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 5}], "project": {"id": 1}}
    assert take_event(event, gold) == {"status": "removed", "texts": 1}
    assert records_of(gold) == []


def test_take_event_keeps_each_text_of_a_task(gold):
    config = (
        '<View><Labels name="who" toName="title,body"><Label value="person"/></Labels>'
        '<Labels name="where" toName="body"><Label value="city"/></Labels>'
        '<Text name="title" value="$title"/><Text name="body" value="$body"/></View>'
    )
    city = {**REGION, "from_name": "where", "to_name": "body"}
    city["value"] = {"start": 9, "end": 15, "text": "London", "labels": ["city"]}
    event = make_event(
        annotation__result=[{**REGION, "to_name": "title"}, city],
        task__data={"title": "Ada", "body": "Ada left London.", "id": 3},
        project__label_config=config,
    )
    assert take_event(event, gold)["texts"] == 2
    assert [(record["to_name"], len(record["entities"])) for record in records_of(gold)] == [
        ("title", 1),
        ("body", 1),
    ]


def test_take_event_leaves_blank_texts_out(gold):
    event = make_event(task__data={"text": " \n"}, annotation__result=[])
    assert take_event(event, gold)["status"] == "ignored"


def test_take_event_gives_a_region_each_of_its_labels(gold):
    region = {**REGION, "value": {"start": 0, "end": 3, "labels": ["person", "city"]}}
    take_event(make_event(annotation__result=[region]), gold)
    [record] = records_of(gold)
    assert record["entities"] == [
        {"start": 0, "end": 3, "label": "person"},
        {"start": 0, "end": 3, "label": "city"},
    ]


@pytest.mark.parametrize("action", ["PROJECT_UPDATED", "TASKS_CREATED", "START_TRAINING", "new"])
def test_take_event_ignores_other_actions(gold, action):
    assert take_event({"action": action}, gold)["status"] == "ignored"


def test_take_event_without_a_file_keeps_nothing():
    assert take_event(make_event(), None)["status"] == "ignored"


def region_with(**changes):
    return [{**REGION, "value": REGION["value"] | changes}]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"action": None}, "action"),
        ({"project": None}, "project"),
        ({"project__id": "1"}, "project.id"),
        ({"project__label_config": "<View/>"}, "project.label_config"),
        ({"task": None}, "task"),
        ({"task__id": None}, "task.id"),
        ({"task__data": {}}, "task.data.text"),
        ({"task__data": {"text": None}}, "task.data.text"),
        ({"annotation": None}, "annotation"),
        ({"annotation__id": None}, "annotation.id"),
        ({"annotation__result": None}, "annotation.result"),
        ({"annotation__result": [1]}, "annotation.result[0]"),
        ({"annotation__result": region_with(start="0")}, "annotation.result[0].value.start"),
        ({"annotation__result": region_with(end=None)}, "annotation.result[0].value.end"),
        ({"annotation__result": region_with(text=3)}, "annotation.result[0].value.text"),
        ({"annotation__result": region_with(labels="x")}, "annotation.result[0].value.labels"),
        ({"annotation__result": region_with(labels=[1])}, "annotation.result[0].value.labels"),
        # These could not be read by `distill --gold`.
        ({"annotation__result": region_with(end=99)}, "annotation.result"),
        ({"annotation__result": region_with(start=4, end=8)}, "annotation.result"),
        ({"annotation__result": region_with(labels=[" "])}, "annotation.result"),
        ({"task__data": {"text": "half \ud800"}, "annotation__result": []}, "task.data.text"),
        ({"annotation__updated_at": "yesterday"}, "annotation.updated_at"),
        ({"annotation__updated_at": "2026-11-29T03:00:00"}, "annotation.updated_at"),
        ({"annotation": [], "task": [{"id": 1}]}, "task"),
    ],
)
def test_take_event_names_the_field_and_leaves_the_file(gold, changes, field):
    with pytest.raises(PayloadError) as error:
        take_event(make_event(**changes), gold)
    assert error.value.field == field
    assert not gold.path.exists()


def test_take_event_warns_of_entities_that_a_student_cannot_learn(gold, caplog):
    half = region_with(start=0, end=2, text="Ad")
    with caplog.at_level(logging.WARNING):
        take_event(make_event(annotation__result=half), gold)
    assert "annotation 5: 1 of 1 entities" in caplog.text
    assert "Ad" not in caplog.text
    assert len(records_of(gold)) == 1
