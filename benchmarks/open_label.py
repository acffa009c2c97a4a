"""Compare open-label students with one teacher on sets that they were not trained for.

`python benchmarks/open_label.py FOLDER STUDENT TEACHER [--student NAME=FOLDER] [--sets a,b]
[--passages N] [--out DIR] [--teacher-store DIR]`

FOLDER holds NAME.jsonl (the training format of GLiNER) and NAME.labels.json (the label list of the
set, which every passage is asked for; a set with an empty list is left out). By default all sets
are used; `--sets held-out` means the twelve sets that the bundled student was not trained on. The
models are measured on N evenly spaced passages of each set. STUDENT is a folder, or `bundled` for
the student that is installed; `--student`, which may be repeated, sets further ones beside it. All
of them answer through `StudentNER`. The answers of the teacher are kept in a store (in
DIR/teacher unless `--teacher-store` names another folder), so a second run only has to run the
students.

The tables have, for each model:

- The exact-match span F1 of each set, at threshold 0.5 and at the best threshold: the one at which
  the mean over all sets is highest. "macro" is the mean over sets, "micro" counts all passages
  together. "Share kept" is a student's F1 divided by the teacher's.
- The expected calibration error of the entities that are found at 0.5, and of those at 0.1.
- The labels with at least 20 annotated entities of which nothing, or less than a tenth, is found at
  0.5.
- The number of entities found at thresholds from 0.1 to 0.9, and its ratio to the teacher's.

Prints Markdown and writes DIR/open_label.json.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from mute_labels import (
    count_frequent_labels,
    mute_labels,
    nearly_mute_labels,
    print_mute_labels,
    silent_labels,
)
from named_students import NamedStudent, add_student_options, load_students

from gliner_distill.corpus.reader import CorpusFile
from gliner_distill.decoding import decode_entities
from gliner_distill.entities import Entity, Passage
from gliner_distill.files import write_json
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.labeling.policy import LabelPolicy
from gliner_distill.labels import clean_label
from gliner_distill.metrics import expected_calibration_error, score_spans
from gliner_distill.store.quantization import UNIFORM
from gliner_distill.teacher.gliner import GLiNERTeacher

HELD_OUT = (
    *("wnut17", "multiconer2_fine", "tasteset", "stackoverflow", "bc5cdr", "ncbi_disease"),
    *("ozrock", "indian_legal", "fewnerd_b", "music_ner", "restaurant8k", "aptner"),
)
THRESHOLDS = tuple(step / 20 for step in range(2, 19))
COUNTED_THRESHOLDS = tuple(step / 10 for step in range(1, 10))
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
    add_student_options(parser)
    parser.add_argument("--sets", default="", help="names with commas between, or held-out")
    parser.add_argument("--passages", type=int, default=500, help="passages per set")
    parser.add_argument("--out", type=Path, default=Path("open_label"))
    parser.add_argument("--teacher-store", type=Path, help="default: the folder teacher in --out")
    options = parser.parse_args()
    students = load_students(options.students, options.student, threads=options.threads)
    sets = read_sets(options.folder, options.sets, options.passages)
    teacher = GLiNERTeacher.from_pretrained(options.teacher)
    teacher.name = Path(options.teacher).resolve().name
    store = options.teacher_store or options.out / "teacher"
    predictors = {"teacher": [ask_teacher(teacher, each, store) for each in sets]} | {
        student.name: [ask_student(student, each) for each in sets] for student in students
    }
    results: dict[str, Any] = {
        model: measure(predict, sets) for model, predict in predictors.items()
    }
    results["models"] = describe_models(teacher, students)
    results["passages per set"] = options.passages
    write_json(options.out / "open_label.json", results)
    print_tables(results, list(predictors), [each.name for each in sets])


def describe_models(
    teacher: GLiNERTeacher, students: Sequence[NamedStudent]
) -> dict[str, dict[str, str]]:
    """Return where each model comes from, and a hash that tells it from others."""
    return {"teacher": {"source": teacher.name, "sha256": teacher.fingerprint}} | {
        student.name: {"source": student.source, "sha256": student.sha256} for student in students
    }


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
        # The compact quantizer has bins that are too wide to decode at 0.1.
        quantizer=UNIFORM,
        keep_subword_vectors=False,
    )
    labeled = list(store)
    return lambda threshold: [
        decode_entities(item.probs, item.labels, threshold=threshold) for item in labeled
    ]


def ask_student(student: NamedStudent, asked: EvaluationSet) -> Predict:
    """Return the entities that a student finds in a set, as a user gets them."""
    words = [passage.words for passage in asked.passages]
    labels = [asked.labels] * len(words)
    return lambda threshold: student.find(words, labels, threshold)


def measure(predictors: Sequence[Predict], sets: Sequence[EvaluationSet]) -> dict[str, Any]:
    """Return the scores of a model over sets, at each threshold that is tried."""
    names = [each.name for each in sets]
    gold = [each.gold for each in sets]
    predicted = {step: [predict(step) for predict in predictors] for step in THRESHOLDS}
    scores = {
        step: [score_spans(*pair) for pair in zip(entities, gold, strict=True)]
        for step, entities in predicted.items()
    }
    means = {step: float(np.mean([share.f1 for share in row])) for step, row in scores.items()}
    best = max(means, key=lambda step: means[step])

    def scores_at(step: float) -> dict[str, float]:
        by_set = {name: share.f1 for name, share in zip(names, scores[step], strict=True)}
        together = score_spans(
            list(chain.from_iterable(predicted[step])), list(chain.from_iterable(gold))
        )
        return by_set | {"macro": means[step], "micro": together.f1}

    pairs = zip(names, predicted[0.5], gold, strict=True)
    return {
        "best threshold": best,
        "mean by threshold": means,
        "calibration error": calibration_error(predicted[0.5], gold),
        "calibration error at 0.1": calibration_error(predicted[0.1], gold),
        "at 0.5": scores_at(0.5),
        "at best": scores_at(best),
        "entities by threshold": {
            step: sum(share.n_predicted for share in scores[step]) for step in COUNTED_THRESHOLDS
        },
        "frequent labels": {name: count_frequent_labels(*pair) for name, *pair in pairs},
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


def mean_share(student: Mapping[str, float], teacher: Mapping[str, float]) -> float | None:
    """Return the mean over sets of the share of the teacher's F1 that is kept, each at most 1.

    Args:
        student: The student's F1 by set.
        teacher: The teacher's F1 by set; sets in which it is 0 are left out.
    """
    shares = [min(1.0, student[name] / f1) for name, f1 in teacher.items() if f1]
    return float(np.mean(shares)) if shares else None


def print_tables(results: dict[str, Any], models: Sequence[str], names: Sequence[str]) -> None:
    """Print the tables that the top of this file lists, as Markdown."""
    print_summary(results, models, names)
    for key in ("at 0.5", "at best"):
        print_scores(results, models, names, key)
    for model in models:
        print_mute_labels(model, results[model]["frequent labels"])
    print_counts(results, models)


def print_summary(results: dict[str, Any], models: Sequence[str], names: Sequence[str]) -> None:
    """Print the figures over all sets, one row per model."""
    print(
        "\n| model | macro F1 at 0.5 | micro F1 at 0.5 | macro F1 at best | best threshold "
        "| mean share kept | calibration error at 0.5 | at 0.1 | labels that find nothing "
        "| not even wrong answers | less than a tenth |\n|---|" + 10 * "---:|"
    )
    teacher = {name: results["teacher"]["at 0.5"][name] for name in names}
    for model in models:
        own = results[model]
        share = mean_share(own["at 0.5"], teacher)
        counts = own["frequent labels"].values()
        cells = [
            *(f"{100 * own['at 0.5'][mean]:.1f}" for mean in ("macro", "micro")),
            f"{100 * own['at best']['macro']:.1f}",
            str(own["best threshold"]),
            "-" if share is None else f"{share:.1%}",
            *(f"{own[key]:.3f}" for key in ("calibration error", "calibration error at 0.1")),
            *(
                str(sum(len(pick(each)) for each in counts))
                for pick in (mute_labels, silent_labels, nearly_mute_labels)
            ),
        ]
        print(f"| {model} | {' | '.join(cells)} |")


def print_scores(
    results: dict[str, Any], models: Sequence[str], names: Sequence[str], key: str
) -> None:
    """Print the F1 of each set at one threshold, with the share that each student keeps."""
    thresholds = ", ".join(f"{results[model]['best threshold']} {model}" for model in models)
    print(f"\nThreshold {key}" + (f": {thresholds}" if key == "at best" else ""))
    teacher, *students = (results[model][key] for model in models)
    columns = "".join(f" {model} F1 | share kept |" for model in models[1:])
    print(f"\n| set | teacher F1 |{columns}\n|---|---:|" + len(students) * "---:|---:|")
    for name in (*names, "macro", "micro"):
        theirs, cells = teacher[name], ""
        for ours in students:
            share = f"{ours[name] / theirs:.1%}" if theirs else "-"
            cells += f" {100 * ours[name]:.1f} | {share} |"
        print(f"| {name} | {100 * theirs:.1f} |{cells}")
    shares = [mean_share(ours, {name: teacher[name] for name in names}) for ours in students]
    described = ", ".join(
        f"{share:.1%}" + (f" {model}" if len(students) > 1 else "")
        for model, share in zip(models[1:], shares, strict=True)
        if share is not None
    )
    if described:
        print(f"\nMean share kept, no share counted above 100%: {described}")


def print_counts(results: dict[str, Any], models: Sequence[str]) -> None:
    """Print the number of entities of each model by threshold, and its ratio to the teacher's."""
    columns = "".join(f" {model} | ratio |" for model in models[1:])
    print("\nEntities found in all sets together, by threshold")
    print(f"\n| threshold | teacher |{columns}\n|---:|---:|" + len(models[1:]) * "---:|---:|")
    for step in COUNTED_THRESHOLDS:
        theirs, *counts = (results[model]["entities by threshold"][step] for model in models)
        cells = "".join(
            f" {ours} | {f'{ours / theirs:.2f}' if theirs else '-'} |" for ours in counts
        )
        print(f"| {step} | {theirs} |{cells}")


if __name__ == "__main__":
    main()
