"""Measure how well students and teachers find personal data, and what they invent.

`python benchmarks/personal_data.py [STUDENT ...] [--teacher FOLDER] [--presidio FILE] [--out FILE]`

Without STUDENT, the student that is installed with the package is measured. All nine types are
asked together, once in each of two wordings, about the test set of `personal_passages.py`, whose
rules say what counts. Each model answers at thresholds 0.5 and 0.3, with checked patterns beside it
and without them. A student also answers with patterns after `tune_thresholds(min_recall=0.95)`: it
is tuned on every other passage and measured on the rest at 0.5, and then the other way round.

Recall and precision are given for entities with exactly the same characters and for those that
overlap, with Wilson intervals of 95%. "Covered" is the share of the characters of gold that lie in
an entity of the same type, and "hidden" the share that lies in an entity of any type, which is what
counts for redaction. These figures are about passages with personal data; false entities per 1,000
words are counted in the part of the test set that has none.

FILE of `--presidio` holds the sentences that `recipes/kept_apart.py` writes; they have a table of
their own, because their addresses are annotated in pieces. Prints Markdown tables and writes all
figures as JSON.
"""

import argparse
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

from personal_passages import TYPES, CharSpan, PersonalPassage, read_presidio, read_test_set

from gliner_distill.evaluation.models import NERModel, load_model
from gliner_distill.files import write_json
from gliner_distill.runtime.ner import StudentNER

WORDINGS: dict[str, tuple[str, str]] = {
    "email address": ("email address", "email"),
    "url": ("url", "website address"),
    "ip address": ("ip address", "ip"),
    "phone number": ("phone number", "telephone number"),
    "date of birth": ("date of birth", "birth date"),
    "card number": ("card number", "credit card number"),
    "iban": ("iban", "international bank account number"),
    "person": ("person", "person name"),
    "street address": ("street address", "postal address"),
}
"""The two labels that are asked for each type. They were fixed before anything was measured."""
THRESHOLDS = (0.5, 0.3)
MIN_RECALL = 0.95
_Z = 1.959964  # of a two-sided interval of 95%
Answers = list[list[CharSpan]]
"""The entities of each passage, under the names of the types."""


@dataclass(frozen=True, slots=True)
class Matches:
    """Counts of the entities of one type.

    Attributes:
        n_gold: The number of entities in gold.
        n_found: The number of entities that the model found.
        n_exact: The number of those that have the characters of one in gold.
        n_gold_touched: The number of entities in gold that one of the model's overlaps.
        n_found_touched: The number of the model's entities that one in gold overlaps.
        n_chars: The number of characters in gold.
        n_covered: The number of those that lie in an entity of the model of the same type.
        n_hidden: The number of those that lie in an entity of the model of any type.
    """

    n_gold: int = 0
    n_found: int = 0
    n_exact: int = 0
    n_gold_touched: int = 0
    n_found_touched: int = 0
    n_chars: int = 0
    n_covered: int = 0
    n_hidden: int = 0

    def __add__(self, other: "Matches") -> "Matches":
        return Matches(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def shares(self) -> dict[str, Any]:
        """Return recall and precision with their intervals, and the shares of characters."""
        pairs = {
            "recall": (self.n_exact, self.n_gold),
            "precision": (self.n_exact, self.n_found),
            "overlap recall": (self.n_gold_touched, self.n_gold),
            "overlap precision": (self.n_found_touched, self.n_found),
        }
        shares: dict[str, Any] = {}
        for name, (count, total) in pairs.items():
            shares[name] = count / total if total else None
            shares[f"{name} interval"] = wilson_interval(count, total)
        shares["covered"] = self.n_covered / self.n_chars if self.n_chars else None
        shares["hidden"] = self.n_hidden / self.n_chars if self.n_chars else None
        return shares


def main(passages: Sequence[PersonalPassage] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("students", nargs="*", metavar="STUDENT")
    parser.add_argument("--teacher", help="a GLiNER to measure beside the students")
    parser.add_argument("--presidio", type=Path, help="sentences of presidio_pii, kept apart")
    parser.add_argument("--out", type=Path, default=Path("personal_data.json"))
    options = parser.parse_args()
    passages = read_test_set() if passages is None else passages
    presidio = [] if options.presidio is None else read_presidio(options.presidio)
    results = {}
    for source in [*(options.students or [None]), *filter(None, [options.teacher])]:
        name = "bundled student" if source is None else source
        results[name] = measure(source, passages, presidio)
        print_tables(name, results[name])
    write_json(options.out, results)


def measure(
    source: str | None, passages: Sequence[PersonalPassage], presidio: Sequence[PersonalPassage]
) -> list[dict[str, Any]]:
    """Return the figures of a model in each setting.

    Args:
        source: The folder of the model; None for the student of the package.
        passages: The test set.
        presidio: More passages, which are measured apart.
    """
    model = load_model(source)
    settings = []
    for place in range(2):
        # The first model answers to the even passages, the second one to the odd ones.
        asked_models = [
            (f"threshold {threshold}", [model, model], threshold, patterns)
            for threshold, patterns in product(THRESHOLDS, (True, False))
        ]
        if isinstance(model, StudentNER):
            tuned = [tuned_student(source, passages[1 - half :: 2], place) for half in range(2)]
            # Tuning counts what patterns find, so the student is not asked without them.
            asked_models.append((f"tuned for a recall of {MIN_RECALL}", tuned, 0.5, True))
        for setting, halves, threshold, patterns in asked_models:
            choice = {"place": place, "threshold": threshold, "patterns": patterns}
            found, elsewhere = (
                ask_halves(halves, asked, **choice) for asked in (passages, presidio)
            )
            settings.append(
                {
                    "setting": setting,
                    "patterns": patterns,
                    "wording": place + 1,
                    "types": count_by_type(passages, found),
                    "invented": count_invented(passages, found),
                    "presidio": count_by_type(presidio, elsewhere),
                }
            )
    return settings


def tuned_student(
    source: str | None, passages: Sequence[PersonalPassage], place: int
) -> StudentNER:
    """Return a student whose thresholds are tuned on passages, for a high recall.

    Args:
        source: The folder of the student; None for the student of the package.
        passages: The passages to tune it on.
        place: Which of the two wordings to tune, 0 or 1.
    """
    student = StudentNER.from_pretrained(source)
    gold = [
        [
            {"start": start, "end": end, "label": WORDINGS[label][place]}
            for start, end, label in passage.spans
        ]
        for passage in passages
    ]
    labels = [wordings[place] for wordings in WORDINGS.values()]
    texts = [passage.text for passage in passages]
    student.tune_thresholds(texts, gold, labels, min_recall=MIN_RECALL)
    return student


def ask_halves(
    models: Sequence[NERModel], passages: Sequence[PersonalPassage], **choice: Any
) -> Answers:
    """Return the answers of one model to the even passages, and of another to the odd ones."""
    answers: Answers = [[] for _ in passages]
    for half, model in enumerate(models):
        answers[half::2] = ask(model, passages[half::2], **choice)
    return answers


def ask(
    model: NERModel,
    passages: Sequence[PersonalPassage],
    *,
    place: int,
    threshold: float,
    patterns: bool,
) -> Answers:
    """Return what a model finds in passages, asked for all nine types.

    Args:
        model: The model.
        passages: The passages.
        place: Which of the two wordings to ask, 0 or 1.
        threshold: The score that an entity must exceed.
        patterns: Whether checked patterns help.
    """
    type_of = {wordings[place]: name for name, wordings in WORDINGS.items()}
    found = model.inference(
        [passage.text for passage in passages],
        list(type_of),
        threshold=threshold,
        patterns=patterns,
    )
    return [
        [(entity["start"], entity["end"], type_of[entity["label"]]) for entity in entities]
        for entities in found
    ]


def count_by_type(passages: Sequence[PersonalPassage], answers: Answers) -> dict[str, Any]:
    """Return counts and shares for each type that the passages with personal data have."""
    totals = dict.fromkeys(TYPES, Matches())
    for passage, found in zip(passages, answers, strict=True):
        if passage.part == "none":
            continue
        for label in TYPES:
            totals[label] += match_spans(passage.spans, found, label)
    return {
        label: {**asdict(total), **total.shares()}
        for label, total in totals.items()
        if total.n_gold
    }


def match_spans(gold: Iterable[CharSpan], found: Iterable[CharSpan], label: str) -> Matches:
    """Return the counts of one type in one passage.

    >>> gold, found = [(0, 8, "person"), (10, 20, "url")], [(4, 8, "person"), (9, 20, "iban")]
    >>> match_spans(gold, found, "person").n_covered, match_spans(gold, found, "url").n_hidden
    (4, 10)
    """
    wanted = {span[:2] for span in gold if span[2] == label}
    own = {span[:2] for span in found if span[2] == label}
    chars = set(_chars(wanted))
    return Matches(
        n_gold=len(wanted),
        n_found=len(own),
        n_exact=len(wanted & own),
        n_gold_touched=sum(any(_overlaps(span, other) for other in own) for span in wanted),
        n_found_touched=sum(any(_overlaps(span, other) for other in wanted) for span in own),
        n_chars=len(chars),
        n_covered=len(chars.intersection(_chars(own))),
        n_hidden=len(chars.intersection(_chars(span[:2] for span in found))),
    )


def _chars(spans: Iterable[tuple[int, int]]) -> Iterator[int]:
    """Yield the positions of the characters in spans."""
    for start, end in spans:
        yield from range(start, end)


def _overlaps(span: tuple[int, int], other: tuple[int, int]) -> bool:
    return span[0] < other[1] and other[0] < span[1]


def count_invented(passages: Sequence[PersonalPassage], answers: Answers) -> dict[str, Any]:
    """Return the entities found in the passages without personal data, also per 1,000 words."""
    n_words, by_type = 0, dict.fromkeys(TYPES, 0)
    for passage, found in zip(passages, answers, strict=True):
        if passage.part == "none":
            n_words += passage.n_words
            for _, _, label in found:
                by_type[label] += 1
    n_invented = sum(by_type.values())
    return {
        "n_words": n_words,
        "by_type": by_type,
        "per_1000_words": 1000 * n_invented / n_words,
        "interval": [1000 * limit for limit in wilson_interval(n_invented, n_words)],
    }


def wilson_interval(count: int, total: int) -> tuple[float, float]:
    """Return the limits of Wilson's 95% interval of a share.

    >>> low, high = wilson_interval(90, 100)
    >>> round(low, 3), round(high, 3)
    (0.826, 0.945)
    """
    if not total:
        return 0.0, 1.0
    share, spread = count / total, _Z**2 / total
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(spread * (share * (1 - share) + spread / 4)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def print_tables(name: str, settings: Sequence[dict[str, Any]]) -> None:
    """Print the figures of a model as Markdown tables: one per setting, then what it invents."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for each in settings:
        beside = "with patterns" if each["patterns"] else "without patterns"
        groups.setdefault(f"{each['setting']}, {beside}", []).append(each)
    for part, title in (("types", ""), ("presidio", ", presidio_pii")):
        for setting, group in groups.items():
            if group[0][part]:
                print(f"\n{name}, {setting}{title} (percent, 95% intervals)")
                print_types([(each["wording"], each[part]) for each in group])
    print(f"\n{name}, text without personal data\n")
    print("| setting | wording | false entities per 1,000 words | mostly |\n|---|---:|---:|---|")
    for setting, group in groups.items():
        for each in group:
            invented = each["invented"]
            low, high = invented["interval"]
            counts = {label: count for label, count in invented["by_type"].items() if count}
            most = sorted(counts, key=lambda label: -counts[label])[:3]
            listed = ", ".join(f"{label} {counts[label]}" for label in most) or "-"
            rate = f"{invented['per_1000_words']:.2f} ({low:.2f} to {high:.2f})"
            print(f"| {setting} | {each['wording']} | {rate} | {listed} |")


def print_types(columns: Sequence[tuple[int, dict[str, Any]]]) -> None:
    """Print one row per type and wording."""
    shown = ("recall", "precision", "overlap recall", "overlap precision")
    print(f"\n| label | entities | {' | '.join(shown)} | covered | hidden |")
    print(f"|---|{'---:|' * 7}")
    for label in columns[0][1]:
        for wording, figures in columns:
            row = figures[label]
            shares = [with_interval(row[share], row[f"{share} interval"]) for share in shown] + [
                percent(row["covered"]),
                percent(row["hidden"]),
            ]
            asked = WORDINGS[label][wording - 1]
            print(f"| {asked} | {row['n_gold']} | {' | '.join(shares)} |")


def with_interval(share: float | None, interval: Sequence[float]) -> str:
    """Return a share and its interval in percent."""
    if share is None:
        return "-"
    low, high = interval
    return f"{100 * share:.1f} ({100 * low:.0f} to {100 * high:.0f})"


def percent(share: float | None) -> str:
    """Return a share in percent."""
    return "-" if share is None else f"{100 * share:.1f}"


if __name__ == "__main__":
    main()
