"""Weigh several teachers for each label, by their answers about annotated passages.

With enough annotated passages, the shares of the teachers in the mean are chosen for each label:
those whose mean has the best F1. They stay equal where the annotation says too little, and without
annotation. A teacher that does not know a label never has a share in it.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gliner_distill.decoding import decode_entities
from gliner_distill.distillation.measurements import LabelWeights, TeacherWeights
from gliner_distill.distillation.stages import Labeled
from gliner_distill.distillation.train import Splits
from gliner_distill.distillation.workspace import Workspace
from gliner_distill.entities import Entity, LabeledPassage
from gliner_distill.metrics import score_spans
from gliner_distill.teacher.base import (
    Weights,
    equal_weights,
    individual_teachers,
    mean_probs,
)

_PARTS: Final = 4
"""Shares are multiples of a quarter; finer ones would fit only the annotated passages."""

MIN_GAIN: Final = 0.02
"""The F1 that other shares must gain over equal ones before they are chosen."""

_THRESHOLD: Final = 0.5


def weigh(work: Workspace, labeled: Labeled) -> Labeled:
    """Return the passages with the weighted mean of several teachers as soft labels.

    With a single teacher, or with soft labels of an earlier version that kept the mean alone, the
    passages are returned as they are.

    Raises:
        DistillError: A teacher cannot be loaded.
    """
    passages = [passage for split in labeled.gold.values() for passage in split]
    passages += [passage for split in labeled.text.values() for passage in split]
    if not passages or not all(passage.individual_probs for passage in passages):
        return labeled
    teachers = individual_teachers(work.teacher.load())
    labels = passages[0].labels
    equal = equal_weights(teachers, work.job.policy.prompts(labels))
    gold, settings = labeled.gold["train"], work.settings
    n_annotated = sum(bool(entities) for entities in map(_asked_entities, gold))
    is_enough = n_annotated >= settings.min_gold_passages
    rows = [
        _weigh_label(place, label, gold, equal[:, place], settings.min_label_count)
        if is_enough
        else LabelWeights(label, equal[:, place].tolist(), (), 0)
        for place, label in enumerate(labels)
    ]
    weights = TeacherWeights(
        work.teacher.public_names, rows, n_passages=len(gold) if is_enough else 0
    )
    shares = np.array([row.shares for row in rows]).T
    return replace(
        labeled,
        text=_mix(labeled.text, shares, equal),
        gold=_mix(labeled.gold, shares, equal),
        teacher_weights=weights,
        warnings=(*labeled.warnings, weights.describe()),
    )


def _mix(splits: Splits, shares: Weights, equal: Weights) -> dict[str, list[LabeledPassage]]:
    """Return passages with the weighted means; labels of equal shares keep the mean they have."""
    is_kept = (shares == equal).all(axis=0)[np.newaxis, :, np.newaxis]
    return {
        split: [
            replace(
                passage,
                probs=np.where(
                    is_kept, passage.probs, mean_probs(passage.individual_probs, shares)
                ),
                individual_probs=(),
            )
            for passage in passages
        ]
        for split, passages in splits.items()
    }


def _weigh_label(
    place: int,
    label: str,
    gold: Sequence[LabeledPassage],
    equal: NDArray[np.floating],
    min_count: int,
) -> LabelWeights:
    """Return the shares of the teachers in a label, and the F1 of each teacher alone.

    Args:
        place: The index of the label.
        label: The label.
        gold: The annotated training passages, with the answers of each teacher.
        equal: Shape `(teachers,)`: equal shares of those teachers that know the label.
        min_count: With fewer annotated entities than this, the shares stay equal.
    """
    reference = [[e for e in _asked_entities(passage) if e.label == label] for passage in gold]
    answers = [
        np.stack([probs[:, [place]] for probs in passage.individual_probs]) for passage in gold
    ]

    def f1_of(shares: NDArray[np.floating]) -> float:
        means = (np.tensordot(shares, answer, axes=1) for answer in answers)
        predicted = [_decode(mean, label) for mean in means]
        return score_spans(predicted, reference).f1

    n_entities = sum(map(len, reference))
    f1s = [f1_of(alone) for alone in np.eye(len(equal))]
    known = np.flatnonzero(equal)
    shares = equal
    if len(known) > 1 and n_entities >= min_count:
        shares = best_shares([equal, *list_shares(known, len(equal))], f1_of)
    return LabelWeights(label, shares.tolist(), f1s, n_entities)


def best_shares(
    candidates: Sequence[NDArray[np.floating]], f1_of: Callable[[NDArray[np.floating]], float]
) -> NDArray[np.floating]:
    """Return the candidate of the best F1; the first one, unless another gains enough over it.

    Of equally good candidates, the one that is closest to the first is returned.
    """
    first = candidates[0]
    reached = [f1_of(shares) for shares in candidates]
    if max(reached) < reached[0] + MIN_GAIN:
        return first
    best = [
        shares
        for shares, f1 in zip(candidates, reached, strict=True)
        if math.isclose(f1, max(reached), abs_tol=1e-9)
    ]
    return min(best, key=lambda shares: float(np.abs(shares - first).sum()))


def list_shares(known: NDArray[np.int64], n_teachers: int) -> Iterator[NDArray[np.floating]]:
    """Yield all shares of the known teachers in quarters that sum to 1."""
    for parts in _compositions(_PARTS, len(known)):
        shares = np.zeros(n_teachers)
        shares[known] = np.array(parts) / _PARTS
        yield shares


def _compositions(total: int, n_parts: int) -> Iterator[tuple[int, ...]]:
    """Yield all tuples of `n_parts` whole numbers of at least 0 that sum to `total`.

    >>> list(_compositions(2, 2))
    [(0, 2), (1, 1), (2, 0)]
    """
    if n_parts == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in _compositions(total - first, n_parts - 1):
            yield (first, *rest)


def _decode(probs: NDArray[np.floating], label: str) -> list[Entity]:
    # Most passages have no word that may start an entity, and decoding is slower than this check.
    return decode_entities(probs, [label]) if (probs > _THRESHOLD).any() else []


def _asked_entities(passage: LabeledPassage) -> list[Entity]:
    return [entity for entity in passage.passage.entities if entity.label in passage.labels]
