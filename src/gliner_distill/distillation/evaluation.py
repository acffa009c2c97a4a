"""What a distilled student is worth on documents that it never saw.

In: what `distil` made, and the exported students. Out: one dictionary, as it is also written to
`results.json`: agreement with the teacher, F1 against gold, speed, size, the learning curve, the
disagreements worth a look, and a verdict in one sentence, computed from the figures.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gliner_distill.decoding import decode_entities
from gliner_distill.distillation.job import Distilled
from gliner_distill.distillation.plan import TIMED_ROUNDS, TIMED_WORDS
from gliner_distill.entities import Entity, LabeledPassage
from gliner_distill.evaluation.models import NERModel, TeacherNER
from gliner_distill.evaluation.speed import describe_machine, measure_rates
from gliner_distill.metrics import SpanScores, score_spans, score_spans_by_label
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.runtime.scorer import count_processors
from gliner_distill.teacher.base import Teacher
from gliner_distill.training.run import read_metrics

TEACHER, STUDENT = "teacher", "student"


_MOST_DISAGREEMENTS = 30


_CONTEXT_WORDS = 12


# From which share of the teacher's answers, or of its F1 against gold, a student stands in for it,
# and from which for some purposes.
_ENOUGH_AGREEMENT, _ENOUGH_GOLD = (0.9, 0.75), (0.97, 0.9)


_FEW_ENTITIES = 50


def evaluate_distilled(
    distilled: Distilled,
    students: Mapping[str, StudentNER],
    teacher: Teacher,
    *,
    sizes: Mapping[str, int | None],
) -> dict[str, Any]:
    """Return every figure of a distilled student; see the module.

    Args:
        distilled: What was made.
        students: The exported students, `student` and `student fp32`.
        teacher: The teacher, to time it.
        sizes: Bytes of each of them and of the teacher, None where they are not known.
    """
    student = students[STUDENT]
    test = distilled.items["test"] + distilled.gold["test"]
    train = distilled.items["train"] + distilled.gold["train"]
    labels = list(train[0].labels)
    expected = [decode_entities(item.probs, item.labels) for item in test]
    found = _predict(student, test)
    figures: dict[str, Any] = {
        "labels": labels,
        "passages": {part: len(items) for part, items in distilled.items.items()},
        "gold_passages": {part: len(items) for part, items in distilled.gold.items()},
        "words": {
            part: sum(len(item.passage.words) for item in items)
            for part, items in distilled.items.items()
        },
        "agreement": _as_dict(score_spans(found, expected)),
        "agreement_by_label": {
            label: _as_dict(score)
            for label, score in sorted(score_spans_by_label(found, expected).items())
        },
        "gold": _against_gold(student, distilled.gold["test"]),
        "speed": _compare_speed(students, teacher, test or train, labels),
        "machine": describe_machine(),
        "threads": count_processors(),
        "size_bytes": dict(sizes),
        "curve": _curve(distilled.run),
        "disagreements": list(find_disagreements(test, found, expected)),
        "notes": distilled.notes,
        "seconds": distilled.seconds,
        "date": time.strftime("%Y-%m-%d"),
    }
    return figures | {"verdict": give_verdict(figures)}


def give_verdict(figures: Mapping[str, Any]) -> str:
    """Return one sentence on whether the student can take the teacher's place."""
    agreement, speed, sizes = figures["agreement"], figures["speed"], figures["size_bytes"]
    if agreement["n_reference"] == 0:
        return "The teacher finds nothing in the test passages, so there is nothing to compare."
    share, limits = agreement["f1"], _ENOUGH_AGREEMENT
    if figures["gold"] is not None:
        gold = figures["gold"]
        share, limits = gold["student"]["f1"] / max(gold["teacher"]["f1"], 1e-9), _ENOUGH_GOLD
    stands = (
        "can stand in for its teacher"
        if share >= limits[0]
        else "can stand in for its teacher where some misses do no harm"
        if share >= limits[1]
        else "is not yet a stand-in for its teacher and needs more text"
    )
    times = speed[STUDENT]["words_per_second"] / speed[TEACHER]["words_per_second"]
    size = f"{sizes[STUDENT] / 1e6:.1f} MB"
    if sizes[TEACHER]:
        size += f" instead of {sizes[TEACHER] / 1e6:.0f}"
    text = (
        f"On {figures['passages']['test'] + figures['gold_passages']['test']} passages that it "
        f"never saw the student finds what the teacher finds with an F1 "
        f"of {100 * agreement['f1']:.1f}"
    )
    if figures["gold"] is not None:
        text += (
            f" (against gold of {figures['gold_passages']['test']} passages "
            f"{100 * gold['student']['f1']:.1f}, the teacher {100 * gold['teacher']['f1']:.1f})"
        )
    doubt = ""
    if figures["gold"] is not None and gold["student"]["n_reference"] < _FEW_ENTITIES:
        doubt = f", as far as {gold['student']['n_reference']} annotated entities can tell"
    return (
        f"{text}, reads {times:.0f} times as many words a second and takes {size}: it "
        f"{stands}{doubt}."
    )


def find_disagreements(
    items: Sequence[LabeledPassage],
    found: Sequence[Sequence[Entity]],
    expected: Sequence[Sequence[Entity]],
) -> Iterator[dict[str, Any]]:
    """Yield where student and teacher differ, the surest first, at most 30.

    Each has `before`, `span` and `after` (text), `student` and `teacher` (the label that each gives
    the span, or None) and `score`.
    """
    differing = [
        (one.score, number, one, whose)
        for number, (of_student, of_teacher) in enumerate(zip(found, expected, strict=True))
        for whose, entities, others in (
            ("student", of_student, of_teacher),
            ("teacher", of_teacher, of_student),
        )
        for one in set(entities) - set(others)
    ]
    seen = set()
    differing.sort(key=lambda row: (-row[0], row[1], row[2]))
    for score, number, one, whose in differing:
        place = (number, one.start_word, one.end_word)
        if place in seen:
            continue
        seen.add(place)
        others = expected[number] if whose == "student" else found[number]
        other = next((x.label for x in others if (x.start_word, x.end_word) == place[1:]), None)
        words = items[number].passage.words
        yield {
            "before": " ".join(words[max(0, one.start_word - _CONTEXT_WORDS) : one.start_word]),
            "span": " ".join(words[one.start_word : one.end_word]),
            "after": " ".join(words[one.end_word : one.end_word + _CONTEXT_WORDS]),
            "student": one.label if whose == "student" else other,
            "teacher": one.label if whose == "teacher" else other,
            "score": score,
        }
        if len(seen) == _MOST_DISAGREEMENTS:
            return


def _predict(student: StudentNER, items: Sequence[LabeledPassage]) -> list[list[Entity]]:
    return student.predict_words(
        [item.passage.words for item in items], [item.labels for item in items]
    )


def _against_gold(student: StudentNER, items: Sequence[LabeledPassage]) -> dict[str, Any] | None:
    gold = [list(item.passage.entities) for item in items]
    if not any(gold):
        return None
    of_teacher = [decode_entities(item.probs, item.labels) for item in items]
    of_student = _predict(student, items)
    by_label = {
        name: score_spans_by_label(found, gold)
        for name, found in (("student", of_student), ("teacher", of_teacher))
    }
    labels = sorted({label for scores in by_label.values() for label in scores})
    nothing = score_spans([], [])
    return {
        "student": _as_dict(score_spans(of_student, gold)),
        "teacher": _as_dict(score_spans(of_teacher, gold)),
        "by_label": {
            label: {name: _as_dict(scores.get(label, nothing)) for name, scores in by_label.items()}
            for label in labels
        },
    }


def _compare_speed(
    students: Mapping[str, StudentNER],
    teacher: Teacher,
    items: Sequence[LabeledPassage],
    labels: list[str],
) -> dict[str, dict[str, float]]:
    texts, n_words = [], 0
    for item in items:
        if n_words < TIMED_WORDS:
            texts.append(" ".join(item.passage.words))
            n_words += len(item.passage.words)
    models: dict[str, NERModel] = {**students, TEACHER: TeacherNER(teacher)}
    readers = {name: model.inference for name, model in models.items()}
    rates = measure_rates(readers, texts, labels, rounds=TIMED_ROUNDS)
    return {
        name: {
            "words_per_second": sorted(of_rounds)[len(of_rounds) // 2],
            "lowest": min(of_rounds),
            "highest": max(of_rounds),
        }
        for name, of_rounds in rates.items()
    }


def _curve(run: Path) -> list[dict[str, float]]:
    """Return loss and agreement on dev after each epoch."""
    return [
        {
            "epoch": row["epoch"],
            "loss": row["loss"],
            "agreement_f1": row["span_f1_vs_teacher"],
        }
        for row in read_metrics(run)
        if row["split"] == "dev"
    ]


def _as_dict(scores: SpanScores) -> dict[str, float]:
    return {
        "precision": scores.precision,
        "recall": scores.recall,
        "f1": scores.f1,
        "n_found": scores.n_predicted,
        "n_reference": scores.n_reference,
    }
