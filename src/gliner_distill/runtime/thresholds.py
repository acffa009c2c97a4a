"""A threshold and a scale fitted into a student, so that 0.5 is where its F1 is best.

In: a student's logits on annotated passages, in groups that count alike (data sets, say). Out: a
`Calibration`, one logit to take off for each of start, end and inside and one number to multiply
what is left by, and its effect. Numpy alone, so that it serves whatever computes the logits.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gliner_distill.decoding import decode_entities
from gliner_distill.entities import Entity
from gliner_distill.metrics import expected_calibration_error, score_spans

_SHIFTS = sorted(np.arange(-3.0, 1.51, 0.1).tolist(), key=abs)


_KIND_STEPS = (-0.8, -0.4, -0.2, 0.2, 0.4, 0.8)


_SCALES = np.geomspace(0.25, 4.0, 65)


@dataclass(frozen=True, slots=True)
class ScoredGroup:
    """A student's answers on some annotated passages.

    Attributes:
        logits: Of each passage, shape `(words, labels, 3)`: start, end, inside.
        labels: The labels of the second axis of each.
        gold: Each passage's annotated entities of these labels.
    """

    logits: list[NDArray[np.float32]]
    labels: list[tuple[str, ...]]
    gold: list[list[Entity]]


@dataclass(frozen=True, slots=True)
class Calibration:
    """`scale * (logit - shift)` in place of a logit.

    Attributes:
        shift: Of start, end and inside.
        scale: Above 0; 1 over the temperature of Guo et al. 2017.
    """

    shift: tuple[float, float, float]
    scale: float = 1.0

    def apply(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return calibrated logits, shape `(..., 3)`."""
        return self.scale * (logits - np.asarray(self.shift, dtype=np.float32))


def fit_calibration(groups: Sequence[ScoredGroup]) -> Calibration:
    """Return the calibration with which 0.5 is the best threshold for all groups together.

    The shift is the one at which the mean over groups of exact-match span F1 is best: one for all
    three probabilities first, in steps of 0.1, the smallest of those that are as good, then each
    moved by itself where that is better. The scale, which changes no answer at 0.5, is where the
    scores of the entities found are likeliest (temperature scaling, Guo et al. 2017): each is
    right or not.

    Raises:
        ValueError: There is no group.
    """
    if not groups:
        raise ValueError("there is nothing to fit to")

    def score(shift: tuple[float, ...]) -> float:
        return mean_f1(groups, Calibration((shift[0], shift[1], shift[2])))

    best = max(((step,) * 3 for step in _SHIFTS), key=score)
    best_f1 = score(best)
    for kind in range(3):
        for step in _KIND_STEPS:
            moved = tuple(value + step * (k == kind) for k, value in enumerate(best))
            if (f1 := score(moved)) > best_f1:
                best, best_f1 = moved, f1
    shift = (round(best[0], 4), round(best[1], 4), round(best[2], 4))
    return Calibration(shift, _fit_scale(groups, Calibration(shift)))


def mean_f1(groups: Sequence[ScoredGroup], calibration: Calibration) -> float:
    """Return the mean over groups of the exact-match span F1 at 0.5."""
    scores = [
        score_spans(list(_decode(group, calibration, threshold=0.5)), group.gold).f1
        for group in groups
    ]
    return float(np.mean(scores))


def calibration_error(groups: Sequence[ScoredGroup], calibration: Calibration) -> float:
    """Return the expected calibration error of the entities found at 0.5, of all groups."""
    scores, correct = _outcomes(groups, calibration, threshold=0.5)
    return expected_calibration_error(scores, correct)


def _fit_scale(groups: Sequence[ScoredGroup], calibration: Calibration) -> float:
    scores, correct = _outcomes(groups, calibration, threshold=0.5)
    if not len(scores) or correct.all() or not correct.any():
        return 1.0
    logits = np.log(scores) - np.log1p(-scores)
    signed = np.where(correct, logits, -logits)
    losses = [float(np.logaddexp(0.0, -scale * signed).mean()) for scale in _SCALES]
    return round(float(_SCALES[int(np.argmin(losses))]), 4)


def _outcomes(
    groups: Sequence[ScoredGroup], calibration: Calibration, *, threshold: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the score of each entity found, and whether gold has it."""
    scores, correct = [], []
    for group in groups:
        found = _decode(group, calibration, threshold=threshold)
        for entities, reference in zip(found, group.gold, strict=True):
            right = set(reference)
            scores += [entity.score for entity in entities]
            correct += [entity in right for entity in entities]
    clipped = np.clip(np.array(scores, dtype=np.float64), 1e-6, 1 - 1e-6)
    return clipped, np.array(correct, dtype=np.bool_)


def _decode(
    group: ScoredGroup, calibration: Calibration, *, threshold: float
) -> Iterator[list[Entity]]:
    for logits, labels in zip(group.logits, group.labels, strict=True):
        probs = 1 / (1 + np.exp(-np.clip(calibration.apply(logits), -80, 80)))
        yield decode_entities(probs, labels, threshold=threshold)


_FEW_ENTITIES = 5


_THRESHOLD_RANGE = (0.02, 0.98)


def fit_label_thresholds(
    found: Sequence[Sequence[Entity]],
    gold: Sequence[set[tuple[int, int, str]]],
    own: Mapping[str, float],
    *,
    min_gain: float = 0.0,
) -> dict[str, float]:
    """Return for each label the score above which its F1 is best.

    A label with fewer than five entities in gold has the one that is best for all together.

    Args:
        found: Each passage's candidates, also those of low scores; of one label, none overlap.
        gold: Each passage's entities: start, end, label.
        own: The labels to fit, with the threshold that each has.
        min_gain: By how much F1 must be better than at its own threshold for it to move, and so
            also on each half of the passages with the threshold of the other half. 0: it moves in
            any case.
    """
    outcomes, n_gold = _outcomes_by_label(found, gold, own)
    together = [outcome for of_label in outcomes.values() for outcome in of_label]
    shared = _best_threshold(together, n_gold.total())
    halves = [_outcomes_by_label(found[half::2], gold[half::2], own) for half in (0, 1)]
    fitted = {}
    for label, threshold in own.items():
        best = shared
        if n_gold[label] >= _FEW_ENTITIES:
            best = _best_threshold(outcomes[label], n_gold[label])
        gains = [_gain(best, threshold, outcomes[label], n_gold[label]) - min_gain]
        for (there, n_there), (here, n_here) in (halves, halves[::-1]):
            cut = _best_threshold(there[label], n_there[label])
            gains.append(_gain(cut, threshold, here[label], n_here[label]))
        fitted[label] = best if not min_gain or min(gains) > 0 else threshold
    return fitted


def _outcomes_by_label(
    found: Sequence[Sequence[Entity]],
    gold: Sequence[set[tuple[int, int, str]]],
    labels: Iterable[str],
) -> tuple[dict[str, list[tuple[float, bool]]], Counter[str]]:
    """Return each label's candidates as score and whether gold has it; and its count in gold."""
    outcomes: dict[str, list[tuple[float, bool]]] = {label: [] for label in labels}
    for entities, right in zip(found, gold, strict=True):
        for entity in entities:
            is_right = (entity.start_word, entity.end_word, entity.label) in right
            outcomes[entity.label].append((entity.score, is_right))
    return outcomes, Counter(label for right in gold for *_, label in right if label in outcomes)


def _gain(
    threshold: float, own: float, outcomes: Sequence[tuple[float, bool]], n_gold: int
) -> float:
    """Return by how much F1 is better above a threshold than above a label's own."""
    return _f1_above(threshold, outcomes, n_gold) - _f1_above(own, outcomes, n_gold)


def _f1_above(threshold: float, outcomes: Sequence[tuple[float, bool]], n_gold: int) -> float:
    right = [is_right for score, is_right in outcomes if score > threshold]
    return 2 * sum(right) / max(len(right) + n_gold, 1)


def _best_threshold(outcomes: Sequence[tuple[float, bool]], n_gold: int) -> float:
    """Return the cut through scores at which F1 is best, midway between two of them."""
    ordered = sorted(outcomes, key=lambda outcome: -outcome[0])
    if not any(right for _, right in ordered):
        return 0.5
    scores = np.array([score for score, _ in ordered])
    n_right = np.cumsum([right for _, right in ordered])
    f1 = 2 * n_right / (np.arange(1, len(ordered) + 1) + n_gold)
    f1[:-1][scores[:-1] == scores[1:]] = -1  # no cut goes between equal scores
    best = int(f1.argmax())
    below = scores[best + 1] if best + 1 < len(scores) else 0.0
    low, high = _THRESHOLD_RANGE
    return round(float(np.clip((scores[best] + below) / 2, low, high)), 4)
