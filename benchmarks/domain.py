"""How much of its teacher a student keeps on one domain, by the amount of text.

`python benchmarks/domain.py FOLDER TEACHER OUT [--sets a,b] [--amounts 1000,3000,all]
[--gold 100] [--test FOLDER] [--most N]`

FOLDER holds NAME.jsonl (GLiNER's training form) and NAME.labels.json (its labels, all of which are
asked of every passage). Of each set 600 passages (at most a fifth) are for test and 300 (at most a
tenth) for dev, drawn by chance; a passage that stands word for word among them is left out of the
rest. With --test FOLDER a set that is there is tested on those passages instead: the bundled
student was taught with gold of some sets, and these passages it never saw.

The teacher labels each set once, into a store in OUT. Students are trained as `gliner-distill
distill` does it, from the bundled student, on the first 1,000, the first 3,000 and all passages
with the teacher's answers alone; and on all, of which the first 100 come with gold. What counts
is the export on test, in eight bits where that loses little: exact spans against the teacher's
answers ("agreement") and against gold, beside the teacher's own F1 and that of the bundled student
untrained.

Prints Markdown and writes OUT/domain.json after each set; what is done there is not done again.
"""

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

from gliner_distill.corpus.labels import clean_label
from gliner_distill.corpus.reader import CorpusFile
from gliner_distill.decoding import decode_entities
from gliner_distill.distillation.few_shot import refine_soft_labels
from gliner_distill.distillation.train import GOLD_FOLDER, train_on, training_settings
from gliner_distill.entities import LabeledPassage, Passage
from gliner_distill.files import replace_file
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.labeling.policy import LabelPolicy
from gliner_distill.metrics import score_spans
from gliner_distill.progress import StageProgress
from gliner_distill.runtime.locate import bundled_student_path
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.student.export import export_smallest
from gliner_distill.student.files import load_student
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.training.run import STUDENT_FOLDER

SETS = (
    *("wnut17", "bc5cdr", "fewnerd_a", "restaurant8k", "snips", "stackoverflow", "finer_ord"),
    *("dnrti", "tasteset", "indian_legal"),
)
N_TEST, N_DEV = 600, 300
_MIN_GAIN = 0.02


@dataclass(frozen=True)
class DomainSet:
    """A set with the teacher's soft labels."""

    name: str
    train: list[LabeledPassage]
    dev: list[LabeledPassage]
    test: list[LabeledPassage]


def main() -> None:
    """Run the benchmark."""
    given = parse_arguments()
    teacher = GLiNERTeacher.from_pretrained(given.teacher)
    path = given.out / "domain.json"
    rows: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    for name in given.sets:
        row = rows.setdefault(name, {})
        amounts = [amount for amount in given.amounts if amount not in row.get("runs", {})]
        gold_key = f"gold {given.gold}"
        if not amounts and (not given.gold or gold_key in row["runs"]):
            continue
        data = read_set(given, name, teacher)
        row |= describe(data)
        runs = row.setdefault("runs", {})
        for amount in amounts:
            n_train = len(data.train) if amount == "all" else min(int(amount), len(data.train))
            runs[amount] = run(given.out / name, data, n_train, 0)
            print(name, amount, runs[amount], flush=True)
        if given.gold:
            runs[gold_key] = run(given.out / name, data, len(data.train), given.gold)
            print(name, gold_key, runs[gold_key], flush=True)
        replace_file(path, (json.dumps(rows, indent=1) + "\n").encode())
    for line in table({name: rows[name] for name in given.sets}):
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
    parser.add_argument("--gold", type=int, default=100, help="annotated passages; 0: no such run")
    parser.add_argument("--test", type=Path, help="folder of test sets for some of them")
    parser.add_argument("--most", type=int, help="passages of a set to take, at most")
    return parser.parse_args()


def read_set(given: argparse.Namespace, name: str, teacher: GLiNERTeacher) -> DomainSet:
    """Return a set's parts, labeled by the teacher once."""
    raw = json.loads((given.folder / f"{name}.labels.json").read_text(encoding="utf-8"))
    labels = tuple(dict.fromkeys(map(clean_label, raw)))
    passages = list(CorpusFile(given.folder / f"{name}.jsonl", skip_bad=True))[: given.most]
    own = given.test / f"{name}.jsonl" if given.test else None
    chosen = list(CorpusFile(own, skip_bad=True)) if own is not None and own.is_file() else []
    known = {one.words for one in passages}
    passages += [one for one in chosen if one.words not in known]
    with StageProgress() as progress:
        store = label_corpus(
            passages,
            teacher,
            given.out / name / "store",
            policy=LabelPolicy(fixed=labels),
            progress=progress.update,
            stage=f"labeling {name}",
        )
    items = [item for item in store if item.passage.words]
    random.Random(0).shuffle(items)
    n_dev = min(N_DEV, len(items) // 10)
    if chosen:
        own_words = {one.words for one in chosen}
        test = [item for item in items if item.passage.words in own_words]
        items = [item for item in items if item.passage.words not in own_words]
    else:
        n_test = min(N_TEST, len(items) // 5)
        test, items = items[:n_test], items[n_test:]
    dev, rest = items[:n_dev], items[n_dev:]
    seen = {item.passage.words for item in [*test, *dev]}
    train = [item for item in rest if item.passage.words not in seen]
    return DomainSet(name, train, dev, test)


def describe(data: DomainSet) -> dict[str, Any]:
    """Return a set's counts, and what teacher and bundled student reach on test."""
    expected = [decode_entities(item.probs, item.labels) for item in data.test]
    bundled = answer(StudentNER.from_pretrained(), data.test)
    return {
        "n_train": len(data.train),
        "n_test": len(data.test),
        "n_labels": len(data.test[0].labels),
        "teacher": score_spans(expected, gold_of(data.test)).f1,
        "bundled": score(bundled, data.test),
    }


def run(folder: Path, data: DomainSet, n_train: int, n_gold: int) -> dict[str, Any]:
    """Return what a student trained on so many passages, and of them gold, reaches on test."""
    train = data.train[:n_train]
    run_folder = folder / f"run-{n_train}-{n_gold}"
    settings = training_settings()
    with StageProgress() as progress:
        learned, weight = refine_soft_labels(
            run_folder / GOLD_FOLDER,
            {"train": train[n_gold:], "dev": data.dev},
            train[:n_gold],
            settings,
            progress=progress.update,
        )
        train_on(
            run_folder,
            learned,
            {"train": train[:n_gold], "dev": []},
            settings,
            start=bundled_student_path(),
            progress=progress.update,
        )
    exported = export_smallest(
        *load_student(run_folder / STUDENT_FOLDER),
        run_folder / "export",
        passages=[as_reference(item) for item in learned["dev"]],
        min_gain=_MIN_GAIN,
    )
    student = StudentNER.from_pretrained(run_folder / "export")
    return {
        "n_train": len(train),
        "precision": exported.precision,
        "tuned_share": weight.share if weight is not None else 0.0,
        **score(answer(student, data.test), data.test),
    }


def as_reference(item: LabeledPassage) -> Passage:
    """Return a passage whose entities are those that were to be learned."""
    found = tuple(decode_entities(item.probs, item.labels))
    return replace(item.passage, entities=found, labels=item.labels)


def answer(student: StudentNER, items: Sequence[LabeledPassage]) -> list[list[Any]]:
    """Return a student's entities."""
    return student.predict_words(
        [item.passage.words for item in items], [item.labels for item in items]
    )


def score(found: list[list[Any]], items: Sequence[LabeledPassage]) -> dict[str, float]:
    """Return F1 against the teacher and against gold."""
    expected = [decode_entities(item.probs, item.labels) for item in items]
    return {
        "agreement": score_spans(found, expected).f1,
        "gold": score_spans(found, gold_of(items)).f1,
    }


def gold_of(items: Sequence[LabeledPassage]) -> list[list[Any]]:
    """Return each passage's annotated entities of the labels asked."""
    return [[one for one in item.passage.entities if one.label in item.labels] for item in items]


def table(rows: dict[str, Any]) -> list[str]:
    """Return the results as a Markdown table: agreement and gold F1, share of the teacher's."""
    runs = list(dict.fromkeys(key for row in rows.values() for key in row["runs"]))
    heads = ["set", "passages", "teacher", "bundled", *runs]
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    for name, row in rows.items():
        cells = [name, f"{row['n_train']:,}", percent(row["teacher"]), cell(row, row["bundled"])]
        cells += [cell(row, row["runs"][key]) if key in row["runs"] else "" for key in runs]
        lines.append("| " + " | ".join(cells) + " |")
    lines.append("| mean | | " + " | ".join(mean_cells(rows, runs)) + " |")
    return lines


def mean_cells(rows: dict[str, Any], runs: Sequence[str]) -> list[str]:
    """Return the means over the sets that have a run; the share is that of the mean F1."""
    cells = [percent(mean(row["teacher"] for row in rows.values()))]
    for key in ("", *runs):
        done = [row for row in rows.values() if not key or key in row["runs"]]
        found = [row["bundled"] if not key else row["runs"][key] for row in done]
        of_teacher = mean(row["teacher"] for row in done)
        both = {name: mean(one[name] for one in found) for name in ("agreement", "gold")}
        cells.append(cell({"teacher": of_teacher}, both))
    return cells


def cell(row: dict[str, Any], figures: dict[str, Any]) -> str:
    """Return agreement, gold F1 and the share of the teacher's gold F1."""
    share = figures["gold"] / max(row["teacher"], 1e-9)
    return f"{percent(figures['agreement'])} / {percent(figures['gold'])} ({100 * share:.1f}%)"


def percent(value: float) -> str:
    """Return a share in per cent."""
    return f"{100 * value:.1f}"


if __name__ == "__main__":
    main()
