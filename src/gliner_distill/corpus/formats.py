"""Read the formats that a corpus may have as records with the keys of the pile-mistral format.

`read_records` yields `RawRecord`s whose content has the keys of `{"tokenized_text": [...], "ner":
[[start, end_inclusive, type], ...]}`, of `{"text": ...}`, or of an export of another tool
(`corpus.exports`); `corpus.records` checks that content. Files are streamed, so they may be of any
size. `corpus.recognition` recognizes the format, and each format other than JSON lines and text has
a module of its own.
"""

import codecs
import json
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

from gliner_distill.corpus.column_layout import find_layout
from gliner_distill.corpus.conll import read_columns
from gliner_distill.corpus.exports.docbin import read_docbin
from gliner_distill.corpus.exports.word_table import read_word_table
from gliner_distill.corpus.json_list import CHUNK_BYTES, read_json_list
from gliner_distill.corpus.parquet import read_rows
from gliner_distill.corpus.recognition import (
    HEAD_BYTES,
    Format,
    recognize_format,
    refuse_utf16,
    suffix_of,
)
from gliner_distill.corpus.records import RawRecord, RecordError, decode_line
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.errors import CorpusError
from gliner_distill.files import reason_of


def open_corpus(path: Path) -> BufferedReader:
    """Open a file with a buffer that holds as many bytes as are needed to recognize its format.

    Raises:
        OSError: The file cannot be opened.
    """
    return BufferedReader(path.open("rb", buffering=0), HEAD_BYTES)


def open_and_recognize(path: Path) -> Format:
    """Return the format of a file.

    Raises:
        CorpusError: The file cannot be read, is empty, or is not UTF-8 from its first bytes on.
    """
    try:
        with open_corpus(path) as stream:
            head = peek_text(stream, str(path))
    except OSError as error:
        raise CorpusError(f"{path}: the file cannot be read: {reason_of(error)}") from error
    return recognize_format(head, suffix=suffix_of(path.name))


def peek_text(stream: BufferedReader, name: str) -> bytes:
    """Return the first bytes of a file, after its byte order mark has been read.

    Args:
        stream: The file, opened at its start.
        name: The name of the file, for messages.

    Raises:
        CorpusError: The file is UTF-16 or UTF-32.
    """
    refuse_utf16(stream.peek(2)[:4], name)
    if stream.peek(len(codecs.BOM_UTF8)).startswith(codecs.BOM_UTF8):
        stream.read(len(codecs.BOM_UTF8))
    return stream.peek(HEAD_BYTES)


def read_records(
    stream: BufferedReader, *, name: str, notes: CorpusNotes, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[RawRecord]:
    """Return an iterator over the records of a file, good and bad.

    Args:
        stream: The file, opened at its start.
        name: The path of the file, for messages and for the format that its suffix suggests.
        notes: Counts the skipped lines, and the entities that do not fit words.
        chunk_bytes: The number of bytes to read from a JSON list at a time.

    Raises:
        CorpusError: The file is empty or not UTF-8; its format holds no passages or can be read in
            two ways; or it is a JSON list, a Parquet file or a DocBin that is cut off or broken, so
            that the rest of it cannot be read.
        MissingExtraError: The package that reads the format is not installed.
    """
    head = peek_text(stream, name)
    if not head:
        raise CorpusError(f"{name}: the file is empty; expected passages")
    form = recognize_format(head, suffix=suffix_of(name))
    if form == "json list":
        return read_json_list(stream, name=name, chunk_bytes=chunk_bytes)
    if form == "json lines":
        return _read_json_lines(stream, notes=notes)
    if form == "columns":
        layout = find_layout(head.decode(errors="replace"), name)
        return read_columns(stream, layout=layout, notes=notes)
    if form == "word table":
        return read_word_table(stream)
    if form == "parquet":
        return read_rows(stream, name=name)
    if form == "spacy":
        return read_docbin(stream, name=name, notes=notes)
    if form == "table":
        raise CorpusError(
            f"{name}: this CSV file holds no annotated words; expected the columns 'sentence_id', "
            "'word' and 'tag', or a file in another format with annotation"
        )
    return _read_text(stream, notes=notes)


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
