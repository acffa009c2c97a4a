"""How far predicted entities agree with reference entities, by word and by exact span.

In: the entities of each passage, predicted and reference, and how many words each passage has.
Out: accuracy, precision, recall and F1. The reference may be a teacher's output ("agreement") or
the gold annotation. Nothing here decodes probabilities or reads files; needs numpy alone.

Two readings of the same entities:

- By word. The predicted side has at most one label a word: where predicted entities overlap, a
  word takes the label of the one that starts first, then of the longer one. The reference side
  gives each word a set of labels, since gold entities may nest or share a span.
- By span. Each side is a set of (start, end, label) a passage, and only exact matches count.

Empty sides mean the same everywhere. Nothing predicted where nothing is expected is perfect
agreement: precision, recall and F1 are 1. With one side empty all three are 0.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gliner_distill.entities import Entity


@dataclass(frozen=True, slots=True)
class WordScores:
    """Agreement over words, each in [0, 1].

    Attributes:
        accuracy: Share of words whose predicted label is among the reference's, or where neither
            side has one; 1 where there are no words. Words without entity dominate it.
        precision: Of the words with a predicted label, the share whose label is in the reference.
        recall: Of the words with a reference label, the share whose predicted label is among them.
        f1: Harmonic mean of precision and recall.
    """

    accuracy: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class SpanScores:
    """Agreement over exact spans, shares in [0, 1], with the counts they come from.

    Attributes:
        precision: `n_correct / n_predicted`.
        recall: `n_correct / n_reference`.
        f1: Harmonic mean of precision and recall.
        n_correct: Spans that both sides have, with the same label.
        n_predicted: Distinct spans predicted.
        n_reference: Distinct spans of the reference.
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
        predicted: Entities of each passage; scores are not looked at.
        reference: Entities of the same passages, in the same order.
        n_words: Number of words of each passage.

    Raises:
        ValueError: The three differ in length, or an entity ends beyond its passage.

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
    """Return the exact-match agreement of the spans of all passages together (micro).

    Repeated spans count once.

    Raises:
        ValueError: The two sides differ in length.
    """
    n_correct, n_predicted, n_reference = _count_spans(predicted, reference)
    return _span_scores(n_correct.total(), n_predicted.total(), n_reference.total())


def score_spans_by_label(
    predicted: Sequence[Sequence[Entity]], reference: Sequence[Sequence[Entity]]
) -> dict[str, SpanScores]:
    """Return `score_spans` of each label that either side has, in alphabetical order.

    Raises:
        ValueError: The two sides differ in length.
    """
    n_correct, n_predicted, n_reference = _count_spans(predicted, reference)
    return {
        label: _span_scores(n_correct[label], n_predicted[label], n_reference[label])
        for label in sorted(n_predicted.keys() | n_reference.keys())
    }


def agreement(
    predicted: Sequence[Sequence[Entity]],
    reference: Sequence[Sequence[Entity]],
    n_words: Sequence[int],
    suffix: Literal["teacher", "gold"],
) -> dict[str, float]:
    """Return all shares under the flat keys of `metrics.jsonl` and `results.json`.

    The keys are `accuracy_vs_X`, `precision_vs_X`, `recall_vs_X`, `f1_vs_X` (by word) and
    `span_precision_vs_X`, `span_recall_vs_X`, `span_f1_vs_X`, where X is the suffix.

    Raises:
        ValueError: As `score_words`.
    """
    words = score_words(predicted, reference, n_words)
    spans = score_spans(predicted, reference)
    return {
        f"accuracy_vs_{suffix}": words.accuracy,
        f"precision_vs_{suffix}": words.precision,
        f"recall_vs_{suffix}": words.recall,
        f"f1_vs_{suffix}": words.f1,
        f"span_precision_vs_{suffix}": spans.precision,
        f"span_recall_vs_{suffix}": spans.recall,
        f"span_f1_vs_{suffix}": spans.f1,
    }


def by_label_rows(
    predicted: Sequence[Sequence[Entity]], reference: Sequence[Sequence[Entity]]
) -> dict[str, list[float]]:
    """Return `[precision, recall, f1, n_reference]` of each label, to 4 decimals, for storage.

    Raises:
        ValueError: The two sides differ in length.
    """
    return {
        label: [
            round(scores.precision, 4),
            round(scores.recall, 4),
            round(scores.f1, 4),
            scores.n_reference,
        ]
        for label, scores in score_spans_by_label(predicted, reference).items()
    }


def expected_calibration_error(
    scores: NDArray[np.floating], correct: NDArray[np.bool_], *, n_bins: int = 10
) -> float:
    """Return how far scores are from the share that is right (Naeini et al. 2015).

    Scores are sorted into equal parts of [0, 1]; the distance between a part's mean score and its
    share of right answers, weighted by how many there are. 0 where there are none.

    Args:
        scores: Shape `(answers,)`, in [0, 1].
        correct: Shape `(answers,)`.
        n_bins: Parts of [0, 1].

    >>> expected_calibration_error(np.array([0.9, 0.9]), np.array([True, False]))
    0.4
    """
    if not len(scores):
        return 0.0
    bins = np.minimum((scores * n_bins).astype(int), n_bins - 1)
    distance = np.zeros(n_bins)
    np.add.at(distance, bins, scores - correct)
    return float(np.abs(distance).sum() / len(scores))


def mean_and_spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean and the sample standard deviation (n - 1), None for a single value.

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
    """Return each word's label: of the entities over it, the first by start, then the longer."""
    _check_inside(entities, length)
    labels: list[str | None] = [None] * length
    # The winner is written last. Between labels of one span the first by alphabet wins.
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
    """Return how many spans of each label are correct, predicted and expected."""
    n_correct: Counter[str] = Counter()
    n_predicted: Counter[str] = Counter()
    n_reference: Counter[str] = Counter()
    for entities, reference_entities in zip(predicted, reference, strict=True):
        # Entities are equal whatever their scores.
        spans, reference_spans = set(entities), set(reference_entities)
        n_correct.update(entity.label for entity in spans & reference_spans)
        n_predicted.update(entity.label for entity in spans)
        n_reference.update(entity.label for entity in reference_spans)
    return n_correct, n_predicted, n_reference


def _span_scores(n_correct: int, n_predicted: int, n_reference: int) -> SpanScores:
    shares = _shares(n_correct, n_predicted, n_reference)
    return SpanScores(*shares, n_correct, n_predicted, n_reference)


def _shares(n_correct: int, n_predicted: int, n_reference: int) -> tuple[float, float, float]:
    """Return precision, recall and F1; all 1 where both sides are empty, 0 where one is."""
    if not n_predicted and not n_reference:
        return 1.0, 1.0, 1.0
    precision = n_correct / n_predicted if n_predicted else 0.0
    recall = n_correct / n_reference if n_reference else 0.0
    return precision, recall, 2 * n_correct / (n_predicted + n_reference)
