"""Models by their name for `evaluate`, and a GLiNER for `predict`. Needs torch.

In: a model's folder or hub id. Out: a `Predictor` and what it is worth on a corpus; or a `Finder`.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from gliner_distill.bundle import GRAPH_FILE
from gliner_distill.entities import Entity, Passage, decode_entities, word_texts
from gliner_distill.errors import DistillError
from gliner_distill.evaluation import (
    Predictor,
    StudentPredictor,
    TeacherPredictor,
    evaluate,
    measure_speed,
)
from gliner_distill.files import replace_file
from gliner_distill.label_policy import LabelPolicy
from gliner_distill.prediction import Question, find_model
from gliner_distill.runtime import Found, StudentNER, describe_entities
from gliner_distill.student import load_student
from gliner_distill.student_config import WEIGHTS_FILE
from gliner_distill.teacher import GLiNERTeacher, Teacher

_TIMED_PASSAGES = 100
_REPLACED = dict.fromkeys(range(0xD800, 0xE000), "\N{REPLACEMENT CHARACTER}")


class ExportPredictor:
    """An exported student's entities; it moves probabilities so that its threshold is at 0.5."""

    def __init__(self, student: StudentNER, *, threshold: float = 0.5) -> None:
        self._student = student
        self._threshold = threshold

    def predict(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[list[Entity]]:
        """Return each passage's entities, flat, in order of position, with scores."""
        return self._student.predict_words(passages, labels, threshold=self._threshold)


class TeacherFinder:
    """A teacher that answers a question; of a label with a description it is asked for both."""

    max_documents = 16

    def __init__(self, teacher: Teacher, question: Question) -> None:
        self._teacher = teacher
        self._question = question
        self._labels = tuple(question.labels)
        described = {label: text for label, text in question.labels.items() if text}
        self._prompts = LabelPolicy(descriptions=described).prompts(self._labels)

    def find(self, texts: Sequence[str]) -> list[list[Found]]:
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
    folder: Path, question: Question, *, num_threads: int | None = None
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


def measure_predictor(
    predictor: Predictor, passages: Sequence[Passage], labels: Sequence[str] | None
) -> dict[str, Any]:
    """Return counts of a corpus, a model's scores against its gold entities, and its speed.

    Args:
        predictor: A student or a teacher.
        passages: Words and gold entities.
        labels: Asked of every passage; None to ask each passage's own.
    """
    asked = [passage.own_labels if labels is None else labels for passage in passages]
    first = slice(_TIMED_PASSAGES)
    return {
        "n_passages": len(passages),
        "n_words": sum(len(passage.words) for passage in passages),
        "n_entities": sum(len(passage.entities) for passage in passages),
        **evaluate(predictor, passages, asked),
        **measure_speed(predictor, passages[first], asked[first]),
    }


def write_figures(path: Path, figures: Mapping[str, Any]) -> None:
    """Write what `measure_predictor` returned as JSON.

    Raises:
        DistillError: The disk is full, or the folder cannot be written.
    """
    text = json.dumps(figures, indent=1, ensure_ascii=False) + "\n"
    try:
        replace_file(path, text.encode())
    except OSError as error:
        raise DistillError(f"{path}: cannot be written: {error.strerror or error}") from error
