"""GLiNER2's training records: mentions are looked up in the text."""

from pathlib import Path

from corpus_files import error_of, write_json
from export_files import PASSAGE, TEXT, read_as
from gliner_distill.entities import Entity


def make_record(text: str, **entities: object) -> dict[str, object]:
    return {"input": text, "output": {"entities": entities, "entity_descriptions": {}}}


def test_read_gliner2_finds_mentions_and_keeps_labels_that_were_asked_for(tmp_path: Path) -> None:
    record = make_record(TEXT, person=["Ada Lovelace"], city=["London"], date=[])
    [passage] = read_as(tmp_path / "a", record)[0]
    assert (passage.words, passage.entities) == (PASSAGE.words, PASSAGE.entities)
    assert passage.labels == ("person", "city", "date")


def test_read_gliner2_marks_every_place_of_a_mention(tmp_path: Path) -> None:
    [passage] = read_as(tmp_path / "a", make_record("Ada met ADA and Adam", person=["Ada"]))[0]
    assert passage.entities == (Entity(0, 1, "person"), Entity(2, 3, "person"))


def test_read_gliner2_counts_mentions_that_the_text_does_not_have(tmp_path: Path) -> None:
    [passage], notes = read_as(tmp_path / "a", make_record(TEXT, person=["Bob", "Lovelac"]))
    assert passage.entities == ()
    [line] = notes.left_out_lines()
    assert ": 2 " in line
    assert "'Bob', label 'person'" in line


def test_read_gliner2_names_mentions_of_another_form(tmp_path: Path) -> None:
    for entities in ({"person": "Ada"}, {"person": [3]}, {"": ["Ada"]}):
        message = error_of(write_json(tmp_path / "a.json", make_record(TEXT, **entities)))
        assert "record 1: output.entities" in message
    listed = {"input": TEXT, "output": {"entities": ["Ada"]}}
    assert "output.entities is a list" in error_of(write_json(tmp_path / "a.json", listed))
