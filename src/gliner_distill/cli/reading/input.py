"""The documents of `predict` and `redact`, and the annotated passages of `evaluate` and `export`.

The input is the arguments of the command line. The output is `Document`s, one after the other, from
a text, from files of lines, JSON, CSV or Parquet, or from standard input. Only one line, or a few
hundred rows of a Parquet file, are in memory at a time; a line of more than 16 million characters
is refused.
"""

import codecs
import errno
import io
import stat
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Literal, TypedDict, cast

from gliner_distill.cli.tables.records import (
    BadRecords,
    Document,
    Place,
    list_documents,
    parse_line,
    table_documents,
)
from gliner_distill.cli.terminal import say
from gliner_distill.corpus.formats import open_and_recognize, open_corpus, peek_text
from gliner_distill.corpus.recognition import HEAD_BYTES, Format, recognize_format, suffix_of
from gliner_distill.corpus.records import RecordError, decode_line
from gliner_distill.entities import Passage
from gliner_distill.errors import CorpusError, suggest_file
from gliner_distill.files import reason_of

InputFormat = Literal["auto", "lines", "jsonl"]


class InputOptions(TypedDict):
    """The options of `find_source`, which explains them."""

    form: InputFormat
    text_field: str
    skip_bad: bool


MAX_LINE_CHARS = 16_000_000

_TEXT_SUFFIXES = {".txt", ".text", ".md", ".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".conll"}
_TEXT_SUFFIXES |= {".parquet"}
_JSON_LINES_SUFFIXES = {".jsonl", ".ndjson"}
STANDARD_INPUT = "-"
"""The argument that stands for standard input."""

# Files that hold no documents, each with what to do.
_EACH_LINE = "to read each line as a text anyway, use --input lines"
_OTHER_FORMS: dict[Format, str] = {
    "columns": f"a file with one word per line, not with documents; {_EACH_LINE}",
    "word table": f"a table with one word per row, not with documents; {_EACH_LINE}",
    "spacy": "a DocBin of spaCy; write its texts as JSON lines",
}


@dataclass(frozen=True, slots=True)
class DocumentSource:
    """The place that documents come from.

    Attributes:
        text: The only document itself, or None.
        files: The paths of files, or `-` for standard input.
        form: The format of the files.
        text_field: The field of a JSON object, or the column of a table, that holds the text.
        max_line_chars: The longest line that is accepted.
        bad: Receives the records that hold no document, each of which becomes an empty document;
            None to raise an error for the first one.
    """

    text: str | None = None
    files: tuple[str, ...] = (STANDARD_INPUT,)
    form: InputFormat = "auto"
    text_field: str = "text"
    max_line_chars: int = MAX_LINE_CHARS
    bad: BadRecords | None = None

    @property
    def n_bytes(self) -> int | None:
        """The number of bytes to read, or None if that is not known in advance."""
        paths = [Path(name) for name in self.files]
        if not paths or not all(path.is_file() for path in paths):
            return None
        return sum(path.stat().st_size for path in paths)

    @property
    def has_records(self) -> bool:
        """Whether one of the files is known to hold JSON or a table before it is read."""
        return any(map(self._has_records, self.files))

    def read(self) -> Generator[Document, None, None]:
        """Yield the documents. An empty line is an empty document.

        Raises:
            CorpusError: A file cannot be read or is not a file of documents, or a record of it is
                bad.
        """
        if self.text is not None:
            yield Document(self.text, row={self.text_field: self.text})
            return
        for name in self.files:
            shown = "standard input" if name == STANDARD_INPUT else name
            try:
                with _open(name) as stream:
                    is_record, documents = self._documents(stream, name, shown)
                    for place, document in documents:
                        if self.bad is not None:
                            self.bad.n_records += 1
                        if isinstance(document, RecordError):
                            self._refuse(document, f"{shown}: {place}: {document}")
                            document = Document("", is_record=is_record)
                        yield document
            except OSError as error:
                reason = error.strerror or error
                raise CorpusError(f"{shown}: the file cannot be read: {reason}") from error

    def _refuse(self, error: RecordError, reason: str) -> None:
        """Raise an error for a bad record, or note it if bad records become empty documents."""
        if self.bad is None:
            raise CorpusError(
                f"{reason}; correct it, or use --skip-bad to give bad records an empty answer"
            ) from error
        self.bad.add(reason)

    def _has_records(self, name: str) -> bool:
        path = Path(name)
        if self.form != "auto":
            return self.form == "jsonl"
        if not path.is_file():  # a pipe can be read only once
            return suffix_of(name) in _JSON_LINES_SUFFIXES
        return open_and_recognize(path) in ("json lines", "json list", "table", "parquet")

    def _documents(
        self, stream: BufferedReader, name: str, shown: str
    ) -> tuple[bool, Iterator[tuple[Place, Document | RecordError]]]:
        """Return whether a file holds JSON or a table, and its documents."""
        if self.form != "auto":
            has_json = self.form == "jsonl"
            return has_json, self._read_lines(stream, has_json=has_json)
        form = recognize_format(peek_text(stream, shown), suffix=suffix_of(name))
        max_chars, text_field = self.max_line_chars, self.text_field
        if form == "json list" and stream.peek(1):
            listed = list_documents(stream, name=shown, text_field=text_field, max_chars=max_chars)
            return True, listed
        if form == "table" and stream.peek(1):
            return True, table_documents(Path(name), column=text_field, max_chars=max_chars)
        if form == "parquet":
            from gliner_distill.cli.tables.parquet import parquet_documents

            return True, parquet_documents(Path(name), column=text_field, max_chars=max_chars)
        if form in _OTHER_FORMS:
            raise CorpusError(f"{shown}: this is {_OTHER_FORMS[form]}")
        has_json = form == "json lines"
        return has_json, self._read_lines(stream, has_json=has_json)

    def _read_lines(
        self, stream: BufferedReader, *, has_json: bool
    ) -> Iterator[tuple[Place, Document | RecordError]]:
        number = 0
        # The bytes of the longest allowed line, with room for a line end and a byte order mark.
        max_bytes = 4 * self.max_line_chars + 8
        while raw := stream.readline(max_bytes):
            number += 1
            try:
                if len(raw) == max_bytes:  # cut off, perhaps within a character
                    _pass_line(stream, raw, max_bytes)
                    raise self._too_long()
                line = decode_line(raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw)
                if len(line) > self.max_line_chars:
                    raise self._too_long()
                if has_json and line.strip():
                    document = parse_line(line, self.text_field, len(raw))
                else:
                    text = "" if has_json else line
                    row = {self.text_field: text}
                    document = Document(text, n_bytes=len(raw), is_record=has_json, row=row)
                yield f"line {number}", document
            except RecordError as error:
                yield f"line {number}", error

    def _too_long(self) -> RecordError:
        return RecordError(f"is longer than {self.max_line_chars:,} characters; split the document")


def _pass_line(stream: BufferedReader, raw: bytes, max_bytes: int) -> None:
    """Read to the end of a line, in parts."""
    while raw and not raw.endswith(b"\n"):
        raw = stream.readline(max_bytes)


def read_annotated(corpus: str, *, skip_bad: bool = False) -> list[Passage]:
    """Return the passages of a corpus with gold entities, and print what had to be cleaned.

    Args:
        corpus: The path of a file, or the hub id of a data set.
        skip_bad: Whether to leave bad records out rather than refuse them.

    Raises:
        CorpusError: The corpus cannot be read, or none of its passages has a gold entity.
    """
    from gliner_distill.corpus.reader import read_passages
    from gliner_distill.corpus.statistics import CorpusNotes

    notes = CorpusNotes()
    passages = list(read_passages(corpus, skip_bad=skip_bad, notes=notes))
    for line in notes.lines():
        say(line, err=True)
    if not any(passage.entities for passage in passages):
        raise CorpusError(
            f"{corpus}: no passage has a gold entity, so there is nothing to measure against"
        )
    return passages


def find_source(
    arguments: Sequence[str],
    *,
    form: InputFormat = "auto",
    text_field: str = "text",
    skip_bad: bool = False,
) -> DocumentSource:
    """Return the source of the documents that the arguments stand for.

    Args:
        arguments: A text; or one or more files; or nothing, or `-`, for standard input.
        form: The format of the files: `lines` has one document per line, `jsonl` one JSON value
            per line, and `auto` decides by the content of each file.
        text_field: The field of a JSON object, or the column of a table, that holds the text.
        skip_bad: Whether a bad record becomes an empty document rather than an error.

    Raises:
        CorpusError: A file does not exist, or is a folder.
    """
    bad = BadRecords() if skip_bad else None
    if not arguments or list(arguments) == [STANDARD_INPUT]:
        return DocumentSource(form=form, text_field=text_field, bad=bad)
    if len(arguments) == 1 and not _is_file(arguments[0]):
        return DocumentSource(arguments[0], (), form, text_field)
    for name in arguments:
        if not _is_file(name):
            raise CorpusError(
                f"{name}: this file does not exist{suggest_file(name)}; if there are several "
                "inputs, each must be a file; put quotes around a text or a list of labels that "
                "contains spaces"
            )
    return DocumentSource(None, tuple(arguments), form, text_field, bad=bad)


@contextmanager
def _open(name: str) -> Iterator[BufferedReader]:
    if name != STANDARD_INPUT:
        with open_corpus(Path(name)) as stream:
            yield stream
        return
    if sys.stdin is None:
        raise OSError("it is closed")
    try:
        # A stream of our own, because a thread that still reads Python's stream would block the
        # exit.
        raw = io.FileIO(sys.stdin.fileno(), closefd=False)
    except io.UnsupportedOperation:
        yield io.BufferedReader(cast(io.RawIOBase, sys.stdin.buffer))
    else:
        yield BufferedReader(raw, HEAD_BYTES)


def _is_file(text: str) -> bool:
    """Return whether a text is the path of a file.

    Raises:
        CorpusError: It is the path of a folder or of a file that may not be read, or it looks like
            the path of a file and there is none.
    """
    path = Path(text)
    is_folder = is_file = False
    try:
        is_folder = bool(text) and stat.S_ISDIR(path.stat().st_mode)
        is_file = bool(text) and not is_folder  # a pipe counts as a file
    except (FileNotFoundError, NotADirectoryError):
        pass
    except ValueError:  # a null character
        return False
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise CorpusError(f"{text}: the file cannot be read: {reason_of(error)}") from error
    looks_like_file = len(text.split()) == 1 and path.suffix.lower() in _TEXT_SUFFIXES
    if is_folder:
        raise CorpusError(
            f"{text}: this is a folder; name its files instead, such as {path / '*.txt'} (the "
            "folder of a model follows --model)"
        )
    if looks_like_file and not is_file:
        raise CorpusError(
            f"{text}: this file does not exist{suggest_file(text)}; if it is the text itself, pass "
            "it on standard input"
        )
    return is_file
