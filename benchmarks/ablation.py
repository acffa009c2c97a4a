"""What each part of `distill` brings: `python benchmarks/ablation.py FOLDER TEACHER OUT [OPTIONS]`.

On sets as in `domain.py` (whose stores in OUT are used, and made where they are missing), students
are trained as `distill` does it, but for one thing each: where they start, soft or hard labels of
the teacher, temperature, amount of text, annotated passages, how much the teacher counts in them,
and whether a student tuned on them teaches beside the teacher; and that student by itself. Each
with several seeds; torch, single precision, threshold 0.5; exact spans on test against the
teacher's answers and against gold, mean and sample standard deviation over seeds.

Prints Markdown, writes OUT/ablation.json after each run (what is there is not run again), and
draws OUT/ablation.png.
"""

import argparse
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import domain
import numpy as np
import torch
from matplotlib.figure import Figure

from gliner_distill.decoding import decode_entities, entities_to_probs
from gliner_distill.distillation import few_shot as gold_tuning
from gliner_distill.distillation.few_shot import fine_tune_on_gold, refine_soft_labels
from gliner_distill.distillation.train import GOLD_FOLDER, train_on, training_settings
from gliner_distill.entities import LabeledPassage
from gliner_distill.files import replace_file
from gliner_distill.runtime.locate import bundled_student_path
from gliner_distill.student.files import load_student, save_student
from gliner_distill.student.model import Student
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.training.run import STUDENT_FOLDER

_SURE = 0.98
"""How sure a hard label of the teacher is: cross-entropy with 1 has no minimum."""


@dataclass(frozen=True)
class Variant:
    """One thing that is otherwise."""

    name: str
    n_train: int | None = 1000
    n_gold: int = 0
    temperature: float = 1.0
    gold_share: float | None = None
    is_guided: bool = True
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
    Variant("100 with gold, teacher's share 0", n_gold=100, gold_share=0.0),
    Variant("100 with gold, teacher's share 0.7", n_gold=100, gold_share=0.7),
    Variant("100 with gold, the teacher alone beside it", n_gold=100, is_guided=False),
    Variant("100 with gold, no other text", n_gold=100, is_gold_alone=True),
)


def main() -> None:
    """Run the benchmark."""
    given = parse_arguments()
    load: Callable[[], Any] = partial(GLiNERTeacher.from_pretrained, given.teacher)
    teacher = load()
    path = given.out / "ablation.json"
    rows: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    for name in given.sets:
        data = domain.read_set(given, name, teacher)
        expected = [decode_entities(item.probs, item.labels) for item in data.test]
        rows.setdefault(name, {})["teacher"] = domain.score(expected, data.test)["gold"]
        for seed in range(given.seeds):
            for variant in VARIANTS:
                found = rows[name].setdefault(variant.name, {})
                if str(seed) not in found:
                    found[str(seed)] = run(given.out / name / "ablation", data, variant, seed)
                    replace_file(path, (json.dumps(rows, indent=1) + "\n").encode())
                    print(name, variant.name, seed, found[str(seed)], flush=True)
    for line in table(rows, given.sets):
        print(line)
    draw(rows, given.sets, given.out / "ablation.png")


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
    parser.add_argument("--test", type=Path, help="folder of test sets for some of them")
    parser.add_argument("--most", type=int, help="passages of a set to take, at most")
    return parser.parse_args()


def run(folder: Path, data: domain.DomainSet, variant: Variant, seed: int) -> dict[str, float]:
    """Return what a student of a variant reaches on test."""
    shutil.rmtree(folder, ignore_errors=True)
    share = gold_tuning.TEACHER_SHARE_OF_GOLD
    gold_tuning.TEACHER_SHARE_OF_GOLD = share if variant.gold_share is None else variant.gold_share
    try:
        predictor = StudentPredictor(*load_student(make_student(folder, data, variant, seed)))
    finally:
        gold_tuning.TEACHER_SHARE_OF_GOLD = share
    words = [item.passage.words for item in data.test]
    scores = domain.score(
        predictor.predict_words(words, [item.labels for item in data.test]), data.test
    )
    shutil.rmtree(folder)
    return scores


def make_student(folder: Path, data: domain.DomainSet, variant: Variant, seed: int) -> Path:
    """Return the folder of a student that was trained as a variant has it."""
    train = data.train[: variant.n_train]
    if variant.is_hard:
        train = [harden(item) for item in train]
    gold, text = train[: variant.n_gold], {"train": train[variant.n_gold :], "dev": data.dev}
    settings = replace(training_settings(seed=seed), temperature=variant.temperature)
    if variant.is_gold_alone:
        fine_tune_on_gold(folder / "tuned", gold, settings, progress=lambda *step: None)
        return folder / "tuned" / STUDENT_FOLDER
    if variant.is_guided:
        text, _ = refine_soft_labels(
            folder / GOLD_FOLDER, text, gold, settings, progress=lambda *step: None
        )
    train_on(
        folder / "run",
        text,
        {"train": gold, "dev": []},
        settings,
        start=make_start(folder / "start", seed)
        if variant.from_scratch
        else bundled_student_path(),
        progress=lambda *step: None,
    )
    return folder / "run" / STUDENT_FOLDER


def harden(item: LabeledPassage) -> LabeledPassage:
    """Return a passage with the teacher's entities for its probabilities."""
    found = decode_entities(item.probs, item.labels)
    sure = [replace(one, score=1.0) for one in found]
    probs = entities_to_probs(sure, item.labels, len(item.passage.words))
    return replace(item, probs=np.clip(probs, 1 - _SURE, _SURE))


def make_start(folder: Path, seed: int) -> Path:
    """Return the folder of a student of the bundled one's shape and pieces, drawn by chance."""
    bundled, vocabulary = load_student(bundled_student_path())
    torch.manual_seed(seed)
    save_student(folder, Student(bundled.config), vocabulary, metadata={})
    return folder


def table(rows: dict[str, Any], sets: Sequence[str]) -> list[str]:
    """Return the results as a Markdown table: agreement and gold F1 of each set."""
    heads = [f"{name}: {what}" for name in sets for what in ("agreement", "gold")]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    teacher = [cell for name in sets for cell in ("100.0", f"{100 * rows[name]['teacher']:.1f}")]
    lines.append("| teacher | " + " | ".join(teacher) + " |")
    for variant in VARIANTS:
        cells = [
            with_spread([one[what] for one in rows[name][variant.name].values()])
            for name in sets
            for what in ("agreement", "gold")
        ]
        lines.append(f"| {variant.name} | " + " | ".join(cells) + " |")
    return lines


def with_spread(values: Sequence[float]) -> str:
    """Return mean ± sample standard deviation in per cent."""
    spread = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * mean(values):.1f}{spread}"


def draw(rows: dict[str, Any], sets: Sequence[str], path: Path) -> None:
    """Draw gold F1 of each variant, a panel a set, with the teacher's as a line."""
    figure = Figure(figsize=(5 + 3 * len(sets), 5), dpi=120, layout="constrained")
    panels = figure.subplots(1, len(sets), sharey=True, squeeze=False)[0]
    names = [variant.name for variant in VARIANTS]
    for axes, name in zip(panels, sets, strict=True):
        runs = [[100 * one["gold"] for one in rows[name][key].values()] for key in names]
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
