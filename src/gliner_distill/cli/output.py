"""What `predict` does: which model is meant, what it finds, and how that is written. No torch.

In: a model's name and batches of documents. Out: text in one of three forms: JSON lines, CSV, or
colored text for a terminal.
"""

import csv
import io
import json
import re
import sys
from collections.abc import Sequence
from typing import Any, Literal, Protocol

from rich.console import Console
from rich.text import Text

from gliner_distill.cli.input import Document
from gliner_distill.errors import CorpusError
from gliner_distill.runtime.inputs import EntityDict

_COLORS = ("cyan", "green", "magenta", "yellow", "blue", "red")


_CSV_COLUMNS = ("document", "start", "end", "text", "label", "score")


_SURROGATE = re.compile("[\ud800-\udfff]")


# Each stands for itself by one visible character, so that positions stay.
_VISIBLE = {
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"},
    0x7F: 0x2421,
    **dict.fromkeys(range(0x80, 0xA0), 0xFFFD),
}


OutputForm = Literal["jsonl", "csv", "color"]


class AnswerWriter(Protocol):
    """How answers are written."""

    def head(self) -> bytes:
        """Return what stands before all answers."""
        ...

    def answer(self, number: int, document: Document, found: Sequence[EntityDict]) -> bytes:
        """Return whole lines for a document; the first has number 0."""
        ...


def make_form(name: OutputForm, labels: Sequence[str]) -> AnswerWriter:
    """Return a form by its name; labels have colors by their place."""
    if name == "color":
        return ColoredText(labels)
    return CsvRows() if name == "csv" else JsonLines()


class JsonLines:
    """An object a document: `text`, `entities`, and what other fields it came with."""

    def head(self) -> bytes:
        """Return nothing."""
        return b""

    def answer(self, number: int, document: Document, found: Sequence[EntityDict]) -> bytes:
        """Return one line; text that is no UTF-8 makes it one of ASCII escapes.

        Raises:
            CorpusError: The document's fields cannot be written as JSON.
        """
        entities = [{**one, "score": round(one["score"], 4)} for one in found]
        answer: dict[str, Any] = {"text": document.text, "entities": entities}
        answer |= {key: value for key, value in document.fields.items() if key not in answer}
        try:
            line = json.dumps(answer, ensure_ascii=False)
            if _SURROGATE.search(line):
                line = json.dumps(answer)
        except RecursionError:
            raise CorpusError(f"document {number}: its fields are nested too deep") from None
        return f"{line}\n".encode()


class CsvRows:
    """A row an entity, below a header; `document` counts from 0 over all input."""

    def head(self) -> bytes:
        """Return the header."""
        return _csv_row(_CSV_COLUMNS)

    def answer(self, number: int, document: Document, found: Sequence[EntityDict]) -> bytes:
        """Return the rows of a document's entities."""
        return b"".join(
            _csv_row(
                (
                    number,
                    *(one[column] for column in _CSV_COLUMNS[1:-1]),
                    round(one["score"], 4),
                )
            )
            for one in found
        )


class ColoredText:
    """The text, with each entity in its label's color and the label behind it, for a terminal.

    Control characters but line ends and tabs are shown by symbols, so that no text can steer the
    terminal.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._colors = {label: _COLORS[place % len(_COLORS)] for place, label in enumerate(labels)}
        self._console = Console(file=io.StringIO(), force_terminal=True, legacy_windows=False)
        self._encoding = getattr(sys.stdout, "encoding", None) or "utf-8"

    def head(self) -> bytes:
        """Return nothing."""
        return b""

    def answer(self, number: int, document: Document, found: Sequence[EntityDict]) -> bytes:
        """Return a document's text and labels."""
        text = Text(document.text.translate(_VISIBLE))
        for one in found:
            text.stylize(f"bold {self._colors[one['label']]}", one["start"], one["end"])
        labels_at: dict[int, list[str]] = {}
        for one in found:
            labels_at.setdefault(one["end"], []).insert(0, one["label"])
        *pieces, rest = text.divide(sorted(labels_at))
        shown = Text()
        for piece, end in zip(pieces, sorted(labels_at), strict=True):
            shown.append_text(piece)
            for label in labels_at[end]:
                shown.append(f" ({label.translate(_VISIBLE)})", style="dim")
        shown.append_text(rest)
        with self._console.capture() as capture:
            self._console.print(shown, soft_wrap=True)
        return capture.get().encode(self._encoding, "backslashreplace")


def _csv_row(values: Sequence[object]) -> bytes:
    row = io.StringIO(newline="")
    # With this line end the module quotes values with either half of it.
    csv.writer(row, lineterminator="\r\n").writerow(values)
    return f"{row.getvalue()[:-2]}\n".encode(errors="backslashreplace")
