"""Measure what each part of `distill` contributes.

`python benchmarks/ablation.py FOLDER TEACHER OUT [OPTIONS]`

The sets are those of `domain.py`. Its stores in OUT are used, and created if they are missing.
Each variant trains students as `distill` does, except for one thing: the student that they start
from, soft or hard labels of the teacher, the temperature, the amount of text, the number of
annotated passages, the weight of the annotation in their targets, or whether a student tuned on
them refines the soft labels. One variant is that tuned student itself. All students run in torch,
in single precision, at a threshold of 0.5, with several seeds. The scores count exact spans on test
against the teacher's answers and against gold, as mean and sample standard deviation over seeds.

Prints Markdown, writes OUT/ablation.json after each run (a run that is in this file is not
repeated), and draws OUT/ablation.png.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import domain
import numpy as np
import torch
from matplotlib.figure import Figure

from gliner_distill.callbacks import no_progress
from gliner_distill.decoding import decode_entities, entities_to_probs
from gliner_distill.distillation.few_shot import (
    GOLD_FOLDER,
    fine_tune_on_gold,
    refine_soft_labels,
)
from gliner_distill.distillation.job import DistillSettings
from gliner_distill.distillation.train import train_on_targets, training_settings
from gliner_distill.entities import LabeledPassage
from gliner_distill.files import write_json
from gliner_distill.student.files import load_student, save_student
from gliner_distill.student.model import Student
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.training.run import STUDENT_FOLDER

_SURE = 0.98
"""The probability of a hard label of the teacher: cross-entropy with 1 has no minimum."""

DEFAULTS = DistillSettings()


@dataclass(frozen=True)
class Variant:
    """A way to train that differs from the default in one thing.

    Attributes:
        name: The name in the table.
        n_train: The number of training passages; None for all.
        n_gold: The number of these that are annotated.
        temperature: The temperature of the loss.
        gold_weight: The weight of the annotation in the targets of these; None for the default.
        is_refined: Whether a student tuned on them refines the other soft labels.
        is_gold_alone: Whether to measure the tuned student itself.
        is_hard: Whether the teacher's probabilities are rounded.
        from_scratch: Whether training starts from random weights.
    """

    name: str
    n_train: int | None = 1000
    n_gold: int = 0
    temperature: float = 1.0
    gold_weight: float | None = None
    is_refined: bool = True
    is_gold_alone: bool = False
    is_hard: bool = False
    from_scratch: bool = False


VARIANTS = (
    Variant("as distill does it, 1,000 passages"),
    Variant("300 passages", n_train=300),
    Variant("all passages", n_train=None),
    Variant("from scratch", from_scratch=True),
    Variant("hard labels of the teacher", is_hard=True),
    Variant("from scratch, hard labels", from_scratch=True, is_hard=True),
    Variant("temperature 2", temperature=2.0),
    Variant("100 of them with gold", n_gold=100),
    Variant("300 of them with gold", n_gold=300),
    Variant("100 with gold, teacher's share 0", n_gold=100, gold_weight=1.0),
    Variant("100 with gold, teacher's share 0.7", n_gold=100, gold_weight=0.3),
    Variant("100 with gold, the teacher alone beside it", n_gold=100, is_refined=False),
    Variant("100 with gold, no other text", n_gold=100, is_gold_alone=True),
)


def main(settings: DistillSettings = DEFAULTS, variants: Sequence[Variant] = VARIANTS) -> None:
    """Run the benchmark.

    Args:
        settings: The settings of the students.
        variants: The variants to compare.
    """
    options = parse_arguments()
    teacher = GLiNERTeacher.from_pretrained(options.teacher)
    path = options.out / "ablation.json"
    rows: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    for name in options.sets:
        data = domain.read_set(options, name, teacher)
        expected = [decode_entities(item.probs, item.labels) for item in data.test]
        rows.setdefault(name, {})["teacher"] = domain.score(expected, data.test)["gold"]
        for seed in range(options.seeds):
            seeded = replace(settings, seed=seed)
            for variant in variants:
                runs = rows[name].setdefault(variant.name, {})
                if str(seed) not in runs:
                    runs[str(seed)] = run(options.out / name / "ablation", data, variant, seeded)
                    write_json(path, rows)
                    print(name, variant.name, seed, runs[str(seed)], flush=True)
    names = [variant.name for variant in variants]
    for line in table(rows, options.sets, names):
        print(line)
    draw(rows, options.sets, names, options.out / "ablation.png")


def parse_arguments() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("teacher")
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--sets", type=lambda text: text.split(","), default=["tasteset", "restaurant8k"]
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--test", type=Path, help="folder with other test passages for some of the sets"
    )
    parser.add_argument("--most", type=int, help="number of passages per set, at most")
    return parser.parse_args()


def run(
    folder: Path, data: domain.DomainSet, variant: Variant, settings: DistillSettings
) -> dict[str, float]:
    """Return the scores on test of a student of a variant."""
    shutil.rmtree(folder, ignore_errors=True)
    if variant.gold_weight is not None:
        settings = replace(settings, gold_weight=variant.gold_weight)
    predictor = StudentPredictor(*load_student(make_student(folder, data, variant, settings)))
    words = [item.passage.words for item in data.test]
    entities = predictor.predict_words(words, [item.labels for item in data.test])
    shutil.rmtree(folder)
    return domain.score(entities, data.test)


def make_student(
    folder: Path, data: domain.DomainSet, variant: Variant, settings: DistillSettings
) -> Path:
    """Return the folder of a student that was trained as a variant says."""
    train = data.train[: variant.n_train]
    if variant.is_hard:
        train = [harden(item) for item in train]
    gold, text = train[: variant.n_gold], {"train": train[variant.n_gold :], "dev": data.dev}
    training = replace(training_settings(settings), temperature=variant.temperature)
    if variant.is_gold_alone:
        fine_tune_on_gold(folder / "tuned", gold, training, settings, progress=no_progress)
        return folder / "tuned" / STUDENT_FOLDER
    targets = text
    if variant.is_refined:
        targets, _ = refine_soft_labels(
            folder / GOLD_FOLDER, text, gold, training, settings, progress=no_progress
        )
    start = settings.start_folder
    if variant.from_scratch:
        start = make_start(folder / "start", start, settings.seed)
    train_on_targets(
        folder / "run",
        targets,
        {"train": gold, "dev": []},
        training,
        settings,
        start=start,
        progress=no_progress,
    )
    return folder / "run" / STUDENT_FOLDER


def harden(item: LabeledPassage) -> LabeledPassage:
    """Return a passage whose probabilities are those of the teacher's entities, rounded."""
    entities = decode_entities(item.probs, item.labels)
    sure = [replace(entity, score=1.0) for entity in entities]
    probs = entities_to_probs(sure, item.labels, len(item.passage.words))
    return replace(item, probs=np.clip(probs, 1 - _SURE, _SURE))


def make_start(folder: Path, start: Path, seed: int) -> Path:
    """Return the folder of a student with random weights, otherwise like the usual start."""
    student, vocabulary = load_student(start)
    # The random weights must differ between seeds, as all other randomness does.
    torch.manual_seed(seed)
    save_student(folder, Student(student.config), vocabulary, metadata={})
    return folder


def table(rows: dict[str, Any], sets: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return a Markdown table: agreement and F1 against gold of each variant and set."""
    heads = [f"{name}: {score}" for name in sets for score in ("agreement", "gold")]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    teacher = [cell for name in sets for cell in ("100.0", f"{100 * rows[name]['teacher']:.1f}")]
    # The agreement of the teacher with itself is 100 by definition.
    lines.append("| teacher | " + " | ".join(teacher) + " |")
    for variant in names:
        cells = [
            with_spread([row[score] for row in rows[name][variant].values()])
            for name in sets
            for score in ("agreement", "gold")
        ]
        lines.append(f"| {variant} | " + " | ".join(cells) + " |")
    return lines


def with_spread(values: Sequence[float]) -> str:
    """Return mean ± sample standard deviation as percentages."""
    spread = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * mean(values):.1f}{spread}"


def draw(rows: dict[str, Any], sets: Sequence[str], names: Sequence[str], path: Path) -> None:
    """Draw the F1 against gold of each variant, one panel per set, with the teacher's as a line."""
    figure = Figure(figsize=(5 + 3 * len(sets), 5), dpi=120, layout="constrained")
    panels = figure.subplots(1, len(sets), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, sets, strict=True):
        runs = [[100 * row["gold"] for row in rows[name][key].values()] for key in names]
        spreads = [stdev(values) if len(values) > 1 else 0 for values in runs]
        axes.barh(names, [mean(values) for values in runs], xerr=spreads, color="#0072b2")
        axes.axvline(100 * rows[name]["teacher"], color="#d55e00", label="teacher")
        axes.set_title(name)
        axes.set_xlabel("span F1 against gold, %")
        axes.invert_yaxis()
        axes.legend(loc="lower right", frameon=False)
    figure.savefig(path, metadata={"Software": None})


if __name__ == "__main__":
    main()
