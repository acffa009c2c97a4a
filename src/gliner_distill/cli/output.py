"""The forms in which `predict` and `redact` print their answers.

The input is documents and their entities or their new texts. The output is the bytes of whole
lines: JSON lines, CSV, plain text, or colored text for a terminal.
"""

import csv
import io
import json
import re
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, final

from rich.console import Console
from rich.text import Text

from gliner_distill.cli.tables.records import Document
from gliner_distill.cli.terminal import show_controls
from gliner_distill.entities import EntityDict, WordSpan, split_words
from gliner_distill.errors import CorpusError

OutputFormat = Literal["jsonl", "csv", "color", "prodigy"]

_COLORS = ("cyan", "green", "magenta", "yellow", "blue", "red")
_CSV_COLUMNS = ("document", "start", "end", "text", "label", "score")
_SURROGATE = re.compile("[\ud800-\udfff]")

# Control characters that JSON leaves as they are, line breaks and changes of the reading direction.
_CONTROLS = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")

# Spreadsheets take a cell with such a beginning for a formula, unless it is a number.
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)*")


class AnswerWriter(Protocol):
    """A form of output: it turns the entities of documents into lines."""

    def head(self) -> bytes:
        """Return the lines above all answers."""
        ...

    def answers(
        self,
        first: int,
        documents: Sequence[Document],
        entities: Sequence[Sequence[EntityDict]],
    ) -> bytes:
        """Return whole lines for some documents.

        Args:
            first: The number of the first of them, counted from 0 over all input.
            documents: The documents.
            entities: The entities of each document.
        """
        ...


def make_writer(form: OutputFormat, labels: Sequence[str]) -> AnswerWriter:
    """Return the writer of a form.

    Args:
        form: The name of the form.
        labels: The labels asked; the position of a label decides its color.
    """
    if form == "color":
        return ColoredText(labels)
    if form == "prodigy":
        return ProdigyTasks()
    return CsvRows() if form == "csv" else JsonLines()


def json_line(number: int, answer: Mapping[str, Any]) -> bytes:
    """Return a JSON object as a line; a line with text that is not UTF-8 is escaped as ASCII.

    Control characters are escaped, too, so that they cannot control a terminal.

    Args:
        number: The number of the document, for messages.
        answer: The object.

    Raises:
        CorpusError: The object is nested too deep for JSON.
    """
    try:
        line = json.dumps(answer, ensure_ascii=False)
        if _SURROGATE.search(line):
            line = json.dumps(answer)
    except RecursionError:
        raise CorpusError(f"document {number}: its fields are nested too deep") from None
    line = _CONTROLS.sub(lambda control: f"\\u{ord(control[0]):04x}", line)
    return f"{line}\n".encode()


def text_line(number: int, text: str, *, may_break: bool = False) -> bytes:
    """Return a text as a line.

    Args:
        number: The number of the document, for messages.
        text: The text.
        may_break: Whether the text may have several lines.

    Raises:
        CorpusError: The text has a line break, or a character that UTF-8 does not have.
    """
    if ("\n" in text and not may_break) or _SURROGATE.search(text):
        raise CorpusError(
            f"document {number}: its text does not fit on one line of UTF-8; use --output jsonl"
        )
    return f"{text}\n".encode()


@final
class JsonLines:
    """One JSON object per document, with its `text`, its `entities` and its other fields.

    Fields of the document that have one of these names are kept in an object named `input`.
    """

    def head(self) -> bytes:
        """Return nothing."""
        return b""

    def answers(
        self,
        first: int,
        documents: Sequence[Document],
        entities: Sequence[Sequence[EntityDict]],
    ) -> bytes:
        """Return one line per document; a line with text that is not UTF-8 is escaped as ASCII.

        Raises:
            CorpusError: The fields of a document are nested too deep for JSON.
        """
        pairs = zip(documents, entities, strict=True)
        return b"".join(
            self._line(number, document, found)
            for number, (document, found) in enumerate(pairs, start=first)
        )

    def _line(self, number: int, document: Document, entities: Sequence[EntityDict]) -> bytes:
        rounded = [{**entity, "score": round(entity["score"], 4)} for entity in entities]
        text = None if document.is_null else document.text
        answer: dict[str, Any] = {"text": text, "entities": rounded}
        taken = [key for key in (*answer, "input") if key in document.fields]
        rest = {key: value for key, value in document.fields.items() if key not in taken}
        # A field named `input` stays in its place if no other field has to move there.
        if taken:
            own = {key: document.fields[key] for key in taken}
            rest["input"] = own if taken != ["input"] else own["input"]
        return json_line(number, answer | rest)


@final
class ProdigyTasks:
    """One task of Prodigy per document, with `text`, `tokens`, `spans` and `meta`.

    Source: Prodigy (https://prodi.gy/docs/api-interfaces#ner_manual). A token is a word, so
    people can mark only what a student can learn. In a span, `token_end` is inclusive. Prodigy
    shows `meta`, whose `score` is the lowest score of the entities. The document's other fields
    follow, except for those that would make Prodigy take the task for an answered one.
    """

    def head(self) -> bytes:
        """Return nothing."""
        return b""

    def answers(
        self,
        first: int,
        documents: Sequence[Document],
        entities: Sequence[Sequence[EntityDict]],
    ) -> bytes:
        """Return one line per document; see `JsonLines.answers`."""
        pairs = zip(documents, entities, strict=True)
        return b"".join(
            json_line(number, _prodigy_task(document, found))
            for number, (document, found) in enumerate(pairs, start=first)
        )


def _prodigy_task(document: Document, entities: Sequence[EntityDict]) -> dict[str, Any]:
    text, fields = document.text, document.fields
    words = split_words(text)
    tokens = [
        {
            "text": word.text,
            "start": word.start_char,
            "end": word.end_char,
            "id": place,
            "ws": text[word.end_char : word.end_char + 1].isspace(),
        }
        for place, word in enumerate(words)
    ]
    spans = [_prodigy_span(entity, words) for entity in entities]
    meta = dict(fields["meta"]) if isinstance(fields.get("meta"), dict) else {}
    if entities:
        meta["score"] = round(min(entity["score"] for entity in entities), 4)
    task = {"text": text, "tokens": tokens, "spans": spans, "meta": meta}
    dropped = {*task, "answer"}
    rest = {
        key: value
        for key, value in fields.items()
        if key not in dropped and not key.startswith("_")
    }
    return task | rest


def _prodigy_span(entity: EntityDict, words: Sequence[WordSpan]) -> dict[str, Any]:
    """Return an entity as a span of whole words, because Prodigy shows no others."""
    first = bisect_right(words, entity["start"], key=lambda word: word.end_char)
    last = bisect_left(words, entity["end"], key=lambda word: word.start_char) - 1
    return {
        "start": words[first].start_char,
        "end": words[last].end_char,
        "token_start": first,
        "token_end": last,
        "label": entity["label"],
    }


@final
class CsvRows:
    """One row per entity below a header; `document` counts from 0 over all input.

    A text or label that a spreadsheet would take for a formula begins with a single quote.
    """

    def head(self) -> bytes:
        """Return the header."""
        return csv_row(_CSV_COLUMNS)

    def answers(
        self,
        first: int,
        documents: Sequence[Document],
        entities: Sequence[Sequence[EntityDict]],
    ) -> bytes:
        """Return the rows of the entities of all documents."""
        return b"".join(
            csv_row(
                (
                    number,
                    entity["start"],
                    entity["end"],
                    _without_formula(entity["text"]),
                    _without_formula(entity["label"]),
                    round(entity["score"], 4),
                )
            )
            for number, found in enumerate(entities, start=first)
            for entity in found
        )


@final
class ColoredText:
    """The text with each entity in the color of its label and the label behind it.

    Control characters other than line ends and tabs are shown as symbols, so that a text cannot
    control the terminal.

    Args:
        labels: The labels asked; the position of a label decides its color.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._colors = {label: _COLORS[place % len(_COLORS)] for place, label in enumerate(labels)}
        self._console = Console(file=io.StringIO(), force_terminal=True, legacy_windows=False)
        self._encoding = getattr(sys.stdout, "encoding", None) or "utf-8"

    def head(self) -> bytes:
        """Return nothing."""
        return b""

    def answers(
        self,
        first: int,
        documents: Sequence[Document],
        entities: Sequence[Sequence[EntityDict]],
    ) -> bytes:
        """Return the text of each document with its labels."""
        return b"".join(map(self._paint, documents, entities))

    def _paint(self, document: Document, entities: Sequence[EntityDict]) -> bytes:
        text = Text(show_controls(document.text))
        labels_at: dict[int, list[str]] = {}
        for entity in entities:
            text.stylize(f"bold {self._colors[entity['label']]}", entity["start"], entity["end"])
            # If two entities end at the same place, the inner one begins later and its label comes
            # first.
            labels_at.setdefault(entity["end"], []).insert(0, entity["label"])
        *pieces, rest = text.divide(sorted(labels_at))
        shown = Text()
        for piece, end in zip(pieces, sorted(labels_at), strict=True):
            shown.append_text(piece)
            for label in labels_at[end]:
                shown.append(f" ({show_controls(label)})", style="dim")
        shown.append_text(rest)
        with self._console.capture() as capture:
            self._console.print(shown, soft_wrap=True)
        return capture.get().encode(self._encoding, "backslashreplace")


def _without_formula(text: str) -> str:
    """Return a text with a single quote before it if a spreadsheet would compute it."""
    is_formula = _FORMULA.match(text) is not None and _NUMBER.fullmatch(text) is None
    return f"'{text}" if is_formula else text


def csv_row(values: Sequence[object], *, delimiter: str = ",") -> bytes:
    """Return values as a row of a CSV file."""
    row = io.StringIO(newline="")
    # With this line end, the csv module quotes all values that contain "\r" or "\n".
    csv.writer(row, lineterminator="\r\n", delimiter=delimiter).writerow(values)
    return f"{row.getvalue()[:-2]}\n".encode(errors="backslashreplace")
