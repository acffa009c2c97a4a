"""What a coarser code of the scores costs: `python benchmarks/quantization.py TEACHER OUT`.

The teacher scores the sample once in full precision. Size: the training part with own labels alone
and with 8 negatives, as shards of each code. Entities: how many of those decoded from full
precision at 0.5 and 0.3 a code changes (dev and test, 8 negatives). Students: trained on the
training part in full precision and as each code gives it back, same seeds and settings, measured on
test against the teacher in full precision and against gold. Writes OUT/quantization.json and prints
Markdown; students that are finished in OUT are not trained again.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gliner_distill.corpus.reader import read_passages, sample_path
from gliner_distill.corpus.statistics import scan_corpus
from gliner_distill.decoding import decode_entities
from gliner_distill.entities import LabeledPassage
from gliner_distill.files import replace_file
from gliner_distill.labeling.jobs import ShardJob, score_job
from gliner_distill.labeling.policy import LabelPolicy, LabelSampler
from gliner_distill.metrics import mean_and_spread
from gliner_distill.reproduction.experiment import THRESHOLDS
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.store.quantization import COMPACT, UNIFORM, Quantizer
from gliner_distill.store.shards import ShardOrigin, encode_shard
from gliner_distill.student.initialization import initialize_student, load_or_train_vocabulary
from gliner_distill.teacher.base import Teacher
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.training.data import make_split
from gliner_distill.training.loop import train_student
from gliner_distill.training.run import read_metrics
from gliner_distill.training.settings import TrainingSettings

CODES: dict[str, Quantizer | None] = {"full": None, "uniform": UNIFORM, "compact": COMPACT}
MEASURES = ("f1_vs_teacher", "span_f1_vs_teacher", "f1_vs_gold", "span_f1_vs_gold")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("teacher")
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    teacher = GLiNERTeacher.from_pretrained(given.teacher)
    train, test = score("train", 0, teacher), score("test", 0, teacher)
    more = score("train", 8, teacher)
    asked = score("dev", 8, teacher) + score("test", 8, teacher)
    figures: dict[str, Any] = {}
    for name, code in CODES.items():
        figures[name] = {"students": measure_students(name, code, train, test, given)}
        if code is not None:
            figures[name]["bytes a pair"] = {
                "own labels": measure_size(train, code),
                "8 negatives": measure_size(more, code),
            }
            figures[name]["entities changed"] = {
                threshold: count_changed(asked, code, threshold) for threshold in (0.5, 0.3)
            }
    replace_file(given.out / "quantization.json", (json.dumps(figures, indent=1) + "\n").encode())
    print_tables(figures)


def score(split: Any, negatives: int, teacher: Teacher) -> list[LabeledPassage]:
    passages = list(read_passages(sample_path(split)))
    policy = LabelPolicy(negatives=negatives)
    draw = LabelSampler(policy, scan_corpus(passages).label_counts)
    labels = [draw.choose(position, passage) for position, passage in enumerate(passages)]
    return score_job(ShardJob(0, passages, labels), teacher, policy)


def degrade(items: Sequence[LabeledPassage], code: Quantizer | None) -> list[LabeledPassage]:
    if code is None:
        return list(items)
    return [replace(item, probs=code.decode(code.encode(item.probs))) for item in items]


def measure_size(items: Sequence[LabeledPassage], code: Quantizer) -> dict[str, float]:
    n_pairs = sum(len(item.passage.words) * len(item.labels) for item in items)
    whole = encode_shard(items, code, ShardOrigin("", "", 0))
    blank = [replace(item, probs=item.probs[:0]) for item in items]
    rest = encode_shard(blank, code, ShardOrigin("", "", 0))
    return {"all": len(whole) / n_pairs, "scores": (len(whole) - len(rest)) / n_pairs}


def count_changed(
    items: Sequence[LabeledPassage], code: Quantizer, threshold: float
) -> dict[str, int]:
    changed = total = 0
    for item, coded in zip(items, degrade(items, code), strict=True):
        exact = set(decode_entities(item.probs, item.labels, threshold=threshold))
        found = set(decode_entities(coded.probs, item.labels, threshold=threshold))
        changed += len(exact - found)
        total += len(exact)
    return {"changed": changed, "of": total}


def measure_students(
    name: str,
    code: Quantizer | None,
    train: Sequence[LabeledPassage],
    test: Sequence[LabeledPassage],
    given: argparse.Namespace,
) -> dict[str, list[float]]:
    vocabulary, pieces = load_or_train_vocabulary(
        sample_path("train").parent / "subword_vectors", train
    )
    split = make_split("test", test, vocabulary)
    config = StudentConfig(len(vocabulary), threshold=THRESHOLDS["student_distilled"])
    found: dict[str, list[float]] = {measure: [] for measure in MEASURES}
    for seed in range(given.seeds):
        student = initialize_student(vocabulary, pieces, config, seed=seed)
        folder = given.out / f"{name}-seed-{seed}"
        train_student(
            student,
            vocabulary,
            degrade(train, code),
            folder,
            replace(TrainingSettings(), seed=seed),
            splits=[split],
            resume=True,
        )
        last = read_metrics(folder)[-1]
        for measure in MEASURES:
            found[measure].append(last[measure])
    return found


def print_tables(figures: dict[str, Any]) -> None:
    print("| code | own labels: all / scores | 8 negatives: all / scores | entities changed |")
    print("|---|---:|---:|---|")
    for name, row in figures.items():
        if "bytes a pair" in row:
            sizes = [
                f"{one['all']:.2f} / {one['scores']:.2f}" for one in row["bytes a pair"].values()
            ]
            changed = ", ".join(
                f"{one['changed']} of {one['of']:,} at {threshold}"
                for threshold, one in row["entities changed"].items()
            )
            print(f"| {name} | {sizes[0]} | {sizes[1]} | {changed} |")
    print("\n| students | " + " | ".join(MEASURES) + " |\n|---" + "|---:" * len(MEASURES) + "|")
    for name, row in figures.items():
        cells = []
        for measure in MEASURES:
            mean, spread = mean_and_spread(row["students"][measure])
            cells.append(f"{100 * mean:.2f}" + (f" ± {100 * spread:.2f}" if spread else ""))
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
