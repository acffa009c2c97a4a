"""Measure how far a GLiNER agrees with the soft labels of the sample's test: bounds for students.

The same teacher gives other answers if it is asked for the same labels in another order or one at a
time, since a GLiNER reads the labels together with the text. A student that reads each label by
itself cannot copy this. The mean over several orders is what one can expect of a student that knows
all labels, but not their order.
"""

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import numpy as np
from sample_students import read_sample

from gliner_distill.decoding import decode_entities
from gliner_distill.evaluation.evaluate import Evaluation, score_entities
from gliner_distill.teacher.base import Probabilities
from gliner_distill.teacher.gliner import GLiNERTeacher

AGAIN: Final = "the same teacher again"
REVERSED: Final = "the same teacher, labels in reverse order"
ALONE: Final = "the same teacher, each label alone"
MEAN: Final = "the same teacher, mean of four random orders"
REFERENCES: Final = (AGAIN, REVERSED, MEAN, ALONE)
OTHER: Final = "a second GLiNER of the same size"


def reference_agreement(name: str, folder: str) -> tuple[Evaluation, str]:
    """Return the agreement of a GLiNER with the stored soft labels, and its fingerprint.

    Args:
        name: One of `REFERENCES`, or `OTHER`; it decides how the labels are asked.
        folder: The folder of the GLiNER.
    """
    test = read_sample().test
    teacher = GLiNERTeacher.from_pretrained(folder)
    words = [passage.words for passage in test.passages]
    if name == ALONE:
        probs = [_one_by_one(teacher, *item) for item in zip(words, test.labels, strict=True)]
    else:
        orders = {REVERSED: [_reversed], MEAN: [partial(_shuffled, seed) for seed in range(4)]}
        probs = _mean_of_orders(teacher, words, test.labels, orders.get(name, [list]))
    # The labels are in the order of the test again, because it decides ties.
    found = [decode_entities(*item) for item in zip(probs, test.labels, strict=True)]
    evaluation = score_entities(
        found, test.passages, test.labels, teacher_entities=test.teacher_entities
    )
    return evaluation, teacher.fingerprint


def _mean_of_orders(
    teacher: GLiNERTeacher,
    words: Sequence[Sequence[str]],
    labels: Sequence[Sequence[str]],
    orders: Sequence[Callable[[range], list[int]]],
) -> list[Probabilities]:
    """Return the mean of a teacher's probabilities over several orders of the labels."""
    sums: list[Probabilities] = [np.zeros((), np.float32)] * len(words)
    for order in orders:
        places = [order(range(len(asked))) for asked in labels]
        asked_in_order = [
            [asked[place] for place in row] for asked, row in zip(labels, places, strict=True)
        ]
        answers = teacher.score_passages(words, asked_in_order)
        for number, (row, answer) in enumerate(zip(places, answers, strict=True)):
            sums[number] = sums[number] + answer[:, np.argsort(row)] / len(orders)
    return sums


def _reversed(places: range) -> list[int]:
    return list(places[::-1])


def _shuffled(seed: int, places: range) -> list[int]:
    return random.Random(f"{seed} {len(places)}").sample(places, len(places))


def _one_by_one(
    teacher: GLiNERTeacher, words: Sequence[str], labels: Sequence[str]
) -> Probabilities:
    probs = teacher.score_passages([words] * len(labels), [(label,) for label in labels])
    return np.concatenate(probs, axis=1)
