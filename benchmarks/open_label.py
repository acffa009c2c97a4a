"""A student of any label against its teacher, on sets that neither was taught for this.

`python benchmarks/open_label.py FOLDER STUDENT TEACHER [--sets a,b] [--passages N] [--out DIR]`

FOLDER holds NAME.jsonl (GLiNER's training form) and NAME.labels.json (the set's label list, which
is asked of every passage; a set with an empty list is left out). By default the sets are all there
are; `--sets held-out` means the twelve that the shipped student's transfer set leaves out. Of each
set N passages count, evenly spaced. The teacher's answers are kept in a store in DIR, so a second
run asks the student alone.

Exact-match spans, F1 of each set, at 0.5 and at the one threshold, the same for all sets, at which
the model's mean over sets is best; "macro" is the mean over sets, "micro" is over all passages
together. Prints Markdown and writes DIR/open_label.json, with the expected calibration error of
what is found at 0.5.
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
from gliner_distill.files import replace_file
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.labeling.policy import LabelPolicy
from gliner_distill.metrics import expected_calibration_error, score_spans
from gliner_distill.runtime.locate import find_student
from gliner_distill.student.files import load_student
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.teacher.gliner import GLiNERTeacher

HELD_OUT = (
    *("wnut17", "multiconer2_fine", "tasteset", "stackoverflow", "bc5cdr", "ncbi_disease"),
    *("ozrock", "indian_legal", "fewnerd_b", "music_ner", "restaurant8k", "aptner"),
)
THRESHOLDS = tuple(step / 20 for step in range(3, 19))  # from 1/8 up both score codes decode alike
Decode = Callable[[float], list[list[Entity]]]


@dataclass(frozen=True)
class TestSet:
    """A set's passages and the labels asked of each."""

    name: str
    passages: list[Passage]
    labels: tuple[str, ...]

    @property
    def gold(self) -> list[list[Entity]]:
        """Each passage's entities of the labels asked."""
        asked = set(self.labels)
        return [
            [one for one in passage.entities if one.label in asked] for passage in self.passages
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("student")
    parser.add_argument("teacher")
    parser.add_argument("--sets", default="", help="names with commas between, or held-out")
    parser.add_argument("--passages", type=int, default=500)
    parser.add_argument("--out", type=Path, default=Path("open_label"))
    given = parser.parse_args()
    sets = [found for name in list_names(given) if (found := read_set(given, name)) is not None]
    teacher = GLiNERTeacher.from_pretrained(given.teacher)
    models = {
        "teacher": [ask_teacher(teacher, one, given.out / "teacher") for one in sets],
        "student": [ask_student(given.student, one) for one in sets],
    }
    figures = {name: measure(decoders, sets) for name, decoders in models.items()}
    figures["passages a set"] = given.passages
    replace_file(given.out / "open_label.json", (json.dumps(figures, indent=1) + "\n").encode())
    print_tables(figures, [one.name for one in sets])


def list_names(given: argparse.Namespace) -> Sequence[str]:
    if given.sets == "held-out":
        return HELD_OUT
    if given.sets:
        return str(given.sets).split(",")
    return sorted(path.name.removesuffix(".jsonl") for path in given.folder.glob("*.jsonl"))


def read_set(given: argparse.Namespace, name: str) -> TestSet | None:
    try:
        listed = json.loads((given.folder / f"{name}.labels.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SystemExit(f"{given.folder / name}.labels.json: cannot be read: {error}") from error
    labels = tuple(dict.fromkeys(map(clean_label, listed)))
    if not labels:
        print(f"{name}: its label list is empty, left out")
        return None
    passages = list(CorpusFile(given.folder / f"{name}.jsonl", skip_bad=True))
    n_kept = min(given.passages, len(passages))
    chosen = np.linspace(0, len(passages) - 1, n_kept).round().astype(int)
    return TestSet(name, [passages[position] for position in chosen], labels)


def ask_teacher(teacher: GLiNERTeacher, one: TestSet, folder: Path) -> Decode:
    policy = LabelPolicy(fixed=one.labels)
    named = folder / f"{one.name}-{len(one.passages)}"
    store = label_corpus(one.passages, teacher, named, policy=policy, keep_subword_vectors=False)
    items = list(store)
    return lambda threshold: [
        decode_entities(item.probs, item.labels, threshold=threshold) for item in items
    ]


def ask_student(source: str, one: TestSet) -> Decode:
    folder = find_student(source)
    if folder is None:
        raise SystemExit(f"{source}: no student in it")
    student, vocabulary = load_student(folder)
    words = [passage.words for passage in one.passages]
    labels = [one.labels] * len(words)
    if student.config.head == "softmax":
        return lambda threshold: StudentPredictor(
            student, vocabulary, threshold=threshold
        ).predict_words(words, labels)
    logits = StudentPredictor(student, vocabulary).logits(words, labels)
    probs = [1 / (1 + np.exp(-np.clip(one, -80, 80))) for one in logits]
    return lambda threshold: [
        decode_entities(array, one.labels, threshold=threshold) for array in probs
    ]


def measure(decoders: Sequence[Decode], sets: Sequence[TestSet]) -> dict[str, Any]:
    gold = [one.gold for one in sets]
    found = {step: [decode(step) for decode in decoders] for step in THRESHOLDS}
    scores = {
        step: [score_spans(*pair) for pair in zip(entities, gold, strict=True)]
        for step, entities in found.items()
    }
    means = {step: float(np.mean([one.f1 for one in rows])) for step, rows in scores.items()}
    best = max(means, key=lambda step: means[step])
    return {
        "best threshold": best,
        "mean by threshold": means,
        "calibration error": calibration_error(found[0.5], gold),
        **{
            key: {
                **{one.name: share.f1 for one, share in zip(sets, scores[step], strict=True)},
                "macro": means[step],
                "micro": score_spans(
                    list(chain.from_iterable(found[step])), list(chain.from_iterable(gold))
                ).f1,
            }
            for key, step in (("at 0.5", 0.5), ("at best", best))
        },
    }


def calibration_error(
    found: Sequence[list[list[Entity]]], gold: Sequence[list[list[Entity]]]
) -> float:
    outcomes = [
        (entity.score, entity in set(reference))
        for entities_of_set, gold_of_set in zip(found, gold, strict=True)
        for entities, reference in zip(entities_of_set, gold_of_set, strict=True)
        for entity in entities
    ]
    scores = np.array([score for score, _ in outcomes], dtype=np.float64)
    return expected_calibration_error(scores, np.array([right for _, right in outcomes], bool))


def print_tables(figures: dict[str, Any], names: Sequence[str]) -> None:
    teacher, student = figures["teacher"], figures["student"]
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
            print(f"\nMean of the shares kept, none counted above 100%: {mean:.1%}")
    errors = [figures[model]["calibration error"] for model in ("teacher", "student")]
    print("\nExpected calibration error at 0.5: {:.3f} teacher, {:.3f} student".format(*errors))


if __name__ == "__main__":
    main()
