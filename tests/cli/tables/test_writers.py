"""Tables of documents with their entities: JSON lines, CSV and Parquet."""

import csv
import json
from pathlib import Path

import pytest

from gliner_distill.cli.reading.input import find_source
from gliner_distill.cli.tables.columns import read_columns
from gliner_distill.cli.tables.writers import write_table
from gliner_distill.entities import arrow_entities_type
from gliner_distill.errors import CorpusError, DistillError

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
from pyarrow import parquet as pq  # noqa: E402

ENTITY = {"start": 0, "end": 3, "text": "Ada", "label": "person", "score": 0.987654}
ROUNDED = ENTITY | {"score": 0.9877}


def write(path, form, source, *, portion=3):
    """Write a table in which each document with the word "Ada" has an entity."""
    columns = read_columns(source, form)
    documents = list(source.read())
    with write_table(Path(path), form, columns) as table:
        for first in range(0, len(documents), portion):
            part = documents[first : first + portion]
            table.write(part, [[ENTITY] if "Ada" in document.text else [] for document in part])
    return table


def test_json_lines_keep_all_fields_and_their_order():
    rows = [{"id": 1, "text": "Ada", "z": [None]}, {"text": None}, {"text": "é", "a": {}}]
    Path("a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    write("b.jsonl", "jsonl", find_source(["a.jsonl"]))
    written = [json.loads(line) for line in Path("b.jsonl").read_text().splitlines()]
    found = [[ROUNDED], [], []]
    expected = [row | {"entities": own} for row, own in zip(rows, found, strict=True)]
    assert written == expected
    assert [list(row) for row in written] == [list(row) for row in expected]


def test_json_lines_leave_out_what_only_some_entities_have():
    Path("a.txt").write_text("Ada", encoding="utf-8")
    source = find_source(["a.txt"])
    with write_table(Path("b.jsonl"), "jsonl", None) as table:
        table.write(list(source.read()), [[ENTITY | {"source": "pattern"}]])
    assert json.loads(Path("b.jsonl").read_text())["entities"] == [ROUNDED]


def test_json_lines_refuse_a_field_of_the_name():
    Path("a.jsonl").write_text('{"text": "Ada", "entities": []}', encoding="utf-8")
    with pytest.raises(CorpusError, match=r"document 0: .*'entities'"):
        write("b.jsonl", "jsonl", find_source(["a.jsonl"]))
    assert not Path("b.jsonl").exists()


@pytest.mark.parametrize(("form", "mark"), [("csv", ","), ("tsv", "\t")])
def test_csv_keeps_all_cells(form, mark):
    cells = [["id", "text"], ["1", 'Ada, "the first"\nof\r\nthem\t'], ["=1+1", ""]]
    with Path(f"a.{form}").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, delimiter=mark).writerows(cells)
    write(f"b.{form}", form, find_source([f"a.{form}"]))
    with Path(f"b.{form}").open(newline="", encoding="utf-8") as stream:
        *columns, entities = zip(*csv.reader(stream, delimiter=mark), strict=True)
    assert [list(row) for row in zip(*columns, strict=True)] == cells
    assert entities[0] == "entities"
    assert list(map(json.loads, entities[1:])) == [[ROUNDED], []]


def test_csv_has_the_values_of_json_as_text():
    Path("a.jsonl").write_text('{"text": "x", "a": null, "b": true, "c": [1]}\n{"text": "y"}\n')
    write("b.csv", "csv", find_source(["a.jsonl"]))
    assert Path("b.csv").read_text() == "text,a,b,c,entities\nx,,true,[1],[]\ny,,,,[]\n"


def test_parquet_keeps_all_columns_and_types():
    table = pa.table(
        {
            "when": pa.array([1, None, 3, 4], pa.timestamp("ns", "UTC")),
            "text": pa.array(["Ada", None, "x", "Ada"], pa.dictionary(pa.int8(), pa.string())),
            "raw": pa.array([b"\xff", None, b"", b"x"], pa.large_binary()),
        }
    ).replace_schema_metadata({"made": "by hand"})
    pq.write_table(table, "a.parquet")
    written = write("b.parquet", "parquet", find_source(["a.parquet"]))
    assert (written.n_rows, written.n_entities) == (4, 2)
    found = pq.read_table("b.parquet")
    assert found.drop_columns("entities").equals(pq.read_table("a.parquet"))
    assert found.schema.metadata[b"made"] == b"by hand"
    assert found.schema.field("entities").type == arrow_entities_type()
    assert found["entities"].to_pylist() == [[ROUNDED], [], [], [ROUNDED]]


@pytest.mark.parametrize("n_rows", [0, 3])
def test_parquet_entities_have_their_type_even_if_there_are_none(n_rows):
    pq.write_table(pa.table({"text": pa.array(["x"] * n_rows, pa.string())}), "a.parquet")
    write("b.parquet", "parquet", find_source(["a.parquet"]))
    found = pq.read_table("b.parquet")
    assert found.schema.field("entities").type == arrow_entities_type()
    assert found["entities"].to_pylist() == [[]] * n_rows


def test_parquet_joins_files_of_several_formats():
    pq.write_table(pa.table({"text": ["Ada"] * 4, "n": [1, 2, 3, 4]}), "a.parquet")
    Path("b.csv").write_text("more,text\nz,Ada\n", encoding="utf-8")
    write("c.parquet", "parquet", find_source(["a.parquet", "b.csv"]))
    assert pq.read_table("c.parquet").to_pylist()[3:] == [
        {"text": "Ada", "n": 4, "more": None, "entities": [ROUNDED]},
        {"text": "Ada", "n": None, "more": "z", "entities": [ROUNDED]},
    ]


def test_parquet_becomes_json_lines_and_csv():
    pq.write_table(pa.table({"text": ["Ada", None], "n": [1, None]}), "a.parquet")
    write("b.jsonl", "jsonl", find_source(["a.parquet"]))
    first, second = map(json.loads, Path("b.jsonl").read_text().splitlines())
    assert first == {"text": "Ada", "n": 1, "entities": [ROUNDED]}
    assert second == {"text": None, "n": None, "entities": []}
    write("b.csv", "csv", find_source(["a.parquet"]))
    assert Path("b.csv").read_text().splitlines()[2] == ",,[]"


def test_parquet_names_a_field_that_it_cannot_hold():
    Path("a.jsonl").write_text('{"text": "Ada", "meta": {}}\n', encoding="utf-8")
    with pytest.raises(CorpusError, match=r"cannot be written to Parquet: .*'meta'.*JSON lines"):
        write("b.parquet", "parquet", find_source(["a.jsonl"]))
    assert not Path("b.parquet").exists()


def test_parquet_names_a_text_that_it_cannot_hold():
    Path("a.jsonl").write_text('{"text": "Ada \\ud800"}', encoding="utf-8")
    with pytest.raises(CorpusError, match="'text'"):
        write("b.parquet", "parquet", find_source(["a.jsonl"]))
    assert list(Path.cwd().glob("b.parquet*")) == []


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_write_table_leaves_nothing_of_a_run_that_stops(form):
    Path("a.txt").write_text("Ada\n" * 5, encoding="utf-8")
    source = find_source(["a.txt"])
    old = Path(f"b.{form}")
    old.write_text("old")
    columns = read_columns(source, form)

    def stop():
        with write_table(old, form, columns) as table:
            table.write(list(source.read()), [[]] * 5)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert old.read_text() == "old"
    assert [path.name for path in Path.cwd().glob("b.*")] == [old.name]


def test_write_table_names_a_folder_that_cannot_be_made():
    Path("file").touch()
    with pytest.raises(DistillError, match=r"^file/b\.csv: cannot be written"):
        write_table(Path("file/b.csv"), "csv", ["text"]).__enter__()
