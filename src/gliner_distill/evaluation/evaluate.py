"""Measure how well a model finds entities, and how fast.

The input is a model, or entities that were already predicted, and passages with gold entities. The
output is frozen dataclasses. Their `as_json()` is written to `metrics.jsonl`, and the command
`evaluate` prints it.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gliner_distill.entities import Entity, Passage, count_words
from gliner_distill.evaluation.details import SpanDetails, detail_spans
from gliner_distill.evaluation.models import NERModel
from gliner_distill.labels import spellings_by_label
from gliner_distill.metrics import (
    SpanScores,
    WordScores,
    score_spans,
    score_spans_by_label,
    score_words,
)

_TIMED_PASSAGES = 100


class WordPredictor(Protocol):
    """An object with `predict_words`: an `NERModel`, or a student that is still being trained."""

    def predict_words(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]], /
    ) -> list[list[Entity]]:
        """Return the entities of each passage; see `NERModel.predict_words`."""
        ...


@dataclass(frozen=True, slots=True)
class Agreement:
    """The agreement of predicted entities with those of one reference.

    Attributes:
        words: The agreement per word.
        spans: The agreement of exact spans, over all labels.
        by_label: The agreement of the exact spans of each label that either side has.
    """

    words: WordScores
    spans: SpanScores
    by_label: dict[str, SpanScores]

    def as_json(self, suffix: str) -> dict[str, Any]:
        """Return flat keys such as `span_f1_vs_gold`, where `gold` is the suffix.

        `span_by_label_vs_gold` holds `[precision, recall, f1, entities in the reference]` of each
        label, to four decimals.
        """
        words, spans = self.words, self.spans
        return {
            f"accuracy_vs_{suffix}": words.accuracy,
            f"precision_vs_{suffix}": words.precision,
            f"recall_vs_{suffix}": words.recall,
            f"f1_vs_{suffix}": words.f1,
            f"span_precision_vs_{suffix}": spans.precision,
            f"span_recall_vs_{suffix}": spans.recall,
            f"span_f1_vs_{suffix}": spans.f1,
            f"span_by_label_vs_{suffix}": {
                label: [
                    *(round(share, 4) for share in (row.precision, row.recall, row.f1)),
                    row.n_reference,
                ]
                for label, row in self.by_label.items()
            },
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A model's agreement with the annotation and, where it was asked for, with a teacher.

    Attributes:
        gold: The agreement with the gold entities of the labels that were asked.
        teacher: The agreement with the teacher's entities; None if there were none to compare.
    """

    gold: Agreement
    teacher: Agreement | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the flat keys of `metrics.jsonl`; see `Agreement.as_json`."""
        teacher = {} if self.teacher is None else self.teacher.as_json("teacher")
        return self.gold.as_json("gold") | teacher


@dataclass(frozen=True, slots=True)
class Speed:
    """The speed at which a model reads passages.

    Attributes:
        ms_per_passage: The median of the milliseconds that one passage takes by itself.
        words_per_second: The words per second when all passages are given at once.
    """

    ms_per_passage: float
    words_per_second: float

    def as_json(self) -> dict[str, float]:
        """Return both figures under their names."""
        return {"ms_per_passage": self.ms_per_passage, "words_per_second": self.words_per_second}


@dataclass(frozen=True, slots=True)
class Measurements:
    """The size of an annotated corpus, and a model's quality and speed on it.

    Attributes:
        n_passages: The number of passages.
        n_words: The number of their words.
        n_entities: The number of their gold entities.
        evaluation: The agreement with the gold entities.
        details: Partial matches, intervals and all mistakes, over all labels and for each.
        speed: The speed on the first 100 passages.
    """

    n_passages: int
    n_words: int
    n_entities: int
    evaluation: Evaluation
    details: SpanDetails
    speed: Speed

    def as_json(self) -> dict[str, Any]:
        """Return all figures under flat keys, the details, and all mistakes under `errors`."""
        counts = {
            "n_passages": self.n_passages,
            "n_words": self.n_words,
            "n_entities": self.n_entities,
        }
        figures = counts | self.evaluation.as_json() | self.speed.as_json()
        return figures | self.details.as_json()


def evaluate(
    model: WordPredictor,
    passages: Sequence[Passage],
    labels: Sequence[Sequence[str]],
    *,
    teacher_entities: Sequence[Sequence[Entity]] | None = None,
) -> Evaluation:
    """Return how well a model finds the entities of passages; see `score_entities`.

    Args:
        model: A student, a teacher, or anything else with `predict_words`.
        passages: The words and gold entities of each passage.
        labels: The labels asked of each passage.
        teacher_entities: The teacher's entities of each passage, for the same labels.
    """
    predicted = model.predict_words([passage.words for passage in passages], labels)
    return score_entities(predicted, passages, labels, teacher_entities=teacher_entities)


def score_entities(
    predicted: Sequence[Sequence[Entity]],
    passages: Sequence[Passage],
    labels: Sequence[Sequence[str]],
    *,
    teacher_entities: Sequence[Sequence[Entity]] | None = None,
) -> Evaluation:
    """Return how well entities agree with the gold entities and, if given, with a teacher's.

    Gold entities of labels that were not asked do not count.

    Args:
        predicted: The entities that a model found in each passage.
        passages: The words and gold entities of each passage.
        labels: The labels asked of each passage.
        teacher_entities: The teacher's entities of each passage, for the same labels.

    Raises:
        ValueError: The arguments differ in length, or an entity ends beyond its passage.
    """
    n_words = [len(passage.words) for passage in passages]
    gold = _asked_entities(passages, labels)
    teacher = None
    if teacher_entities is not None:
        teacher = _compare(predicted, teacher_entities, n_words)
    return Evaluation(gold=_compare(predicted, gold, n_words), teacher=teacher)


def measure_speed(
    model: WordPredictor, passages: Sequence[Passage], labels: Sequence[Sequence[str]]
) -> Speed:
    """Return how fast a model turns words into entities, after one passage to warm up.

    Args:
        model: A student, a teacher, or anything else with `predict_words`.
        passages: At least one passage.
        labels: The labels asked of each passage.
    """
    words = [passage.words for passage in passages]
    # The first call fills caches, and does not count.
    model.predict_words(words[:1], labels[:1])
    latencies = []
    for passage_words, asked in zip(words, labels, strict=True):
        started = time.perf_counter()
        model.predict_words([passage_words], [asked])
        latencies.append(1000 * (time.perf_counter() - started))
    started = time.perf_counter()
    model.predict_words(words, labels)
    seconds = time.perf_counter() - started
    return Speed(
        ms_per_passage=statistics.median(latencies),
        words_per_second=sum(map(len, words)) / seconds,
    )


def measure_model(
    model: NERModel,
    passages: Sequence[Passage],
    labels: Sequence[str] | None,
    *,
    threshold: float = 0.5,
) -> Measurements:
    """Return a model's agreement with the gold entities of a corpus, and its speed.

    Args:
        model: A student or a teacher.
        passages: The words and gold entities of each passage.
        labels: The labels asked of every passage, in whatever spelling; None to ask each passage
            for its own.
        threshold: The score that an entity must exceed.
    """
    if labels is not None:
        spellings = spellings_by_label(labels)
        passages = [passage.respell(spellings) for passage in passages]
    asked = [passage.own_labels if labels is None else labels for passage in passages]
    predicted = model.predict_words(
        [passage.words for passage in passages], asked, threshold=threshold
    )
    evaluation = score_entities(predicted, passages, asked)
    return Measurements(
        n_passages=len(passages),
        n_words=count_words(passages),
        n_entities=sum(len(passage.entities) for passage in passages),
        evaluation=evaluation,
        details=detail_spans(
            predicted,
            _asked_entities(passages, asked),
            [passage.words for passage in passages],
            overall=evaluation.gold.spans,
            by_label=evaluation.gold.by_label,
        ),
        # The speed needs only a part of the corpus, and a GLiNER may be slow.
        speed=measure_speed(model, passages[:_TIMED_PASSAGES], asked[:_TIMED_PASSAGES]),
    )


def _asked_entities(
    passages: Sequence[Passage], labels: Sequence[Sequence[str]]
) -> list[list[Entity]]:
    """Return the gold entities of each passage whose labels were asked."""
    return [
        [entity for entity in passage.entities if entity.label in set(asked)]
        for passage, asked in zip(passages, labels, strict=True)
    ]


def _compare(
    predicted: Sequence[Sequence[Entity]],
    reference: Sequence[Sequence[Entity]],
    n_words: Sequence[int],
) -> Agreement:
    return Agreement(
        words=score_words(predicted, reference, n_words),
        spans=score_spans(predicted, reference),
        by_label=score_spans_by_label(predicted, reference),
    )
