"""Presidio's samples."""

from pathlib import Path

from corpus_files import error_of, write_json
from export_files import PASSAGE, TEXT, read_as


def make_span(start: int, end: int, label: str, value: str) -> dict[str, object]:
    return {
        "entity_type": label,
        "entity_value": value,
        "start_position": start,
        "end_position": end,
    }


def test_read_presidio_reads_full_text_and_spans(tmp_path: Path) -> None:
    spans = [make_span(0, 12, "PERSON", "Ada Lovelace"), make_span(20, 26, "CITY", "London")]
    record = {"full_text": TEXT, "masked": "x", "spans": spans, "template_id": 3, "tokens": []}
    assert read_as(tmp_path / "a", record)[0] == [PASSAGE]


def test_read_presidio_refuses_a_value_that_is_elsewhere(tmp_path: Path) -> None:
    record = {"full_text": TEXT, "spans": [make_span(0, 3, "CITY", "London")]}
    message = error_of(write_json(tmp_path / "a.json", record))
    assert "spans[0]: characters 0 to 3 are 'Ada'" in message
    assert "'London'" in message


def test_read_presidio_names_a_missing_key(tmp_path: Path) -> None:
    record = {"full_text": TEXT, "spans": [{"start": 0, "end": 3, "entity_type": "x"}]}
    assert "'start_position'" in error_of(write_json(tmp_path / "a.json", record))
