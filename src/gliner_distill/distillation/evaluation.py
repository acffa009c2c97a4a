"""Measure a distilled student on documents that it never saw."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from gliner_distill import __version__
from gliner_distill.decoding import decode_entities
from gliner_distill.distillation.job import DistillSettings
from gliner_distill.distillation.measurements import (
    STUDENT,
    TEACHER,
    Disagreement,
    EpochFigures,
    GoldFigures,
    Measurements,
    ReadingSpeed,
    SpanFigures,
    TeacherWeights,
)
from gliner_distill.distillation.stages import Exported
from gliner_distill.distillation.train import Splits
from gliner_distill.entities import Entity, LabeledPassage, count_words
from gliner_distill.evaluation.models import NERModel, TeacherNER
from gliner_distill.evaluation.other_labels import measure_other_labels
from gliner_distill.evaluation.speed import describe_machine, measure_rates
from gliner_distill.labels import spellings_by_label
from gliner_distill.metrics import score_spans, score_spans_by_label
from gliner_distill.processors import default_threads
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.teacher.base import Teacher
from gliner_distill.teacher.paid import is_paid
from gliner_distill.training.run import read_metrics

_CONTEXT_WORDS: Final = 12
"""The number of words that are shown on each side of a span."""


def evaluate_student(
    exported: Exported,
    labels: Sequence[str],
    students: Mapping[str, StudentNER],
    teacher: Teacher,
    settings: DistillSettings,
    *,
    teacher_name: str,
    teacher_bytes: int | None,
    datasets: Sequence[str] = (),
    start: str = "",
    start_student: StudentNER | None = None,
) -> Measurements:
    """Return all measurements that the report of a student needs.

    Args:
        exported: The student and the passages that it was made from.
        labels: The labels in the spelling for the report.
        students: The loaded exports, by the names of `exported.folders`.
        teacher: The teacher, to time it, unless its answers cost money. Its answers on test are
            known already.
        settings: The settings of the distillation.
        teacher_name: The name of the teacher in the report.
        teacher_bytes: The size of the teacher; None if it is not known.
        datasets: See `Measurements`.
        start: See `Measurements`.
        start_student: The student that training started from; None if it cannot be loaded.
    """
    trained = exported.trained
    text, gold = (
        _respell(splits, labels) for splits in (trained.labeled.text, trained.labeled.gold)
    )
    test = [*text["test"], *gold["test"]]
    train = [*text["train"], *gold["train"]]
    reference = [decode_entities(passage.probs, passage.labels) for passage in test]
    predicted = _predict(students[STUDENT], test)
    by_label = score_spans_by_label(predicted, reference)
    return Measurements(
        labels=list(labels),
        passages=_count_passages(text),
        gold_passages=_count_passages(gold),
        words={split: count_words(passages) for split, passages in text.items()},
        agreement=SpanFigures.from_scores(score_spans(predicted, reference)),
        agreement_by_label={
            label: SpanFigures.from_scores(scores) for label, scores in sorted(by_label.items())
        },
        gold=_compare_with_gold(students[STUDENT], gold["test"]),
        speed=_compare_speed(students, teacher, test or train, labels, settings),
        machine=describe_machine(),
        threads=default_threads(),
        size_bytes={**exported.n_bytes, TEACHER: teacher_bytes},
        curve=_read_curve(trained.run),
        disagreements=student_teacher_disagreements(
            test, predicted, reference, limit=settings.max_disagreements
        ),
        warnings=exported.warnings,
        seconds=dict(trained.seconds),
        date=time.strftime("%Y-%m-%d"),
        teacher=teacher_name,
        version=__version__,
        datasets=list(datasets),
        teacher_weights=_spell_weights(trained.labeled.teacher_weights, labels),
        start=start,
        reading=trained.labeled.reading if trained.labeled.reading.is_chosen else None,
        other_labels=measure_other_labels(students[STUDENT], start_student, labels),
    )


def student_teacher_disagreements(
    passages: Sequence[LabeledPassage],
    student_entities: Sequence[Sequence[Entity]],
    teacher_entities: Sequence[Sequence[Entity]],
    *,
    limit: int = 30,
) -> list[Disagreement]:
    """Return the spans that student and teacher label differently, the highest score first.

    Args:
        passages: The passages.
        student_entities: The student's entities of each passage.
        teacher_entities: The teacher's entities of each passage.
        limit: The number of disagreements to return, at most.
    """
    differing = [
        (entity, number, is_student)
        for number, (student, teacher) in enumerate(
            zip(student_entities, teacher_entities, strict=True)
        )
        for entities, others, is_student in ((student, teacher, True), (teacher, student, False))
        for entity in set(entities) - set(others)
    ]
    # The position breaks ties, so that the order is the same in every run.
    differing.sort(key=lambda row: (-row[0].score, row[1], row[0]))
    rows: dict[tuple[int, int, int], Disagreement] = {}
    for entity, number, is_student in differing:
        # If both models label a span, but differently, it is listed once, with the higher score.
        place = (number, entity.start_word, entity.end_word)
        if place in rows or len(rows) == limit:
            continue
        others = (teacher_entities if is_student else student_entities)[number]
        other = next((x.label for x in others if (x.start_word, x.end_word) == place[1:]), None)
        words = passages[number].words
        start, end = entity.start_word, entity.end_word
        rows[place] = Disagreement(
            before=" ".join(words[max(0, start - _CONTEXT_WORDS) : start]),
            span=" ".join(words[start:end]),
            after=" ".join(words[end : end + _CONTEXT_WORDS]),
            student=entity.label if is_student else other,
            teacher=other if is_student else entity.label,
            score=entity.score,
        )
    return list(rows.values())


def _respell(splits: Splits, labels: Sequence[str]) -> dict[str, list[LabeledPassage]]:
    """Return passages, whose labels are in their clean form, with the spelling of the user."""
    spellings = spellings_by_label(labels)
    return {
        split: [passage.respell(spellings) for passage in passages]
        for split, passages in splits.items()
    }


def _spell_weights(weights: TeacherWeights | None, labels: Sequence[str]) -> TeacherWeights | None:
    """Return the shares of several teachers with the labels in the spelling of the user."""
    if weights is None:
        return None
    spellings = spellings_by_label(labels)
    rows = [replace(row, label=spellings.get(row.label, row.label)) for row in weights.labels]
    return replace(weights, labels=rows)


def _count_passages(splits: Splits) -> dict[str, int]:
    return {split: len(passages) for split, passages in splits.items()}


def _predict(student: StudentNER, passages: Sequence[LabeledPassage]) -> list[list[Entity]]:
    return student.predict_words(
        [passage.words for passage in passages], [passage.labels for passage in passages]
    )


def _compare_with_gold(
    student: StudentNER, passages: Sequence[LabeledPassage]
) -> GoldFigures | None:
    gold = [list(passage.passage.entities) for passage in passages]
    if not any(gold):
        return None
    predicted = {
        STUDENT: _predict(student, passages),
        TEACHER: [decode_entities(passage.probs, passage.labels) for passage in passages],
    }
    by_label = {name: score_spans_by_label(entities, gold) for name, entities in predicted.items()}
    labels = sorted({label for scores in by_label.values() for label in scores})
    # A label may be missing on one side, if neither gold nor that model has it.
    empty = score_spans([], [])
    return GoldFigures(
        student=SpanFigures.from_scores(score_spans(predicted[STUDENT], gold)),
        teacher=SpanFigures.from_scores(score_spans(predicted[TEACHER], gold)),
        by_label={
            label: {
                name: SpanFigures.from_scores(scores.get(label, empty))
                for name, scores in by_label.items()
            }
            for label in labels
        },
    )


def _compare_speed(
    students: Mapping[str, StudentNER],
    teacher: Teacher,
    passages: Sequence[LabeledPassage],
    labels: Sequence[str],
    settings: DistillSettings,
) -> dict[str, ReadingSpeed]:
    """Time all models side by side on the same texts, with all labels."""
    texts, n_words = [], 0
    for passage in passages:
        if n_words < settings.timed_words:
            texts.append(" ".join(passage.words))
            n_words += len(passage.words)
    models: dict[str, NERModel] = dict(students)
    if not is_paid(teacher):
        models[TEACHER] = TeacherNER(teacher)
    rates = measure_rates(
        {name: model.inference for name, model in models.items()},
        texts,
        list(labels),
        rounds=settings.timed_rounds,
        slow_seconds=settings.timed_seconds,
    )
    return {
        name: ReadingSpeed(sorted(rounds)[len(rounds) // 2], min(rounds), max(rounds))
        for name, rounds in rates.items()
    }


def _read_curve(run: Path) -> list[EpochFigures]:
    return [
        EpochFigures(row["epoch"], row["loss"], row["span_f1_vs_teacher"])
        for row in read_metrics(run)
        if row["split"] == "dev"
    ]
