"""Read the formats that a corpus may have as records with the keys of the pile-mistral format.

A format is recognized by the content of the file. `read_records` yields `RawRecord`s whose content
has the keys of `{"tokenized_text": [...], "ner": [[start, end_inclusive, type], ...]}` or of
`{"text": ...}`; `corpus.records` checks that content. Files are streamed, so they may be of any
size. Column files are read by `corpus.conll`, and Parquet files by `corpus.parquet`. This module
needs only the standard library.
"""

import codecs
import json
import re
from collections.abc import Iterator
from io import BufferedReader
from itertools import count
from typing import Literal

from gliner_distill.corpus.conll import looks_like_columns, read_columns
from gliner_distill.corpus.parquet import MAGIC, read_rows
from gliner_distill.corpus.records import RawRecord, RecordError, decode_line
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.errors import CorpusError

Format = Literal["json list", "json lines", "columns", "parquet", "text"]

CHUNK_BYTES = 1 << 16
"""The number of bytes that are read from a JSON list at a time."""

# The longest JSON token that may be cut off by the end of a chunk: an escape, a number, `false`.
_N_TOKEN_CHARS = 16
_COLUMN_SUFFIXES = {".conll", ".conllu", ".bio", ".iob", ".iob2", ".bioes"}
_DECODER = json.JSONDecoder()


def read_records(
    stream: BufferedReader, *, name: str, notes: CorpusNotes, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[RawRecord]:
    """Return an iterator over the records of a file, good and bad.

    Args:
        stream: The file, opened at its start.
        name: The path of the file, for messages and for the format that its suffix suggests.
        notes: Counts the skipped lines.
        chunk_bytes: The number of bytes to read from a JSON list at a time.

    Raises:
        CorpusError: The file is empty, or it is a JSON list or a Parquet file that is cut off or
            broken, so that the rest of it cannot be read.
        MissingExtraError: It is a Parquet file, and pyarrow is not installed.
    """
    if stream.peek(len(codecs.BOM_UTF8)).startswith(codecs.BOM_UTF8):
        stream.read(len(codecs.BOM_UTF8))
    head = stream.peek(chunk_bytes)
    if not head:
        raise CorpusError(f"{name}: the file is empty; expected passages")
    form = recognize_format(head, suffix=name[name.rfind(".") :].lower() if "." in name else "")
    if form == "json list":
        return _read_json_list(stream, name=name, chunk_bytes=chunk_bytes)
    if form == "json lines":
        return _read_json_lines(stream, notes=notes)
    if form == "columns":
        return read_columns(stream, notes=notes)
    if form == "parquet":
        return read_rows(stream, name=name)
    return _read_text(stream, notes=notes)


def recognize_format(head: bytes, *, suffix: str) -> Format:
    """Return the format of a file, judged by its first bytes and, if they do not tell, its suffix.

    Parquet is recognized by its mark, JSON by its first brackets, and columns by the tags at the
    ends of most lines. Anything else is plain text.

    >>> recognize_format(b'{"text": "Anna left."}', suffix=".txt")
    'json lines'
    """
    if head.startswith(MAGIC):
        return "parquet"
    text = head.decode(errors="replace").lstrip()
    if re.match(r"\[\s*(\{|\]|$)", text):
        return "json list"
    if re.match(r'\{\s*("|\}|$)', text):
        return "json lines"
    if suffix == ".json":
        return "json list"
    if suffix in (".jsonl", ".ndjson"):
        return "json lines"
    if suffix in _COLUMN_SUFFIXES or looks_like_columns(text):
        return "columns"
    return "text"


def _read_json_lines(stream: BufferedReader, *, notes: CorpusNotes) -> Iterator[RawRecord]:
    for place, line in _filled_lines(stream, notes):
        try:
            yield RawRecord(place, json.loads(decode_line(line)))
        except RecordError as error:
            yield RawRecord(place, problem=str(error))
        except json.JSONDecodeError as error:
            yield RawRecord(
                place,
                problem=f"the line is not JSON ({error.msg} at character {error.pos + 1}); "
                "expected one complete object per line",
            )
        except (RecursionError, ValueError) as error:
            yield RawRecord(place, problem=f"the JSON of the line cannot be read ({error})")


def _read_text(stream: BufferedReader, *, notes: CorpusNotes) -> Iterator[RawRecord]:
    for place, line in _filled_lines(stream, notes):
        try:
            yield RawRecord(place, {"text": decode_line(line)})
        except RecordError as error:
            yield RawRecord(place, problem=str(error))


def _filled_lines(stream: BufferedReader, notes: CorpusNotes) -> Iterator[tuple[str, bytes]]:
    """Yield the lines that are not blank, each with its record and line number."""
    record_number = 0
    for line_number, line in enumerate(stream, 1):
        if line.strip():
            record_number += 1
            yield f"record {record_number} (line {line_number})", line
        else:
            notes.blank_lines += 1


def _read_json_list(stream: BufferedReader, *, name: str, chunk_bytes: int) -> Iterator[RawRecord]:
    text = _JsonText(stream, chunk_bytes)
    place = "record 1"
    try:
        if (first := text.take_mark()) != "[":
            raise CorpusError(f"{name}: the file begins with {first!r}; expected a JSON list")
        if text.next_mark() == "]":
            text.take_mark()
        else:
            for number in count(1):
                place = f"record {number}"
                yield RawRecord(place, text.take_value())
                place = f"after record {number}"
                if (mark := text.take_mark()) == "]":
                    break
                if mark != ",":
                    raise RecordError(f"found {mark!r}; expected a comma or the closing bracket")
                place = f"record {number + 1}"
        if rest := text.next_mark():
            raise RecordError(f"found {rest!r} after the list; expected the end of the file")
    except RecordError as error:
        raise CorpusError(
            f"{name}: {place}: {error}; the rest of the file cannot be read, "
            "so download or write the file again"
        ) from None


class _JsonText:
    """The text of a UTF-8 stream; only the part that was not parsed yet is held in memory."""

    def __init__(self, stream: BufferedReader, chunk_bytes: int) -> None:
        self._stream = stream
        self._chunk_bytes = chunk_bytes
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._position = 0
        self._has_ended = False
        self._bad_bytes: RecordError | None = None

    def next_mark(self) -> str:
        """Return the next character that is not white space without taking it; "" at the end."""
        while True:
            rest = self._text[self._position : self._position + 1]
            if rest and rest not in " \t\r\n":
                return rest
            if rest:
                self._position += 1
            elif self._has_ended:
                return ""
            else:
                self._read_on()

    def take_mark(self) -> str:
        """Take the next character that is not white space and return it.

        Raises:
            RecordError: The file ends here.
        """
        if not (mark := self.next_mark()):
            raise RecordError("the file is cut off here: the list is not closed")
        self._position += 1
        return mark

    def take_value(self) -> object:
        """Take the next JSON value and return it.

        Raises:
            RecordError: The file ends within the value, or the value is not valid JSON.
        """
        while True:
            self.next_mark()
            try:
                value, end = _DECODER.raw_decode(self._text, self._position)
            except json.JSONDecodeError as error:
                self._check_unfinished(error)
            except (RecursionError, ValueError) as error:
                raise RecordError(f"the JSON cannot be read ({error})") from None
            else:
                # A number that touches the end of the buffer may continue in the next chunk.
                if end < len(self._text) or self._has_ended:
                    self._position = end
                    return value
            self._read_on()

    def _check_unfinished(self, error: json.JSONDecodeError) -> None:
        """Raise a RecordError unless reading more of the file may repair the error."""
        rest = self._text[error.pos :]
        is_unfinished = error.msg.startswith("Unterminated string")
        if not self._has_ended and (is_unfinished or len(rest) <= _N_TOKEN_CHARS):
            return
        if self._has_ended and (is_unfinished or re.fullmatch(r"[\w\\+.-]*\s*", rest)):
            raise RecordError("the file is cut off within this record")
        raise RecordError(f"this is not JSON ({error.msg}) near {rest[:_N_TOKEN_CHARS]!r}")

    def _read_on(self) -> None:
        """Drop the text that was parsed, and append at least as much new text as is kept.

        A value that needs several chunks is parsed again from its start each time. Because the text
        at least doubles, the total time still grows linearly.
        """
        if self._bad_bytes:
            raise self._bad_bytes
        self._text = self._text[self._position :]
        self._position = 0
        data = self._stream.read(max(self._chunk_bytes, len(self._text)))
        self._has_ended = not data
        try:
            self._text += self._utf8.decode(data, final=self._has_ended)
        except UnicodeDecodeError as error:
            # Keep the text before the bad byte, so that its complete records are still returned.
            self._text += error.object[: error.start].decode()
            bad_byte = error.object[error.start]
            self._bad_bytes = RecordError(f"byte 0x{bad_byte:02x} is not UTF-8")
            self._has_ended = False
