"""The columns of tables before they are written: names, types, and what is refused."""

import json
from pathlib import Path

import pytest

from gliner_distill.cli.reading.input import DocumentSource, find_source
from gliner_distill.cli.tables.columns import check_columns, read_columns
from gliner_distill.errors import CorpusError, DistillError

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
from pyarrow import parquet as pq  # noqa: E402


def write_lines(name, *rows):
    Path(name).write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def test_read_columns_finds_the_fields_of_json_lines_in_order():
    write_lines("a.jsonl", {"id": 1, "text": "x"}, {"text": "y", "more": True})
    assert read_columns(find_source(["a.jsonl"]), "csv") == ["id", "text", "more"]


def test_read_columns_finds_the_types_of_json_lines():
    rows = [{"text": "x", "n": 1, "gone": None}] * 1500
    write_lines("a.jsonl", *rows, {"text": None, "n": 0.5, "nested": {"at": [1]}})
    assert read_columns(find_source(["a.jsonl"]), "parquet") == pa.schema(
        [
            ("text", pa.string()),
            ("n", pa.float64()),
            ("gone", pa.string()),
            ("nested", pa.struct([("at", pa.list_(pa.int64()))])),
        ]
    )


@pytest.mark.parametrize("n_between", [0, 1500])
def test_read_columns_names_a_field_of_several_types(n_between):
    write_lines(
        "a.jsonl", {"text": "x", "n": 1}, *[{"text": "y"}] * n_between, {"n": "1", "text": ""}
    )
    with pytest.raises(CorpusError, match=r"^a\.jsonl: .*'n'.*JSON lines"):
        read_columns(find_source(["a.jsonl"]), "parquet")


def test_read_columns_of_texts_is_one_column():
    Path("a.txt").write_text("Ada\n", encoding="utf-8")
    for source in (find_source(["a.txt"]), DocumentSource("Ada", ())):
        assert read_columns(source, "csv") == ["text"]
        assert read_columns(source, "parquet") == pa.schema([("text", pa.string())])


def test_read_columns_keeps_the_types_of_a_parquet_file():
    kinds = {"text": pa.large_string(), "at": pa.timestamp("ns", "UTC"), "f": pa.float16()}
    schema = pa.schema(list(kinds.items()), metadata={"made": "by hand"})
    pq.write_table(schema.empty_table(), "a.parquet")
    assert read_columns(find_source(["a.parquet"]), "parquet").equals(schema, check_metadata=True)


def test_read_columns_joins_the_columns_of_several_files():
    pq.write_table(pa.table({"text": ["x"], "n": [1]}), "a.parquet")
    Path("b.csv").write_text("text,more\ny,z\n", encoding="utf-8")
    source = find_source(["a.parquet", "b.csv"])
    kinds = [("text", pa.string()), ("n", pa.int64()), ("more", pa.string())]
    assert read_columns(source, "parquet") == pa.schema(kinds)
    assert read_columns(source, "csv") == ["text", "n", "more"]


def test_read_columns_names_the_file_that_does_not_fit():
    pq.write_table(pa.table({"text": ["x"], "n": [1]}), "a.parquet")
    Path("b.csv").write_text("text,n\ny,z\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"^b\.csv: .*\bn\b.*--out FOLDER"):
        read_columns(find_source(["a.parquet", "b.csv"]), "parquet")


def test_read_columns_needs_a_file_to_read_it_twice():
    with pytest.raises(DistillError, match=r"^standard input: .*JSON lines"):
        read_columns(find_source([]), "csv")
    assert read_columns(find_source([]), "jsonl") is None
    assert read_columns(find_source([], form="lines"), "csv") == ["text"]


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_read_columns_counts_no_bad_record_twice(form):
    Path("a.jsonl").write_text('{"text": "x"}\n{\n', encoding="utf-8")
    source = find_source(["a.jsonl"], skip_bad=True)
    read_columns(source, form)
    assert source.bad.n_bad == 0


def test_check_columns_refuses_a_table_that_has_entities_already():
    pq.write_table(pa.table({"text": ["x"], "entities": ["y"]}), "a.parquet")
    Path("b.csv").write_text("text,entities\nx,y\n", encoding="utf-8")
    for name in ("a.parquet", "b.csv"):
        with pytest.raises(CorpusError, match=rf"^{name}: .*'entities'"):
            check_columns(find_source([name]))
    write_lines("c.jsonl", {"text": "x", "entities": []})
    for form in ("parquet", "csv"):
        with pytest.raises(CorpusError, match="'entities'"):
            read_columns(find_source(["c.jsonl"]), form)


def test_check_columns_refuses_two_columns_of_one_name():
    Path("a.csv").write_text("text,n,n\nx,1,2\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"^a\.csv: the column 'n' occurs 2 times"):
        check_columns(find_source(["a.csv"]))


def test_check_columns_names_a_missing_column_before_anything_is_read():
    pq.write_table(pa.table({"body": ["x"]}), "a.parquet")
    with pytest.raises(CorpusError, match=r"^a\.parquet: .*'text'.*'body'.*--column"):
        check_columns(find_source(["a.parquet"]))
    check_columns(find_source(["a.parquet"], text_field="body"))


def test_read_columns_refuses_names_that_are_not_unicode():
    Path("a.jsonl").write_text('{"text": "x", "\\ud800": 1}\n', encoding="utf-8")
    with pytest.raises(CorpusError, match=r"^a\.jsonl: .*'\\ud800'.*not valid Unicode"):
        read_columns(find_source(["a.jsonl"]), "parquet")
    Path("b.csv").write_bytes(b"text,n\xffme\nx,1\n")
    with pytest.raises(CorpusError, match=r"^b\.csv: "):
        read_columns(find_source(["b.csv"]), "parquet")
