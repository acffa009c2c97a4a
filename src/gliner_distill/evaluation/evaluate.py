"""Predictions of students and teachers, and what they are worth.

A `Predictor` turns passages and labels into entities. `StudentPredictor` and `TeacherPredictor`
are the two there are; `evaluate` compares either with gold entities and with a teacher's.
"""

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from gliner_distill.decoding import decode_entities
from gliner_distill.entities import Entity, Passage
from gliner_distill.errors import DistillError
from gliner_distill.files import replace_file
from gliner_distill.metrics import agreement, by_label_rows
from gliner_distill.teacher.base import Teacher


class Predictor(Protocol):
    """Whatever finds the entities of given labels in passages."""

    def predict_words(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[list[Entity]]:
        """Return each passage's entities, flat, in order of position, with scores.

        Args:
            passages: The words of each passage.
            labels: The labels asked of each passage, each once.
        """
        ...


class TeacherPredictor:
    """A teacher's own decoded entities."""

    def __init__(self, teacher: Teacher, *, threshold: float = 0.5) -> None:
        self._teacher = teacher
        self._threshold = threshold

    def predict_words(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[list[Entity]]:
        """Return each passage's entities, flat, in order of position, with scores."""
        scores = self._teacher.score_passages(passages, labels)
        return [
            decode_entities(probs, asked, threshold=self._threshold)
            for probs, asked in zip(scores, labels, strict=True)
        ]


def evaluate(
    predictor: Predictor,
    passages: Sequence[Passage],
    labels: Sequence[Sequence[str]],
    *,
    teacher_entities: Sequence[Sequence[Entity]] | None = None,
) -> dict[str, Any]:
    """Return word and span scores against gold and, where given, against a teacher's entities.

    Keys are those of `metrics.agreement`, and `span_by_label_vs_gold` (`_vs_teacher`): for each
    label `[precision, recall, f1, entities in the reference]`. Gold entities of labels that were
    not asked do not count.

    Args:
        predictor: A student or a teacher.
        passages: Words and gold entities.
        labels: The labels asked of each passage.
        teacher_entities: The teacher's entities of each passage, for the same labels.
    """
    predicted = predictor.predict_words([passage.words for passage in passages], labels)
    n_words = [len(passage.words) for passage in passages]
    gold = [
        [entity for entity in passage.entities if entity.label in set(asked)]
        for passage, asked in zip(passages, labels, strict=True)
    ]
    scores: dict[str, Any] = dict(agreement(predicted, gold, n_words, "gold"))
    scores["span_by_label_vs_gold"] = by_label_rows(predicted, gold)
    if teacher_entities is not None:
        scores |= agreement(predicted, teacher_entities, n_words, "teacher")
        scores["span_by_label_vs_teacher"] = by_label_rows(predicted, teacher_entities)
    return scores


def measure_speed(
    predictor: Predictor, passages: Sequence[Passage], labels: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Return `ms_per_passage` (median, one passage at a time) and `words_per_second` (all at once).

    Words in, entities out, after one passage to warm up.
    """
    words = [passage.words for passage in passages]
    predictor.predict_words(words[:1], labels[:1])
    latencies = []
    for one, asked in zip(words, labels, strict=True):
        started = time.perf_counter()
        predictor.predict_words([one], [asked])
        latencies.append(1000 * (time.perf_counter() - started))
    started = time.perf_counter()
    predictor.predict_words(words, labels)
    seconds = time.perf_counter() - started
    return {
        "ms_per_passage": statistics.median(latencies),
        "words_per_second": sum(map(len, words)) / seconds,
    }


_TIMED_PASSAGES = 100


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


def write_measurements(path: Path, figures: Mapping[str, Any]) -> None:
    """Write what `measure_predictor` returned as JSON.

    Raises:
        DistillError: The disk is full, or the folder cannot be written.
    """
    text = json.dumps(figures, indent=1, ensure_ascii=False) + "\n"
    try:
        replace_file(path, text.encode())
    except OSError as error:
        raise DistillError(f"{path}: cannot be written: {error.strerror or error}") from error
