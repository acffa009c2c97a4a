"""Texts of documents from a folder, a column of a CSV file, or a field of JSON records.

Each function yields pairs of a place, for messages, and a text. In place of a text that cannot be
read there is the `ValueError` that says why, so that the caller decides whether to skip it.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gliner_distill.corpus.formats import open_corpus, peek_text
from gliner_distill.corpus.json_list import read_json_list
from gliner_distill.corpus.parquet import read_rows
from gliner_distill.corpus.recognition import recognize_format, refuse_utf16
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.errors import CorpusError, name_kind
from gliner_distill.files import reason_of

MAX_FIELD_CHARS = 16_000_000
"""The largest number of characters in a field of a CSV file."""

_N_SHOWN_SUFFIXES = 4


def folder_texts(folder: Path, notes: CorpusNotes) -> Iterator[tuple[str, str | ValueError]]:
    """Yield the text of each file in a folder and its subfolders whose name ends in .txt.

    The suffix may be in any case. Hidden files, and files in hidden folders, are left out.

    Args:
        folder: The folder.
        notes: Gets a line on how many files are read and how many are left out.

    Raises:
        CorpusError: The folder has no such file.
    """
    paths, n_hidden, others = _list_folder(folder)
    if not paths:
        found = f", only {_describe_others(n_hidden, others)}" if n_hidden or others else ""
        raise CorpusError(
            f"{folder}: the folder has no .txt files{found}; expected one document per .txt file"
        )
    left_out = _describe_others(n_hidden, others)
    notes.files.append(f"{folder}: .txt files read: {len(paths):,}; files left out: {left_out}")
    for path in paths:
        yield str(path), _read_document(path)


def _list_folder(folder: Path) -> tuple[list[Path], int, Counter[str]]:
    """Return the text files, the number of hidden files, and the suffixes of all other files."""
    paths: list[Path] = []
    n_hidden = 0
    others: Counter[str] = Counter()
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            continue
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            n_hidden += 1
        elif path.suffix.lower() == ".txt" and path.is_file():  # a pipe would never end
            paths.append(path)
        else:
            others[path.suffix.lower() or "without a suffix"] += 1
    return paths, n_hidden, others


def _describe_others(n_hidden: int, others: Counter[str]) -> str:
    shown = [f"{count:,} {suffix}" for suffix, count in others.most_common(_N_SHOWN_SUFFIXES)]
    n_more = others.total() - sum(count for _, count in others.most_common(_N_SHOWN_SUFFIXES))
    shown += [f"{n_more:,} others"] if n_more else []
    shown += [f"{n_hidden:,} hidden"] if n_hidden else []
    return ", ".join(shown) or "0"


def _read_document(path: Path) -> str | ValueError:
    try:
        data = path.read_bytes()
        refuse_utf16(data[:4], str(path))
        # Line ends are read as Python reads those of a text file.
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        return ValueError(f"byte {error.start + 1} of the file is not UTF-8")
    except CorpusError as error:
        return ValueError(str(error).removeprefix(f"{path}: "))
    except OSError as error:
        return ValueError(f"the file cannot be read: {reason_of(error)}")


def table_texts(
    path: Path, column: str, *, max_field_chars: int = MAX_FIELD_CHARS
) -> Iterator[tuple[str, str | ValueError]]:
    """Yield the texts in a column of a table; see `table_rows`."""
    for place, row in table_rows(path, column, max_field_chars=max_field_chars):
        yield place, row if isinstance(row, ValueError) else row[column]


def table_rows(
    path: Path, column: str, *, max_field_chars: int = MAX_FIELD_CHARS
) -> Iterator[tuple[str, dict[str, str] | ValueError]]:
    """Yield the rows of a CSV file, or of a file with tabs if its name ends in .tsv.

    Args:
        path: The file; its first row names the columns.
        column: The name of a column that the file must have.
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
                _check_column(path, column, names)
                for row in rows:
                    fits = None not in row and None not in row.values()
                    place = f"{path}: line {rows.line_num}"
                    yield place, row if fits else _describe_ragged(row, len(names))
            except csv.Error as error:
                raise CorpusError(
                    f"{path}: line {rows.reader.line_num}: this is not valid CSV: {error}; "
                    "double each quote that is part of a text, and close each quoted field"
                ) from error
    except OSError as error:
        raise CorpusError(f"{path}: the file cannot be read: {reason_of(error)}") from error
    finally:
        csv.field_size_limit(limit)


def table_columns(path: Path) -> list[str]:
    """Return the names in the first row of a table; none if the file is empty.

    Raises:
        CorpusError: The file cannot be read or is not valid CSV.
    """
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            return next(csv.reader(stream, delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        raise CorpusError(f"{path}: line 1: this is not valid CSV: {error}") from error
    except OSError as error:
        raise CorpusError(f"{path}: the file cannot be read: {reason_of(error)}") from error


def _check_column(path: Path, column: str, names: Sequence[str]) -> None:
    if column not in names:
        has = ", ".join(map(repr, names)) or "none"
        separated = " and write the file with commas" if ";" in "".join(names) else ""
        raise CorpusError(
            f"{path}: the column {column!r} is missing (columns: {has}); name the column that "
            f"holds the text with --column{separated}"
        )


def _describe_ragged(row: Mapping[Any, Any], n_names: int) -> ValueError:
    known = [value for name, value in row.items() if name is not None and value is not None]
    n_fields = len(known) + len(row.get(None, ()))
    return ValueError(
        f"the row has {n_fields} fields, but the header has {n_names}; put a text with a "
        "delimiter or a line break in it between quotes"
    )


def field_texts(path: Path, name: str) -> Iterator[tuple[str, str | ValueError]]:
    """Yield the texts in a field of JSON lines or of a JSON list; blank lines are skipped.

    Raises:
        CorpusError: The file cannot be read, or it is a JSON list that is broken.
    """
    try:
        with open_corpus(path) as stream:
            if recognize_format(peek_text(stream, str(path)), suffix=".jsonl") == "json list":
                for record in read_json_list(stream, name=str(path)):
                    yield f"{path}: {record.place}", _take_field(record.content, name)
                return
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield f"{path}: line {number}", _read_field(line, name)
    except OSError as error:
        raise CorpusError(f"{path}: the file cannot be read: {reason_of(error)}") from error


def column_texts(path: Path, name: str) -> Iterator[tuple[str, str | ValueError]]:
    """Yield the texts in a column of a Parquet file.

    Raises:
        CorpusError: The file cannot be read, or it has no such column.
        MissingExtraError: The package pyarrow is not installed.
    """
    try:
        with open_corpus(path) as stream:
            for record in read_rows(stream, name=str(path), column=name):
                yield f"{path}: {record.place}", _take_field(record.content, name)
    except OSError as error:
        raise CorpusError(f"{path}: the file cannot be read: {reason_of(error)}") from error


def _read_field(line: bytes, name: str) -> str | ValueError:
    try:
        record = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return ValueError(f"byte {error.start + 1} of the line is not UTF-8")
    except (ValueError, RecursionError) as error:
        return ValueError(f"the line is not JSON ({error}); expected an object with {name!r}")
    return _take_field(record, name)


def _take_field(record: object, name: str) -> str | ValueError:
    if not isinstance(record, dict):
        return ValueError(f"the record is {name_kind(record)}; expected an object with {name!r}")
    if name not in record:
        has = ", ".join(map(repr, list(record)[:8])) or "none"
        return ValueError(f"the field {name!r} is missing; the fields: {has}")
    text = record[name]
    if not isinstance(text, str):
        return ValueError(f"field {name!r} is {name_kind(text)}; expected a string")
    return text
