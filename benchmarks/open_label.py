"""Compare an open-label student with its teacher on sets that neither was trained for.

`python benchmarks/open_label.py FOLDER STUDENT TEACHER [--sets a,b] [--passages N] [--out DIR]`

FOLDER holds NAME.jsonl (the training format of GLiNER) and NAME.labels.json (the label list of the
set, which every passage is asked for; a set with an empty list is left out). By default all sets
are used; `--sets held-out` means the twelve sets that the bundled student was not trained on. The
models are measured on N evenly spaced passages of each set. The answers of the teacher are kept in
a store in DIR, so a second run only has to run the student.

The score is the exact-match span F1 of each set, at threshold 0.5 and at the best threshold: the
one at which the mean over all sets is highest. "macro" is the mean over sets, "micro" counts all
passages together. Prints Markdown tables and writes DIR/open_label.json, which also has the
expected calibration error of the entities found at 0.5.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from gliner_distill.corpus.labels import clean_label
from gliner_distill.corpus.reader import CorpusFile
from gliner_distill.decoding import decode_entities
from gliner_distill.entities import Entity, Passage
from gliner_distill.files import write_json
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.labeling.policy import LabelPolicy
from gliner_distill.metrics import expected_calibration_error, score_spans
from gliner_distill.runtime.heads import Head, head_named
from gliner_distill.runtime.locate import find_student
from gliner_distill.student.files import load_student
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.teacher.gliner import GLiNERTeacher

HELD_OUT = (
    *("wnut17", "multiconer2_fine", "tasteset", "stackoverflow", "bc5cdr", "ncbi_disease"),
    *("ozrock", "indian_legal", "fewnerd_b", "music_ner", "restaurant8k", "aptner"),
)
# At thresholds of 1/8 or more, both quantizers of the store decode to the same entities.
THRESHOLDS = tuple(step / 20 for step in range(3, 19))
Predict = Callable[[float], list[list[Entity]]]
"""A function that returns the entities of each passage of a set at a threshold."""


@dataclass(frozen=True)
class EvaluationSet:
    """The passages of a set and the labels that each of them is asked for."""

    name: str
    passages: list[Passage]
    labels: tuple[str, ...]

    @property
    def gold(self) -> list[list[Entity]]:
        """The entities of each passage that have one of the labels."""
        asked = set(self.labels)
        return [
            [entity for entity in passage.entities if entity.label in asked]
            for passage in self.passages
        ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("student")
    parser.add_argument("teacher")
    parser.add_argument("--sets", default="", help="names with commas between, or held-out")
    parser.add_argument("--passages", type=int, default=500, help="passages per set")
    parser.add_argument("--out", type=Path, default=Path("open_label"))
    options = parser.parse_args()
    sets = read_sets(options.folder, options.sets, options.passages)
    student, head = load_predictor(options.student)
    teacher = GLiNERTeacher.from_pretrained(options.teacher)
    predictors = {
        "teacher": [ask_teacher(teacher, each, options.out / "teacher") for each in sets],
        "student": [ask_student(student, head, each) for each in sets],
    }
    results: dict[str, Any] = {
        model: measure(predict, sets) for model, predict in predictors.items()
    }
    results["passages per set"] = options.passages
    write_json(options.out / "open_label.json", results)
    print_tables(results, [each.name for each in sets])


def read_sets(folder: Path, names: str, n_passages: int) -> list[EvaluationSet]:
    """Return the sets with these names, without those that have no labels."""
    read = [read_set(folder, name, n_passages) for name in list_names(folder, names)]
    return [each for each in read if each is not None]


def list_names(folder: Path, names: str) -> Sequence[str]:
    """Return the names of the sets that `--sets` means."""
    if names == "held-out":
        return HELD_OUT
    if names:
        return names.split(",")
    return sorted(path.name.removesuffix(".jsonl") for path in folder.glob("*.jsonl"))


def read_set(folder: Path, name: str, n_passages: int) -> EvaluationSet | None:
    """Return evenly spaced passages of a set, or None if its label list is empty."""
    try:
        listed = json.loads((folder / f"{name}.labels.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SystemExit(f"{folder / name}.labels.json: cannot be read: {error}") from error
    labels = tuple(dict.fromkeys(map(clean_label, listed)))
    if not labels:
        print(f"{name}: left out, because its label list is empty")
        return None
    passages = list(CorpusFile(folder / f"{name}.jsonl", skip_bad=True))
    n_kept = min(n_passages, len(passages))
    chosen = np.linspace(0, len(passages) - 1, n_kept).round().astype(int)
    return EvaluationSet(name, [passages[position] for position in chosen], labels)


def ask_teacher(teacher: GLiNERTeacher, asked: EvaluationSet, folder: Path) -> Predict:
    """Return the entities that a teacher finds in a set, after labeling it once into a store."""
    store = label_corpus(
        asked.passages,
        teacher,
        folder / f"{asked.name}-{len(asked.passages)}",
        policy=LabelPolicy(fixed=asked.labels),
        keep_subword_vectors=False,
    )
    labeled = list(store)
    return lambda threshold: [
        decode_entities(item.probs, item.labels, threshold=threshold) for item in labeled
    ]


def load_predictor(source: str) -> tuple[StudentPredictor, Head]:
    """Return the student in a folder or a run folder, and its head."""
    folder = find_student(source)
    if folder is None:
        raise SystemExit(f"{source}: this folder does not hold a student")
    student, vocabulary = load_student(folder)
    return StudentPredictor(student, vocabulary), head_named(student.config.head)


def ask_student(predictor: StudentPredictor, head: Head, asked: EvaluationSet) -> Predict:
    """Return the entities that a student finds in a set, computing its logits once."""
    words = [passage.words for passage in asked.passages]
    logits_by_passage = predictor.logits(words, [asked.labels] * len(words))
    return lambda threshold: [
        head.decode(logits, asked.labels, threshold=threshold) for logits in logits_by_passage
    ]


def measure(predictors: Sequence[Predict], sets: Sequence[EvaluationSet]) -> dict[str, Any]:
    """Return the scores of a model over sets, at each threshold that is tried."""
    gold = [each.gold for each in sets]
    predicted = {step: [predict(step) for predict in predictors] for step in THRESHOLDS}
    scores = {
        step: [score_spans(*pair) for pair in zip(entities, gold, strict=True)]
        for step, entities in predicted.items()
    }
    means = {step: float(np.mean([share.f1 for share in row])) for step, row in scores.items()}
    best = max(means, key=lambda step: means[step])

    def scores_at(step: float) -> dict[str, float]:
        by_set = {each.name: share.f1 for each, share in zip(sets, scores[step], strict=True)}
        together = score_spans(
            list(chain.from_iterable(predicted[step])), list(chain.from_iterable(gold))
        )
        return by_set | {"macro": means[step], "micro": together.f1}

    return {
        "best threshold": best,
        "mean by threshold": means,
        "calibration error": calibration_error(predicted[0.5], gold),
        "at 0.5": scores_at(0.5),
        "at best": scores_at(best),
    }


def calibration_error(
    predicted: Sequence[list[list[Entity]]], gold: Sequence[list[list[Entity]]]
) -> float:
    """Return the expected calibration error of the entities predicted in all sets."""
    outcomes = [
        (entity.score, entity in set(reference))
        for entities_by_passage, gold_by_passage in zip(predicted, gold, strict=True)
        for entities, reference in zip(entities_by_passage, gold_by_passage, strict=True)
        for entity in entities
    ]
    scores = np.array([score for score, _ in outcomes], dtype=np.float64)
    return expected_calibration_error(scores, np.array([right for _, right in outcomes], bool))


def print_tables(results: dict[str, Any], names: Sequence[str]) -> None:
    """Print a Markdown table for threshold 0.5 and one for the best thresholds."""
    teacher, student = results["teacher"], results["student"]
    for key in ("at 0.5", "at best"):
        thresholds = f"{teacher['best threshold']} teacher, {student['best threshold']} student"
        print(f"\nThreshold {key}" + (f": {thresholds}" if key == "at best" else ""))
        print("\n| set | teacher F1 | student F1 | share kept |\n|---|---:|---:|---:|")
        for name in (*names, "macro", "micro"):
            theirs, ours = teacher[key][name], student[key][name]
            share = f"{ours / theirs:.1%}" if theirs else "-"
            print(f"| {name} | {100 * theirs:.1f} | {100 * ours:.1f} | {share} |")
        shares = [student[key][name] / teacher[key][name] for name in names if teacher[key][name]]
        if shares:
            mean = np.minimum(shares, 1).mean()
            print(f"\nMean share kept, no share counted above 100%: {mean:.1%}")
    errors = [results[model]["calibration error"] for model in ("teacher", "student")]
    print("\nExpected calibration error at 0.5: {:.3f} teacher, {:.3f} student".format(*errors))


if __name__ == "__main__":
    main()
