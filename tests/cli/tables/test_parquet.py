"""Documents of Parquet files: texts and nulls, columns, files that are broken or too large."""

import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from gliner_distill.cli.tables.parquet import (
    MAX_PAGE_BYTES,
    MAX_PAGE_VALUES,
    MAX_ROWS,
    PageSizes,
    parquet_documents,
    parquet_schema,
)
from gliner_distill.corpus.records import RecordError
from gliner_distill.errors import CorpusError

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
from pyarrow import parquet as pq  # noqa: E402

PATH = Path("a.parquet")


def write(columns, **options):
    pq.write_table(pa.table(columns), PATH, **options)


def read(column="text", max_chars=1000):
    return [document for _, document in parquet_documents(PATH, column=column, max_chars=max_chars)]


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())],
    ids=str,
)
def test_parquet_documents_are_the_texts_of_a_column(kind):
    write({"id": [1, 2, 3], "text": pa.array(["Ada", None, ""], kind)})
    documents = read()
    assert [document.text for document in documents] == ["Ada", "", ""]
    assert [document.is_null for document in documents] == [False, True, False]
    assert dict(documents[0].row) == {"id": 1, "text": "Ada"}
    assert dict(documents[0].fields) == {"id": 1}
    assert all(document.is_record for document in documents)


def test_parquet_documents_of_nulls_alone_are_empty():
    write({"text": pa.nulls(2)})
    assert [document.is_null for document in read()] == [True, True]


def test_parquet_documents_come_from_all_groups_of_rows_in_order():
    texts = [f"text {number}" for number in range(3 * MAX_ROWS + 7)]
    write({"text": texts}, row_group_size=MAX_ROWS + 100)
    assert [document.text for document in read()] == texts


def test_parquet_documents_have_fields_that_json_can_hold():
    write(
        {
            "text": ["Ada"],
            "day": [datetime.date(1815, 12, 10)],
            "at": pa.array([datetime.datetime(2024, 1, 2, 3, 4, 5)], pa.timestamp("us")),
            "price": [Decimal("1.50")],
            "nothing": [float("nan")],
            "nested": [{"items": [1, 2]}],
        }
    )
    assert dict(read()[0].fields) == {
        "day": "1815-12-10",
        "at": "2024-01-02T03:04:05",
        "price": "1.50",
        "nothing": None,
        "nested": {"items": [1, 2]},
    }


def test_parquet_documents_with_bytes_have_no_form_in_json():
    write({"text": ["Ada"], "image": [b"\x00"]})
    (document,) = read()
    with pytest.raises(CorpusError, match=r"^a\.parquet: .*bytes.*--out"):
        dict(document.fields)


@pytest.mark.parametrize(
    ("column", "facts"),
    [
        ("body", r"'body' is missing \(columns: 'id', 'text', 'words'\).*--column"),
        ("id", "'id' holds int64, not text"),
        ("words", r"'words' holds list<.*>, not text"),
    ],
)
def test_parquet_documents_need_a_column_of_text(column, facts):
    write({"id": [1], "text": ["Ada"], "words": [["Ada"]]})
    with pytest.raises(CorpusError, match=rf"^a\.parquet: the column {facts}"):
        read(column)


def test_parquet_documents_refuse_two_columns_of_the_name():
    pq.write_table(pa.Table.from_arrays([pa.array(["a"])] * 2, ["text", "text"]), PATH)
    with pytest.raises(CorpusError, match="'text' occurs more than once"):
        read()


@pytest.mark.parametrize("kept", [0, 3, 4, 12, 60, -1, -8])
def test_parquet_documents_refuse_a_file_that_is_cut_off(kept):
    write({"text": ["Ada left London"] * 10})
    PATH.write_bytes(PATH.read_bytes()[:kept])
    with pytest.raises(CorpusError, match=r"^a\.parquet: the Parquet file cannot be read: "):
        read()


@pytest.mark.parametrize(
    ("n_bytes", "n_values"), [(MAX_PAGE_BYTES + 1, 1), (1, MAX_PAGE_VALUES + 1)]
)
def test_page_sizes_refuse_a_page_that_would_fill_the_memory(n_bytes, n_values):
    with pytest.raises(ValueError, match=rf"'text' has a page of {n_bytes:,} bytes"):
        PageSizes().add("text", "PLAIN", n_bytes, n_values)


def test_page_sizes_let_few_rows_be_read_at_once_if_they_are_large():
    sizes = PageSizes()
    sizes.add("text", "PLAIN", 2**20, 1000)
    assert sizes.rows_at_once(1000) == MAX_ROWS
    sizes.add("image", "PLAIN", 1000 * 2**20, 1000)
    assert sizes.rows_at_once(1000) == 63


def test_page_sizes_let_few_rows_be_read_at_once_if_long_texts_may_be_repeated():
    sizes = PageSizes()
    sizes.add("text", "PLAIN", 2**24, 1)
    sizes.add("text", "RLE_DICTIONARY", 100, 10**6)
    assert sizes.rows_at_once(10**6) == 2**30 // 2**24


def test_parquet_documents_hold_little_of_a_large_group_of_rows():
    texts = [f"{number} " * 100 for number in range(50_000)]
    write({"text": texts}, row_group_size=len(texts), use_dictionary=False)
    pool, most = pa.default_memory_pool(), 0
    before = pool.bytes_allocated()
    for _ in parquet_documents(PATH, column="text", max_chars=1000):
        most = max(most, pool.bytes_allocated() - before)
    n_bytes = sum(map(len, texts))
    assert n_bytes > 25_000_000
    assert most < n_bytes / 3


def test_parquet_documents_name_a_text_that_is_too_long_or_not_utf8():
    raw = pa.array([b"Ada", b"caf\xe9", b"x" * 20]).view(pa.string())
    write({"text": raw})
    first, second, third = read(max_chars=10)
    assert first.text == "Ada"
    assert isinstance(second, RecordError)
    assert "byte 4" in str(second)
    assert isinstance(third, RecordError)
    assert "10 characters" in str(third)


def test_parquet_schema_has_the_types_of_all_columns():
    write({"id": [1], "text": ["Ada"]})
    assert parquet_schema(PATH) == pa.schema([("id", pa.int64()), ("text", pa.string())])
