"""Predictions of students and teachers, and what they are worth.

A `Predictor` turns passages and labels into entities. `StudentPredictor` and `TeacherPredictor`
are the two there are; `evaluate` compares either with gold entities and with a teacher's.
"""

import statistics
import time
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from gliner_distill.entities import Entity, Passage, decode_entities, entities_from_word_labels
from gliner_distill.features import Vocabulary
from gliner_distill.losses import NONE
from gliner_distill.metrics import agreement, by_label_rows
from gliner_distill.student import Student, make_batch
from gliner_distill.student_config import BOUNDARY
from gliner_distill.teacher import Teacher

_BATCH_WORDS = 8192


class Predictor(Protocol):
    """Whatever finds the entities of given labels in passages."""

    def predict(
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

    def predict(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[list[Entity]]:
        """Return each passage's entities, flat, in order of position, with scores."""
        scores = self._teacher.score_passages(passages, labels)
        return [
            decode_entities(probs, asked, threshold=self._threshold)
            for probs, asked in zip(scores, labels, strict=True)
        ]


class StudentPredictor:
    """A student's entities.

    Of a `softmax` head: a word's label is the likeliest of those asked, if its odds against "none"
    exceed the threshold's: `p_c / (p_c + p_none) > threshold`. At 0.5 this is the likeliest answer
    of all. Neighbouring words of one label are one entity; its score is the smallest of its words'.
    Of a `boundary` head: `decode_entities` of its probabilities. Without a threshold the student's
    own counts.
    """

    def __init__(
        self, student: Student, vocabulary: Vocabulary, *, threshold: float | None = None
    ) -> None:
        self._student = student.eval()
        self._vocabulary = vocabulary
        self._threshold = threshold if threshold is not None else student.config.threshold

    def predict(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[list[Entity]]:
        """Return each passage's entities, flat, in order of position, with scores."""
        return [
            self._decode(logits, asked)
            for logits, asked in zip(self.score(passages, labels), labels, strict=True)
        ]

    @torch.inference_mode()
    def score(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[NDArray[np.float32]]:
        """Return each passage's logits: see `Student.forward`, without padding."""
        device = self._student.pieces.weight.device
        is_boundary = self._student.config.head == BOUNDARY
        results = [
            np.zeros((0, len(asked), 3) if is_boundary else (0, 1 + len(asked)), np.float32)
            for asked in labels
        ]
        for rows in _batches_by_words([len(words) for words in passages]):
            encoded = [self._vocabulary.encode_words(passages[row]) for row in rows]
            batch = make_batch(encoded, [labels[row] for row in rows], self._vocabulary)
            logits = self._student({key: value.to(device) for key, value in batch.items()})
            for position, row in enumerate(rows):
                n_columns = len(labels[row]) + (0 if is_boundary else 1)
                shape = (slice(len(passages[row])), slice(n_columns))
                results[row] = logits[position][shape].float().cpu().numpy()
        return results

    def _decode(self, logits: NDArray[np.float32], labels: Sequence[str]) -> list[Entity]:
        if not len(logits) or not labels:
            return []
        if self._student.config.head == BOUNDARY:
            probs = 1.0 / (1.0 + np.exp(-np.clip(logits, -80.0, 80.0)))
            return decode_entities(probs, labels, threshold=self._threshold)
        best = logits[:, 1:].argmax(axis=1)
        margins = logits[:, 1:].max(axis=1) - logits[:, NONE]
        word_scores = 1.0 / (1.0 + np.exp(np.minimum(-margins, 80.0)))  # float32 ends at exp(88)
        word_labels = [
            labels[label] if score > self._threshold else None
            for label, score in zip(best.tolist(), word_scores.tolist(), strict=True)
        ]
        return [
            Entity(
                entity.start_word,
                entity.end_word,
                entity.label,
                float(word_scores[entity.start_word : entity.end_word].min()),
            )
            for entity in entities_from_word_labels(word_labels)
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
    predicted = predictor.predict([passage.words for passage in passages], labels)
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
    predictor.predict(words[:1], labels[:1])
    latencies = []
    for one, asked in zip(words, labels, strict=True):
        started = time.perf_counter()
        predictor.predict([one], [asked])
        latencies.append(1000 * (time.perf_counter() - started))
    started = time.perf_counter()
    predictor.predict(words, labels)
    seconds = time.perf_counter() - started
    return {
        "ms_per_passage": statistics.median(latencies),
        "words_per_second": sum(map(len, words)) / seconds,
    }


def _batches_by_words(lengths: Sequence[int]) -> list[list[int]]:
    """Return row numbers in batches of like length, at most 8,192 words with padding each."""
    batches: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: lengths[row]):
        if not lengths[row]:
            continue
        if not batches or (len(batches[-1]) + 1) * lengths[row] > _BATCH_WORDS:
            batches.append([])
        batches[-1].append(row)
    return batches
