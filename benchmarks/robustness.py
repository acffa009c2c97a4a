"""Measure how other wordings of labels and other spellings change the answers of students.

`python benchmarks/robustness.py FOLDER STUDENT [--student NAME=FOLDER] [--thesaurus FILE]
[--sets a,b] [--passages N] [--out FILE]`

FOLDER, STUDENT and the sets are those of `open_label.py`. Labels are asked in other spellings, in
the plural, as "name of X", and in ten wordings that no training may use, so that they show what
happens to a wording that a user makes up. With `--thesaurus`, they are also asked as a description:
the second one of each label in FILE, since students are trained on the first ones. FILE has JSON
lines of `{"label": ..., "descriptions": [first, second]}`; a label that it lacks stays as it is.
Text is changed to lower case, to upper case, and with typing errors.

For each change, prints the mean over sets of the exact-match span F1 against gold at 0.5, the loss
in points, and the F1 against the student's own answers to the unchanged input. Writes the two F1s
of each set as JSON.
"""

import argparse
import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from named_students import NamedStudent, add_student_options, load_students
from open_label import EvaluationSet, read_sets

from gliner_distill.entities import Entity
from gliner_distill.files import write_json
from gliner_distill.labels import clean_label
from gliner_distill.metrics import score_spans
from gliner_distill.training.data import mistype_some

Words = Sequence[str]
FormLabel = Callable[[str], str]
AlterText = Callable[[Words, random.Random], list[str]]
SEED = 0
UNCHANGED = "unchanged"
DESCRIBED = "labels as a description"


def pluralize(label: str) -> str:
    """Return the regular plural of a label."""
    if label.endswith("s"):
        return label
    return label[:-1] + "ies" if label[-1:] == "y" and label[-2:-1] not in "aeiou" else label + "s"


def add_article(label: str) -> str:
    """Return a label after the indefinite article."""
    return f"{'an' if label[:1].lower() in 'aeiou' else 'a'} {label}"


SPELLINGS: dict[str, FormLabel] = {
    "labels upper-cased": str.upper,
    "labels title-cased": str.title,
    "labels in the plural": pluralize,
    "labels with '_' for ' '": lambda label: label.replace(" ", "_"),
    "labels as 'name of X'": "name of {}".format,
}
# These were chosen before the first training that they measure, and no training may use them.
WORDINGS: dict[str, FormLabel] = {
    "labels as 'a X'": add_article,
    "labels as 'any X mentioned'": "any {} mentioned".format,
    "labels as 'the X in question'": "the {} in question".format,
    "labels as 'what X is meant'": "what {} is meant".format,
    "labels as 'X entity'": "{} entity".format,
    "labels as 'X mention'": "{} mention".format,
    "labels as 'every X in the text'": "every {} in the text".format,
    "labels as 'X (if given)'": "{} (if given)".format,
    "labels as 'extract the X'": "extract the {}".format,
    "labels as 'the exact X'": "the exact {}".format,
}
TEXTS: dict[str, AlterText] = {
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
    add_student_options(parser)
    parser.add_argument("--thesaurus", type=Path, help="JSON lines of labels with descriptions")
    parser.add_argument("--sets", default="", help="names with commas between, or held-out")
    parser.add_argument("--passages", type=int, default=300, help="passages per set")
    parser.add_argument("--out", type=Path, default=Path("robustness.json"))
    options = parser.parse_args()
    forms = SPELLINGS | WORDINGS
    if options.thesaurus is not None:
        descriptions = read_second_descriptions(options.thesaurus)
        forms[DESCRIBED] = lambda label: descriptions.get(label, label)
    students = load_students(options.students, options.student, threads=options.threads)
    sets = read_sets(options.folder, options.sets, options.passages)
    results: dict[str, Any] = {student.name: measure(student, sets, forms) for student in students}
    for name, rows in results.items():
        print_table(name, rows)
    results["models"] = {
        student.name: {"source": student.source, "sha256": student.sha256} for student in students
    }
    results["sets"] = [each.name for each in sets]
    write_json(options.out, results)


def read_second_descriptions(path: Path) -> dict[str, str]:
    """Return the second description of each label in a thesaurus.

    Raises:
        SystemExit: The file cannot be read, or a line has another form.
    """
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return {clean_label(row["label"]): row["descriptions"][1] for row in rows}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise SystemExit(
            f"{path}: cannot be read: {error!r}; expected JSON lines, each with a label and two "
            "descriptions"
        ) from error


def measure(
    student: NamedStudent, sets: Sequence[EvaluationSet], forms: Mapping[str, FormLabel]
) -> dict[str, dict[str, list[float]]]:
    """Return the F1 of each set against gold and against the student's own answers, by change."""
    clean = [ask(student, each) for each in sets]
    answers = {UNCHANGED: clean}
    for change, form in forms.items():
        answers[change] = [ask(student, each, form=form) for each in sets]
    for change, alter in TEXTS.items():
        answers[change] = [ask(student, each, alter=alter) for each in sets]
    gold = [each.gold for each in sets]
    return {
        change: {"gold": compare(predicted, gold), "own": compare(predicted, clean)}
        for change, predicted in answers.items()
    }


def compare(
    predicted: Sequence[list[list[Entity]]], reference: Sequence[list[list[Entity]]]
) -> list[float]:
    """Return the span F1 of each set."""
    return [score_spans(*pair).f1 for pair in zip(predicted, reference, strict=True)]


def ask(
    student: NamedStudent,
    asked: EvaluationSet,
    *,
    form: FormLabel = str,
    alter: AlterText = lambda words, _: list(words),
) -> list[list[Entity]]:
    """Return the entities of each passage under the original labels.

    Args:
        student: The student.
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
    return [
        [
            Entity(entity.start_word, entity.end_word, original[entity.label], entity.score)
            for entity in entities
        ]
        for entities in student.find(words, [tuple(original)] * len(words), 0.5)
    ]


def print_table(student: str, rows: Mapping[str, dict[str, list[float]]]) -> None:
    """Print the means over sets of each change, and the mean over the ten wordings."""
    means = {change: (np.mean(row["gold"]), np.mean(row["own"])) for change, row in rows.items()}
    ten = np.mean([means[wording] for wording in WORDINGS], axis=0)
    best = means[UNCHANGED][0]
    print(f"\nF1 of {student}, and loss in points")
    print(
        "\n| change | F1 against gold | loss | F1 against its own answers |\n|---|---:|---:|---:|"
    )
    for change, (gold, own) in [*means.items(), ("mean of the ten wordings", ten)]:
        print(f"| {change} | {100 * gold:.1f} | {100 * (best - gold):.1f} | {100 * own:.1f} |")


if __name__ == "__main__":
    main()
