"""doccano's exports for sequence labeling, and class names that are no entities."""

from pathlib import Path

import pytest

from corpus_files import error_of, write_lines
from export_files import PASSAGE, TEXT, read_as


@pytest.mark.parametrize("key", ["label", "labels"])
def test_read_doccano_reads_lists_of_labels(tmp_path: Path, key: str) -> None:
    record = {"id": 7, "text": TEXT, key: [[0, 12, "person"], [20, 26, "city"]], "Comments": []}
    empty = {"id": 8, "text": "Nobody", key: []}
    passages, notes = read_as(tmp_path / "a", record, empty)
    assert passages[0] == PASSAGE
    assert passages[1].entities == ()
    assert notes.ignored_keys == {}


def test_read_doccano_reads_entities_with_relations(tmp_path: Path) -> None:
    entities = [
        {"id": 0, "label": "person", "start_offset": 0, "end_offset": 12},
        {"id": 1, "label": "city", "start_offset": 20, "end_offset": 26},
    ]
    record = {"text": TEXT, "entities": entities, "relations": [], "label": []}
    assert read_as(tmp_path / "a", record)[0] == [PASSAGE]


def test_is_doccano_leaves_class_names_to_be_noted(tmp_path: Path) -> None:
    records = [{"text": "Ada", "label": ["sport"]}, {"text": "Bob", "label": "sport"}]
    passages, notes = read_as(tmp_path / "a", *records)
    assert [passage.entities for passage in passages] == [(), ()]
    assert notes.ignored_keys == {"label": 2}


def test_read_doccano_names_a_label_with_too_few_values(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", '{"text": "Ada left", "label": [[0, 3]]}')
    assert error_of(path).startswith(f"{path}: record 1 (line 1): label[0] is [0, 3]")
