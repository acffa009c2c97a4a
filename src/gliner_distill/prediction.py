"""What `predict` does: which model is meant, what it finds, and how that is written. No torch.

In: a model's name and batches of documents. Out: text in one of three forms: JSON lines, CSV, or
coloured text for a terminal.
"""

import csv
import io
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from rich.console import Console
from rich.text import Text

from gliner_distill.documents import Document
from gliner_distill.errors import CorpusError, HubError, StudentError
from gliner_distill.hub import download_model, looks_like_hub_id
from gliner_distill.runtime import Found, StudentNER
from gliner_distill.student_config import CONFIG_FILE, find_student, open_student_path

GLINER_CONFIG = "gliner_config.json"
_COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "red")
_CSV_COLUMNS = ("document", "start", "end", "text", "label", "score")
_SURROGATE = re.compile("[\ud800-\udfff]")
# Each stands for itself by one visible character, so that positions stay.
_VISIBLE = {
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"},
    0x7F: 0x2421,
    **dict.fromkeys(range(0x80, 0xA0), 0xFFFD),
}

OutputForm = Literal["jsonl", "csv", "color"]


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model's folder, and whether it is a student's; else it is a GLiNER's."""

    folder: Path
    is_student: bool


def find_model(model: str | None) -> FoundModel:
    """Return the folder that a model's name stands for.

    Args:
        model: A folder of a student, of a run, of an export or of a GLiNER, or a hub id of one;
            None for the student of any label that comes with the package.

    Raises:
        StudentError: There is neither a student nor a GLiNER.
        HubError: The hub id could not be had.
    """
    if model is None:
        return FoundModel(open_student_path(), is_student=True)
    path = Path(model)
    if not path.is_dir() and (path.exists() or not looks_like_hub_id(model)):
        problem = "this is a file" if path.exists() else "no such folder"
        raise StudentError(
            f"{model}: {problem}; expected the folder of a student, of a run or of a GLiNER, or "
            f"the hub id of one (owner/name)"
        )
    if not path.is_dir():
        try:
            path = download_model(model)
        except HubError as error:
            raise HubError(
                f"{model}: no such folder of a student or a GLiNER, and as a hub id: {error}"
            ) from error
    folder = find_student(path)
    if folder is None and not (path / GLINER_CONFIG).is_file():
        raise StudentError(
            f"{model}: neither a student (no {CONFIG_FILE} in it or in its folder student) nor a "
            f"GLiNER (no {GLINER_CONFIG} in it)"
        )
    return FoundModel(folder or path, is_student=folder is not None)


@dataclass(frozen=True, slots=True)
class Question:
    """What to find.

    Attributes:
        labels: Each label with its description, which may be empty.
        threshold: Score that an entity must exceed.
        flat_ner: Whether entities may not overlap; if not, one may lie inside another.
        multi_label: Whether a span may have several labels.
    """

    labels: Mapping[str, str]
    threshold: float = 0.5
    flat_ner: bool = True
    multi_label: bool = False


class Finder(Protocol):
    """Whatever answers a question of texts.

    Attributes:
        max_documents: How many it may be given at once, so that answers come soon.
    """

    max_documents: int

    def find(self, texts: Sequence[str]) -> list[list[Found]]:
        """Return each text's entities, in order of position: see `StudentNER.inference`."""
        ...


class StudentFinder:
    """A student that answers a question; where a label has a description, it reads that."""

    max_documents = 512

    def __init__(self, student: StudentNER, question: Question) -> None:
        self._student = student
        self._question = question
        self._labels = {label: text or label for label, text in question.labels.items()}

    def find(self, texts: Sequence[str]) -> list[list[Found]]:
        """Return each text's entities, in order of position."""
        return self._student.inference(
            list(texts),
            self._labels,
            flat_ner=self._question.flat_ner,
            threshold=self._question.threshold,
            multi_label=self._question.multi_label,
        )


class AnswerForm(Protocol):
    """How answers are written."""

    def head(self) -> bytes:
        """Return what stands before all answers."""
        ...

    def answer(self, number: int, document: Document, found: Sequence[Found]) -> bytes:
        """Return whole lines for a document; the first has number 0."""
        ...


def make_form(name: OutputForm, labels: Sequence[str]) -> AnswerForm:
    """Return a form by its name; labels have colours by their place."""
    if name == "color":
        return ColouredText(labels)
    return CsvRows() if name == "csv" else JsonLines()


class JsonLines:
    """An object a document: `text`, `entities`, and what other fields it came with."""

    def head(self) -> bytes:
        """Return nothing."""
        return b""

    def answer(self, number: int, document: Document, found: Sequence[Found]) -> bytes:
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

    def answer(self, number: int, document: Document, found: Sequence[Found]) -> bytes:
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


class ColouredText:
    """The text, with each entity in its label's colour and the label behind it, for a terminal.

    Control characters but line ends and tabs are shown by symbols, so that no text can steer the
    terminal.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._colours = {
            label: _COLOURS[place % len(_COLOURS)] for place, label in enumerate(labels)
        }
        self._console = Console(file=io.StringIO(), force_terminal=True, legacy_windows=False)
        self._encoding = getattr(sys.stdout, "encoding", None) or "utf-8"

    def head(self) -> bytes:
        """Return nothing."""
        return b""

    def answer(self, number: int, document: Document, found: Sequence[Found]) -> bytes:
        """Return a document's text and labels."""
        text = Text(document.text.translate(_VISIBLE))
        for one in found:
            text.stylize(f"bold {self._colours[one['label']]}", one["start"], one["end"])
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
