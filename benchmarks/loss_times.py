"""The processor time of the losses of `losses.py`, and of the teacher's vectors.

A training of its own for each loss would not show small differences, because other programs on the
machine slow down the caches of a processor. Here, all losses read a batch in turn.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from loss_heads import PassageVectors, StudyHead, Variant
from sample_students import read_sample

from gliner_distill.entities import LabeledPassage
from gliner_distill.student.model import Student
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.teacher.representations import TeacherFeatures, teacher_features
from gliner_distill.training.data import collate_examples, make_example

_BATCH_SIZE: Final = 8
_ALPHA: Final = 0.4


def time_steps(
    passages: Sequence[LabeledPassage],
    variants: Mapping[str, Variant],
    vectors: PassageVectors,
    *,
    start: Callable[[int, int], Student],
) -> dict[str, Any]:
    """Return the processor time of a step without the optimizer, in milliseconds.

    Args:
        passages: The passages to read, more than one batch.
        variants: The losses by name.
        vectors: The teacher's vectors of these passages.
        start: A function of a seed and a feature width that returns a student.
    """
    vocabulary = read_sample().vocabulary
    batches = [
        [make_example(item, vocabulary) for item in passages[first : first + _BATCH_SIZE]]
        for first in range(0, len(passages), _BATCH_SIZE)
    ]
    students = {}
    for name, variant in variants.items():
        known = vectors if variant.distance else None
        students[name] = start(0, known.width if known else 0).train()
        students[name].head = StudyHead(variant, 1000, known)
        students[name].head.watch(students[name])
    spent = dict.fromkeys(variants, 0.0)
    for number, batch in enumerate(batches):
        for name, student in students.items():
            started = time.process_time()
            item = collate_examples(batch, vocabulary, student.head)
            logits = student(item.inputs)
            student.head.loss(logits, item.targets, item.inputs, alpha=_ALPHA).backward()
            student.zero_grad()
            # The first batch warms up.
            spent[name] += time.process_time() - started if number else 0.0
    return {name: round(1000 * spent[name] / (len(batches) - 1), 2) for name in variants}


def time_teacher(passages: Sequence[LabeledPassage], teacher: GLiNERTeacher) -> dict[str, Any]:
    """Return the processor time of the teacher's vectors of a batch, in milliseconds.

    The teacher reads a batch at once, then each passage on its own, and then remembers them.
    """
    batches = [
        passages[first : first + _BATCH_SIZE] for first in range(0, len(passages), _BATCH_SIZE)
    ]
    asked = [
        ([item.passage.words for item in batch], [item.labels for item in batch])
        for batch in batches
    ]
    features = TeacherFeatures(teacher)
    ways = {
        "batch_cpu_ms": partial(teacher_features, teacher),
        "alone_cpu_ms": features.of_batch,
        "remembered_cpu_ms": features.of_batch,
    }
    # The first call sets the tokenizer up.
    teacher_features(teacher, *asked[0])
    row: dict[str, Any] = {"teacher": teacher.fingerprint}
    for key, read in ways.items():
        started = time.process_time()
        for words, labels in asked:
            read(words, labels)
        row[key] = round(1000 * (time.process_time() - started) / len(asked), 2)
    return row
