"""Choose the threshold of each label by its F1 or its recall on annotated passages.

The input is a student's probabilities and the annotation. The output is, for each label, the score
that an entity must exceed. `StudentNER.tune_word_thresholds` runs the student and stores the
thresholds.
"""

import logging
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np

from gliner_distill.decoding import decode_scores
from gliner_distill.entities import Entity
from gliner_distill.labels import clean_label, spellings_by_label
from gliner_distill.spans import TagScores

MIN_SCORE = 0.1
"""The probability that a candidate must exceed; no threshold is fitted below it."""

# A threshold that is fitted to fewer entities is mostly chance, so such labels share one.
_MIN_LABEL_ENTITIES = 5

_THRESHOLD_RANGE = (0.02, 0.98)

_MAX_PART_PASSAGES = 512

# Scores are shifted in single precision, so a threshold keeps this distance to the score below
# which it has to stay.
_MARGIN = 1e-4

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GoldPassage:
    """The annotation of one passage.

    Attributes:
        spans: The annotated entities: first word, end word, label.
        n_unaligned: The number, per label, of entities that do not begin and end where words do.
            A candidate never equals such an entity, so each of them counts as missed.
    """

    spans: frozenset[tuple[int, int, str]] = frozenset()
    n_unaligned: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def from_entities(cls, entities: Iterable[Entity]) -> "GoldPassage":
        """Return the annotation that consists of some entities, whose positions count words."""
        return cls(frozenset((e.start_word, e.end_word, e.label) for e in entities))

    def respell(self, spellings: Mapping[str, str]) -> "GoldPassage":
        """Return the annotation with its labels in other spellings.

        Args:
            spellings: The spelling of each label by its clean form; others stay as they are.
        """

        def respelled(label: str) -> str:
            return spellings.get(clean_label(label), label)

        spans = frozenset((start, end, respelled(label)) for start, end, label in self.spans)
        n_unaligned = Counter[str]()
        for label, count in self.n_unaligned.items():
            n_unaligned[respelled(label)] += count
        return GoldPassage(spans, n_unaligned)

    def count_labels(self) -> Counter[str]:
        """Return the number of entities of each label."""
        return Counter(label for *_, label in self.spans) + Counter(self.n_unaligned)


@dataclass(frozen=True, slots=True)
class TuningPart:
    """Labels and passages that the student processes together.

    Attributes:
        labels: The positions of the labels.
        passages: The positions of the passages.
    """

    labels: slice
    passages: slice


def plan_tuning(
    n_words: Sequence[int], n_labels: int, *, max_cells: int = 4_000_000
) -> Iterator[TuningPart]:
    """Yield parts that cover every passage with every label, each small enough for memory.

    Args:
        n_words: The number of words of each passage.
        n_labels: The number of labels.
        max_cells: The most (word, label) pairs in a part, unless one word has more.
    """
    # The longest passage decides how many labels fit.
    group = min(n_labels, max(1, max_cells // max([1, *n_words])))
    for first_label in range(0, n_labels, group):
        labels = slice(first_label, min(first_label + group, n_labels))
        first, n_cells = 0, 0
        for position, length in enumerate(n_words):
            n_cells += length * group
            if position > first and (n_cells > max_cells or position - first == _MAX_PART_PASSAGES):
                yield TuningPart(labels, slice(first, position))
                first, n_cells = position, length * group
        if first < len(n_words):
            yield TuningPart(labels, slice(first, len(n_words)))


def gather_candidates(
    scores: TagScores, labels: Sequence[str], n_passages: int
) -> list[list[Entity]]:
    """Return the candidates of each passage; those of one label do not overlap.

    The labels do not compete: each finds its candidates as if it were the only one.

    Args:
        scores: The triples of passages `0:n_passages` at `MIN_SCORE`, in reading order.
        labels: The labels by their number.
        n_passages: The number of passages.
    """
    # Each pair of a passage and a label is treated as a passage of its own with one label.
    pairs = scores.passage * len(labels) + scores.label
    minima = np.full(len(labels), MIN_SCORE, dtype=np.float32)
    n_pairs = n_passages * len(labels)
    found = decode_scores(replace(scores, passage=pairs), minima, labels, n_pairs)
    firsts = range(0, n_pairs, max(1, len(labels)))
    return [list(chain.from_iterable(found[first : first + len(labels)])) for first in firsts]


def fit_label_thresholds(
    candidates: Sequence[Sequence[Entity]],
    gold: Sequence[GoldPassage],
    current: Mapping[str, float],
    *,
    min_gain: float = 0.0,
) -> dict[str, float]:
    """Return, for each label, the score above which its F1 is best.

    A label with fewer than five entities in gold gets the threshold that is best for all labels
    together.

    Args:
        candidates: The candidates of each passage, low scores included; those of one label do not
            overlap.
        gold: The annotation of each passage.
        current: The labels to fit, with the threshold that each has now.
        min_gain: The F1 that a label must gain over its current threshold before the new one is
            used. Its F1 must also rise on each half of the passages with the threshold that was
            fitted to the other half. With 0, every label gets its new threshold.
    """
    outcomes, n_gold = _outcomes_by_label(candidates, gold, current)
    together = [outcome for label_outcomes in outcomes.values() for outcome in label_outcomes]
    shared = _best_threshold(together, n_gold.total())
    halves = [_outcomes_by_label(candidates[half::2], gold[half::2], current) for half in (0, 1)]
    fitted = {}
    for label, threshold in current.items():
        best = shared
        if n_gold[label] >= _MIN_LABEL_ENTITIES:
            best = _best_threshold(outcomes[label], n_gold[label])
        gains = [_gain(best, threshold, outcomes[label], n_gold[label]) - min_gain]
        # A gain that shows only on the passages to which it was fitted is overfitting.
        for (fit_outcomes, n_fit), (test_outcomes, n_test) in (halves, halves[::-1]):
            cut = _best_threshold(fit_outcomes[label], n_fit[label])
            gains.append(_gain(cut, threshold, test_outcomes[label], n_test[label]))
        fitted[label] = best if not min_gain or min(gains) > 0 else threshold
    return fitted


def fit_recall_thresholds(
    candidates: Sequence[Sequence[Entity]],
    gold: Sequence[GoldPassage],
    current: Mapping[str, float],
    *,
    min_recall: float,
) -> dict[str, float]:
    """Return, for each label, the highest score above which its recall is high enough.

    A label with fewer than five entities in gold gets the threshold for all labels together, or its
    own if that is lower. A label that does not reach the recall gets the lowest threshold that
    gains recall, or keeps its threshold if no candidate of it is right; both are logged as a
    warning.

    Args:
        candidates: See `fit_label_thresholds`.
        gold: The annotation of each passage.
        current: The labels to fit, with the threshold that each has now.
        min_recall: The share of the annotated entities to find, in (0, 1].
    """
    outcomes, n_gold = _outcomes_by_label(candidates, gold, current)
    together = [outcome for label_outcomes in outcomes.values() for outcome in label_outcomes]
    shared = _recall_threshold(together, n_gold.total(), min_recall)
    fitted = {}
    for label, threshold in current.items():
        own = _recall_threshold(outcomes[label], n_gold[label], min_recall)
        is_rare = n_gold[label] < _MIN_LABEL_ENTITIES
        options = [cut for cut in (own, shared if is_rare else None) if cut is not None]
        fitted[label] = min(options, default=threshold)
        n_found = sum(is_right and score > fitted[label] for score, is_right in outcomes[label])
        if n_found < min_recall * n_gold[label]:
            _logger.warning(
                "label %r: a recall of %g is out of reach; %d of %d annotated entities are found "
                "at the threshold %g, and a lower one finds no more",
                *(label, min_recall, n_found, n_gold[label], fitted[label]),
            )
    return fitted


def _recall_threshold(
    outcomes: Sequence[tuple[float, bool]], n_gold: int, min_recall: float
) -> float | None:
    """Return the highest cut through the scores that leaves enough right ones, or all of them."""
    right = sorted((score for score, is_right in outcomes if is_right), reverse=True)
    if not right:
        return None
    # Without rounding, 0.7 of ten entities would be more than seven.
    n_needed = max(math.ceil(round(min_recall * n_gold, 9)), 1)
    lowest = right[min(n_needed, len(right)) - 1]
    below = max((score for score, _ in outcomes if score < lowest), default=0.0)
    cut = min((lowest + below) / 2, lowest - _MARGIN, _THRESHOLD_RANGE[1])
    return round(math.floor(round(cut / _MARGIN, 6)) * _MARGIN, 4)


def prefer_certain(
    candidates: Sequence[Sequence[Entity]], certain: Sequence[Sequence[Entity]]
) -> list[list[Entity]]:
    """Return certain entities with the candidates that share no word with them, per passage."""
    preferred = []
    for own, sure in zip(candidates, certain, strict=True):
        taken = {word for entity in sure for word in range(entity.start_word, entity.end_word)}
        free = [
            entity for entity in own if taken.isdisjoint(range(entity.start_word, entity.end_word))
        ]
        preferred.append([*sure, *free])
    return preferred


def labels_of(gold: Iterable[GoldPassage]) -> list[str]:
    """Return the labels of annotated entities in alphabetical order, each in one spelling."""
    labels = {label for passage in gold for label in passage.count_labels()}
    return list(spellings_by_label(sorted(labels)).values())


def _outcomes_by_label(
    candidates: Sequence[Sequence[Entity]], gold: Sequence[GoldPassage], labels: Iterable[str]
) -> tuple[dict[str, list[tuple[float, bool]]], Counter[str]]:
    """Return each label's candidates as (score, whether gold has it), and its count in gold."""
    outcomes: dict[str, list[tuple[float, bool]]] = {label: [] for label in labels}
    n_gold: Counter[str] = Counter()
    for entities, annotation in zip(candidates, gold, strict=True):
        n_gold += annotation.count_labels()
        for entity in entities:
            is_right = (entity.start_word, entity.end_word, entity.label) in annotation.spans
            outcomes[entity.label].append((entity.score, is_right))
    return outcomes, Counter({label: n_gold[label] for label in outcomes})


def _gain(
    threshold: float, current: float, outcomes: Sequence[tuple[float, bool]], n_gold: int
) -> float:
    """Return by how much F1 is better above a threshold than above the current one."""
    return _f1_above(threshold, outcomes, n_gold) - _f1_above(current, outcomes, n_gold)


def _f1_above(threshold: float, outcomes: Sequence[tuple[float, bool]], n_gold: int) -> float:
    kept = [is_right for score, is_right in outcomes if score > threshold]
    return 2 * sum(kept) / max(len(kept) + n_gold, 1)


def _best_threshold(outcomes: Sequence[tuple[float, bool]], n_gold: int) -> float:
    """Return the cut through the scores at which F1 is best, midway between two of them."""
    ordered = sorted(outcomes, key=lambda outcome: -outcome[0])
    if not any(is_right for _, is_right in ordered):
        return 0.5
    scores = np.array([score for score, _ in ordered])
    n_right = np.cumsum([is_right for _, is_right in ordered])
    f1 = 2 * n_right / (np.arange(1, len(ordered) + 1) + n_gold)
    f1[:-1][scores[:-1] == scores[1:]] = -1  # no threshold separates equal scores
    best = int(f1.argmax())
    below = scores[best + 1] if best + 1 < len(scores) else 0.0
    low, high = _THRESHOLD_RANGE
    return round(float(np.clip((scores[best] + below) / 2, low, high)), 4)
