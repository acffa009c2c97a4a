"""Measure students of a teacher that reads a part of the texts, by the part and by its choice.

`python benchmarks/teacher_budget.py FOLDER TEACHER OUT [--sets a,b] [--shares 0.3,0.1] [--most N]
[--train N] [--half]`

The sets and their splits are those of `domain.py`, and so are the stores in OUT: the teacher labels
each set once (with --half in bfloat16, which is faster where the processor computes in it), and
every choice is then simulated. Dev and test are always read. Of the training passages, a student
learns those that `distill --teacher-budget WORDS` chooses ("chosen"), where WORDS is a share of all
words of the training passages; as many random ones ("random"); and all of them ("all"). Everything
else is as in `distill`. The exports are measured on test: F1 of exact spans against the teacher's
answers and against gold.

Prints Markdown, writes OUT/teacher_budget.json after each student (a student that is in this file
is not made again), and draws OUT/teacher_budget.png.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import domain
import numpy as np
from matplotlib.figure import Figure

from gliner_distill.callbacks import no_progress
from gliner_distill.corpus.documents import SplitCorpus
from gliner_distill.distillation.job import DistillJob, DistillSettings
from gliner_distill.distillation.selection.budget import TeacherBudget
from gliner_distill.distillation.selection.choice import spread_sample
from gliner_distill.distillation.selection.rounds import RoundReader
from gliner_distill.distillation.teachers import TeacherSource
from gliner_distill.distillation.workspace import open_workspace
from gliner_distill.entities import LabeledPassage, Passage, count_words
from gliner_distill.files import write_json
from gliner_distill.teacher.base import Probabilities
from gliner_distill.teacher.gliner import GLiNERTeacher

ALL, CHOSEN, RANDOM = "all", "chosen", "random"
DEFAULTS = DistillSettings()


class StoredTeacher:
    """A teacher that repeats the answers of a store."""

    name, fingerprint = "stored", "0" * 64

    def __init__(self, passages: Sequence[LabeledPassage]) -> None:
        """Remember the soft labels of passages."""
        self._probs = {item.passage.words: item.probs for item in passages}

    def score_passages(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[Probabilities]:
        """Return the stored probabilities of each passage; the labels are those of the store."""
        return [self._probs[tuple(words)] for words in passages]


def main(settings: DistillSettings = DEFAULTS) -> None:
    """Run the benchmark.

    Args:
        settings: The settings of the students.
    """
    options = parse_arguments()
    path = options.out / "teacher_budget.json"
    rows: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    teacher = GLiNERTeacher.from_pretrained(options.teacher)
    if options.half:
        teacher = GLiNERTeacher(teacher.model.bfloat16(), name=teacher.name)
    # The shares come first in importance, so that an interrupted run has the first for all sets.
    wanted = [(ALL, 1.0)] + [(how, share) for share in options.shares for how in (CHOSEN, RANDOM)]
    for how, share in wanted:
        for name in options.sets:
            runs = rows.setdefault(name, {}).setdefault("runs", {})
            key = key_of(how, share)
            if key in runs:
                continue
            data = read_set(options, name, teacher)
            rows[name] |= describe(data)
            runs[key] = run(options.out / name, data, how, share, settings)
            print(name, key, runs[key], flush=True)
            write_json(path, rows)
    rows = {name: rows[name] for name in options.sets}
    for line in table(rows, options.shares):
        print(line)
    draw(rows, options.shares, options.out / "teacher_budget.png")


def parse_arguments() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("teacher")
    parser.add_argument("out", type=Path)
    parser.add_argument("--sets", type=lambda text: text.split(","), default=list(domain.SETS))
    parser.add_argument(
        "--shares",
        type=lambda text: [float(share) for share in text.split(",")],
        default=[0.3, 0.1, 0.2, 0.5],
        help="shares of the training words, the most important ones first",
    )
    parser.add_argument("--most", type=int, help="number of passages per set, at most")
    parser.add_argument("--train", type=int, help="number of training passages, at most")
    parser.add_argument("--half", action="store_true", help="label in bfloat16")
    options = parser.parse_args()
    options.test = None  # all passages of a set are its own
    return options


def key_of(how: str, share: float) -> str:
    """Return the name of a run in the results.

    >>> key_of("chosen", 0.3)
    'chosen 30%'
    """
    return how if how == ALL else f"{how} {100 * share:.0f}%"


def read_set(options: argparse.Namespace, name: str, teacher: GLiNERTeacher) -> domain.DomainSet:
    """Return the splits of a set; its training passages differ from each other."""
    data = domain.read_set(options, name, teacher)
    # A repeated passage would be chosen or left as one.
    unique = list({item.passage.words: item for item in data.train}.values())
    return replace(data, train=unique[: options.train])


def describe(data: domain.DomainSet) -> dict[str, Any]:
    """Return the sizes of a set."""
    return {
        "n_train": len(data.train),
        "n_words": count_words(data.train),
        "n_dev": len(data.dev),
        "n_test": len(data.test),
        "n_labels": len(data.test[0].labels),
    }


def run(
    folder: Path, data: domain.DomainSet, how: str, share: float, settings: DistillSettings
) -> dict[str, Any]:
    """Return the scores on test of a student that learned a part of the training passages."""
    folder = folder / key_of(how, share)
    max_words = int(share * count_words(data.train))
    chosen = data.train
    if how == RANDOM:
        n_words = [len(item.words) for item in data.train]
        chosen = [data.train[place] for place in spread_sample(n_words, max_words)]
    elif how == CHOSEN:
        chosen, start = choose(folder, data, max_words, settings)
        settings = replace(settings, start=start)
    scores = domain.run(folder, replace(data, train=chosen), len(chosen), 0, settings)
    return {name: scores[name] for name in ("n_train", "precision", "agreement", "gold")} | {
        "n_words": count_words(chosen)
    }


def choose(
    folder: Path, data: domain.DomainSet, max_words: int, settings: DistillSettings
) -> tuple[list[LabeledPassage], Path]:
    """Return the passages that `distill` chooses, and the student that its training starts from."""
    labels = dict.fromkeys(data.train[0].labels, "")
    budget = TeacherBudget("words", max_words)
    job = DistillJob([], labels, teacher_budget=budget)
    teacher = TeacherSource(StoredTeacher(data.train))
    with open_workspace(folder / "asking", job, teacher, settings, no_progress) as work:
        if not work.passage_folders("text"):
            passages = {
                "train": [Passage(item.passage.words) for item in data.train],
                **{"dev": [], "test": []},
            }
            work.add_passages("text", SplitCorpus(passages))
        [text] = work.passage_folders("text")
        reader = RoundReader(work, text, data.dev, [], settings.start_folder)
        return reader.read(), reader.student


def table(rows: dict[str, Any], shares: Sequence[float]) -> list[str]:
    """Return a Markdown table: agreement and F1 against gold, by set and run."""
    keys = [key_of(how, share) for share in sorted(shares) for how in (RANDOM, CHOSEN)] + [ALL]
    lines = [
        f"| set | passages | words | {' | '.join(keys)} |",
        "|---|" + "---:|" * (len(keys) + 2),
    ]
    for name, row in rows.items():
        cells = [cell(row["runs"].get(key)) for key in keys]
        lines.append(f"| {name} | {row['n_train']:,} | {row['n_words']:,} | {' | '.join(cells)} |")
    means = [cell(mean_scores(rows, key)) for key in keys]
    lines.append(f"| mean | | | {' | '.join(means)} |")
    return lines


def mean_scores(rows: dict[str, Any], key: str) -> dict[str, float] | None:
    """Return the mean scores of a run; None unless every set has it."""
    runs = [row["runs"].get(key) for row in rows.values()]
    if not all(runs):
        return None
    return {name: mean(each[name] for each in runs) for name in ("agreement", "gold")}


def cell(scores: dict[str, float] | None) -> str:
    """Return agreement and F1 against gold in percent; nothing for a run that is missing."""
    if scores is None:
        return ""
    return f"{100 * scores['agreement']:.1f} / {100 * scores['gold']:.1f}"


def draw(rows: dict[str, Any], shares: Sequence[float], path: Path) -> None:
    """Draw the mean agreement by share of the words, of the sets that have all runs of a kind."""
    figure = Figure(figsize=(6, 3.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    for how, color in ((CHOSEN, "#0072b2"), (RANDOM, "#888888")):
        points = [(share, mean_scores(rows, key_of(how, share))) for share in sorted(shares)]
        points.append((1.0, mean_scores(rows, ALL)))
        known = [(100 * share, 100 * scores["agreement"]) for share, scores in points if scores]
        axes.plot(*np.array(known).reshape(-1, 2).T, marker="o", color=color, label=how)
    axes.set_xlabel("words of the training text that the teacher read, %")
    axes.set_ylabel("mean agreement on test, F1, %")
    axes.grid(True, color="#dddddd")
    axes.legend(frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, metadata={"Software": None})


if __name__ == "__main__":
    main()
