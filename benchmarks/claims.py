"""Measure the claims of Xu et al. on distillation: `python benchmarks/claims.py OUT [OPTIONS]`.

The claims are that students of soft labels generalize better, do not overfit, and suffer less from
label errors. Four students are compared: `hard` learns from gold alone, `smoothed` from gold with
label smoothing (soft targets, but without a teacher's knowledge), `soft` from the teacher alone,
and `mixed` from gold and teacher. Each condition changes one thing:

- the number of training passages (100, 300, 1,000, and with --text 3,000 and 10,000),
- the number of epochs (three and ten times the usual; ten for 1,000 passages),
- errors in the gold entities of 300 passages: 10, 20 and 40% of them get another label, are moved
  by a word, or are dropped,
- the same errors in the entities of the teacher.

Students with the same seed start from the same weights and read the passages in the same order.
OUT/results.json has each run; a run that is in this file is not repeated. The program prints
Markdown tables and draws OUT/*.png.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

from label_errors import KINDS, with_wrong_answers, with_wrong_gold
from sample_students import SmoothedHead, read_sample, train_sample_student
from study import (
    Job,
    Row,
    Runs,
    difference,
    draw_curves,
    hours,
    jobs_of,
    run_jobs,
    show,
    table,
    values_of,
)
from transfer_text import check_parts, read_parts

from gliner_distill.entities import LabeledPassage
from gliner_distill.reproduction.agreement import only_annotated
from gliner_distill.training.settings import TrainingSettings

TRAINING: Final = TrainingSettings()
LARGER: Final = (3000, 10_000)
"""The numbers of passages that take more text than the sample has."""

LONGER: Final = {100: (3, 10), 300: (3, 10), 1000: (10,)}
"""By the number of passages, the factors by which students are trained longer than usual."""

LENGTHS_DRAWN: Final = (100, 300)
"""The numbers of passages whose students are drawn by the number of epochs."""

SLOW_SEEDS: Final = 3
"""The seeds of conditions that take more than five minutes each."""

STUDENTS: Final = {"hard": 0.0, "smoothed": 0.0, "soft": 1.0, "mixed": TRAINING.alpha}
"""The weight of the teacher's soft labels for each student."""

TITLES: Final = {
    "f1_vs_teacher": "word F1 vs. teacher",
    "f1_vs_gold": "word F1 vs. gold",
    "span_f1_vs_gold": "span F1 vs. gold",
}
"""The three measures of the tables."""

SHARES: Final = (0.4, 0.2, 0.1)
ERRORS_ON: Final = 300
"""The number of training passages where labels are corrupted."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A student and the passages that it learns from.

    Attributes:
        student: A key of `STUDENTS`.
        n_train: The number of training passages.
        epochs: The number of epochs; None for the usual number.
        gold_errors: The kind of errors in the gold entities; "" for none.
        teacher_errors: The kind of errors in the teacher's entities; "" for none.
        share: The share of entities that are wrong.
        has_curve: Whether to measure after each epoch.
        text: The folder of `transfer_text.py`, with more passages than the sample has.
    """

    student: str
    n_train: int
    epochs: int | None = None
    gold_errors: str = ""
    teacher_errors: str = ""
    share: float = 0.0
    has_curve: bool = False
    text: str = ""

    @property
    def name(self) -> str:
        """The key in `results.json`."""
        parts = [self.student, f"{self.n_train} passages"]
        parts += [f"{self.epochs} epochs"] if self.epochs else []
        for side, kind in (("gold", self.gold_errors), ("teacher", self.teacher_errors)):
            parts += [f"{self.share:.0%} of {side} {kind}"] if kind else []
        return ", ".join(parts)


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--text", default="", help="folder of transfer_text.py")
    options = parser.parse_args()
    if options.text:
        check_parts(Path(options.text))
    jobs = plan(options.seeds, text=options.text)
    runs = run_jobs(options.out, jobs, run, n_workers=options.workers)
    for text in tables(runs):
        print(text, end="\n\n")
    print(f"{hours(runs):.1f} hours of processor time")
    draw(runs, options.out)


def plan(n_seeds: int, *, text: str = "") -> list[Job]:
    """Return all jobs, the most important first."""
    small, usual = list(_sizes((100, 300))), list(_sizes((1000,)))
    short = [item for n_train in (100, 300) for item in _long(n_train)]
    slow = list(_long(1000))
    worst = [*_gold_errors(SHARES[:1]), *_teacher_errors(SHARES[:1])]
    milder = [*_gold_errors(SHARES[1:]), *_teacher_errors(SHARES[1:])]
    larger = [[replace(item, text=text) for item in _sizes((n,))] for n in LARGER if text]
    seeds = list(range(n_seeds))
    # A study that is stopped early should have few conditions with a spread, and not many without.
    groups = [(small, seeds[:3]), (usual, seeds[:1]), (worst, seeds[:3]), (usual, seeds[1:3])]
    groups += [(short, seeds[:3]), (milder, seeds[:3])]
    groups += [(small + usual + worst + short, seeds[3:]), (milder, seeds[3:])]
    groups += [(items, seeds) for items in larger[:1]]
    groups += [(items, seeds[:SLOW_SEEDS]) for items in (*larger[1:], slow)]
    named = [({item.name: item for item in items}, part) for items, part in groups]
    return [job for items, part in named for job in jobs_of(items, part)]


def _sizes(sizes: Sequence[int]) -> Iterator[Condition]:
    for n_train in sizes:
        for student in STUDENTS:
            # Curves cost as much time as training, so only those of the usual size are drawn.
            yield Condition(student, n_train, has_curve=n_train == 1000)


def _long(n_train: int) -> Iterator[Condition]:
    for times in reversed(LONGER[n_train]):
        for student in STUDENTS:
            yield Condition(student, n_train, epochs=times * TRAINING.epochs)


def _gold_errors(shares: Sequence[float]) -> Iterator[Condition]:
    # A student that learns from the teacher alone never sees gold.
    for share in shares:
        for kind in KINDS:
            for student in ("hard", "smoothed", "mixed"):
                yield Condition(student, ERRORS_ON, gold_errors=kind, share=share)


def _teacher_errors(shares: Sequence[float]) -> Iterator[Condition]:
    for share in shares:
        for kind in KINDS:
            for student in ("soft", "mixed"):
                yield Condition(student, ERRORS_ON, teacher_errors=kind, share=share)


def run(condition: Condition, seed: int) -> Row:
    """Train and measure a student."""
    training = replace(TRAINING, seed=seed, alpha=STUDENTS[condition.student])
    if condition.epochs:
        training = replace(training, epochs=condition.epochs)
    passages = [*read_sample().train, *_text(condition.text)][: condition.n_train]
    if len(passages) < condition.n_train:
        raise SystemExit(
            f"{condition.text} and the sample have {len(passages)} passages; "
            f"expected {condition.n_train}"
        )
    head = SmoothedHead() if condition.student == "smoothed" else None
    corrupted = [corrupt(item, condition) for item in passages]
    return train_sample_student(corrupted, training, head=head, has_curve=condition.has_curve)


@cache
def _text(folder: str) -> list[LabeledPassage]:
    # Like those of the sample, these passages ask for the labels of their annotation alone.
    passages = [only_annotated(item) for item in read_parts(Path(folder))] if folder else []
    return [item for item in passages if item.labels]


def corrupt(item: LabeledPassage, condition: Condition) -> LabeledPassage:
    """Return a passage with the errors of a condition, the same each time."""
    if condition.gold_errors:
        return with_wrong_gold(item, condition.gold_errors, condition.share)
    if condition.teacher_errors:
        return with_wrong_answers(item, condition.teacher_errors, condition.share)
    return item


def tables(runs: Runs) -> Iterator[str]:
    """Yield the tables of the three claims as Markdown."""
    yield _size_table(runs)
    yield from (_long_table(runs, n_train) for n_train in LONGER)
    yield _error_table(runs, "gold", ("hard", "smoothed", "mixed"))
    yield _error_table(runs, "teacher", ("soft", "mixed"))


def _size_table(runs: Runs) -> str:
    heads = ["passages, student"]
    heads += [text for title in TITLES.values() for text in (title, "ahead of hard")]
    heads += ["word F1 vs. teacher, train minus test", "span F1 vs. gold, train minus test"]
    rows = []
    for condition in _sizes((100, 300, 1000, *LARGER)):
        reference = replace(condition, student="hard").name
        row = [f"{condition.n_train:,}, {condition.student}"]
        for measure in TITLES:
            row.append(show(runs, condition.name, measure))
            row.append(str(difference(runs, condition.name, reference, measure)))
        row += [gap(runs, condition.name, key) for key in ("f1_vs_teacher", "span_f1_vs_gold")]
        rows.append(row)
    return table(heads, [row for row in rows if row[1] != "not run"])


def gap(runs: Runs, name: str, measure: str) -> str:
    """Return by how much a student is better on its training passages than on test."""
    gaps = {
        seed: {"gap": row[f"train_{measure}"] - row[measure]}
        for seed, row in runs.get(name, {}).items()
    }
    return show({name: gaps}, name, "gap")


def _long_table(runs: Runs, n_train: int) -> str:
    epochs = [TRAINING.epochs, *(times * TRAINING.epochs for times in LONGER[n_train])]
    first, last = epochs[0], epochs[-1]
    heads = [f"{n_train:,} passages", *(f"{n} epochs" for n in epochs)]
    heads += [f"{last} minus {first} epochs", f"ahead of hard, {last} epochs"]
    heads += [f"train minus test, {n} epochs" for n in (first, last)]
    hard = Condition("hard", n_train, epochs=last).name
    rows = []
    for measure in ("f1_vs_teacher", "span_f1_vs_gold"):
        for student in STUDENTS:
            usual = Condition(student, n_train)
            names = [usual.name, *(replace(usual, epochs=n).name for n in epochs[1:])]
            row = [f"{TITLES[measure]}: {student}", *(show(runs, name, measure) for name in names)]
            row += [str(difference(runs, names[-1], other, measure)) for other in (names[0], hard)]
            rows.append([*row, *(gap(runs, name, measure) for name in (names[0], names[-1]))])
    return table(heads, [row for row in rows if row[-1] != "not run"])


def _error_table(runs: Runs, side: str, students: Sequence[str]) -> str:
    first, last = students[0], students[-1]
    heads = [f"errors in the labels of the {side}", *students]
    heads += [f"{student} loses" for student in students]
    heads += [f"{first} loses more than {last}"]
    soft = Condition("soft", ERRORS_ON).name
    # A student of the teacher alone sees none of the errors in gold.
    versus = {"span F1": "span_f1_vs_gold", "word F1": "f1_vs_gold"} if side == "gold" else {}
    heads += [f"{last} minus soft, {title}" for title in versus]
    rows = []
    for kind in KINDS:
        for share in sorted(SHARES):
            changed = {f"{side}_errors": kind}
            names = [Condition(who, ERRORS_ON, share=share, **changed).name for who in students]
            lost = {who: losses(runs, who, name) for who, name in zip(students, names, strict=True)}
            row = [f"{share:.0%} {kind}", *(show(runs, name, "span_f1_vs_gold") for name in names)]
            row += [show(lost, who, "loss") for who in students]
            row += [str(difference(lost, first, last, "loss"))]
            rows.append(
                [*row, *(str(difference(runs, names[-1], soft, m)) for m in versus.values())]
            )
    return table(heads, rows)


def losses(runs: Runs, student: str, name: str) -> dict[str, Row]:
    """Return the span F1 against gold that errors take from a student, by seed, as `loss`."""
    clean, corrupted = runs.get(Condition(student, ERRORS_ON).name, {}), runs.get(name, {})
    return {
        seed: {"loss": clean[seed]["span_f1_vs_gold"] - corrupted[seed]["span_f1_vs_gold"]}
        for seed in sorted(clean.keys() & corrupted.keys())
    }


def draw(runs: Runs, out: Path) -> None:
    """Draw the curves of all students by epoch, by training length, and by share of errors."""
    readings = {"the teacher": "f1_vs_teacher", "gold": "f1_vs_gold"}
    sides = {"training passages": "train", "test": "test"}
    by_epoch = {
        f"{side}, against {reading}": {
            student: _by_epoch(runs, Condition(student, 1000).name, split, measure)
            for student in STUDENTS
        }
        for reading, measure in readings.items()
        for side, split in sides.items()
    }
    draw_curves(out / "epochs.png", by_epoch, x_label="epoch", y_label="word F1, %")
    lengths = {
        f"{n} passages: {side}, against {reading}": {
            student: _by_length(runs, student, n, prefix + measure) for student in STUDENTS
        }
        for n in LENGTHS_DRAWN
        for reading, measure in readings.items()
        for side, prefix in (("training", "train_"), ("test", ""))
    }
    draw_curves(out / "lengths.png", lengths, x_label="epochs", y_label="word F1, %", is_log=True)
    by_share = {
        f"gold: {kind}": {
            student: _by_share(runs, student, "gold_errors", kind) for student in STUDENTS
        }
        for kind in KINDS
    } | {
        f"teacher: {kind}": {
            student: _by_share(runs, student, "teacher_errors", kind)
            for student in ("soft", "mixed")
        }
        for kind in KINDS
    }
    draw_curves(
        out / "errors.png", by_share, x_label="wrong entities, %", y_label="span F1 vs. gold, %"
    )


def _by_epoch(runs: Runs, name: str, split: str, measure: str) -> list[tuple[float, list[float]]]:
    points: dict[int, list[float]] = {}
    for row in runs.get(name, {}).values():
        for entry in row["curve"]:
            if entry["split"] == split:
                points.setdefault(entry["epoch"], []).append(entry[measure])
    return [(float(epoch), values) for epoch, values in sorted(points.items())]


def _by_length(
    runs: Runs, student: str, n_train: int, measure: str
) -> list[tuple[float, list[float]]]:
    usual = Condition(student, n_train)
    longer = [replace(usual, epochs=times * TRAINING.epochs) for times in LONGER[n_train]]
    return [
        (float(item.epochs or TRAINING.epochs), values_of(runs, item.name, measure))
        for item in (usual, *longer)
    ]


def _by_share(runs: Runs, student: str, side: str, kind: str) -> list[tuple[float, list[float]]]:
    clean = Condition(student, ERRORS_ON)
    names = {0.0: clean.name}
    for share in sorted(SHARES):
        wrong = replace(clean, share=share, **{side: kind})
        # A student of the teacher alone is the same whatever is wrong in gold.
        names[share] = clean.name if (student, side) == ("soft", "gold_errors") else wrong.name
    return [
        (100 * share, values_of(runs, name, "span_f1_vs_gold")) for share, name in names.items()
    ]


if __name__ == "__main__":
    main()
