"""Choose the threshold of each label that maximizes its F1 on annotated passages.

In: candidate entities with scores, and the annotation. Out: the score above which a candidate of
a label counts. `StudentNER.tune_word_thresholds` gathers the candidates and keeps the thresholds.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from gliner_distill.entities import Entity

GoldSpans = Sequence[set[tuple[int, int, str]]]
"""The annotated entities of each passage: first word, end word, label."""

# A threshold that fewer entities decide is mostly chance, so such labels share one.
_MIN_LABEL_ENTITIES = 5

_THRESHOLD_RANGE = (0.02, 0.98)


def fit_label_thresholds(
    candidates: Sequence[Sequence[Entity]],
    gold: GoldSpans,
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
        gold: The entities of each passage.
        current: The labels to fit, with the threshold that each has now.
        min_gain: The F1 that a label must gain over its current threshold to be moved; it must
            gain as much on each half of the passages with the threshold of the other half. With 0,
            every label is moved.
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
        # Cross-validation: a gain that only the passages it was fitted on show is overfitting.
        for (fit_outcomes, n_fit), (test_outcomes, n_test) in (halves, halves[::-1]):
            cut = _best_threshold(fit_outcomes[label], n_fit[label])
            gains.append(_gain(cut, threshold, test_outcomes[label], n_test[label]))
        fitted[label] = best if not min_gain or min(gains) > 0 else threshold
    return fitted


def _outcomes_by_label(
    candidates: Sequence[Sequence[Entity]], gold: GoldSpans, labels: Iterable[str]
) -> tuple[dict[str, list[tuple[float, bool]]], Counter[str]]:
    """Return each label's candidates as (score, whether gold has it), and its count in gold."""
    outcomes: dict[str, list[tuple[float, bool]]] = {label: [] for label in labels}
    for entities, spans in zip(candidates, gold, strict=True):
        for entity in entities:
            is_right = (entity.start_word, entity.end_word, entity.label) in spans
            outcomes[entity.label].append((entity.score, is_right))
    return outcomes, Counter(label for spans in gold for *_, label in spans if label in outcomes)


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
