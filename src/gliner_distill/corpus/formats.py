"""The file forms a corpus comes in, brought to one: records with the keys of pile-mistral.

A form is recognized by its content. Whatever it is, `read_records` gives out `RawRecord`s whose
content has the keys of `{"tokenized_text": [...], "ner": [[start, end_inclusive, type], ...]}` or
of `{"text": ...}`; whether that content makes sense is for `corpus` to check. Files are streamed,
so their size does not matter. Column files are read by `corpus_columns`. Standard library only.
"""

import codecs
import json
import re
from collections.abc import Iterator
from io import BufferedReader
from itertools import count
from typing import Literal

from gliner_distill.corpus.conll import looks_like_columns, read_columns
from gliner_distill.corpus.records import RawRecord, RecordError, decode_line
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.errors import CorpusError

Form = Literal["json list", "json lines", "columns", "text"]


_CHUNK_BYTES = 1 << 16


_N_TOKEN_CHARS = 16


_COLUMN_SUFFIXES = {".conll", ".conllu", ".bio", ".iob", ".iob2", ".bioes"}


_DECODER = json.JSONDecoder()


def read_records(stream: BufferedReader, *, name: str, notes: CorpusNotes) -> Iterator[RawRecord]:
    """Return an iterator over the records of a file, good and bad.

    Args:
        stream: The file, at its start.
        name: Its path, for messages and for the form its ending speaks of.
        notes: Where skipped lines are counted.

    Raises:
        CorpusError: The file is empty, or cannot be read past a point: a JSON list that is cut
            off, is no JSON, or is not UTF-8.
    """
    if stream.peek(len(codecs.BOM_UTF8)).startswith(codecs.BOM_UTF8):
        stream.read(len(codecs.BOM_UTF8))
    head = stream.peek(_CHUNK_BYTES)
    if not head:
        raise CorpusError(f"{name}: the file is empty; expected passages")
    form = recognize_form(head, suffix=name[name.rfind(".") :].lower() if "." in name else "")
    if form == "json list":
        return _read_json_list(stream, name=name)
    if form == "json lines":
        return _read_json_lines(stream, notes=notes)
    if form == "columns":
        return read_columns(stream, notes=notes)
    return _read_text(stream, notes=notes)


def recognize_form(head: bytes, *, suffix: str) -> Form:
    """Return the form of a file, from its first bytes and, where they leave it open, its ending.

    JSON is told by its first brackets, columns by tags that end most lines; the rest is text.

    >>> recognize_form(b'{"text": "Anna left."}', suffix=".txt")
    'json lines'
    """
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
                "expected one whole object a line",
            )
        except (RecursionError, ValueError) as error:
            yield RawRecord(place, problem=f"the line's JSON cannot be read ({error})")


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


def _read_json_list(stream: BufferedReader, *, name: str) -> Iterator[RawRecord]:
    text = _JsonText(stream)
    place = "record 1"
    try:
        if (first := text.take_mark()) != "[":
            raise CorpusError(f"{name}: expected a JSON list, found {first!r} at its start")
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
                    raise RecordError(f"expected a comma or the closing bracket, found {mark!r}")
                place = f"record {number + 1}"
        if rest := text.next_mark():
            raise RecordError(f"expected the end of the file behind the list, found {rest!r}")
    except RecordError as error:
        raise CorpusError(
            f"{name}: {place}: {error}; nothing behind this point can be read, "
            "so get or write the file again"
        ) from None


class _JsonText:
    """The text of a UTF-8 stream, held in memory only from the value that is being read on."""

    def __init__(self, stream: BufferedReader) -> None:
        self._stream = stream
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._position = 0
        self._has_ended = False
        self._bad_bytes: RecordError | None = None

    def next_mark(self) -> str:
        """Return the next character that is not white space, and stay before it; "" at the end."""
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
        """Return the next character that is not white space, and step over it.

        Raises:
            RecordError: The file ends here.
        """
        if not (mark := self.next_mark()):
            raise RecordError("the file is cut off here, its list is not closed")
        self._position += 1
        return mark

    def take_value(self) -> object:
        """Return the JSON value that comes next, and step over it.

        Raises:
            RecordError: The file ends within the value, or this is no JSON.
        """
        while True:
            self.next_mark()
            try:
                value, end = _DECODER.raw_decode(self._text, self._position)
            except json.JSONDecodeError as error:
                self._check_that_more_may_help(error)
            except (RecursionError, ValueError) as error:
                raise RecordError(f"its JSON cannot be read ({error})") from None
            else:
                # A number that touches the end of the buffer may go on behind it.
                if end < len(self._text) or self._has_ended:
                    self._position = end
                    return value
            self._read_on()

    def _check_that_more_may_help(self, error: json.JSONDecodeError) -> None:
        rest = self._text[error.pos :]
        is_unfinished = error.msg.startswith("Unterminated string")
        if not self._has_ended and (is_unfinished or len(rest) <= _N_TOKEN_CHARS):
            return
        if self._has_ended and (is_unfinished or re.fullmatch(r"[\w\\+.-]*\s*", rest)):
            raise RecordError("the file is cut off within this record")
        raise RecordError(f"this is not JSON ({error.msg}) near {rest[:_N_TOKEN_CHARS]!r}")

    def _read_on(self) -> None:
        """Forget what was read and append at least as much as is kept, so retries stay linear."""
        if self._bad_bytes:
            raise self._bad_bytes
        self._text = self._text[self._position :]
        self._position = 0
        data = self._stream.read(max(_CHUNK_BYTES, len(self._text)))
        self._has_ended = not data
        try:
            self._text += self._utf8.decode(data, final=self._has_ended)
        except UnicodeDecodeError as error:
            # The complete records before the bad byte still come out.
            self._text += error.object[: error.start].decode()
            bad_byte = error.object[error.start]
            self._bad_bytes = RecordError(f"byte 0x{bad_byte:02x} is not UTF-8")
            self._has_ended = False
