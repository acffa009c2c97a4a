"""The documents of a Parquet file: read a few hundred rows at a time, after a check of their sizes.

A few kilobytes of Parquet may stand for gigabytes, and a broken footer may end the whole process.
So the footer and the headers of all pages are read first, and decide how many rows are read at
once. pyarrow is imported when a file is read.
"""

import math
import mmap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, final

from gliner_distill.cli.tables.records import Document, Place, check_length
from gliner_distill.corpus.records import RecordError
from gliner_distill.errors import CorpusError, MissingExtraError, shorten
from gliner_distill.files import reason_of

MAX_ROWS = 512
"""The most rows that are read at once."""

MAX_PAGE_BYTES = 2**30
"""The size of a page at most. Writers collect a thousand values, such as images, in one."""

MAX_PAGE_VALUES = 2**26
_MAX_BATCH_BYTES = 2**26

# A dictionary repeats a long value at no cost, so any value may be as long as a page.
_MAX_REPEATED_BYTES = 2**30

# The smallest page takes more than this, unless a footer names it several times.
_MIN_STORED_BYTES = 16
_MOST_PAGES = 100_000

_FOOTER_LIMITS = {"thrift_string_size_limit": 2**24, "thrift_container_size_limit": 100_000}
_N_SHOWN_COLUMNS = 20


@final
class RowBatch:
    """Consecutive rows of a Parquet file.

    Args:
        records: The rows, as a `pyarrow.RecordBatch`.
        name: The path of the file, for messages.
    """

    def __init__(self, records: Any, name: str) -> None:
        self.records = records
        self._name = name

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The rows as JSON values.

        Raises:
            CorpusError: A value has no form in JSON.
        """
        try:
            rows: list[dict[str, Any]] = self.records.to_pylist()
            return [{name: _json_value(value) for name, value in row.items()} for row in rows]
        except (ValueError, TypeError) as error:
            raise CorpusError(
                f"{self._name}: a value cannot be copied to the output as text: {error}; leave its "
                "column out, or write a Parquet file with --out"
            ) from error


@final
class ParquetRow(Mapping[str, Any]):
    """A row of a Parquet file, which becomes Python objects only when one of them is asked for.

    Args:
        batch: The rows that it belongs to.
        index: Its position among them.
        left_out: A column to leave out.
    """

    def __init__(self, batch: RowBatch, index: int, left_out: str | None = None) -> None:
        self.batch = batch
        self.index = index
        self._left_out = left_out

    def __getitem__(self, name: str) -> Any:
        if name == self._left_out:
            raise KeyError(name)
        return self.batch.rows[self.index][name]

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.batch.records.schema.names if name != self._left_out)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in set(self)


def parquet_documents(
    path: Path, *, column: str, max_chars: int
) -> Iterator[tuple[Place, Document | RecordError]]:
    """Yield the documents of the rows of a Parquet file; a null is a document without a text.

    Args:
        path: The file.
        column: The column that holds the text.
        max_chars: The largest number of characters in a text.

    Raises:
        CorpusError: The file cannot be read, is broken, or has values that are too large; or it
            does not have the column, or the column does not hold text.
        MissingExtraError: The package pyarrow is not installed.
    """
    with _opened(path) as (file, n_rows_at_once):
        check_text_column(file.schema_arrow, column, path)
        n_bytes = math.ceil(path.stat().st_size / max(file.metadata.num_rows, 1))
        number = 0
        for records in file.iter_batches(batch_size=n_rows_at_once, use_threads=False):
            batch = RowBatch(records, str(path))
            for index, text in enumerate(_texts(records.column(column))):
                number += 1
                try:
                    if isinstance(text, RecordError):
                        raise text
                    check_length(text or "", max_chars)
                except RecordError as error:
                    yield f"row {number}", error
                    continue
                yield (
                    f"row {number}",
                    Document(
                        text or "",
                        ParquetRow(batch, index, column),
                        n_bytes,
                        is_record=True,
                        is_null=text is None,
                        row=ParquetRow(batch, index),
                    ),
                )


def parquet_schema(path: Path) -> Any:
    """Return the `pyarrow.Schema` of a Parquet file.

    Raises:
        CorpusError: The file cannot be read, is broken, or has values that are too large.
        MissingExtraError: The package pyarrow is not installed.
    """
    with _opened(path) as (file, _):
        return file.schema_arrow


def import_pyarrow() -> Any:
    """Return the module `pyarrow`.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import pyarrow
    except ModuleNotFoundError as error:
        raise MissingExtraError("pyarrow", "parquet") from error
    return pyarrow


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, int]]:
    """Open a Parquet file, and say how many of its rows may be read at once."""
    pa = import_pyarrow()
    from pyarrow import parquet

    from gliner_distill.store.parquet_pages import read_pages

    if not path.is_file():
        raise CorpusError(
            f"{path}: a Parquet file cannot be read from a pipe, since its end comes first; write "
            "it to a file and give the path"
        )
    try:
        with path.open("rb") as stream:
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
                most_pages = max(_MOST_PAGES, len(content) // _MIN_STORED_BYTES)
                sizes = PageSizes()
                for page in read_pages(content, most_pages=most_pages):
                    sizes.add(page.column, page.encoding, page.n_bytes, page.n_values)
            # Pages are read one by one instead of whole groups of rows.
            with parquet.ParquetFile(
                stream, buffer_size=2**20, pre_buffer=False, **_FOOTER_LIMITS
            ) as file:
                yield file, sizes.rows_at_once(file.metadata.num_rows)
    except (pa.ArrowException, ValueError, KeyError, OSError) as error:
        raise CorpusError(
            f"{path}: the Parquet file cannot be read: {reason_of(error)}; write or download it "
            "again"
        ) from error


@final
class PageSizes:
    """The sizes of the pages of a file when they are decompressed."""

    def __init__(self) -> None:
        self._n_bytes = 0
        self._longest: dict[str, int] = {}
        self._repeating: set[str] = set()

    def add(self, column: str, encoding: str, n_bytes: int, n_values: int) -> None:
        """Count a page.

        Raises:
            ValueError: It is too large.
        """
        if n_bytes > MAX_PAGE_BYTES or n_values > MAX_PAGE_VALUES:
            raise ValueError(
                f"the column {column!r} has a page of {n_bytes:,} bytes and {n_values:,} values; "
                f"expected at most {MAX_PAGE_BYTES:,} bytes and {MAX_PAGE_VALUES:,} values"
            )
        self._n_bytes += n_bytes
        self._longest[column] = max(n_bytes, self._longest.get(column, 0))
        if encoding != "PLAIN":
            self._repeating.add(column)

    def rows_at_once(self, n_rows: int) -> int:
        """Return how many rows to read at once, so that they take a limited amount of memory."""
        n_repeated = sum(self._longest[column] for column in self._repeating)
        by_size = _MAX_BATCH_BYTES * n_rows // max(self._n_bytes, 1)
        by_length = _MAX_REPEATED_BYTES // max(n_repeated, 1)
        return max(1, min(MAX_ROWS, by_size, by_length))


def check_text_column(schema: Any, column: str, path: Path) -> None:
    """Check that a column exists and holds text.

    Raises:
        CorpusError: It does not.
    """
    names = schema.names
    if names.count(column) != 1:
        problem = "occurs more than once" if column in names else "is missing"
        raise CorpusError(
            f"{path}: the column {column!r} {problem} (columns: {describe_columns(names)}); name "
            "the column that holds the text with --column"
        )
    kind = schema.field(column).type
    if not _is_text(kind):
        raise CorpusError(
            f"{path}: the column {column!r} holds {shorten(str(kind))[1:-1]}, not text; name the "
            "column that holds the text with --column"
        )


def describe_columns(names: list[str]) -> str:
    """Return the names of columns for a message; the first twenty if there are more."""
    shown = ", ".join(map(repr, names[:_N_SHOWN_COLUMNS])) or "none"
    n_more = len(names) - _N_SHOWN_COLUMNS
    return f"{shown} and {n_more:,} more" if n_more > 0 else shown


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_string_view(kind)
        or types.is_null(kind)
    )


def _texts(column: Any) -> list[str | RecordError | None]:
    """Return the texts of a column; an error in place of one that is not UTF-8."""
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        return [_text(value) for value in column]


def _text(value: Any) -> str | RecordError | None:
    try:
        text: str | None = value.as_py()
    except UnicodeDecodeError as error:
        return RecordError(f"byte {error.start + 1} of the text is not UTF-8")
    return text


def _json_value(value: Any) -> Any:
    """Return a value of a Parquet file as JSON has it.

    Dates and times become strings in the form of ISO 8601, decimal numbers become strings, and NaN
    and infinity become null.

    Raises:
        TypeError: JSON has no form for it.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _json_value(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    if isinstance(value, bytes | bytearray):
        raise TypeError("JSON and CSV have no form for bytes")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
