"""One record: what makes it a passage, what is cleaned and counted, and what makes it bad."""

import json
from pathlib import Path

import pytest

from corpus_files import (
    GOOD,
    GOOD_PASSAGE,
    error_of,
    make_record,
    read_only_passage,
    write_json,
    write_lines,
)
from gliner_distill.corpus.reader import read_passages
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.entities import Entity, Passage

# Each bad record, with the field and the value that the message must name.
BAD_RECORDS = [
    ([], "the record", "a list"),
    (None, "the record", "null"),
    ({"words": ["a"], "tags": []}, '"tokenized_text"', "'words', 'tags'"),
    ({"tokenized_text": ["a"]}, '"ner"', "missing"),
    (make_record(ner={}), "ner", "an object"),
    (make_record(ner=["city"]), "ner[0]", "a string"),
    (make_record(ner=[[0, 0, "x"], [3, 4]]), "ner[1]", "2 values"),
    (make_record(ner=[[3, 4, "city", 1]]), "ner[0]", "4 values"),
    (make_record(ner=[[3.0, 4, "city"]]), "ner[0]: start", "3.0"),
    (make_record(ner=[[3, True, "city"]]), "ner[0]: end", "True"),
    (make_record(ner=[["three", 4, "city"]]), "ner[0]: start", "'three'"),
    (make_record(ner=[[3, None, "city"]]), "ner[0]: end", "null"),
    (make_record(ner=[[-1, 4, "city"]]), "ner[0]: start", "-1"),
    (make_record(ner=[["-1", 4, "city"]]), "ner[0]: start", "-1"),
    (make_record(ner=[[4, 3, "city"]]), "ner[0]: start 4", "end 3"),
    (make_record(ner=[[3, 5, "city"]]), "ner[0]: end 5", "4;"),
    (make_record(ner=[[3, 4, ""]]), "ner[0]: type", "empty"),
    (make_record(ner=[[3, 4, '"_"']]), "ner[0]: type", "'\"_\"'"),
    (make_record(ner=[[3, 4, 7]]), "ner[0]: type", "7"),
    (make_record(ner=[[3, 4, "\ud800"]]), "ner[0]: type", "'\\ud800'"),
    (make_record(tokenized_text="Anna"), "tokenized_text", "a string"),
    (make_record(tokenized_text=[]), "tokenized_text", "empty"),
    (make_record(tokenized_text=["a", 5]), "tokenized_text[1]", "5"),
    (make_record(tokenized_text=["a", ""]), "tokenized_text[1]", "empty"),
    (make_record(tokenized_text=["\u00a0"]), "tokenized_text[0]", "white space"),
    (make_record(tokenized_text=["\udc80"]), "tokenized_text[0]", "'\\udc80'"),
    (make_record(ner_labels="city"), "ner_labels", "a string"),
    (make_record(ner_negatives=["city", 3]), "ner_negatives[1]", "3"),
    ({"text": 3}, "text", "3"),
    ({"text": " "}, "text", "white space"),
    ({"text": "Anna left", "ner": [[0, 0, "person"]]}, "ner", '"tokenized_text"'),
]


def test_passage_from_record_reads_label_lists(tmp_path: Path) -> None:
    lists = make_record(ner_labels=["City", "river"], ner_negatives=["river", "job"], source="x")
    passage = read_only_passage(write_json(tmp_path / "a.json", lists))
    assert passage.labels == ("city", "river", "job")
    assert passage.own_labels == ("city", "river", "job")


def test_passage_from_record_takes_a_null_label_list_as_absent(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", json.dumps(GOOD | {"ner_labels": None}))
    assert read_only_passage(path).labels == ()


def test_passage_from_record_splits_a_text_into_words(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", '{"text": "Mary-Ann left."}')
    assert read_only_passage(path) == Passage(("Mary-Ann", "left", "."))


def test_passage_from_record_reads_and_counts_indexes_written_as_strings(tmp_path: Path) -> None:
    notes = CorpusNotes()
    path = write_json(tmp_path / "a.json", make_record(ner=[["3", " 4", "city"], [0, 0, "name"]]))
    [passage] = read_passages(path, notes=notes)
    assert passage.entities[0] == Entity(3, 5, "city")
    assert notes.lines() == ["entities with a start or end written as a string: 1"]


def test_passage_from_record_counts_changed_and_merged_labels(tmp_path: Path) -> None:
    ner = [[0, 0, "Person"], [1, 1, "person"], [2, 2, "PERSON"], [3, 3, "Big_City"]]
    notes = CorpusNotes()
    path = write_json(tmp_path / "a.json", make_record(ner=ner))
    [passage] = read_passages(path, notes=notes)
    assert [entity.label for entity in passage.entities] == ["person"] * 3 + ["big city"]
    assert (notes.changed_labels, notes.merged_labels) == (3, 2)
    assert "labels cleaned (case, quotes, underscores, spaces): 3" in notes.lines()
    assert "distinct labels merged with another by cleaning: 2" in notes.lines()


def test_passage_from_record_drops_duplicates_but_keeps_several_labels_of_a_span(
    tmp_path: Path,
) -> None:
    ner = [[3, 4, "city"], [3, 4, "City"], [3, 4, "place"], [3, 4, "city"]]
    notes = CorpusNotes()
    [passage] = read_passages(write_json(tmp_path / "a.json", make_record(ner=ner)), notes=notes)
    assert passage.entities == (Entity(3, 5, "city"), Entity(3, 5, "place"))
    assert "duplicate entities dropped: 2" in notes.lines()
    assert "spans with several labels (kept): 1" in notes.lines()


def test_passage_from_record_keeps_and_counts_long_passages_and_spaced_words(
    tmp_path: Path,
) -> None:
    words = ["1 1/2", *["cups"] * 384]
    notes = CorpusNotes()
    path = write_json(tmp_path / "a.json", make_record(tokenized_text=words))
    [passage] = read_passages(path, notes=notes)
    assert passage.words == tuple(words)
    assert notes.lines() == [
        "passages of more than 384 words (kept): 1",
        "words with white space inside (kept): 1",
    ]


def test_passage_from_record_counts_keys_that_are_not_read(tmp_path: Path) -> None:
    notes = CorpusNotes()
    path = write_json(
        tmp_path / "a.json", make_record(source="x"), make_record(source="y", negative=[])
    )
    list(read_passages(path, notes=notes))
    assert notes.lines() == [
        "records with the key 'source', which is not read: 2",
        "records with the key 'negative', which is not read: 1",
    ]


@pytest.mark.parametrize(("bad", "field", "value"), BAD_RECORDS)
def test_read_passages_names_file_record_field_and_reason_of_a_bad_record(
    tmp_path: Path, bad: object, field: str, value: str
) -> None:
    path = write_json(tmp_path / "a.json", GOOD, bad, GOOD)
    message = error_of(path)
    assert message.startswith(f"{path}: record 2: ")
    assert field in message
    assert value in message.partition("record 2")[2]
    assert "--skip-bad" in message


@pytest.mark.parametrize(("bad", "field", "value"), BAD_RECORDS)
def test_read_passages_counts_a_skipped_record_that_leaves_no_other_trace(
    tmp_path: Path, bad: object, field: str, value: str
) -> None:
    path = write_lines(tmp_path / "a.jsonl", *map(json.dumps, (GOOD, bad, GOOD)))
    notes = CorpusNotes()
    assert list(read_passages(path, skip_bad=True, notes=notes)) == [GOOD_PASSAGE] * 2
    [message] = notes.bad_messages
    assert message.startswith(f"{path}: record 2 (line 2): ")
    assert field in message
    assert value in message.partition("record 2")[2]
    assert notes.lines() == ["bad records left out: 1", f"  {message}"]
    assert notes.passages == 2
