"""Count what a model finds of each label, and list the labels that it is mute for.

A label is mute if none of its annotated entities is found. Only labels with a number of annotated
entities count (20 by default), because a model may miss a handful of entities by chance.
"""

from collections.abc import Mapping, Sequence

from gliner_distill.entities import Entity
from gliner_distill.metrics import score_spans_by_label

MIN_ENTITIES = 20
FEW_SHARE = 0.1
"""A label is nearly mute if a smaller share of its entities than this is found."""

Counts = dict[str, int]
"""The numbers of a label's entities: `annotated`, `answered` (right or wrong) and `correct`."""


def count_frequent_labels(
    predicted: Sequence[Sequence[Entity]],
    gold: Sequence[Sequence[Entity]],
    *,
    min_entities: int = MIN_ENTITIES,
) -> dict[str, Counts]:
    """Return the counts of each label with enough annotated entities, in alphabetical order.

    >>> gold = [[Entity(0, 1, "city"), Entity(1, 2, "river")]]
    >>> count_frequent_labels([[Entity(0, 1, "river")]], gold, min_entities=1)["river"]
    {'annotated': 1, 'answered': 1, 'correct': 0}
    """
    return {
        label: {
            "annotated": scores.n_reference,
            "answered": scores.n_predicted,
            "correct": scores.n_correct,
        }
        for label, scores in score_spans_by_label(predicted, gold).items()
        if scores.n_reference >= min_entities
    }


def mute_labels(counts: Mapping[str, Counts]) -> list[str]:
    """Return the labels of which nothing is found."""
    return [label for label, each in counts.items() if not each["correct"]]


def silent_labels(counts: Mapping[str, Counts]) -> list[str]:
    """Return the mute labels that have no wrong answers, either."""
    return [label for label, each in counts.items() if not each["answered"]]


def nearly_mute_labels(counts: Mapping[str, Counts]) -> list[str]:
    """Return the labels of which something is found, but less than a tenth."""
    return [
        label
        for label, each in counts.items()
        if 0 < each["correct"] < FEW_SHARE * each["annotated"]
    ]


def print_mute_labels(model: str, counts_by_set: Mapping[str, Mapping[str, Counts]]) -> None:
    """Print the mute and the nearly mute labels of each set that has some, as a Markdown table."""
    print(f"\nLabels that find nothing or less than a tenth (found of annotated): {model}")
    print("\n| set | frequent labels | find nothing | find less than a tenth |\n|---|---:|---|---|")
    for name, counts in counts_by_set.items():
        lists = [mute_labels(counts), nearly_mute_labels(counts)]
        if any(lists):
            cells = [", ".join(describe(label, counts[label]) for label in each) for each in lists]
            print(f"| {name} | {len(counts)} | {cells[0] or '-'} | {cells[1] or '-'} |")
    every = list(counts_by_set.values())
    totals = [sum(len(pick(each)) for each in every) for pick in (mute_labels, nearly_mute_labels)]
    print(f"| together | {sum(map(len, every))} | {totals[0]} | {totals[1]} |")


def describe(label: str, counts: Counts) -> str:
    """Return a label with its counts; the number of wrong answers tells silence from error.

    >>> describe("city", {"annotated": 30, "answered": 4, "correct": 1})
    'city (1 of 30, 3 wrong)'
    """
    n_wrong = counts["answered"] - counts["correct"]
    found = f"{counts['correct']} of {counts['annotated']}"
    return f"{label} ({found}, {n_wrong} wrong)" if n_wrong else f"{label} ({found})"
