"""Compute 95% intervals of F1 by drawing passages (the bootstrap of Efron 1979).

The entities of one passage are alike, so whole passages are drawn: as many as there are, with
replacement, again and again. The interval leaves out 2.5% of the F1 values on each side. The draws
have a fixed seed, so that equal answers have equal intervals, and two models that are compared see
the same draws.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gliner_distill.entities import Entity

N_DRAWS: Final = 1_000
SEED: Final = 0

Interval = tuple[float, float]

_EDGES: Final = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class _Counts:
    """The spans of each passage and label, without the pairs that have none.

    Attributes:
        n_passages: The number of passages.
        labels: The labels in alphabetical order.
        passages: Shape `(rows,)`: the passage of each row.
        columns: Shape `(rows,)`: the position of its label.
        n_correct: Shape `(rows,)`: the spans that both sides have.
        n_both: Shape `(rows,)`: the spans of one side, plus those of the other.
    """

    n_passages: int
    labels: tuple[str, ...]
    passages: NDArray[np.intp]
    columns: NDArray[np.intp]
    n_correct: NDArray[np.float64]
    n_both: NDArray[np.float64]


def f1_intervals(
    predicted: Sequence[Sequence[Entity]], reference: Sequence[Sequence[Entity]]
) -> tuple[Interval, dict[str, Interval]]:
    """Return the 95% interval of the F1 over all labels, and of each label that either side has.

    Passages without entities are drawn, too. A label's interval is from the draws in which it
    occurs. Without any entity, the interval is (1, 1).

    Args:
        predicted: The entities of each passage.
        reference: The entities of the same passages, in the same order.

    Raises:
        ValueError: The two sides differ in length.
    """
    counts = _count(predicted, reference)
    if not counts.labels:
        return (1.0, 1.0), {}
    drawn = [
        _f1s(np.array([n_correct.sum(), *n_correct]), np.array([n_both.sum(), *n_both]))
        for n_correct, n_both in _draws(counts)
    ]
    low, high = np.nanpercentile(np.array(drawn), _EDGES, axis=0)
    pairs = [(float(first), float(last)) for first, last in zip(low, high, strict=True)]
    return pairs[0], dict(zip(counts.labels, pairs[1:], strict=True))


def f1_difference_interval(
    predicted: Sequence[Sequence[Entity]],
    other: Sequence[Sequence[Entity]],
    reference: Sequence[Sequence[Entity]],
) -> Interval:
    """Return the 95% interval of the F1 of `predicted` minus that of `other`, over all labels.

    Args:
        predicted: The entities that a model found in each passage.
        other: The entities that another model found in the same passages.
        reference: The reference entities of these passages.

    Raises:
        ValueError: The arguments differ in length.
    """
    first, second = (
        [
            _f1s(n_correct.sum(), n_both.sum())
            for n_correct, n_both in _draws(_count(entities, reference))
        ]
        for entities in (predicted, other)
    )
    # Without an entity on either side, the two agree.
    low, high = np.percentile(np.nan_to_num(first, nan=1) - np.nan_to_num(second, nan=1), _EDGES)
    return float(low), float(high)


def _f1s(n_correct: NDArray[np.float64], n_both: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 2 * correct / both, and NaN where there is nothing."""
    f1s: NDArray[np.float64] = 2 * n_correct / np.where(n_both > 0, n_both, np.nan)
    return f1s


def _draws(counts: _Counts) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Yield for each draw how many spans of each label are correct, and are there at all."""
    rng = np.random.default_rng(SEED)
    n_passages, n_labels = counts.n_passages, len(counts.labels)
    for _ in range(N_DRAWS):
        drawn = rng.integers(max(n_passages, 1), size=n_passages)
        times = np.bincount(drawn, minlength=n_passages)[counts.passages]
        n_correct, n_both = np.zeros(n_labels), np.zeros(n_labels)
        np.add.at(n_correct, counts.columns, times * counts.n_correct)
        np.add.at(n_both, counts.columns, times * counts.n_both)
        yield n_correct, n_both


def _count(predicted: Sequence[Sequence[Entity]], reference: Sequence[Sequence[Entity]]) -> _Counts:
    n_correct: Counter[tuple[int, str]] = Counter()
    n_both: Counter[tuple[int, str]] = Counter()
    for number, (entities, expected) in enumerate(zip(predicted, reference, strict=True)):
        spans, reference_spans = set(entities), set(expected)
        n_correct.update((number, entity.label) for entity in spans & reference_spans)
        for side in (spans, reference_spans):
            n_both.update((number, entity.label) for entity in side)
    labels = sorted({label for _, label in n_both})
    column_of = {label: column for column, label in enumerate(labels)}
    return _Counts(
        n_passages=len(predicted),
        labels=tuple(labels),
        passages=np.array([number for number, _ in n_both], dtype=np.intp),
        columns=np.array([column_of[label] for _, label in n_both], dtype=np.intp),
        n_correct=np.array([n_correct[key] for key in n_both], dtype=np.float64),
        n_both=np.array(list(n_both.values()), dtype=np.float64),
    )
