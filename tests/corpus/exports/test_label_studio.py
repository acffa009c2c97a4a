"""Label Studio's exports JSON and JSON_MIN."""

from pathlib import Path
from typing import Any

import pytest

from corpus_files import error_of, write_json
from export_files import PASSAGE, TEXT, read_as

# Label Studio counts UTF-16 code units, so the emoji takes two.
REGIONS = [
    {"start": 0, "end": 12, "text": "Ada Lovelace", "labels": ["person"]},
    {"start": 21, "end": 27, "text": "London", "labels": ["city"]},
]


def make_task(*annotations: dict[str, Any], **data: Any) -> dict[str, Any]:
    return {"id": 1, "data": data or {"text": TEXT}, "annotations": list(annotations)}


def make_annotation(*regions: dict[str, Any], **more: Any) -> dict[str, Any]:
    made = [
        {"from_name": "label", "to_name": "text", "type": "labels", "value": region}
        for region in regions
    ]
    return {"id": 1, "result": [*made, {"type": "choices", "value": {"choices": ["a"]}}]} | more


def test_read_label_studio_reads_tasks(tmp_path: Path) -> None:
    task = make_task(make_annotation(*REGIONS))
    named = make_task(make_annotation(*REGIONS), body=TEXT, number=3)
    cancelled = make_task(make_annotation(was_cancelled=True), make_annotation(*REGIONS))
    passages, notes = read_as(tmp_path / "a", task, named, cancelled, make_task())
    assert passages == [PASSAGE] * 3
    assert notes.skipped == {"tasks that nobody has annotated": 1}


@pytest.mark.parametrize("key", ["label", "ner"])
def test_read_label_studio_reads_json_min(tmp_path: Path, key: str) -> None:
    record = {"id": 1, "text": TEXT, key: REGIONS, "annotator": 1, "lead_time": 2.5}
    passages, _ = read_as(tmp_path / "a", record, {"id": 2, "text": "Nobody"})
    assert passages[0] == PASSAGE
    assert passages[1].entities == ()


def test_read_label_studio_gives_a_region_each_of_its_labels(tmp_path: Path) -> None:
    region = REGIONS[0] | {"labels": ["person", "author"]}
    [passage] = read_as(tmp_path / "a", {"text": TEXT, "label": [region]})[0]
    assert [entity.label for entity in passage.entities] == ["person", "author"]


def test_read_label_studio_reads_line_breaks_that_are_escaped_in_a_region(tmp_path: Path) -> None:
    region = {"start": 0, "end": 12, "text": "Ada\\nLovelace", "labels": ["person"]}
    [passage] = read_as(tmp_path / "a", {"text": "Ada\nLovelace", "label": [region]})[0]
    assert len(passage.entities) == 1


@pytest.mark.parametrize(
    ("record", "facts"),
    [
        (make_task(make_annotation(*REGIONS), make_annotation(*REGIONS)), ["annotations", "2"]),
        (make_task(make_annotation(*REGIONS), a="x", b="y"), ["data", "'a'", "'b'"]),
        (make_task(make_annotation({"start": 0, "end": 3})), ["result[0]", "'labels'"]),
        ({"text": "Ada", "label": [{"start": 0, "end": 3, "labels": "x"}]}, ["label[0]", "string"]),
        # Without the text of a region, nothing tells what the offsets count.
        ({"text": TEXT, "label": [{"start": 21, "end": 27, "labels": ["x"]}]}, ["text", "U+FFFF"]),
    ],
)
def test_read_label_studio_refuses_what_is_not_clear(
    tmp_path: Path, record: dict[str, Any], facts: list[str]
) -> None:
    message = error_of(write_json(tmp_path / "a.json", record))
    assert message.startswith(f"{tmp_path / 'a.json'}: record 1: ")
    assert all(fact in message for fact in facts)
