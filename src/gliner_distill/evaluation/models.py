"""Models by their name for `evaluate`, and a GLiNER for `predict`. Needs torch.

In: a model's folder or hub id. Out: a `Predictor` and what it is worth on a corpus; or a `Finder`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from gliner_distill.decoding import decode_entities
from gliner_distill.entities import Entity, word_texts
from gliner_distill.errors import HubError, StudentError
from gliner_distill.evaluation.evaluate import Predictor, TeacherPredictor
from gliner_distill.hub import download_model, looks_like_hub_id
from gliner_distill.labeling.policy import LabelPolicy
from gliner_distill.runtime.bundle import GRAPH_FILE
from gliner_distill.runtime.config import CONFIG_FILE, WEIGHTS_FILE
from gliner_distill.runtime.inputs import EntityDict, describe_entities
from gliner_distill.runtime.locate import bundled_student_path, find_student
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.student.files import load_student
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.teacher.base import Teacher
from gliner_distill.teacher.gliner import GLiNERTeacher

_REPLACED = dict.fromkeys(range(0xD800, 0xE000), "\N{REPLACEMENT CHARACTER}")


GLINER_CONFIG = "gliner_config.json"


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
        return FoundModel(bundled_student_path(), is_student=True)
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
class PredictOptions:
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

    def find(self, texts: Sequence[str]) -> list[list[EntityDict]]:
        """Return each text's entities, in order of position: see `StudentNER.inference`."""
        ...


class StudentFinder:
    """A student that answers a question; where a label has a description, it reads that."""

    max_documents = 512

    def __init__(self, student: StudentNER, question: PredictOptions) -> None:
        self._student = student
        self._question = question
        self._labels = {label: text or label for label, text in question.labels.items()}

    def find(self, texts: Sequence[str]) -> list[list[EntityDict]]:
        """Return each text's entities, in order of position."""
        return self._student.inference(
            list(texts),
            self._labels,
            flat_ner=self._question.flat_ner,
            threshold=self._question.threshold,
            multi_label=self._question.multi_label,
        )


class ExportPredictor:
    """An exported student's entities; it moves probabilities so that its threshold is at 0.5."""

    def __init__(self, student: StudentNER, *, threshold: float = 0.5) -> None:
        self._student = student
        self._threshold = threshold

    def predict_words(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[list[Entity]]:
        """Return each passage's entities, flat, in order of position, with scores."""
        return self._student.predict_words(passages, labels, threshold=self._threshold)


class TeacherFinder:
    """A teacher that answers a question; of a label with a description it is asked for both."""

    max_documents = 16

    def __init__(self, teacher: Teacher, question: PredictOptions) -> None:
        self._teacher = teacher
        self._question = question
        self._labels = tuple(question.labels)
        described = {label: text for label, text in question.labels.items() if text}
        self._prompts = LabelPolicy(descriptions=described).prompts(self._labels)

    def find(self, texts: Sequence[str]) -> list[list[EntityDict]]:
        """Return each text's entities, in order of position."""
        # Half of a surrogate pair is a character of its own, which no tokenizer takes.
        words = [word_texts(text.translate(_REPLACED)) for text in texts]
        scores = self._teacher.score_passages(words, [self._prompts] * len(words))
        return [
            describe_entities(text, self._decode(probs))
            for text, probs in zip(texts, scores, strict=True)
        ]

    def _decode(self, probs: Any) -> list[Entity]:
        return decode_entities(
            probs,
            self._labels,
            threshold=self._question.threshold,
            flat_ner=self._question.flat_ner,
            multi_label=self._question.multi_label,
        )


def load_teacher_finder(
    folder: Path, question: PredictOptions, *, num_threads: int | None = None
) -> TeacherFinder:
    """Return the GLiNER of a folder, to answer a question.

    Raises:
        TeacherError: The GLiNER does not load.
    """
    if num_threads is not None:
        torch.set_num_threads(num_threads)
    return TeacherFinder(GLiNERTeacher.from_pretrained(folder), question)


def find_predictor(model: str | None, *, threshold: float | None) -> Predictor:
    """Return the student or GLiNER of a path or a hub id.

    Args:
        model: See `find_model`.
        threshold: Probability that an entity must exceed; None is the student's own, 0.5 for a
            GLiNER.

    Raises:
        StudentError: There is neither a student nor a GLiNER, or the student is broken.
        TeacherError: The GLiNER does not load.
        HubError: The hub id could not be had.
    """
    found = find_model(model)
    if not found.is_student:
        teacher = GLiNERTeacher.from_pretrained(found.folder)
        return TeacherPredictor(teacher, threshold=0.5 if threshold is None else threshold)
    is_export = (found.folder / GRAPH_FILE).is_file()
    if is_export and not (found.folder / WEIGHTS_FILE).is_file():
        student = StudentNER.from_pretrained(found.folder)
        return ExportPredictor(student, threshold=0.5 if threshold is None else threshold)
    return StudentPredictor(*load_student(found.folder), threshold=threshold)
