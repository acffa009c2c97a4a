"""The documents of JSON values and of the rows of tables.

A record that holds no document is yielded as the `RecordError` that says why, so that the caller
decides what happens to it.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any, NoReturn

from gliner_distill.corpus.json_list import read_json_list
from gliner_distill.corpus.records import RecordError
from gliner_distill.corpus.texts import table_rows
from gliner_distill.errors import name_kind


@dataclass(frozen=True, slots=True)
class Document:
    """A text to find entities in.

    Attributes:
        text: The text.
        fields: The other fields of its JSON object, or the other columns of its row.
        n_bytes: The length of its line in bytes, or an estimate of it.
        is_record: Whether it comes from a JSON value or from a row, and not from a line of text.
        is_null: Whether the text is null; `text` is then empty.
        row: All its fields or columns, in their order; empty for a record that is bad.
    """

    text: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    n_bytes: int = 0
    is_record: bool = field(default=False, compare=False)
    is_null: bool = False
    row: Mapping[str, Any] = field(default_factory=dict, compare=False)


Place = str
"""The position of a record in its file, for messages."""

_MOST_LISTED = 100


@dataclass(slots=True)
class BadRecords:
    """The records that got an empty answer because they hold no document.

    Attributes:
        n_records: The number of all records, good and bad.
        n_bad: The number of bad ones.
        listed: File, place and reason of the first hundred.
    """

    n_records: int = 0
    n_bad: int = 0
    listed: list[str] = field(default_factory=list)

    def add(self, reason: str) -> None:
        """Count a bad record; `reason` says in which file and place it is, and what is wrong."""
        self.n_bad += 1
        if self.n_bad <= _MOST_LISTED:
            self.listed.append(reason)

    def lines(self) -> list[str]:
        """Return what to tell the user at the end: nothing if there was no bad record."""
        if not self.n_bad:
            return []
        verb = "is" if self.n_bad == 1 else "are"
        head = f"{self.n_bad:,} of {self.n_records:,} records {verb} bad and got an empty answer:"
        n_more = self.n_bad - len(self.listed)
        return [head, *self.listed, *([f"and {n_more:,} more"] if n_more else [])]


def parse_line(line: str, text_field: str, n_bytes: int) -> Document:
    """Return the document of a JSON value: a string, or an object with the text in a field.

    Args:
        line: The line of the file.
        text_field: The field of an object that holds the text.
        n_bytes: The length of the line.

    Raises:
        RecordError: The line is not JSON, or holds no text.
    """
    try:
        value = json.loads(line, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        raise RecordError("is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise RecordError(f"is not JSON: {error.msg} at character {error.pos + 1}") from None
    except ValueError as error:
        raise RecordError(f"cannot be copied to the output as JSON: {error}") from None
    return _as_document(value, text_field, n_bytes)


def list_documents(
    stream: BufferedReader, *, name: str, text_field: str, max_chars: int
) -> Iterator[tuple[Place, Document | RecordError]]:
    """Yield the documents of a JSON list of strings or objects.

    Args:
        stream: The file, opened at the start of the list.
        name: The name of the file, for messages.
        text_field: The field of an object that holds the text.
        max_chars: The largest number of characters in a text.

    Raises:
        CorpusError: The list is cut off or broken, so that the rest of it cannot be read.
    """
    for record in read_json_list(stream, name=name):
        try:
            # The value is copied to the output, so it must be JSON that all programs read.
            n_bytes = len(json.dumps(record.content, allow_nan=False))
            document = _as_document(record.content, text_field, n_bytes)
            check_length(document.text, max_chars)
        except RecordError as error:
            yield record.place, error
        except (RecursionError, ValueError) as error:
            yield record.place, RecordError(f"cannot be copied to the output as JSON: {error}")
        else:
            yield record.place, document


def table_documents(
    path: Path, *, column: str, max_chars: int
) -> Iterator[tuple[Place, Document | RecordError]]:
    """Yield the documents of the rows of a CSV file, or of one with tabs if its name ends in .tsv.

    Args:
        path: The file.
        column: The column that holds the text.
        max_chars: The largest number of characters in a field.

    Raises:
        CorpusError: The file cannot be read, is not valid CSV or does not have the column.
    """
    for place, row in table_rows(path, column, max_field_chars=max_chars):
        place = place.removeprefix(f"{path}: ")
        try:
            if isinstance(row, ValueError):
                raise RecordError(str(row))
            n_bytes = sum(len(value.encode()) + 1 for value in row.values())
            fields = {name: value for name, value in row.items() if name != column}
        except UnicodeEncodeError:
            yield place, RecordError("the row holds bytes that are not UTF-8")
        except RecordError as error:
            yield place, error
        else:
            yield place, Document(row[column], fields, n_bytes, is_record=True, row=row)


def _as_document(value: object, text_field: str, n_bytes: int) -> Document:
    if isinstance(value, str):
        return Document(value, n_bytes=n_bytes, is_record=True, row={text_field: value})
    if not isinstance(value, dict):
        raise RecordError(
            f"holds {name_kind(value)}; expected a string, or an object with the text in its field "
            f"{text_field!r}"
        )
    if text_field not in value:
        has = ", ".join(map(repr, list(value)[:5])) or "none"
        raise RecordError(
            f"the field {text_field!r} is missing (fields: {has}); name the field that holds the "
            "text with --field"
        )
    text = value[text_field]
    if text is not None and not isinstance(text, str):
        raise RecordError(f"field {text_field!r} holds {name_kind(text)}; expected a string")
    fields = {name: content for name, content in value.items() if name != text_field}
    is_null = text is None
    return Document(text or "", fields, n_bytes, is_record=True, is_null=is_null, row=value)


def check_length(text: str, max_chars: int) -> None:
    """Check that a text is not too long.

    Raises:
        RecordError: It is.
    """
    if len(text) > max_chars:
        raise RecordError(f"is longer than {max_chars:,} characters; split the document")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{digits[:20]} is too large for a number")
    return value
