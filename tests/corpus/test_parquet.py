"""Parquet files as corpora: their columns, their batches, and files that are refused."""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from corpus_files import GOOD, GOOD_PASSAGE, error_of, read_only_passage
from gliner_distill.corpus.documents import read_documents
from gliner_distill.corpus.parquet import MAGIC, read_rows
from gliner_distill.corpus.reader import read_passages
from gliner_distill.corpus.recognition import recognize_format
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.entities import Entity, Passage
from gliner_distill.errors import CorpusError, MissingExtraError

ROW = {
    "words": ["Anna", "lives", "in", "New", "York"],
    "entities": [{"start": 3, "end": 5, "label": "city"}],
}


def write_parquet(path: Path, *rows: dict[str, Any], **options: Any) -> Path:
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.Table.from_pylist(list(rows)), path, **options)
    return path


def test_read_rows_makes_the_passage_of_words_and_entities(tmp_path: Path) -> None:
    assert read_only_passage(write_parquet(tmp_path / "a.parquet", ROW)) == GOOD_PASSAGE


def test_read_rows_makes_the_passage_of_gliners_own_columns(tmp_path: Path) -> None:
    # A Parquet list has values of one type, so such files hold the positions as strings.
    row = GOOD | {"ner": [["3", "4", "city"]], "ner_negatives": ["river"]}
    found = read_only_passage(write_parquet(tmp_path / "a.parquet", row))
    assert found == Passage(GOOD_PASSAGE.words, GOOD_PASSAGE.entities, ("river",))


def test_read_rows_makes_passages_of_texts(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", {"text": "Anna left.", "id": 7}, {"text": "Bo"})
    assert [passage.words for passage in read_passages(path)] == [("Anna", "left", "."), ("Bo",)]


def test_read_documents_takes_the_texts_of_a_column(tmp_path: Path) -> None:
    rows = ({"id": 1, "body": "Anna left", "text": ""}, {"id": 2, "body": None, "text": ""})
    path = write_parquet(tmp_path / "a.parquet", *rows)
    notes = CorpusNotes()
    documents = list(read_documents(path, column="body", skip_bad=True, notes=notes))
    assert [document.words for document in documents] == [("Anna", "left")]
    assert notes.bad_records == 1
    for column, said in (
        ("body", "record 2: field 'body' is null"),
        ("id", "record 1: field 'id' is a whole number"),
        ("mail", "has no column 'mail'; its columns: id, body, text$"),
    ):
        with pytest.raises(CorpusError, match=said):
            list(read_documents(path, column=column, notes=notes))


@pytest.mark.parametrize("column", ["entities", "spans"])
def test_read_rows_makes_passages_of_texts_with_entities_by_characters(
    tmp_path: Path, column: str
) -> None:
    entities = [{"start": 14, "end": 22, "label": "city"}]
    row = {"text": "Anna lives in New York", column: entities, "id": 7}
    assert read_only_passage(write_parquet(tmp_path / "a.parquet", row)) == GOOD_PASSAGE


def test_read_rows_keeps_the_order_over_batches_and_row_groups(tmp_path: Path) -> None:
    rows = [{"words": [f"w{n}"], "entities": ROW["entities"][:0]} for n in range(1200)]
    rows[700]["entities"] = [{"start": 0, "end": 1, "label": "word"}]
    path = write_parquet(tmp_path / "a.parquet", *rows, row_group_size=1000)
    found = list(read_passages(path))
    assert [passage.words for passage in found] == [(f"w{n}",) for n in range(1200)]
    assert [row for row, passage in enumerate(found) if passage.entities] == [700]
    assert found[700].entities == (Entity(0, 1, "word"),)


def test_read_rows_ignores_the_scores_of_a_store(tmp_path: Path) -> None:
    notes = CorpusNotes()
    path = write_parquet(tmp_path / "a.parquet", ROW | {"labels": ["city"], "scores": b"\xff\x00"})
    assert list(read_passages(path, notes=notes)) == [GOOD_PASSAGE]
    assert notes.lines() == []


def test_parquet_is_recognized_under_any_name(tmp_path: Path) -> None:
    for name in ("a", "a.json", "a.txt"):
        assert read_only_passage(write_parquet(tmp_path / name, ROW)) == GOOD_PASSAGE
    assert recognize_format(MAGIC + b"\x00" * 9, suffix=".json") == "parquet"
    assert recognize_format(b"PAR1 is a mark.\n", suffix="") == "text"


def test_read_rows_names_record_and_field_of_a_bad_row(tmp_path: Path) -> None:
    far = ROW | {"entities": [{"start": 3, "end": 9, "label": "city"}]}
    message = error_of(write_parquet(tmp_path / "a.parquet", ROW, far))
    assert "a.parquet: record 2: ner[0]: end 8" in message
    for field, column in (("tokenized_text", "words"), ("ner", "entities")):
        message = error_of(write_parquet(tmp_path / "a.parquet", ROW, ROW | {column: None}))
        assert f"record 2: {field} is null" in message
    message = error_of(write_parquet(tmp_path / "a.parquet", ROW | {"entities": ["city"]}))
    assert "record 1: ner[0] is a string" in message


def test_read_rows_leaves_bad_rows_out_on_request(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", ROW | {"words": None}, ROW)
    notes = CorpusNotes()
    assert list(read_passages(path, skip_bad=True, notes=notes)) == [GOOD_PASSAGE]
    assert notes.bad_records == 1


def test_read_rows_refuses_other_columns(tmp_path: Path) -> None:
    message = error_of(write_parquet(tmp_path / "a.parquet", {"label": "city", "words": ["a"]}))
    assert "a.parquet" in message
    assert "label, words" in message
    assert "`entities`" in message


def test_read_rows_refuses_a_table_without_rows(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.Table.from_pylist([ROW]).schema
    parquet.write_table(schema.empty_table(), tmp_path / "a.parquet")
    assert "a.parquet: the file holds no passage" in error_of(tmp_path / "a.parquet")


@pytest.mark.parametrize("kept", [0.5, 0.99])
def test_read_rows_refuses_a_file_that_is_cut_off(tmp_path: Path, kept: float) -> None:
    path = write_parquet(tmp_path / "a.parquet", *[ROW] * 50)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    message = error_of(path)
    assert "a.parquet" in message
    assert "Parquet" in message


def test_read_rows_refuses_a_pipe(tmp_path: Path) -> None:
    content = write_parquet(tmp_path / "a.parquet", ROW).read_bytes()
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb") as out:
        out.write(content)
    with os.fdopen(read_end, "rb") as stream, pytest.raises(CorpusError, match=r"x: .* pipe"):
        next(read_rows(stream, name="x"))


def test_read_rows_without_pyarrow_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pyarrow.*\[parquet\]"):
        next(read_rows(io.BufferedReader(io.BytesIO(MAGIC)), name="x"))


@pytest.mark.slow
def test_inspect_describes_a_parquet_corpus(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", *[ROW] * 3)
    command = [sys.executable, "-m", "gliner_distill", "inspect", str(path)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "3" in run.stdout.splitlines()[0]
    assert "city" in run.stdout
