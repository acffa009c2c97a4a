"""Shards that would take gigabytes: they are refused by their footer, before they are read."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gliner_distill.store.quantization import COMPACT
from gliner_distill.store.shard_bounds import (
    DICTIONARY_COLUMNS,
    MAX_VALUES,
    check_dictionaries,
    check_sizes,
    open_parquet,
)
from gliner_distill.store.shards import (
    ShardOrigin,
    check_shard,
    decode_shard,
    encode_shard,
    shard_schema,
)
from gliner_distill.store.stored_files import MAX_FILE_BYTES

MEGABYTE = 2**20
ORIGIN = ShardOrigin(store="a" * 64, teacher="lexicon", index=0)


def parquet(*, use_dictionary=False, rows=1, **columns):
    """Return a file with the columns of a shard, in a few kilobytes."""
    values = {"words": [], "labels": [], "entities": [], "n_words": 0, "scores": b""} | columns
    table = pa.table({name: [value] * rows for name, value in values.items()}, shard_schema(0))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, use_dictionary=use_dictionary, compression="zstd")
    return sink.getvalue().to_pybytes()


@pytest.mark.slow
def test_check_sizes_refuses_content_that_grows_beyond_the_limit():
    content = parquet(scores=bytes(64 * MEGABYTE), rows=5)
    assert len(content) < 100_000
    with pytest.raises(ValueError, match=rf"more than {MAX_FILE_BYTES:,} bytes when"):
        check_sizes(content)
    assert len(list(decode_shard(parquet(scores=b""), COMPACT))) == 1


def test_check_sizes_refuses_a_dictionary_where_a_shard_has_none():
    content = parquet(scores=bytes(MEGABYTE), rows=200, use_dictionary=True)
    assert len(content) < 24_000
    with pytest.raises(ValueError, match=r"column '.*' has the encoding RLE_DICTIONARY"):
        check_sizes(content)


def test_check_sizes_refuses_an_encoding_that_hides_the_size():
    table = pa.table({"words": ["a" * 1000] * 1000})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, use_dictionary=False, column_encoding={"words": "DELTA_BYTE_ARRAY"})
    with pytest.raises(ValueError, match="column 'words' has the encoding number 7"):
        check_sizes(sink.getvalue().to_pybytes())


@pytest.mark.slow
def test_check_sizes_refuses_too_many_values():
    labels = pa.array([[""] * (MAX_VALUES + 1)], pa.list_(pa.string()))
    table = pa.table({"labels": labels})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, use_dictionary=list(DICTIONARY_COLUMNS))
    assert sink.getvalue().size < 100_000
    with pytest.raises(ValueError, match=r"'labels\.list\.element' has more than 8,388,608 values"):
        check_sizes(sink.getvalue().to_pybytes())


@pytest.mark.parametrize("column", ["labels", "entities"])
def test_check_dictionaries_refuses_labels_that_are_too_large_when_written_out(column):
    label, count = "x" * MEGABYTE, 300
    span = {"start": 0, "end": 1, "label": label}
    values = {"labels": [label] * count, "entities": [span] * count}
    content = parquet(use_dictionary=list(DICTIONARY_COLUMNS), **{column: values[column]})
    assert len(content) < 24_000
    check_sizes(content)
    with pytest.raises(ValueError, match=rf"'{column}' has 314,572,800 bytes of labels"):
        check_dictionaries(pa.py_buffer(content))


def test_open_parquet_refuses_a_footer_of_thousands_of_columns():
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({f"column {n}": [n] for n in range(10_001)}), sink)
    with pytest.raises(OSError, match=r"(?i)size limit"):
        open_parquet(sink.getvalue())


def test_check_shard_accepts_what_is_written(mixed_passages):
    content = encode_shard(mixed_passages, COMPACT, ORIGIN)
    check_shard(content)
