"""Calibrate a student, so that its F1 is best at a threshold of 0.5.

The input is a student's logits on annotated passages, in groups of equal weight (data sets, for
example). The output is a `Calibration`, which subtracts one number from the logits of each tag
(start, end, inside) and multiplies the result by another, and its effect. `calibrate_student`
builds it into the weights of a student.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gliner_distill.decoding import decode_entities, sigmoid
from gliner_distill.entities import Entity
from gliner_distill.errors import StudentError
from gliner_distill.metrics import expected_calibration_error, score_spans
from gliner_distill.runtime.heads import BOUNDARY
from gliner_distill.student.model import Student

# In order of size, so that the smallest of several equally good shifts is chosen.
_SHIFTS = sorted(np.arange(-3.0, 1.51, 0.1).tolist(), key=abs)

_TAG_STEPS = (-0.8, -0.4, -0.2, 0.2, 0.4, 0.8)

_SCALES = np.geomspace(0.25, 4.0, 65)


@dataclass(frozen=True, slots=True)
class ScoredGroup:
    """The answers of a student on some annotated passages.

    Attributes:
        logits: An array per passage, shape `(words, labels, 3)`: start, end, inside.
        labels: The labels of the second axis, per passage.
        gold: The annotated entities of these labels, per passage.
    """

    logits: list[NDArray[np.float32]]
    labels: list[tuple[str, ...]]
    gold: list[list[Entity]]


@dataclass(frozen=True, slots=True)
class Calibration:
    """The map from a logit to `scale * (logit - shift)`.

    Attributes:
        shift: The shifts of start, end and inside.
        scale: A number above 0; it is 1 over the temperature of Guo et al. 2017.
    """

    shift: tuple[float, float, float]
    scale: float = 1.0

    def apply(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return calibrated logits, shape `(..., 3)`."""
        return self.scale * (logits - np.asarray(self.shift, dtype=np.float32))


def fit_calibration(groups: Sequence[ScoredGroup]) -> Calibration:
    """Return the calibration with which 0.5 is the best threshold for all groups together.

    The shift maximizes the mean over groups of exact-match span F1. First all three tags are
    shifted together, in steps of 0.1 (the smallest of several equally good shifts is taken); then
    each tag is shifted by itself if that is better. The scale does not change any answer at 0.5. It
    is the one under which the scores of the predicted entities are most likely (temperature
    scaling, Guo et al. 2017), where each entity is either right or wrong.

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
    shift = (round(best[0], 4), round(best[1], 4), round(best[2], 4))
    return Calibration(shift, _fit_scale(groups, Calibration(shift)))


def mean_f1(groups: Sequence[ScoredGroup], calibration: Calibration) -> float:
    """Return the mean over groups of the exact-match span F1 at a threshold of 0.5."""
    scores = [
        score_spans(list(_decode(group, calibration, threshold=0.5)), group.gold).f1
        for group in groups
    ]
    return float(np.mean(scores))


def calibration_error(groups: Sequence[ScoredGroup], calibration: Calibration) -> float:
    """Return the expected calibration error of the entities of all groups predicted at 0.5."""
    scores, correct = _outcomes(groups, calibration, threshold=0.5)
    return expected_calibration_error(scores, correct)


def _fit_scale(groups: Sequence[ScoredGroup], calibration: Calibration) -> float:
    scores, correct = _outcomes(groups, calibration, threshold=0.5)
    if not len(scores) or correct.all() or not correct.any():
        return 1.0  # without both right and wrong entities, the likelihood has no maximum
    logits = np.log(scores) - np.log1p(-scores)
    signed = np.where(correct, logits, -logits)
    losses = [float(np.logaddexp(0.0, -scale * signed).mean()) for scale in _SCALES]
    return round(float(_SCALES[int(np.argmin(losses))]), 4)


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
    clipped = np.clip(np.array(scores, dtype=np.float64), 1e-6, 1 - 1e-6)
    return clipped, np.array(correct, dtype=np.bool_)


def _decode(
    group: ScoredGroup, calibration: Calibration, *, threshold: float
) -> Iterator[list[Entity]]:
    for logits, labels in zip(group.logits, group.labels, strict=True):
        yield decode_entities(sigmoid(calibration.apply(logits)), labels, threshold=threshold)


def calibrate_student(student: Student, *, shift: Sequence[float], scale: float) -> None:
    """Change the weights of a boundary student so that its logits become `scale * (logit - shift)`.

    Args:
        student: The student, changed in place.
        shift: The shifts of start, end and inside.
        scale: A number above 0.

    Raises:
        StudentError: The student does not have a boundary head.
    """
    if student.config.head != BOUNDARY:
        raise StudentError(
            f"the head of the student is {student.config.head}; only a student with a "
            f"{BOUNDARY} head can be calibrated"
        )
    # The logits are linear in the last layer of the label tower, apart from the bias of the head.
    *_, last_layer = student.label_tower.modules()
    bias = student.get_parameter("bias")
    with torch.no_grad():
        for parameter in last_layer.parameters():
            parameter.mul_(scale)
        bias.copy_(scale * (bias - torch.tensor(shift, device=bias.device)))
