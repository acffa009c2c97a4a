"""Measure the cost of coarser quantization: `python benchmarks/quantization.py TEACHER OUT`.

The teacher scores the sample once in full precision. Three things are then measured for each
quantizer. Size: the bytes of the training split as a shard, with only its own labels and with 8
negatives. Entities: the number of entities that differ from those decoded in full precision, at
thresholds 0.5 and 0.3 (dev and test, 8 negatives). Students: students that are trained on the
training split as each quantizer reads it back, with the same seeds and settings as in full
precision, and compared on test with the teacher in full precision and with gold. The results go to
OUT/quantization.json and are printed as Markdown. Students that are finished in OUT are not trained
again.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gliner_distill.corpus.reader import read_passages, sample_path
from gliner_distill.corpus.statistics import scan_corpus
from gliner_distill.decoding import decode_entities
from gliner_distill.entities import LabeledPassage
from gliner_distill.files import write_json
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

VARIANTS: dict[str, Quantizer | None] = {"full": None, "uniform": UNIFORM, "compact": COMPACT}
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
    results: dict[str, Any] = {}
    for name, quantizer in VARIANTS.items():
        results[name] = {"students": measure_students(name, quantizer, train, test, given)}
        if quantizer is not None:
            results[name]["bytes per pair"] = {
                "own labels": measure_size(train, quantizer),
                "8 negatives": measure_size(more, quantizer),
            }
            results[name]["entities changed"] = {
                threshold: count_changed(asked, quantizer, threshold) for threshold in (0.5, 0.3)
            }
    write_json(given.out / "quantization.json", results)
    print_tables(results)


def score(split: Any, negatives: int, teacher: Teacher) -> list[LabeledPassage]:
    passages = list(read_passages(sample_path(split)))
    policy = LabelPolicy(negatives=negatives)
    sampler = LabelSampler(policy, scan_corpus(passages).label_counts)
    labels = [sampler.choose(position, passage) for position, passage in enumerate(passages)]
    return score_job(ShardJob(0, passages, labels), teacher, policy)


def degrade(items: Sequence[LabeledPassage], quantizer: Quantizer | None) -> list[LabeledPassage]:
    if quantizer is None:
        return list(items)
    return [replace(item, probs=quantizer.decode(quantizer.encode(item.probs))) for item in items]


def measure_size(items: Sequence[LabeledPassage], quantizer: Quantizer) -> dict[str, float]:
    n_pairs = sum(len(item.passage.words) * len(item.labels) for item in items)
    whole = encode_shard(items, quantizer, ShardOrigin("", "", 0))
    # The size of the scores is the difference to a shard without scores.
    blank = [replace(item, probs=item.probs[:0]) for item in items]
    rest = encode_shard(blank, quantizer, ShardOrigin("", "", 0))
    return {"all": len(whole) / n_pairs, "scores": (len(whole) - len(rest)) / n_pairs}


def count_changed(
    items: Sequence[LabeledPassage], quantizer: Quantizer, threshold: float
) -> dict[str, int]:
    changed = total = 0
    for item, coded in zip(items, degrade(items, quantizer), strict=True):
        exact = set(decode_entities(item.probs, item.labels, threshold=threshold))
        found = set(decode_entities(coded.probs, item.labels, threshold=threshold))
        changed += len(exact - found)
        total += len(exact)
    return {"changed": changed, "of": total}


def measure_students(
    name: str,
    quantizer: Quantizer | None,
    train: Sequence[LabeledPassage],
    test: Sequence[LabeledPassage],
    given: argparse.Namespace,
) -> dict[str, list[float]]:
    vocabulary, pieces = load_or_train_vocabulary(
        sample_path("train").parent / "subword_vectors", train
    )
    split = make_split("test", test, vocabulary)
    config = StudentConfig(len(vocabulary), threshold=THRESHOLDS["student_distilled"])
    measured: dict[str, list[float]] = {measure: [] for measure in MEASURES}
    for seed in range(given.seeds):
        student = initialize_student(vocabulary, pieces, config, seed=seed)
        folder = given.out / f"{name}-seed-{seed}"
        train_student(
            student,
            vocabulary,
            degrade(train, quantizer),
            folder,
            replace(TrainingSettings(), seed=seed),
            splits=[split],
            resume=True,
        )
        last = read_metrics(folder)[-1]
        for measure in MEASURES:
            measured[measure].append(last[measure])
    return measured


def print_tables(results: dict[str, Any]) -> None:
    print(
        "| quantization | own labels: all / scores | 8 negatives: all / scores | entities changed |"
    )
    print("|---|---:|---:|---|")
    for name, row in results.items():
        if "bytes per pair" in row:
            sizes = [
                f"{size['all']:.2f} / {size['scores']:.2f}"
                for size in row["bytes per pair"].values()
            ]
            changed = ", ".join(
                f"{count['changed']} of {count['of']:,} at {threshold}"
                for threshold, count in row["entities changed"].items()
            )
            print(f"| {name} | {sizes[0]} | {sizes[1]} | {changed} |")
    print("\n| students | " + " | ".join(MEASURES) + " |\n|---" + "|---:" * len(MEASURES) + "|")
    for name, row in results.items():
        cells = []
        for measure in MEASURES:
            mean, spread = mean_and_spread(row["students"][measure])
            cells.append(f"{100 * mean:.2f}" + (f" ± {100 * spread:.2f}" if spread else ""))
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
