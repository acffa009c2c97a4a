"""Fit a student's scores, so that thresholds mean to it what they mean to its teacher.

The input is the number of entities that student and teacher find in the same passages at several
thresholds. First all thresholds of the student are shifted, so that F1 is best at 0.5 and it finds
about as many entities there as the teacher. Then a `ScoreMap` does the same for the other
thresholds, and leaves 0.5 where it is.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from gliner_distill.decoding import decode_entities, sigmoid
from gliner_distill.entities import Entity, LabeledPassage, Passage
from gliner_distill.metrics import score_spans
from gliner_distill.runtime.bundle import Bundle
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.runtime.score_map import ScoreMap

COUNTED_THRESHOLDS: Final = (0.125, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""The thresholds at which the teacher's entities are counted; a compact store is exact at these."""

# A map that is fitted to fewer entities would follow chance.
_FEWEST_ENTITIES = 30

# The loss of F1 that is allowed for a number of entities that is closer to the teacher's.
_MOST_F1_LOST = 0.01

_TRIED_SHIFTS = tuple(step / 10 for step in range(-10, 11))
_TRIED_LOGITS = np.arange(-8, 9) / 2
_SLOPES = np.geomspace(0.05, 5.0, 100).round(3).tolist()


def fit_score_map(found: Mapping[float, int], wanted: Mapping[float, int]) -> ScoreMap:
    """Return the map with which a student finds as many entities at a threshold as its teacher.

    The map is a straight line below 0.5 and another one above it. Its two slopes minimize the mean
    squared logarithm of the ratio between the two numbers of entities. A map with a knot per
    threshold follows the fitted passages more closely, but others less closely.

    Args:
        found: The number of entities that the student finds, by the threshold of its own scores;
            the counts in between are interpolated.
        wanted: The number of entities that the teacher finds, by threshold. Scores below 0.5 stay
            as they are if none of the thresholds lies there. The same holds for scores above it.
    """
    own = {_logit(threshold): math.log1p(n) for threshold, n in sorted(found.items())}
    theirs = {_logit(threshold): math.log1p(n) for threshold, n in wanted.items()}

    def best_slope(side: Mapping[float, float]) -> float:
        def distance(slope: float) -> float:
            counts = np.interp([slope * logit for logit in side], list(own), list(own.values()))
            return float(np.mean((counts - list(side.values())) ** 2))

        return min(_SLOPES, key=distance) if side else 1.0

    below = best_slope({logit: n for logit, n in theirs.items() if logit < 0})
    above = best_slope({logit: n for logit, n in theirs.items() if logit > 0})
    return ScoreMap((-below, 0.0, above), (-1.0, 0.0, 1.0))


def fit_bundle_scores(
    bundle: Bundle, passages: Sequence[Passage], wanted: Mapping[float, int]
) -> Bundle:
    """Return a bundle with thresholds and a map of scores that fit the teacher.

    Among the shifts of all thresholds that cost at most one point of F1, the one is taken whose
    number of entities is closest to the teacher's. Thresholds at which the teacher finds fewer than
    30 entities are left out. If it never finds more, the bundle is returned unchanged.

    Args:
        bundle: The bundle, with its thresholds.
        passages: The passages with the entities that the student should find; their `own_labels`
            are asked.
        wanted: The number of entities that the teacher finds in them; see `count_by_threshold`.
    """
    frequent = {threshold: n for threshold, n in wanted.items() if n >= _FEWEST_ENTITIES}
    if not frequent:
        return bundle
    bundle = replace(bundle, score_map=None)
    if 0.5 in frequent:
        bundle = _shift_thresholds(bundle, _best_shift(bundle, passages, frequent[0.5]))
    found = {
        threshold: sum(map(len, _find(bundle, passages, threshold)))
        for threshold in sigmoid(_TRIED_LOGITS).tolist()
    }
    return replace(bundle, score_map=fit_score_map(found, frequent))


def count_by_threshold(passages: Sequence[LabeledPassage]) -> dict[float, int]:
    """Return the number of entities that the soft labels of passages hold at each threshold."""
    return {
        threshold: sum(
            len(decode_entities(item.probs, item.labels, threshold=threshold)) for item in passages
        )
        for threshold in COUNTED_THRESHOLDS
    }


def _best_shift(bundle: Bundle, passages: Sequence[Passage], n_wanted: int) -> float:
    """Return the logit at which F1 is nearly best and about so many entities are found."""
    expected = [list(passage.entities) for passage in passages]
    found = {
        shift: _find(bundle, passages, float(sigmoid(np.array(shift)))) for shift in _TRIED_SHIFTS
    }
    f1 = {shift: score_spans(entities, expected).f1 for shift, entities in found.items()}
    least = max(f1.values()) - _MOST_F1_LOST

    def distance(shift: float) -> tuple[float, float]:
        n_found = sum(map(len, found[shift]))
        return abs(n_found - n_wanted), abs(shift)

    return min((shift for shift in found if f1[shift] >= least), key=distance)


def _shift_thresholds(bundle: Bundle, shift: float) -> Bundle:
    """Return a bundle all thresholds of which are higher by so many logits."""

    def shifted(threshold: float) -> float:
        moved = _logit(threshold) + shift
        return round(1 / (1 + math.exp(-moved)), 4)

    by_label = {label: shifted(own) for label, own in bundle.label_thresholds.items()}
    return replace(bundle, threshold=shifted(bundle.threshold), label_thresholds=by_label)


def _find(bundle: Bundle, passages: Sequence[Passage], threshold: float) -> list[list[Entity]]:
    words = [passage.words for passage in passages]
    labels = [passage.own_labels for passage in passages]
    return StudentNER(bundle).predict_words(words, labels, threshold=threshold)


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))
