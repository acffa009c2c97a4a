"""Measure how far predicted entities agree with reference entities, by word and by exact span.

The input is the predicted and the reference entities of each passage, and the number of its words.
The output is accuracy, precision, recall and F1. The reference may be a teacher's output
("agreement") or the gold annotation. This module does not decode probabilities or read files, and
needs only numpy.

The same entities are compared in two ways:

- By word. On the predicted side each word has at most one label: where predicted entities overlap,
  a word takes the label of the entity that starts first, then of the longer one. On the reference
  side each word has a set of labels, since gold entities may nest or share a span.
- By span. Each side of a passage is a set of (start, end, label), and only exact matches count.

If both sides are empty, they agree perfectly: precision, recall and F1 are 1. If one side is empty,
all three are 0.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gliner_distill.entities import Entity

_Z_95: Final = 1.96
"""The number of standard deviations on each side of a 95% interval."""


@dataclass(frozen=True, slots=True)
class WordScores:
    """The agreement of the words' labels, as shares in [0, 1].

    Attributes:
        accuracy: The share of words whose predicted label is among the reference labels, or that
            have no label on either side; 1 if there are no words. Most words lie outside of all
            entities, so a model that finds nothing has a high accuracy, too.
        precision: The share of the words with a predicted label whose label is in the reference.
        recall: The share of the words with reference labels whose predicted label is among them.
        f1: The harmonic mean of precision and recall.
    """

    accuracy: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class SpanScores:
    """The agreement of exact spans, as shares in [0, 1], with the counts that they come from.

    Attributes:
        precision: `n_correct / n_predicted`.
        recall: `n_correct / n_reference`.
        f1: The harmonic mean of precision and recall.
        n_correct: The number of spans that both sides have with the same label.
        n_predicted: The number of distinct predicted spans.
        n_reference: The number of distinct spans in the reference.
    """

    precision: float
    recall: float
    f1: float
    n_correct: int
    n_predicted: int
    n_reference: int


def score_words(
    predicted: Sequence[Sequence[Entity]],
    reference: Sequence[Sequence[Entity]],
    n_words: Sequence[int],
) -> WordScores:
    """Return the agreement of the words' labels, over the words of all passages together.

    Args:
        predicted: The entities of each passage; their scores are ignored.
        reference: The entities of the same passages, in the same order.
        n_words: The number of words of each passage.

    Raises:
        ValueError: The arguments differ in length, or an entity ends beyond its passage.

    >>> score_words([[Entity(0, 1, "city")]], [[Entity(0, 2, "city")]], [4])
    WordScores(accuracy=0.75, precision=1.0, recall=0.5, f1=0.6666666666666666)
    """
    n_agreeing = n_correct = n_predicted = n_reference = n_total = 0
    for entities, reference_entities, length in zip(predicted, reference, n_words, strict=True):
        labels = _single_labels(entities, length)
        allowed = _label_sets(reference_entities, length)
        n_total += length
        for label, labels_allowed in zip(labels, allowed, strict=True):
            is_correct = label in labels_allowed
            n_correct += is_correct
            n_predicted += label is not None
            n_reference += bool(labels_allowed)
            n_agreeing += is_correct or (label is None and not labels_allowed)
    precision, recall, f1 = _shares(n_correct, n_predicted, n_reference)
    accuracy = n_agreeing / n_total if n_total else 1.0
    return WordScores(accuracy, precision, recall, f1)


def score_spans(
    predicted: Sequence[Sequence[Entity]], reference: Sequence[Sequence[Entity]]
) -> SpanScores:
    """Return the agreement of exact spans over all passages together (micro average).

    A span that is repeated within a passage counts once.

    Raises:
        ValueError: The two sides differ in length.
    """
    n_correct, n_predicted, n_reference = _count_spans(predicted, reference)
    return _span_scores(n_correct.total(), n_predicted.total(), n_reference.total())


def score_spans_by_label(
    predicted: Sequence[Sequence[Entity]], reference: Sequence[Sequence[Entity]]
) -> dict[str, SpanScores]:
    """Return `score_spans` for each label that either side has, in alphabetical order.

    Raises:
        ValueError: The two sides differ in length.
    """
    n_correct, n_predicted, n_reference = _count_spans(predicted, reference)
    return {
        label: _span_scores(n_correct[label], n_predicted[label], n_reference[label])
        for label in sorted(n_predicted.keys() | n_reference.keys())
    }


def pool_scores(scores: Iterable[SpanScores]) -> SpanScores:
    """Return the scores of all spans of several labels together (micro average)."""
    rows = list(scores)
    return _span_scores(
        sum(row.n_correct for row in rows),
        sum(row.n_predicted for row in rows),
        sum(row.n_reference for row in rows),
    )


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    """Return Wilson's 95% interval of a share among `n` cases (Wilson 1927).

    It is wide for few cases even if the share is 1, and everything from 0 to 1 for none.

    >>> low, high = wilson_interval(1.0, 4)
    >>> round(low, 2), high
    (0.51, 1.0)
    """
    if not n:
        return (0.0, 1.0)
    center = share + _Z_95**2 / (2 * n)
    spread = _Z_95 * math.sqrt(share * (1 - share) / n + _Z_95**2 / (4 * n**2))
    scale = 1 + _Z_95**2 / n
    return max(0.0, (center - spread) / scale), min(1.0, (center + spread) / scale)


def expected_calibration_error(
    scores: NDArray[np.floating], correct: NDArray[np.bool_], *, n_bins: int = 10
) -> float:
    """Return the expected calibration error of scores (Naeini et al. 2015), in [0, 1].

    Scores are sorted into bins, which are equal parts of [0, 1]. The error is the mean over bins of
    the distance between the mean score and the share of correct answers, weighted by the number of
    answers in the bin. It is 0 if there are no answers.

    Args:
        scores: Shape `(answers,)`, in [0, 1].
        correct: Shape `(answers,)`; whether each answer is correct.
        n_bins: The number of bins.

    >>> expected_calibration_error(np.array([0.9, 0.9]), np.array([True, False]))
    0.4
    """
    if not len(scores):
        return 0.0
    # A score of 1 belongs to the last bin.
    bins = np.minimum((scores * n_bins).astype(int), n_bins - 1)
    # The sum of score minus correctness is the distance of both means times the size of the bin.
    distance = np.zeros(n_bins)
    np.add.at(distance, bins, scores - correct)
    return float(np.abs(distance).sum() / len(scores))


def mean_and_spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean and the sample standard deviation (n - 1), which is None for one value.

    Raises:
        ValueError: There are no values.

    >>> mean_and_spread([1.0, 3.0, 5.0])
    (3.0, 2.0)
    >>> mean_and_spread([0.5])
    (0.5, None)
    """
    if not values:
        raise ValueError("the mean of no values is not defined")
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return float(np.mean(values)), spread


def _single_labels(entities: Sequence[Entity], length: int) -> list[str | None]:
    """Return the label of each word, or None; see the top of this module for overlaps."""
    _check_inside(entities, length)
    labels: list[str | None] = [None] * length
    # The label that wins is written last. Of several labels of one span, the alphabetically first
    # wins.
    order = sorted(entities, key=lambda entity: (entity.start_word, -entity.end_word, entity.label))
    for entity in reversed(order):
        n_covered = entity.end_word - entity.start_word
        labels[entity.start_word : entity.end_word] = [entity.label] * n_covered
    return labels


def _label_sets(entities: Sequence[Entity], length: int) -> list[set[str]]:
    """Return the set of labels of each word."""
    _check_inside(entities, length)
    labels: list[set[str]] = [set() for _ in range(length)]
    for entity in entities:
        for word in range(entity.start_word, entity.end_word):
            labels[word].add(entity.label)
    return labels


def _check_inside(entities: Sequence[Entity], length: int) -> None:
    for entity in entities:
        if not 0 <= entity.start_word < entity.end_word <= length:
            raise ValueError(f"{entity} does not lie in a passage of {length} words")


def _count_spans(
    predicted: Sequence[Sequence[Entity]], reference: Sequence[Sequence[Entity]]
) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Return for each label how many spans are correct, predicted and in the reference."""
    n_correct: Counter[str] = Counter()
    n_predicted: Counter[str] = Counter()
    n_reference: Counter[str] = Counter()
    for entities, reference_entities in zip(predicted, reference, strict=True):
        # The equality of entities ignores their scores.
        spans, reference_spans = set(entities), set(reference_entities)
        n_correct.update(entity.label for entity in spans & reference_spans)
        n_predicted.update(entity.label for entity in spans)
        n_reference.update(entity.label for entity in reference_spans)
    return n_correct, n_predicted, n_reference


def _span_scores(n_correct: int, n_predicted: int, n_reference: int) -> SpanScores:
    shares = _shares(n_correct, n_predicted, n_reference)
    return SpanScores(*shares, n_correct, n_predicted, n_reference)


def _shares(n_correct: int, n_predicted: int, n_reference: int) -> tuple[float, float, float]:
    """Return precision, recall and F1; all are 1 if both sides are empty, and 0 if one is."""
    if not n_predicted and not n_reference:
        return 1.0, 1.0, 1.0
    precision = n_correct / n_predicted if n_predicted else 0.0
    recall = n_correct / n_reference if n_reference else 0.0
    return precision, recall, 2 * n_correct / (n_predicted + n_reference)
