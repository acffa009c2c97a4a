"""Texts of documents from a folder, a column of a CSV file, or a field of JSON lines.

Each function yields pairs of a place, for messages, and a text. In place of a text that cannot be
read there is the `ValueError` that says why, so that the caller decides whether to skip it.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gliner_distill.errors import CorpusError, name_kind
from gliner_distill.files import reason_of

MAX_FIELD_CHARS = 16_000_000
"""The largest number of characters in a field of a CSV file."""


def folder_texts(folder: Path) -> Iterator[tuple[str, str | ValueError]]:
    """Yield the text of each `*.txt` file in a folder and its subfolders.

    Raises:
        CorpusError: The folder has no such file.
    """
    paths = sorted(folder.rglob("*.txt"))
    if not paths:
        raise CorpusError(
            f"{folder}: the folder has no *.txt file; expected one document in each such file"
        )
    for path in paths:
        try:
            yield str(path), path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            yield str(path), ValueError(f"byte {error.start + 1} of the file is not UTF-8")
        except OSError as error:
            yield str(path), ValueError(f"the file cannot be read: {reason_of(error)}")


def table_texts(
    path: Path, column: str, *, max_field_chars: int = MAX_FIELD_CHARS
) -> Iterator[tuple[str, str | ValueError]]:
    """Yield the texts in a column of a CSV file, or of a file with tabs if its name ends in .tsv.

    Args:
        path: The file; its first row names the columns.
        column: The name of the column.
        max_field_chars: The largest number of characters in a field.

    Raises:
        CorpusError: The file cannot be read, is not valid CSV or does not have the column.
    """
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    limit = csv.field_size_limit(max_field_chars)
    try:
        # Bytes that are not UTF-8 arrive as lone surrogates, so that their row can be named.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            rows = csv.DictReader(stream, delimiter=delimiter, strict=True)
            try:
                names = rows.fieldnames or ()
                if column not in names:
                    has = ", ".join(map(repr, names)) or "none"
                    raise CorpusError(
                        f"{path}: the column {column!r} is missing; the columns: {has}"
                    )
                for row in rows:
                    fits = None not in row and row[column] is not None
                    text = row[column] if fits else _describe_ragged(row, len(names))
                    yield f"{path}: line {rows.line_num}", text
            except csv.Error as error:
                raise CorpusError(
                    f"{path}: line {rows.reader.line_num}: this is not valid CSV: {error}; "
                    "double each quote that is part of a text, and close each quoted field"
                ) from error
    except OSError as error:
        raise CorpusError(f"{path}: the file cannot be read: {reason_of(error)}") from error
    finally:
        csv.field_size_limit(limit)


def _describe_ragged(row: Mapping[Any, Any], n_names: int) -> ValueError:
    known = [value for name, value in row.items() if name is not None and value is not None]
    n_fields = len(known) + len(row.get(None, ()))
    return ValueError(
        f"the row has {n_fields} fields, but the header has {n_names}; put a text with a "
        "delimiter or a line break in it between quotes"
    )


def field_texts(path: Path, name: str) -> Iterator[tuple[str, str | ValueError]]:
    """Yield the texts in a field of JSON lines; blank lines are skipped.

    Raises:
        CorpusError: The file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield f"{path}: line {number}", _read_field(line, name)
    except OSError as error:
        raise CorpusError(f"{path}: the file cannot be read: {reason_of(error)}") from error


def _read_field(line: bytes, name: str) -> str | ValueError:
    try:
        record = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return ValueError(f"byte {error.start + 1} of the line is not UTF-8")
    except (ValueError, RecursionError) as error:
        return ValueError(f"the line is not JSON ({error}); expected an object with {name!r}")
    if not isinstance(record, dict):
        return ValueError(f"the line is {name_kind(record)}; expected an object with {name!r}")
    if name not in record:
        has = ", ".join(map(repr, list(record)[:8])) or "none"
        return ValueError(f"the field {name!r} is missing; the fields: {has}")
    text = record[name]
    if not isinstance(text, str):
        return ValueError(f"field {name!r} is {name_kind(text)}; expected a string")
    return text
