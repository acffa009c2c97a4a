"""The scores of each label in detail: partial matches, intervals, and every mistake.

The input is the agreement that `evaluate` has computed and the entities behind it. The command
`evaluate` prints the result as a table, and writes it with `--json`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gliner_distill.entities import Entity
from gliner_distill.evaluation.intervals import N_DRAWS, SEED, Interval, f1_intervals
from gliner_distill.evaluation.mistakes import Mistake, find_mistakes
from gliner_distill.metrics import SpanScores, wilson_interval


@dataclass(frozen=True, slots=True)
class LabelDetails:
    """The scores of one label, or of all of them, and the number of mistakes of each kind.

    Attributes:
        scores: Precision, recall and F1 of exact spans, and their counts.
        interval: The 95% interval of F1; None without gold entities.
        n_wrong_borders: The gold entities that overlap with an answer of their label.
        n_wrong_label: The gold entities whose exact borders were found with another label.
        n_missed: The gold entities that were not found at all.
        n_invented: The answers that correspond to no gold entity.
    """

    scores: SpanScores
    interval: Interval | None
    n_wrong_borders: int
    n_wrong_label: int
    n_missed: int
    n_invented: int

    def as_json(self) -> dict[str, Any]:
        """Return all figures; shares are rounded to four decimals."""
        scores = self.scores
        shares = {"precision": scores.precision, "recall": scores.recall, "f1": scores.f1}
        return {name: round(share, 4) for name, share in shares.items()} | {
            "f1_interval": None if self.interval is None else [round(x, 4) for x in self.interval],
            "n_gold": scores.n_reference,
            "n_found": scores.n_predicted,
            "n_correct": scores.n_correct,
            "n_wrong_borders": self.n_wrong_borders,
            "n_wrong_label": self.n_wrong_label,
            "n_missed": self.n_missed,
            "n_invented": self.n_invented,
        }


@dataclass(frozen=True, slots=True)
class SpanDetails:
    """The scores of all labels together and of each one, and all mistakes.

    Attributes:
        overall: The scores over all labels.
        by_label: The scores of each label that gold or the model has.
        mistakes: All mistakes, by passage and position.
    """

    overall: LabelDetails
    by_label: Mapping[str, LabelDetails]
    mistakes: Sequence[Mistake]

    def as_json(self) -> dict[str, Any]:
        """Return the keys that `--json` adds to the scores."""
        return {
            "details": self.overall.as_json(),
            "details_by_label": {label: row.as_json() for label, row in self.by_label.items()},
            "intervals": {
                "level": 0.95,
                "method": "the wider, at each end, of a bootstrap over passages and Wilson's",
                "draws": N_DRAWS,
                "seed": SEED,
            },
            "errors": [mistake.as_json() for mistake in self.mistakes],
        }


def detail_spans(
    predicted: Sequence[Sequence[Entity]],
    reference: Sequence[Sequence[Entity]],
    words: Sequence[Sequence[str]],
    *,
    overall: SpanScores,
    by_label: Mapping[str, SpanScores],
) -> SpanDetails:
    """Return the details behind scores that were computed before.

    The interval of an F1 is the wider one, at each end, of two: a bootstrap over passages knows
    that the entities of one passage are alike, and Wilson's among the gold entities stays wide for
    few entities, even if all of them are right.

    Args:
        predicted: The entities that a model found in each passage.
        reference: The gold entities of the same passages.
        words: The words of these passages.
        overall: The scores over all labels.
        by_label: The scores of each label.
    """
    mistakes = find_mistakes(predicted, reference, words)
    interval, label_intervals = f1_intervals(predicted, reference)
    kinds = Counter((mistake.shown.label, mistake.kind) for mistake in mistakes)
    rows = {
        label: LabelDetails(
            scores,
            _widen(label_intervals[label], scores),
            n_wrong_borders=kinds[label, "wrong borders"],
            n_wrong_label=kinds[label, "wrong label"],
            n_missed=kinds[label, "missed"],
            n_invented=kinds[label, "invented"],
        )
        for label, scores in by_label.items()
    }
    total = LabelDetails(
        overall,
        _widen(interval, overall),
        n_wrong_borders=sum(row.n_wrong_borders for row in rows.values()),
        n_wrong_label=sum(row.n_wrong_label for row in rows.values()),
        n_missed=sum(row.n_missed for row in rows.values()),
        n_invented=sum(row.n_invented for row in rows.values()),
    )
    return SpanDetails(total, rows, mistakes)


def _widen(interval: Interval, scores: SpanScores) -> Interval | None:
    if not scores.n_reference:
        return None
    low, high = wilson_interval(scores.f1, scores.n_reference)
    return min(low, interval[0]), max(high, interval[1])
