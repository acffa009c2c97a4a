"""Calibrate a student: F1 is best at 0.5, and other thresholds mean what they mean to the teacher.

The input is a student's logits on annotated passages, in groups of equal weight (data sets, for
example), and the number of entities that the teacher finds in them at each threshold. The results
are a `Calibration`, which subtracts one number from the logits of each tag (start, end, inside),
and a `ScoreMap`, with which the student finds about as many entities at a threshold as the teacher.
`calibrate_student` builds the calibration into the weights of a student.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gliner_distill.decoding import decode_entities, sigmoid
from gliner_distill.entities import Entity
from gliner_distill.errors import StudentError
from gliner_distill.metrics import expected_calibration_error, score_spans
from gliner_distill.runtime.heads import BOUNDARY
from gliner_distill.runtime.score_map import ScoreMap
from gliner_distill.specificity import LabelKinds
from gliner_distill.student.model import Student
from gliner_distill.student.score_fitting import fit_score_map as fit_counts

# In order of size, so that the smallest of several equally good shifts is chosen.
_SHIFTS = sorted(np.arange(-3.0, 1.51, 0.1).tolist(), key=abs)

_TAG_STEPS = (-0.8, -0.4, -0.2, 0.2, 0.4, 0.8)

MOST_F1_LOST = 0.002
"""The mean F1 that may be given up for a number of entities that is closer to the teacher's."""

THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""The thresholds at which the entities of the teacher are counted."""
# Each of these logits needs all groups decoded; the counts in between are interpolated.
_LOGITS = np.arange(-20, 21) / 5


@dataclass(frozen=True, slots=True)
class ScoredGroup:
    """The answers of a student on some annotated passages.

    Attributes:
        logits: An array per passage, shape `(words, labels, 3)`: start, end, inside.
        labels: The labels of the second axis, per passage.
        gold: The annotated entities of these labels, per passage.
        kinds: The numbers by which the student compares these labels, per passage; None if it does
            not.
    """

    logits: list[NDArray[np.float32]]
    labels: list[tuple[str, ...]]
    gold: list[list[Entity]]
    kinds: list[LabelKinds | None]


@dataclass(frozen=True, slots=True)
class Calibration:
    """The map from a logit to `logit - shift`.

    Attributes:
        shift: The shifts of start, end and inside.
    """

    shift: tuple[float, float, float]

    def apply(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return calibrated logits, shape `(..., 3)`."""
        return logits - np.asarray(self.shift, dtype=np.float32)

    def moved(self, step: float) -> "Calibration":
        """Return a calibration that subtracts so much more from each tag."""
        start, end, inside = (round(value + step, 4) for value in self.shift)
        return Calibration((start, end, inside))


def fit_calibration(groups: Sequence[ScoredGroup]) -> Calibration:
    """Return the calibration with which 0.5 is the best threshold for all groups together.

    The shift maximizes the mean over groups of exact-match span F1. First all three tags are
    shifted together, in steps of 0.1 (the smallest of several equally good shifts is taken); then
    each tag is shifted by itself if that is better.

    Raises:
        ValueError: `groups` is empty.
    """
    if not groups:
        raise ValueError("there are no groups to fit a calibration to")

    def score(shift: tuple[float, ...]) -> float:
        return mean_f1(groups, Calibration((shift[0], shift[1], shift[2])))

    best = max(((step,) * 3 for step in _SHIFTS), key=score)
    best_f1 = score(best)
    for tag in range(3):
        for step in _TAG_STEPS:
            moved = tuple(value + step * (t == tag) for t, value in enumerate(best))
            if (f1 := score(moved)) > best_f1:
                best, best_f1 = moved, f1
    return Calibration((round(best[0], 4), round(best[1], 4), round(best[2], 4)))


def match_count(
    groups: Sequence[ScoredGroup], calibration: Calibration, n_wanted: int
) -> Calibration:
    """Return a calibration that is nearly as good and finds about as many entities as the teacher.

    All three tags are shifted together. Among the shifts that cost at most 0.2 points of mean F1,
    the one is taken whose number of entities at 0.5 is closest to the wanted one, and among equals
    the smallest one.

    Args:
        groups: The answers of the student.
        calibration: The calibration with the best F1.
        n_wanted: The number of entities that the teacher finds at 0.5.
    """
    least = mean_f1(groups, calibration) - MOST_F1_LOST
    moved = [calibration.moved(step) for step in _SHIFTS]
    good = [each for each in moved if mean_f1(groups, each) >= least]
    return min(good, key=lambda each: abs(count_entities(groups, each, 0.5) - n_wanted))


def mean_f1(groups: Sequence[ScoredGroup], calibration: Calibration) -> float:
    """Return the mean over groups of the exact-match span F1 at a threshold of 0.5."""
    scores = [
        score_spans(list(_decode(group, calibration, threshold=0.5)), group.gold).f1
        for group in groups
    ]
    return float(np.mean(scores))


def calibration_error(
    groups: Sequence[ScoredGroup], calibration: Calibration, score_map: ScoreMap | None = None
) -> float:
    """Return the expected calibration error of the entities of all groups predicted at 0.5."""
    scores, correct = _outcomes(groups, calibration, threshold=0.5)
    return expected_calibration_error(score_map.report(scores) if score_map else scores, correct)


def fit_score_map(
    groups: Sequence[ScoredGroup], calibration: Calibration, wanted: Mapping[float, int]
) -> ScoreMap:
    """Return the map with which a student finds as many entities at a threshold as its teacher.

    See `gliner_distill.student.score_fitting.fit_score_map`.

    Args:
        groups: The answers of the student.
        calibration: The calibration that was fitted to the student.
        wanted: The number of entities that the teacher finds in all groups, by threshold; at least
            one threshold must lie below 0.5 and one above it.
    """
    found = {prob: count_entities(groups, calibration, prob) for prob in sigmoid(_LOGITS).tolist()}
    return fit_counts(found, wanted)


def check_score_map(
    groups: Sequence[ScoredGroup], calibration: Calibration, wanted: Sequence[Mapping[float, int]]
) -> list[dict[str, Any]]:
    """Measure on each half of the groups the map that is fitted to the other half.

    Args:
        groups: The answers of the student; two groups or more.
        calibration: The calibration that was fitted to the student.
        wanted: For each group, the number of entities that the teacher finds, by threshold.

    Returns:
        For each half, the calibration error of the entities that the student finds at 0.5 and, by
        threshold, the number of its entities divided by the teacher's.
    """
    rows = []
    for half in (0, 1):
        tested, fitted_to = groups[half::2], groups[1 - half :: 2]
        score_map = fit_score_map(fitted_to, calibration, _sum_counts(wanted[1 - half :: 2]))
        theirs = _sum_counts(wanted[half::2])
        own = score_map.restore(np.array(sorted(theirs)))
        rows.append(
            {
                "calibration error": calibration_error(tested, calibration, score_map),
                "entities by threshold": {
                    str(threshold): count_entities(tested, calibration, float(prob))
                    / max(theirs[threshold], 1)
                    for threshold, prob in zip(sorted(theirs), own, strict=True)
                },
            }
        )
    return rows


def count_entities(
    groups: Sequence[ScoredGroup], calibration: Calibration, threshold: float
) -> int:
    """Return the number of entities that a student finds in all groups at a threshold."""
    return sum(
        len(entities)
        for group in groups
        for entities in _decode(group, calibration, threshold=threshold)
    )


def _sum_counts(counts: Sequence[Mapping[float, int]]) -> dict[float, int]:
    return {threshold: sum(count[threshold] for count in counts) for threshold in counts[0]}


def _outcomes(
    groups: Sequence[ScoredGroup], calibration: Calibration, *, threshold: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the score of each predicted entity, and whether gold contains it."""
    scores, correct = [], []
    for group in groups:
        predicted = _decode(group, calibration, threshold=threshold)
        for entities, reference in zip(predicted, group.gold, strict=True):
            gold = set(reference)
            scores += [entity.score for entity in entities]
            correct += [entity in gold for entity in entities]
    return np.array(scores, dtype=np.float64), np.array(correct, dtype=np.bool_)


def _decode(
    group: ScoredGroup, calibration: Calibration, *, threshold: float
) -> Iterator[list[Entity]]:
    for logits, labels, kinds in zip(group.logits, group.labels, group.kinds, strict=True):
        probs = sigmoid(calibration.apply(logits))
        yield decode_entities(probs, labels, threshold=threshold, kinds=kinds)


def calibrate_student(student: Student, *, shift: Sequence[float]) -> None:
    """Change the weights of a boundary student so that its logits become `logit - shift`.

    Args:
        student: The student, changed in place.
        shift: The shifts of start, end and inside.

    Raises:
        StudentError: The student does not have a boundary head.
    """
    if student.config.head != BOUNDARY:
        raise StudentError(
            f"the head of the student is {student.config.head}; only a student with a "
            f"{BOUNDARY} head can be calibrated"
        )
    bias = student.get_parameter("bias")
    with torch.no_grad():
        bias.sub_(torch.tensor(shift, device=bias.device))
