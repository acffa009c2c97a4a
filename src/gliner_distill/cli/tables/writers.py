"""Write documents with their entities as the rows of a JSON lines, CSV or Parquet file.

All columns of the input are kept, and the column `entities` follows. A file has its name only once
it is complete.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol, final

from gliner_distill.cli.output import csv_row, json_line
from gliner_distill.cli.tables.parquet import ParquetRow
from gliner_distill.cli.tables.records import Document
from gliner_distill.entities import EntityDict, arrow_entities_type, table_entities
from gliner_distill.errors import CorpusError, DistillError
from gliner_distill.files import reason_of, replacing

ENTITIES = "entities"
"""The name of the new column."""

TableForm = Literal["parquet", "csv", "tsv", "jsonl"]

# A group of rows is written when it has this many rows or bytes.
_GROUP_ROWS = 2**16
_GROUP_BYTES = 2**26


class TableWriter(Protocol):
    """A file that is being written."""

    n_rows: int
    n_entities: int

    def write(
        self, documents: Sequence[Document], entities: Sequence[Sequence[EntityDict]]
    ) -> None:
        """Write a row for each document, with its entities."""
        ...

    def finish(self) -> None:
        """Write what is still held."""
        ...

    def abandon(self) -> None:
        """Release the file, which will be deleted."""
        ...


@contextmanager
def write_table(path: Path, form: TableForm, columns: Any) -> Iterator[TableWriter]:
    """Open a new file that replaces `path` when the block ends without an error.

    Args:
        path: The file; its folder is created.
        form: The format.
        columns: The names of the input's columns for CSV, its `pyarrow.Schema` for Parquet, and
            anything for JSON lines.

    Raises:
        DistillError: The file cannot be written, or the columns do not fit the format.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as stream:
            writer = _make_writer(stream, form, columns)
            try:
                yield writer
                writer.finish()
            except BaseException:
                writer.abandon()
                raise
    except OSError as error:
        raise DistillError(f"{path}: cannot be written: {reason_of(error)}") from error


def _make_writer(stream: BinaryIO, form: TableForm, columns: Any) -> TableWriter:
    if form == "parquet":
        return ParquetTable(stream, columns)
    if form == "jsonl":
        return JsonLinesTable(stream)
    return CsvTable(stream, columns, delimiter="," if form == "csv" else "\t")


@final
class JsonLinesTable:
    """One JSON object per document: its own fields and `entities`."""

    def __init__(self, stream: BinaryIO) -> None:
        self.n_rows = self.n_entities = 0
        self._stream = stream

    def write(
        self, documents: Sequence[Document], entities: Sequence[Sequence[EntityDict]]
    ) -> None:
        """Write one line per document.

        Raises:
            CorpusError: A document has a field `entities`, or is nested too deep.
        """
        for document, found in zip(documents, entities, strict=True):
            if ENTITIES in document.row:
                raise CorpusError(f"document {self.n_rows}: {TAKEN}")
            row = {**document.row, ENTITIES: table_entities(found)}
            self._stream.write(json_line(self.n_rows, row))
            self.n_rows += 1
            self.n_entities += len(found)

    def finish(self) -> None:
        """Do nothing, since every line is written at once."""

    def abandon(self) -> None:
        """Do nothing."""


TAKEN = (
    f"there is a column {ENTITIES!r} already, which the new one would replace; rename it or leave "
    "it out"
)
"""Why a table with a column of this name is refused."""


@final
class CsvTable:
    """One row per document: its columns and the JSON of its entities."""

    def __init__(self, stream: BinaryIO, columns: Sequence[str], *, delimiter: str) -> None:
        self.n_rows = self.n_entities = 0
        self._stream = stream
        self._columns = list(columns)
        self._delimiter = delimiter
        stream.write(csv_row([*self._columns, ENTITIES], delimiter=delimiter))

    def write(
        self, documents: Sequence[Document], entities: Sequence[Sequence[EntityDict]]
    ) -> None:
        """Write one row per document."""
        for document, found in zip(documents, entities, strict=True):
            cells = [_cell(document.row.get(name)) for name in self._columns]
            row = [*cells, _cell(table_entities(found))]
            self._stream.write(csv_row(row, delimiter=self._delimiter))
        self.n_rows += len(documents)
        self.n_entities += sum(map(len, entities))

    def finish(self) -> None:
        """Do nothing, since every row is written at once."""

    def abandon(self) -> None:
        """Do nothing."""


def _cell(value: object) -> str:
    """Return a JSON value as the text of a cell; null is empty."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@final
class ParquetTable:
    """One row per document, with the types of its columns and entities as nested values."""

    def __init__(self, stream: BinaryIO, schema: Any) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        self.n_rows = self.n_entities = 0
        self._schema = schema
        self._type = arrow_entities_type()
        try:
            self._writer = parquet.ParquetWriter(stream, _with_entities(schema, self._type))
        except pa.ArrowException as error:  # such as a field whose objects are all empty
            raise CorpusError(
                f"the columns cannot be written to Parquet: {reason_of(error).rstrip('.')}; write "
                "JSON lines instead"
            ) from error
        self._held: list[Any] = []
        self._n_held_rows = self._n_held_bytes = 0

    def write(
        self, documents: Sequence[Document], entities: Sequence[Sequence[EntityDict]]
    ) -> None:
        """Write one row per document.

        Raises:
            CorpusError: A value does not fit the type of its column.
        """
        import pyarrow as pa

        schema = self._writer.schema
        first = 0
        for rows in _batches([document.row for document in documents], self._schema):
            found = [table_entities(own) for own in entities[first : first + rows.num_rows]]
            try:
                column = pa.array(found, self._type)
            except ValueError as error:  # half of a surrogate pair
                raise CorpusError(f"an entity cannot be written to Parquet: {error}") from error
            batch = pa.RecordBatch.from_arrays([*rows.columns, column], schema=schema)
            self._held.append(batch)
            self._n_held_rows += batch.num_rows
            self._n_held_bytes += batch.nbytes
            first += rows.num_rows
        if self._n_held_rows >= _GROUP_ROWS or self._n_held_bytes >= _GROUP_BYTES:
            self._write_group()
        self.n_rows += len(documents)
        self.n_entities += sum(map(len, entities))

    def finish(self) -> None:
        """Write the last rows and the footer."""
        if self._held:
            self._write_group()
        self._writer.close()

    def abandon(self) -> None:
        """Close the writer, which would otherwise write to a file that is closed."""
        import pyarrow as pa

        with suppress(OSError, pa.ArrowException):
            self._writer.close()

    def _write_group(self) -> None:
        import pyarrow as pa

        try:
            self._writer.write_table(pa.Table.from_batches(self._held))
        except pa.ArrowException as error:
            raise CorpusError(
                f"rows up to row {self.n_rows:,} cannot be written to Parquet: {reason_of(error)}; "
                "write JSON lines instead"
            ) from error
        self._held = []
        self._n_held_rows = self._n_held_bytes = 0


def _with_entities(schema: Any, kind: Any) -> Any:
    import pyarrow as pa

    return schema.append(pa.field(ENTITIES, kind))


def _batches(rows: Sequence[Mapping[str, Any]], schema: Any) -> Iterator[Any]:
    """Yield rows as record batches of a schema, in order."""
    first = 0
    while first < len(rows):
        row, end = rows[first], first + 1
        if isinstance(row, ParquetRow):
            while end < len(rows) and _follows(rows[end], row, end - first):
                end += 1
            yield _fit(row.batch.records.slice(row.index, end - first), schema)
        else:
            while end < len(rows) and not isinstance(rows[end], ParquetRow):
                end += 1
            yield _from_values(rows[first:end], schema)
        first = end


def _follows(row: Mapping[str, Any], first: ParquetRow, n_after: int) -> bool:
    """Return whether a row is the nth one after another of the same batch."""
    is_same_batch = isinstance(row, ParquetRow) and row.batch is first.batch
    return is_same_batch and row.index == first.index + n_after  # type: ignore[attr-defined]


def _fit(records: Any, schema: Any) -> Any:
    """Return a record batch with the columns of a schema; a column that it lacks is null."""
    import pyarrow as pa

    columns = []
    for name, kind in zip(schema.names, schema.types, strict=True):
        if name not in records.schema.names:
            columns.append(pa.nulls(records.num_rows, kind))
            continue
        column = records.column(name)
        columns.append(column if column.type == kind else column.cast(kind))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _from_values(rows: Sequence[Mapping[str, Any]], schema: Any) -> Any:
    import pyarrow as pa

    columns = []
    for name, kind in zip(schema.names, schema.types, strict=True):
        try:
            columns.append(pa.array([row.get(name) for row in rows], kind))
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise CorpusError(
                f"the column {name!r} cannot be written to Parquet: {reason_of(error)}; write JSON "
                "lines instead"
            ) from error
    return pa.RecordBatch.from_arrays(columns, schema=schema)
