"""Try what TextBrewer offers on an LSTM: `python benchmarks/losses.py OUT [OPTIONS]`.

TextBrewer (Yang et al. 2020) is a toolkit for distilling transformers. Each condition adds one of
its items to one of two students with a softmax head: `mixed`, which learns from the teacher and
gold, or `soft`, which learns from the teacher alone. The items are the squared error of logits,
a constant or per-word temperature, a falling or rising weight of the teacher, probability shift,
matching of the teacher's word and label vectors by three distances, and a second teacher. A
temperature that falls is tried, too. Cross-entropy is not run, since its gradient is the same as
that of the KL divergence (a test computes both). The two bases are also trained for twice as many
epochs: the item that came closest takes about as long, with the time in which the teacher reads.

Vectors need `--teacher FOLDER` (the GLiNER that labeled the sample), and a second teacher needs
`--second-store FOLDER` (the same passages labeled by another GLiNER); without them, these
conditions are left out. Every row has the processor time of a training step, so that an item that
costs more per step can be compared at equal time. OUT/results.json has each run; a run that is in
this file is not repeated. The program prints Markdown tables and draws OUT/losses.png.
"""

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from loss_heads import PassageVectors, StudyHead, Variant
from loss_times import time_steps, time_teacher
from matplotlib.figure import Figure
from sample_students import MEASURES, read_sample, train_sample_student
from study import (
    COLORS,
    Job,
    Row,
    Runs,
    difference,
    hours,
    jobs_of,
    run_jobs,
    show,
    table,
    values_of,
)

from gliner_distill.entities import LabeledPassage
from gliner_distill.evaluation.evaluate import evaluate
from gliner_distill.metrics import mean_and_spread
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.student.initialization import initialize_student
from gliner_distill.student.model import Student
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.training.settings import TrainingSettings

TRAINING: Final = TrainingSettings()
BASES: Final = {"mixed": TRAINING.alpha, "soft": 1.0}
"""The weight of the teacher's soft labels for each base."""

N_TRAIN: Final = 300
N_TIMED: Final = 40
"""The number of passages on which time is measured."""

READINGS: Final = {"f1_vs_teacher": "agreement", "span_f1_vs_gold": "span F1 vs. gold"}
"""The two measures on which an item has to help; agreement is word F1 against the teacher."""

CACHING: Final = "caching"
STEPS: Final = "steps"
TIMINGS: Final = (STEPS, CACHING)
"""Measurements of time without a whole training: of the losses, and of the teacher."""

VARIANTS: Final = {
    "base": Variant(),
    "logit error": Variant(soft="squared error", soft_weight=1.0),
    "logit error, weight 0.1": Variant(soft="squared error", soft_weight=0.1),
    "T = 4": Variant(temperature=4.0),
    "T from 4 to 1": Variant(temperature=4.0, schedule="linear"),
    "T per word around 4": Variant(temperature=4.0, schedule="per word"),
    "alpha from 1 to 0": Variant(alphas=(1.0, 0.0)),
    "alpha from 0 to 1": Variant(alphas=(0.0, 1.0)),
    "probability shift": Variant(is_shifted=True),
    "vectors, cosine": Variant(distance="cosine"),
    # The vectors have a mean variance of 1/40, so this weight makes the scale that of the next one.
    "vectors, squared error": Variant(distance="squared error", vector_weight=40.0),
    "vectors, standardized": Variant(distance="standardized"),
    "vectors, standardized, weight 0.1": Variant(distance="standardized", vector_weight=0.1),
    "two teachers": Variant(has_second_teacher=True),
}
"""The change of the loss in each condition, by its name."""

PLAN: Final = (
    ("mixed", "base"),
    ("soft", "base"),
    ("mixed", "probability shift"),
    ("mixed", "alpha from 1 to 0"),
    ("mixed", "vectors, cosine"),
    ("mixed", "logit error"),
    ("soft", "vectors, cosine"),
    ("mixed", "two teachers"),
    ("soft", "T per word around 4"),
    ("mixed", "vectors, standardized"),
    ("mixed", "alpha from 0 to 1"),
    ("soft", "T from 4 to 1"),
    ("soft", "probability shift"),
    ("mixed", "T from 4 to 1"),
    ("soft", "logit error"),
    ("soft", "vectors, standardized"),
    ("soft", "two teachers"),
    ("mixed", "T per word around 4"),
    ("soft", "T = 4"),
    ("mixed", "T = 4"),
    ("soft", "vectors, squared error"),
    ("mixed", "vectors, squared error"),
)
"""The conditions with 300 passages and the usual epochs, the most important first."""

TUNING: Final = (
    ("mixed", "logit error, weight 0.1"),
    ("mixed", "vectors, standardized, weight 0.1"),
    ("soft", "vectors, standardized, weight 0.1"),
)
"""Other weights of some items."""

CLOSEST: Final = "vectors, standardized, weight 0.1"
"""The item that came closest to helping; it and its bases are run with two more seeds."""

LONGER: Final = 2
"""The factor by which the bases are trained longer, for about the time of the closest item."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A student with one item of TextBrewer.

    Attributes:
        base: A key of `BASES`.
        variant: A key of `VARIANTS`.
        epochs: The number of epochs; None for the usual number.
        n_train: The number of training passages.
        teacher: The folder of the teacher that labeled the sample.
        second_store: The folder of a store with the answers of another teacher.
        out: The folder in which the vectors of the teacher are kept.
    """

    base: str
    variant: str
    epochs: int | None = None
    n_train: int = N_TRAIN
    teacher: str = ""
    second_store: str = ""
    out: str = ""

    @property
    def name(self) -> str:
        """The key in `results.json`."""
        parts = [self.base, self.variant]
        parts += [f"{self.epochs} epochs"] if self.epochs else []
        parts += [f"{self.n_train} passages"] if self.n_train != N_TRAIN else []
        return ", ".join(parts)


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1, help="processes of one thread each")
    parser.add_argument("--teacher", default="", help="the GLiNER that labeled the sample")
    parser.add_argument(
        "--second-store", default="", help="the same passages and labels by another teacher"
    )
    options = parser.parse_args()
    known = {"teacher": options.teacher, "second_store": options.second_store}
    jobs = plan(options.seeds, out=str(options.out), **known)
    runs = run_jobs(options.out, jobs, run, n_workers=options.workers)
    for text in tables(runs):
        print(text, end="\n\n")
    print(f"{hours(runs):.1f} hours of processor time")
    draw(runs, options.out)


def plan(n_seeds: int, *, teacher: str = "", second_store: str = "", out: str = "") -> list[Job]:
    """Return all jobs that can be run with these teachers, the most important first."""

    def jobs(conditions: list[Condition], seeds: list[int]) -> list[Job]:
        known = [
            replace(item, teacher=teacher, second_store=second_store, out=out)
            for item in conditions
            if _can_run(VARIANTS[item.variant], teacher, second_store)
        ]
        return jobs_of({item.name: item for item in known}, seeds)

    seeds = list(range(n_seeds))
    usual = [Condition(base, variant) for base, variant in PLAN]
    tuning = [Condition(base, variant) for base, variant in TUNING]
    closest = [Condition(base, variant) for base in BASES for variant in ("base", CLOSEST)]
    longer = [Condition(base, "base", epochs=LONGER * TRAINING.epochs) for base in BASES]
    timing = [
        Job(name, Condition("", name, teacher=teacher), seed) for name in TIMINGS for seed in seeds
    ]
    return [
        *jobs(usual, seeds[:1]),
        *jobs(tuning, seeds[:1]),
        *(timing if teacher else []),
        *jobs([*tuning, *usual], seeds[1:]),
        # Without the teacher, this item is not run, and its bases need no more seeds.
        *(jobs(closest, [n_seeds, n_seeds + 1]) if teacher else []),
        *jobs(longer, seeds),
    ]


def _can_run(variant: Variant, teacher: str, second_store: str) -> bool:
    needs = [(variant.distance, teacher), (variant.has_second_teacher, second_store)]
    return all(folder for is_needed, folder in needs if is_needed)


def run(condition: Condition, seed: int) -> Row:
    """Train and measure a student, or measure the time of the teacher."""
    if condition.variant in TIMINGS:
        return _timing(condition, seed)
    variant = VARIANTS[condition.variant]
    training = replace(TRAINING, seed=seed, alpha=BASES[condition.base])
    if variant.alphas:
        # The head replaces this weight at each step; it only says that gold is needed.
        training = replace(training, alpha=0.5)
    if condition.epochs:
        training = replace(training, epochs=condition.epochs)
    passages = read_sample().train[: condition.n_train]
    extra: Row = {}
    if variant.has_second_teacher:
        answers, extra = _second_answers(condition.second_store)
        passages = average_answers(passages, answers)
    vectors = None
    if variant.distance:
        vectors = _passage_vectors(condition.teacher, condition.out, condition.n_train)
        extra = vectors.origin
    n_steps = training.epochs * math.ceil(len(passages) / training.batch_size)
    head = StudyHead(variant, n_steps, vectors)
    students: list[Student] = []

    def start(seed: int) -> Student:
        students.append(make_start(seed, vectors.width if vectors else 0))
        head.watch(students[0])
        return students[0]

    row = train_sample_student(passages, training, head=head, start=start)
    step = {"n_steps": n_steps, "step_cpu_ms": round(1000 * head.step_cpu_seconds, 2)}
    return row | step | extra | _on_dev(students[0], row["threshold"])


def _timing(condition: Condition, seed: int) -> Row:
    passages = read_sample().train[seed * N_TIMED : (seed + 1) * N_TIMED]
    teacher = GLiNERTeacher.from_pretrained(condition.teacher)
    if condition.variant == CACHING:
        return time_teacher(passages, teacher)
    vectors = PassageVectors.of(teacher, passages)
    return time_steps(passages, VARIANTS, vectors, start=make_start)


def make_start(seed: int, feature_width: int) -> Student:
    """Return the student that all trainings with a seed start from."""
    sample = read_sample()
    config = StudentConfig(len(sample.vocabulary), feature_width=feature_width)
    return initialize_student(sample.vocabulary, sample.vectors, config, seed=seed)


def _on_dev(student: Student, threshold: float) -> Row:
    sample = read_sample()
    predictor = StudentPredictor(student, sample.vocabulary, threshold=threshold)
    dev = sample.dev
    scores = evaluate(
        predictor, dev.passages, dev.labels, teacher_entities=dev.teacher_entities
    ).as_json()
    return {f"dev_{measure}": round(scores[measure], 5) for measure in MEASURES}


@cache
def _passage_vectors(teacher: str, out: str, n_train: int) -> PassageVectors:
    passages = read_sample().train[:n_train]
    path = Path(out) / f"vectors_{n_train}.safetensors"
    if not path.is_file():
        PassageVectors.of(GLiNERTeacher.from_pretrained(teacher), passages).write(path, passages)
    return PassageVectors.read(path, passages)


@cache
def _second_answers(store: str) -> tuple[dict[Any, Any], Row]:
    opened = SoftLabelStore(Path(store))
    answers = {(item.passage.words, item.labels): item.probs for item in opened}
    return answers, {"second_teacher": opened.manifest.teacher_fingerprint}


def average_answers(
    passages: Sequence[LabeledPassage], answers: Mapping[Any, Any]
) -> list[LabeledPassage]:
    """Return passages with the mean of their probabilities and those of another teacher."""
    return [
        replace(item, probs=(item.probs + answers[item.passage.words, item.labels]) / 2)
        for item in passages
    ]


def tables(runs: Runs) -> Iterator[str]:
    """Yield the tables as Markdown."""
    for base in BASES:
        yield _table(runs, base)
    yield _step_table(runs)
    yield _timing_table(runs)


def _table(runs: Runs, base: str) -> str:
    heads = [f"{base} and"]
    heads += [text for title in READINGS.values() for text in (title, "ahead of base")]
    heads += ["ms per step", "seeds"]
    rows = []
    for name in _names(runs, base):
        row = [name.removeprefix(f"{base}, ")]
        for measure in READINGS:
            row.append(show(runs, name, measure))
            row.append(str(difference(runs, name, f"{base}, base", measure)))
        rows.append([*row, _milliseconds(runs, name, "step_cpu_ms"), str(len(runs[name]))])
    return table(heads, rows)


def _names(runs: Runs, base: str) -> list[str]:
    # A condition with other epochs or passages follows the usual one.
    order = [Condition(base, variant).name for variant in VARIANTS]
    return [name for usual in order for name in sorted(runs) if _is_like(name, usual)]


def _is_like(name: str, usual: str) -> bool:
    rest = name.removeprefix(usual)
    return name.startswith(usual) and rest.strip(", 0123456789") in ("", "epochs", "passages")


def _milliseconds(runs: Runs, name: str, key: str) -> str:
    mean, spread = mean_and_spread(values_of(runs, name, key))
    return f"{mean:.0f}" + ("" if spread is None else f" ± {spread:.0f}")


def _step_table(runs: Runs) -> str:
    rows = []
    for variant in VARIANTS if STEPS in runs else ():
        ratios = {
            seed: {"more": row[variant] / row["base"] - 1} for seed, row in runs[STEPS].items()
        }
        more = show({STEPS: ratios}, STEPS, "more")
        rows.append([variant, _milliseconds(runs, STEPS, variant), more])
    return table(["step without the optimizer", "ms", "more than the base, %"], rows)


def _timing_table(runs: Runs) -> str:
    ways = {
        "batch_cpu_ms": "the teacher reads a batch at once",
        "alone_cpu_ms": "the teacher reads each passage on its own",
        "remembered_cpu_ms": "the vectors are remembered",
    }
    rows = [
        [text, _milliseconds(runs, CACHING, key)] for key, text in ways.items() if CACHING in runs
    ]
    return table(["vectors of 8 passages", "ms"], rows)


def draw(runs: Runs, out: Path) -> None:
    """Draw how far each item is ahead of its base, with 95% intervals."""
    figure = Figure(figsize=(10, 7), dpi=100, layout="constrained")
    panels = figure.subplots(2, 2, sharex=True, squeeze=False)
    for axes, base in zip(panels, BASES, strict=True):
        reference = Condition(base, "base").name
        names = [name for name in _names(runs, base) if name != reference]
        for panel, (measure, title) in zip(axes, READINGS.items(), strict=True):
            gaps = [difference(runs, name, reference, measure) for name in names]
            panel.errorbar(
                [100 * gap.mean for gap in gaps],
                [name.removeprefix(f"{base}, ") for name in names],
                # One seed has no interval.
                xerr=[100 * np.nan_to_num(gap.half_width) for gap in gaps],
                fmt="o",
                color=COLORS[0],
            )
            panel.axvline(0, color="black", linewidth=0.8)
            panel.set_title(f"{base}: {title}", fontsize=10)
            panel.invert_yaxis()
            panel.grid(axis="x", alpha=0.3)
    for panel in panels[-1]:
        panel.set_xlabel("points ahead of the base")
    figure.savefig(out / "losses.png", metadata={"Software": None})


if __name__ == "__main__":
    main()
