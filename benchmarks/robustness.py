"""Measure how other spellings of labels and text change the answers of a student.

`python benchmarks/robustness.py FOLDER STUDENT [--sets a,b] [--passages N] [--out FILE]`

FOLDER and the sets are those of `open_label.py`. For each change, prints the mean over sets of the
exact-match span F1 against gold and against the student's own answers to the unchanged input.
Writes both numbers of each set as JSON.
"""

import argparse
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from open_label import EvaluationSet, load_predictor, read_sets

from gliner_distill.entities import Entity
from gliner_distill.files import write_json
from gliner_distill.metrics import score_spans
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.training.data import mistype_some

Words = Sequence[str]
SEED = 0


def pluralize(label: str) -> str:
    """Return the regular plural of a label."""
    if label.endswith("s"):
        return label
    return label[:-1] + "ies" if label[-1:] == "y" and label[-2:-1] not in "aeiou" else label + "s"


LABELS: dict[str, Callable[[str], str]] = {
    "labels upper-cased": str.upper,
    "labels title-cased": str.title,
    "labels in the plural": pluralize,
    "labels with '_' for ' '": lambda label: label.replace(" ", "_"),
    "labels as 'name of X'": "name of {}".format,
}
TEXTS: dict[str, Callable[[Words, random.Random], list[str]]] = {
    "text lower-cased": lambda words, _: [word.lower() for word in words],
    "text upper-cased": lambda words, _: [word.upper() for word in words],
    "one word in seven mistyped": mistype_some,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("student")
    parser.add_argument("--sets", default="", help="names with commas between, or held-out")
    parser.add_argument("--passages", type=int, default=300, help="passages per set")
    parser.add_argument("--out", type=Path, default=Path("robustness.json"))
    options = parser.parse_args()
    sets = read_sets(options.folder, options.sets, options.passages)
    predictor, _ = load_predictor(options.student)
    clean = [ask(predictor, each) for each in sets]
    answers = {"unchanged": clean}
    for change, form in LABELS.items():
        answers[change] = [ask(predictor, each, form=form) for each in sets]
    for change, alter in TEXTS.items():
        answers[change] = [ask(predictor, each, alter=alter) for each in sets]
    gold = [each.gold for each in sets]
    results: dict[str, Any] = {
        change: {"gold": compare(predicted, gold), "own": compare(predicted, clean)}
        for change, predicted in answers.items()
    }
    print("| change | F1 against gold | F1 against its own answers |\n|---|---:|---:|")
    for change, row in results.items():
        print(f"| {change} | {100 * np.mean(row['gold']):.1f} | {100 * np.mean(row['own']):.1f} |")
    results["sets"] = [each.name for each in sets]
    write_json(options.out, results)


def compare(
    predicted: Sequence[list[list[Entity]]], reference: Sequence[list[list[Entity]]]
) -> list[float]:
    """Return the span F1 of each set."""
    return [score_spans(*pair).f1 for pair in zip(predicted, reference, strict=True)]


def ask(
    predictor: StudentPredictor,
    asked: EvaluationSet,
    *,
    form: Callable[[str], str] = str,
    alter: Callable[[Words, random.Random], list[str]] = lambda words, _: list(words),
) -> list[list[Entity]]:
    """Return the entities of each passage under the original labels.

    Args:
        predictor: The student.
        asked: The passages and labels.
        form: The change of a label before it is asked.
        alter: The change of the words of a passage.
    """
    rng = random.Random(SEED)
    original: dict[str, str] = {}
    for label in asked.labels:
        changed = form(label)
        # A label stays as it is if its changed form is another label ("work" and "works").
        is_taken = changed in original or changed in asked.labels
        original[label if is_taken else changed] = label
    words = [alter(passage.words, rng) for passage in asked.passages]
    predicted = predictor.predict_words(words, [tuple(original)] * len(words))
    return [
        [
            Entity(entity.start_word, entity.end_word, original[entity.label], entity.score)
            for entity in entities
        ]
        for entities in predicted
    ]


if __name__ == "__main__":
    main()
