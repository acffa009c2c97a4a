"""What a student makes of other spellings: labels in other forms, text in other case, mistyped.

`python benchmarks/robustness.py FOLDER STUDENT [--sets a,b] [--passages N] [--out FILE]`

FOLDER and the sets are those of `open_label.py`. Prints, for each change, the mean over sets of the
exact-match span F1 against gold and against the student's own answers to what is unchanged; writes
both of each set as JSON.
"""

import argparse
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from open_label import TestSet, list_names, read_set

from gliner_distill.entities import Entity
from gliner_distill.files import replace_file
from gliner_distill.metrics import score_spans
from gliner_distill.runtime.locate import find_student
from gliner_distill.student.files import load_student
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.training.data import mistype_some

Words = Sequence[str]
SEED = 0


def pluralise(label: str) -> str:
    if label.endswith("s"):
        return label
    return label[:-1] + "ies" if label[-1:] == "y" and label[-2:-1] not in "aeiou" else label + "s"


LABELS: dict[str, Callable[[str], str]] = {
    "labels upper-cased": str.upper,
    "labels title-cased": str.title,
    "labels in the plural": pluralise,
    "labels with '_' for ' '": lambda label: label.replace(" ", "_"),
    "labels as 'name of X'": "name of {}".format,
}
TEXTS: dict[str, Callable[[Words, random.Random], list[str]]] = {
    "text lower-cased": lambda words, _: [word.lower() for word in words],
    "text upper-cased": lambda words, _: [word.upper() for word in words],
    "one word in seven mistyped": mistype_some,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("student")
    parser.add_argument("--sets", default="", help="names with commas between, or held-out")
    parser.add_argument("--passages", type=int, default=300)
    parser.add_argument("--out", type=Path, default=Path("robustness.json"))
    given = parser.parse_args()
    sets = [found for name in list_names(given) if (found := read_set(given, name)) is not None]
    folder = find_student(given.student)
    if folder is None:
        raise SystemExit(f"{given.student}: no student in it")
    predictor = StudentPredictor(*load_student(folder))
    clean = [ask(predictor, one) for one in sets]
    rows = {"unchanged": clean}
    for change, form in LABELS.items():
        rows[change] = [ask(predictor, one, form=form) for one in sets]
    for change, alter in TEXTS.items():
        rows[change] = [ask(predictor, one, alter=alter) for one in sets]
    golds = [one.gold for one in sets]
    figures: dict[str, Any] = {
        change: {"gold": compare(found, golds), "own": compare(found, clean)}
        for change, found in rows.items()
    }
    print("| change | gold F1 | F1 against its own answers |\n|---|---:|---:|")
    for change, row in figures.items():
        print(f"| {change} | {100 * np.mean(row['gold']):.1f} | {100 * np.mean(row['own']):.1f} |")
    figures["sets"] = [one.name for one in sets]
    replace_file(given.out, (json.dumps(figures, indent=1) + "\n").encode())


def compare(
    found: Sequence[list[list[Entity]]], reference: Sequence[list[list[Entity]]]
) -> list[float]:
    return [score_spans(*pair).f1 for pair in zip(found, reference, strict=True)]


def ask(
    predictor: StudentPredictor,
    one: TestSet,
    *,
    form: Callable[[str], str] = str,
    alter: Callable[[Words, random.Random], list[str]] = lambda words, _: list(words),
) -> list[list[Entity]]:
    """Return the entities under the set's own labels, whatever form they were asked in."""
    draw = random.Random(SEED)
    label_of: dict[str, str] = {}
    for label in one.labels:  # one whose changed form is another's ("work", "works") stays
        changed = form(label)
        is_taken = changed in label_of or changed in one.labels
        label_of[label if is_taken else changed] = label
    words = [alter(passage.words, draw) for passage in one.passages]
    found = predictor.predict_words(words, [tuple(label_of)] * len(words))
    return [
        [Entity(e.start_word, e.end_word, label_of[e.label], e.score) for e in entities]
        for entities in found
    ]


if __name__ == "__main__":
    main()
