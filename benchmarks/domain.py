"""Measure how good students of one domain are, compared with their teacher, by amount of text.

`python benchmarks/domain.py FOLDER TEACHER OUT [--sets a,b] [--amounts 1000,3000,all]
[--gold 100] [--test FOLDER] [--most N]`

FOLDER holds NAME.jsonl (GLiNER's training form) and NAME.labels.json (its labels, all of which are
asked of every passage). 600 random passages of each set (at most a fifth) are for test and 300 (at
most a tenth) for dev. A passage that has the same words as one of them is left out of the rest.
With --test FOLDER, sets in that folder are tested on the passages there instead. This is for sets
from whose gold the bundled student learned; it never saw these passages.

The teacher labels each set once, into a store in OUT. Students are trained as `gliner-distill
distill` trains them, from the bundled student: on the first 1,000, the first 3,000 and all passages
with the teacher's answers alone, and on all passages, with gold for the first 100. The export is
measured on test, in 8-bit precision if that loses little F1. The scores count exact spans against
the teacher's answers ("agreement") and against gold; the table also has the teacher's own F1 and
that of the bundled student before training. A second table has the number of entities that each
student finds at thresholds from 0.1 to 0.9, divided by the number that the teacher finds, and the
F1 against the teacher's answers that is lost at 0.5 compared with the best of these thresholds.

Writes OUT/domain.json after each set, and prints Markdown at the end. A run that is in that file is
not repeated. For other benchmarks, OUT/students/NAME is the student of the largest amount without
gold, and OUT/test has the test passages of each set, in the same form as FOLDER.
"""

import argparse
import json
import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

from gliner_distill.corpus.reader import CorpusFile, write_passages
from gliner_distill.decoding import decode_entities
from gliner_distill.distillation.few_shot import GOLD_FOLDER, refine_soft_labels
from gliner_distill.distillation.job import DistillSettings
from gliner_distill.distillation.train import train_on_targets, training_settings
from gliner_distill.entities import Entity, LabeledPassage, Passage
from gliner_distill.files import write_json
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.labeling.policy import LabelPolicy
from gliner_distill.labels import clean_label
from gliner_distill.metrics import score_spans
from gliner_distill.progress import StageProgress
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.student.export import export_smallest
from gliner_distill.student.files import load_student
from gliner_distill.student.score_fitting import count_by_threshold
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.training.run import STUDENT_FOLDER

SETS = (
    *("wnut17", "bc5cdr", "fewnerd_a", "restaurant8k", "snips", "stackoverflow", "finer_ord"),
    *("dnrti", "tasteset", "indian_legal"),
)
N_TEST, N_DEV = 600, 300
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
DEFAULTS = DistillSettings()


@dataclass(frozen=True)
class DomainSet:
    """A set of passages with the teacher's soft labels, by split."""

    name: str
    train: list[LabeledPassage]
    dev: list[LabeledPassage]
    test: list[LabeledPassage]


def main(settings: DistillSettings = DEFAULTS) -> None:
    """Run the benchmark.

    Args:
        settings: The settings of the students.
    """
    options = parse_arguments()
    teacher = GLiNERTeacher.from_pretrained(options.teacher)
    path = options.out / "domain.json"
    rows: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    for name in options.sets:
        row = rows.setdefault(name, {})
        amounts = [amount for amount in options.amounts if amount not in row.get("runs", {})]
        gold_key = f"gold {options.gold}"
        # A set that is complete does not need the teacher again.
        if not amounts and (not options.gold or gold_key in row["runs"]):
            continue
        data = read_set(options, name, teacher)
        write_test(data, options.out / "test")
        row |= describe(data)
        runs = row.setdefault("runs", {})
        for amount in amounts:
            n_train = len(data.train) if amount == "all" else min(int(amount), len(data.train))
            runs[amount] = run(options.out / name, data, n_train, 0, settings)
            print(name, amount, runs[amount], flush=True)
        keep_student(options.out, data, runs)
        if options.gold:
            runs[gold_key] = run(options.out / name, data, len(data.train), options.gold, settings)
            print(name, gold_key, runs[gold_key], flush=True)
        write_json(path, rows)
    chosen = {name: rows[name] for name in options.sets}
    for line in [*table(chosen), "", *threshold_table(chosen)]:
        print(line)


def parse_arguments() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("teacher")
    parser.add_argument("out", type=Path)
    parser.add_argument("--sets", type=lambda text: text.split(","), default=list(SETS))
    parser.add_argument(
        "--amounts", type=lambda text: text.split(","), default=["1000", "3000", "all"]
    )
    parser.add_argument(
        "--gold", type=int, default=100, help="number of annotated passages; 0 for no run with gold"
    )
    parser.add_argument(
        "--test", type=Path, help="folder with other test passages for some of the sets"
    )
    parser.add_argument("--most", type=int, help="number of passages per set, at most")
    return parser.parse_args()


def read_set(options: argparse.Namespace, name: str, teacher: GLiNERTeacher) -> DomainSet:
    """Return the splits of a set, which the teacher labels once."""
    raw = json.loads((options.folder / f"{name}.labels.json").read_text(encoding="utf-8"))
    labels = tuple(dict.fromkeys(map(clean_label, raw)))
    passages = list(CorpusFile(options.folder / f"{name}.jsonl", skip_bad=True))[: options.most]
    own = options.test / f"{name}.jsonl" if options.test else None
    chosen = list(CorpusFile(own, skip_bad=True)) if own is not None and own.is_file() else []
    known = {passage.words for passage in passages}
    # The teacher labels the other test passages in the same store.
    passages += [passage for passage in chosen if passage.words not in known]
    with StageProgress() as progress:
        store = label_corpus(
            passages,
            teacher,
            options.out / name / "store",
            policy=LabelPolicy(fixed=labels),
            progress=progress.update,
            stage=f"labeling {name}",
        )
    items = [item for item in store if item.passage.words]
    # The fixed seed gives the same split in every run.
    random.Random(0).shuffle(items)
    # A small set must keep most of its passages for training.
    n_dev = min(N_DEV, len(items) // 10)
    if chosen:
        own_words = {passage.words for passage in chosen}
        test = [item for item in items if item.passage.words in own_words]
        items = [item for item in items if item.passage.words not in own_words]
    else:
        n_test = min(N_TEST, len(items) // 5)
        test, items = items[:n_test], items[n_test:]
    dev, rest = items[:n_dev], items[n_dev:]
    seen = {item.passage.words for item in [*test, *dev]}
    train = [item for item in rest if item.passage.words not in seen]
    return DomainSet(name, train, dev, test)


def write_test(data: DomainSet, folder: Path) -> None:
    """Write the test passages of a set as NAME.jsonl, and its labels as NAME.labels.json."""
    folder.mkdir(parents=True, exist_ok=True)
    write_passages(folder / f"{data.name}.jsonl", [item.passage for item in data.test])
    write_json(folder / f"{data.name}.labels.json", list(data.test[0].labels))


def keep_student(out: Path, data: DomainSet, runs: dict[str, Any]) -> None:
    """Copy the export of the largest amount without gold to OUT/students/NAME."""
    largest = max((result["n_train"] for result in runs.values()), default=0)
    export = out / data.name / f"run-{largest}-0" / "export"
    if export.is_dir():
        shutil.copytree(export, out / "students" / data.name, dirs_exist_ok=True)


def describe(data: DomainSet) -> dict[str, Any]:
    """Return the counts of a set, and the scores of teacher and bundled student on test."""
    expected = [decode_entities(item.probs, item.labels) for item in data.test]
    bundled = answer(StudentNER.from_pretrained(), data.test)
    return {
        "n_train": len(data.train),
        "n_test": len(data.test),
        "n_labels": len(data.test[0].labels),
        "teacher": score_spans(expected, gold_of(data.test)).f1,
        "teacher by threshold": [
            sum(
                len(decode_entities(item.probs, item.labels, threshold=threshold))
                for item in data.test
            )
            for threshold in THRESHOLDS
        ],
        "bundled": score(bundled, data.test),
    }


def run(
    folder: Path, data: DomainSet, n_train: int, n_gold: int, settings: DistillSettings = DEFAULTS
) -> dict[str, Any]:
    """Return the scores on test of a student of `n_train` passages, `n_gold` of them with gold."""
    train = data.train[:n_train]
    run_folder = folder / f"run-{n_train}-{n_gold}"
    training = training_settings(settings)
    with StageProgress() as progress:
        targets, weight = refine_soft_labels(
            run_folder / GOLD_FOLDER,
            {"train": train[n_gold:], "dev": data.dev},
            train[:n_gold],
            training,
            settings,
            progress=progress.update,
        )
        train_on_targets(
            run_folder,
            targets,
            {"train": train[:n_gold], "dev": []},
            training,
            settings,
            start=settings.start_folder,
            progress=progress.update,
        )
    exported = export_smallest(
        *load_student(run_folder / STUDENT_FOLDER),
        run_folder / "export",
        passages=[as_reference(item) for item in targets["dev"]],
        min_gain=settings.min_threshold_gain,
        teacher_counts=count_by_threshold(targets["dev"]),
    )
    student = StudentNER.from_pretrained(run_folder / "export")
    return {
        "n_train": len(train),
        "precision": exported.precision,
        "tuned_share": weight.share if weight is not None else 0.0,
        **score(answer(student, data.test), data.test),
        "by threshold": by_threshold(student, data.test),
    }


def by_threshold(student: StudentNER, items: Sequence[LabeledPassage]) -> list[dict[str, float]]:
    """Return the number of entities and the F1 against the teacher at each threshold."""
    answers = [answer(student, items, threshold) for threshold in THRESHOLDS]
    return [
        {"found": sum(map(len, found)), "agreement": score(found, items)["agreement"]}
        for found in answers
    ]


def as_reference(item: LabeledPassage) -> Passage:
    """Return a passage whose entities are those of its targets."""
    entities = tuple(decode_entities(item.probs, item.labels))
    return replace(item.passage, entities=entities, labels=item.labels)


def answer(
    student: StudentNER, items: Sequence[LabeledPassage], threshold: float = 0.5
) -> list[list[Entity]]:
    """Return the entities that a student finds."""
    words, labels = [item.passage.words for item in items], [item.labels for item in items]
    return student.predict_words(words, labels, threshold=threshold)


def score(
    predicted: Sequence[Sequence[Entity]], items: Sequence[LabeledPassage]
) -> dict[str, float]:
    """Return F1 against the teacher and against gold."""
    expected = [decode_entities(item.probs, item.labels) for item in items]
    return {
        "agreement": score_spans(predicted, expected).f1,
        "gold": score_spans(predicted, gold_of(items)).f1,
    }


def gold_of(items: Sequence[LabeledPassage]) -> list[list[Entity]]:
    """Return the annotated entities of each passage, of the labels asked alone."""
    return [
        [entity for entity in item.passage.entities if entity.label in item.labels]
        for item in items
    ]


def table(rows: dict[str, Any]) -> list[str]:
    """Return a Markdown table: agreement, F1 against gold, and its share of the teacher's F1."""
    runs = list(dict.fromkeys(key for row in rows.values() for key in row["runs"]))
    heads = ["set", "passages", "teacher", "bundled", *runs]
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    for name, row in rows.items():
        cells = [name, f"{row['n_train']:,}", percent(row["teacher"]), cell(row, row["bundled"])]
        cells += [cell(row, row["runs"][key]) if key in row["runs"] else "" for key in runs]
        lines.append("| " + " | ".join(cells) + " |")
    lines.append("| mean | | " + " | ".join(mean_cells(rows, runs)) + " |")
    return lines


def threshold_table(rows: dict[str, Any]) -> list[str]:
    """Return a Markdown table: the entities of each student by threshold, as a share of theirs."""
    heads = ["set", "run", *map(str, THRESHOLDS), "F1 lost at 0.5"]
    lines = ["| " + " | ".join(heads) + " |", "|---|---|" + "---:|" * (len(heads) - 2)]
    for name, row in rows.items():
        theirs = row["teacher by threshold"]
        for key, result in row["runs"].items():
            own = result["by threshold"]
            ratios = [each["found"] / max(n, 1) for each, n in zip(own, theirs, strict=True)]
            scores = [each["agreement"] for each in own]
            lost = max(scores) - scores[THRESHOLDS.index(0.5)]
            cells = [name, key, *(f"{ratio:.2f}" for ratio in ratios), percent(lost)]
            lines.append("| " + " | ".join(cells) + " |")
    return lines


def mean_cells(rows: dict[str, Any], runs: Sequence[str]) -> list[str]:
    """Return the means over the sets that have a run; shares are those of the mean F1."""
    cells = [percent(mean(row["teacher"] for row in rows.values()))]
    for key in ("", *runs):
        done = [row for row in rows.values() if not key or key in row["runs"]]
        scores = [row["bundled"] if not key else row["runs"][key] for row in done]
        teacher = mean(row["teacher"] for row in done)
        both = {name: mean(row[name] for row in scores) for name in ("agreement", "gold")}
        cells.append(cell({"teacher": teacher}, both))
    return cells


def cell(row: dict[str, Any], scores: dict[str, Any]) -> str:
    """Return agreement, F1 against gold and the share of the teacher's F1."""
    share = scores["gold"] / max(row["teacher"], 1e-9)
    return f"{percent(scores['agreement'])} / {percent(scores['gold'])} ({100 * share:.1f}%)"


def percent(value: float) -> str:
    """Return a share as a percentage."""
    return f"{100 * value:.1f}"


if __name__ == "__main__":
    main()
