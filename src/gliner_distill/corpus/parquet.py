"""Read Parquet files of annotated passages as records with the keys of the pile-mistral format.

The columns are either `words` and `entities` (a list of `start`, exclusive `end` and `label`), or
those of the pile-mistral format: `tokenized_text` and `ner`, or `text`, with the annotation of an
export beside it (see `corpus.exports`). All other columns are ignored. The file is read batch by
batch. pyarrow is imported when a file is read.
"""

from collections.abc import Iterator
from io import BufferedReader
from typing import Any

from gliner_distill.corpus.records import RawRecord
from gliner_distill.errors import CorpusError, MissingExtraError

MAGIC = b"PAR1\x15"
"""The first bytes of every Parquet file: its mark, and the first field of a header."""

_BATCH_ROWS = 512

# The rows of a soft-label store have a large column of bytes, which the reader need not decode.
_ENTITIES = ("words", "entities")
_PILE_MISTRAL = ("tokenized_text", "ner", "text", "ner_labels", "ner_negatives")
_EXPORTS = ("text", "entities", "spans", "label", "labels", "answer")


def read_rows(
    stream: BufferedReader, *, name: str, column: str | None = None
) -> Iterator[RawRecord]:
    """Yield a record for each row of a Parquet file.

    Args:
        stream: The file, opened at its start.
        name: The path of the file, for messages.
        column: The only column to read; None for the columns above.

    Raises:
        CorpusError: The file is a pipe, is cut off or broken, or lacks the columns.
        MissingExtraError: The package pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError("pyarrow", "parquet") from error

    if not stream.seekable():
        raise CorpusError(
            f"{name}: a Parquet file cannot be read from a pipe, since its end comes first; "
            "write it to a file and give the path"
        )
    try:
        file = parquet.ParquetFile(stream)
        columns = _choose_columns(file.schema_arrow.names, name, column)
        number = 0
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=columns):
            for row in batch.to_pylist():
                number += 1
                yield RawRecord(f"record {number}", _as_content(row))
    except (pa.ArrowException, UnicodeDecodeError) as error:
        problem = " ".join(str(error).split())
        raise CorpusError(
            f"{name}: the Parquet file cannot be read ({problem}); download or write it again"
        ) from error


def _choose_columns(names: list[str], path: str, column: str | None) -> list[str]:
    shown = ", ".join(names[:8]) or "none"
    if column is not None:
        if column not in names:
            raise CorpusError(
                f"{path}: the Parquet file has no column {column!r}; its columns: {shown}"
            )
        return [column]
    if set(_ENTITIES) <= set(names):
        return list(_ENTITIES)
    if {"tokenized_text", "ner"} <= set(names):
        return [name for name in names if name in _PILE_MISTRAL]
    if "text" in names:
        return [name for name in names if name in (*_PILE_MISTRAL, *_EXPORTS)]
    raise CorpusError(
        f"{path}: the columns of the Parquet file are {shown}; expected `words` and `entities`, "
        "`tokenized_text` and `ner`, or `text`"
    )


def _as_content(row: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a record, unchecked; ends become inclusive, as in pile-mistral."""
    if set(row) != set(_ENTITIES):
        return row
    entities = row["entities"]
    if isinstance(entities, list):
        entities = [_as_entry(entity) for entity in entities]
    return {"tokenized_text": row["words"], "ner": entities}


def _as_entry(entity: Any) -> Any:
    if not isinstance(entity, dict) or not {"start", "end", "label"} <= set(entity):
        return entity
    end = entity["end"]
    return [entity["start"], end - 1 if type(end) is int else end, entity["label"]]
