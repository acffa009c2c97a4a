"""Check how much memory a shard would take before its content is read.

A few kilobytes of Parquet may stand for gigabytes: Zstandard shrinks zeros by a factor of 25,000,
and a dictionary repeats a long value at no cost. Only files with the columns, the encodings and
the sizes of a shard are read.
"""

from collections import Counter
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gliner_distill.errors import shorten
from gliner_distill.store.parquet_pages import read_pages
from gliner_distill.store.stored_files import MAX_FILE_BYTES

MAX_VALUES: Final = 2**23
"""The most values of a column: four times the most pairs of a shard, which is 2 million by
default."""

DICTIONARY_COLUMNS: Final = ("labels.list.element", "entities.list.element.label")
"""The columns whose values are stored once and then referred to by number."""

_PLAIN = {"PLAIN"}
_DICTIONARIES = {"RLE_DICTIONARY", "PLAIN_DICTIONARY"}

# The footer of a shard with 100 teachers has 200 entries.
_FOOTER_LIMITS = {
    "thrift_string_size_limit": 2**20,
    "thrift_container_size_limit": 10_000,
}


def open_parquet(source: Any, **options: Any) -> pq.ParquetFile:
    """Open a Parquet file whose footer has a limited size.

    Args:
        source: A path, or a file object of pyarrow.
        **options: Other arguments of `pyarrow.parquet.ParquetFile`.
    """
    return pq.ParquetFile(source, **_FOOTER_LIMITS, **options)


def check_columns(found: pa.Schema, expected: pa.Schema) -> None:
    """Check that a shard has the expected columns and no others.

    Raises:
        ValueError: It has not; the message names the column.
    """
    for field in expected:
        if found.get_field_index(field.name) < 0:
            raise ValueError(f"column {field.name!r} is missing")
        kind = found.field(field.name).type
        if kind != field.type:
            raise ValueError(
                f"column {field.name!r}: found {shorten(str(kind))}; expected {field.type}"
            )
    if len(found) != len(expected):
        extra = [name for name in found.names if expected.get_field_index(name) < 0]
        raise ValueError(f"column {shorten([*extra, *found.names][0])} is not part of a shard")


def check_sizes(content: bytes) -> None:
    """Check that the content of a shard can be read with little memory, before it is read.

    Raises:
        ValueError: The bytes are not a Parquet file; or the decompressed content has more than 256
            MB, a column has more than 8 million values, or a column is encoded in a way that says
            nothing about its size.
    """
    n_bytes = 0
    n_values = Counter[str]()
    for page in read_pages(content):
        n_bytes += page.n_bytes
        n_values[page.column] += page.n_values
        is_dictionary = page.column in DICTIONARY_COLUMNS and page.encoding in _DICTIONARIES
        if page.encoding not in _PLAIN and not is_dictionary:
            raise ValueError(
                f"column {page.column!r} has the encoding {page.encoding}, which no shard has"
            )
        if n_bytes > MAX_FILE_BYTES:
            raise ValueError(
                f"its content has more than {MAX_FILE_BYTES:,} bytes when it is decompressed"
            )
        if n_values[page.column] > MAX_VALUES:
            raise ValueError(f"column {page.column!r} has more than {MAX_VALUES:,} values")


def check_dictionaries(source: Any) -> None:
    """Check that the labels of a shard are not too large when each is written out.

    Raises:
        ValueError: They are.
    """
    # Read like this, each label is kept once.
    with open_parquet(source, read_dictionary=list(DICTIONARY_COLUMNS)) as shard:
        table = shard.read(columns=["labels", "entities"], use_threads=False)
    labels = table["labels"].combine_chunks().flatten()
    spans = table["entities"].combine_chunks().flatten()
    for name, column in (("labels", labels), ("entities", spans.field("label"))):
        lengths = pc.binary_length(column.dictionary).take(column.indices)
        n_bytes = pc.sum(lengths.cast(pa.int64())).as_py() or 0
        if n_bytes > MAX_FILE_BYTES:
            raise ValueError(
                f"column {name!r} has {n_bytes:,} bytes of labels; expected at most "
                f"{MAX_FILE_BYTES:,}"
            )
