"""TODO-DOC."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gliner_distill.entities import LabeledPassage
from gliner_distill.labeling.policy import LabelPolicy
from gliner_distill.teacher.base import Teacher


@dataclass(frozen=True, slots=True)
class DistillJob:
    """What to distil.

    Attributes:
        texts: Where the documents are; see `read_documents`.
        labels: What to find, with what to tell the teacher of it, which may be empty.
        teacher: A GLiNER's folder or hub id.
        column: Of a CSV file, or the field of JSON lines, that holds the text.
        gold: A corpus with annotated entities of the labels, all of them; see `read_passages`.
        minutes: How long the whole may take; None for all documents.
        skip_bad: Leave bad records out.
    """

    texts: str
    labels: Mapping[str, str]
    teacher: str
    column: str | None = None
    gold: str | None = None
    minutes: float | None = None
    skip_bad: bool = False


@dataclass(slots=True)
class Distilled:
    """What the stages made.

    Attributes:
        student: The trained student's folder, with torch's weights.
        run: The run folder.
        items: The passages of each part with the teacher's soft labels, without gold.
        gold: The annotated passages of each part, with gold and soft labels.
        dev: The passages of `items["dev"]` with the targets that the student learned to meet.
        notes: What a user should know: what was left out, what is doubtful.
        seconds: How long labeling and training took, in this run.
    """

    student: Path
    run: Path
    items: dict[str, list[LabeledPassage]]
    gold: dict[str, list[LabeledPassage]]
    dev: list[LabeledPassage]
    notes: list[str]
    seconds: dict[str, float] = field(default_factory=dict)


LoadTeacher = Callable[[], Teacher]
"""Returns the teacher; called when it is first needed, since what is labeled needs it no more."""


def _policy(labels: Mapping[str, str]) -> LabelPolicy:
    described = {label: text for label, text in labels.items() if text}
    return LabelPolicy(fixed=tuple(labels), descriptions=described)
