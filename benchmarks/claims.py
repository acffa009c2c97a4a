"""Measure two claims of Xu et al. on distillation: `python benchmarks/claims.py OUT [--seeds N]`.

Overfitting: both students are trained on the first 100, 300 and 1,000 passages; the measure is the
difference between the F1 on training passages and on test passages at the end. Label errors: in the
gold of the 1,000 training passages, 0, 10, 20 and 40% of the entities are corrupted (a third of
these are dropped, a third get another label of the passage, and a third are moved by a word), while
the teacher's soft labels are not changed. All runs use the soft labels of the sample and the same
number of steps per epoch for both students. Writes OUT/claims.json and prints a Markdown table;
finished runs in OUT are not repeated.
"""

import argparse
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gliner_distill.corpus.reader import sample_path
from gliner_distill.entities import Entity, LabeledPassage
from gliner_distill.files import write_json
from gliner_distill.metrics import mean_and_spread
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.student.initialization import initialize_student, load_or_train_vocabulary
from gliner_distill.training.data import make_split
from gliner_distill.training.loop import train_student
from gliner_distill.training.run import read_metrics
from gliner_distill.training.settings import TrainingSettings

TRAINING = TrainingSettings()
MEASURES = ("accuracy_vs_teacher", "f1_vs_teacher", "f1_vs_gold", "span_f1_vs_gold")


@dataclass(frozen=True)
class Condition:
    """The number of training passages, and the share of their gold entities to corrupt."""

    n_train: int
    noise: float


CONDITIONS = (
    Condition(100, 0.0),
    Condition(300, 0.0),
    Condition(1000, 0.0),
    Condition(1000, 0.1),
    Condition(1000, 0.2),
    Condition(1000, 0.4),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    rows = list(measure(arguments.out, arguments.seeds))
    write_json(arguments.out / "claims.json", rows)
    print("| passages | label errors | student | " + " | ".join(MEASURES) + " | F1 gap to train |")
    print("|---" * (4 + len(MEASURES)) + "|")
    for row in rows:
        numbers = " | ".join(show(row[key]) for key in (*MEASURES, "gap"))
        print(f"| {row['n_train']:,} | {row['noise']:.0%} | {row['student']} | {numbers} |")


def measure(
    out: Path,
    n_seeds: int,
    *,
    conditions: Sequence[Condition] = CONDITIONS,
    training: TrainingSettings = TRAINING,
) -> Iterator[dict[str, Any]]:
    """Yield a row for each condition and student, with means and spreads over seeds."""
    stores = sample_path("train").parent / "soft_labels"
    train = list(SoftLabelStore(stores / "train"))
    vocabulary, vectors = load_or_train_vocabulary(stores.parent / "subword_vectors", train)
    test = make_split("test", list(SoftLabelStore(stores / "test")), vocabulary)
    probe = make_split("train", train[:100], vocabulary)
    for condition in conditions:
        items = [corrupt(item, condition.noise) for item in train[: condition.n_train]]
        for student, alpha in (("hard", 0.0), ("distilled", training.alpha)):
            runs = []
            for seed in range(n_seeds):
                folder = out / f"{student}-{condition.n_train}-{condition.noise:.0%}-seed-{seed}"
                config = StudentConfig(len(vocabulary))
                train_student(
                    initialize_student(vocabulary, vectors, config, seed=seed),
                    vocabulary,
                    items,
                    folder,
                    replace(training, alpha=alpha, seed=seed),
                    splits=[probe, test],
                    resume=True,
                )
                runs.append({row["split"]: row for row in read_metrics(folder)})
            gap = [run["train"]["f1_vs_teacher"] - run["test"]["f1_vs_teacher"] for run in runs]
            yield {
                "n_train": condition.n_train,
                "noise": condition.noise,
                "student": student,
                **{key: mean_and_spread([run["test"][key] for run in runs]) for key in MEASURES},
                "gap": mean_and_spread(gap),
            }


def corrupt(item: LabeledPassage, noise: float) -> LabeledPassage:
    """Return a passage in which a share of the gold entities is corrupted, the same each time."""
    # The words are the seed, so a passage is corrupted in the same way in all runs.
    rng = random.Random(" ".join(item.passage.words))
    entities = [
        corrupted
        for entity in item.passage.entities
        for corrupted in (corrupt_entity(entity, item, rng) if rng.random() < noise else [entity])
    ]
    return replace(item, passage=replace(item.passage, entities=tuple(entities)))


def corrupt_entity(entity: Entity, item: LabeledPassage, rng: random.Random) -> list[Entity]:
    """Return the entity under another label or moved by a word, or nothing."""
    kind = rng.choice(("drop", "relabel", "move"))
    others = [label for label in item.labels if label != entity.label]
    if kind == "relabel" and others:
        return [replace(entity, label=rng.choice(others))]
    step = rng.choice((-1, 1))
    start, end = entity.start_word + step, entity.end_word + step
    if kind == "move" and start >= 0 and end <= len(item.passage.words):
        return [replace(entity, start_word=start, end_word=end)]
    # An entity that cannot be changed is dropped.
    return []


def show(pair: tuple[float, float | None]) -> str:
    """Return a mean in percent, with ± its spread if there is one."""
    mean, spread = pair
    return f"{100 * mean:.1f}" + (f" ± {100 * spread:.1f}" if spread is not None else "")


if __name__ == "__main__":
    main()
