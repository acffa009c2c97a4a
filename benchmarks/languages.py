"""Compare the starts of students for other languages: `python benchmarks/languages.py OUT`.

For each language in `examples/languages` (100 annotated passages each), a dictionary of all
annotated names is the teacher. In turn, a fifth of the passages is kept for test and ten for dev,
and the rest is learned from two starts: the bundled student, and the same with pieces that are
trained on the text, as `distill` starts where the text is not English. Both have the same epochs.
F1 is that of exact spans in the test passages of all folds. The share of words that the bundled
vocabulary spells badly is what `distill` chooses the start by.

Prints Markdown and writes OUT/languages.json. `--folds 2` takes less time.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gliner_distill.callbacks import no_progress
from gliner_distill.corpus.reader import read_passages
from gliner_distill.decoding import decode_entities, entities_to_probs, sigmoid
from gliner_distill.distillation.few_shot import tuning_epochs
from gliner_distill.distillation.job import DistillSettings
from gliner_distill.distillation.languages.share import measure_share
from gliner_distill.distillation.languages.start import most_pieces
from gliner_distill.distillation.languages.vocabulary import train_text_vocabulary
from gliner_distill.distillation.train import train_on_targets, training_settings
from gliner_distill.entities import Entity, LabeledPassage, Passage
from gliner_distill.files import write_json
from gliner_distill.metrics import score_spans
from gliner_distill.runtime.locate import bundled_student_path
from gliner_distill.runtime.vocabulary import Vocabulary
from gliner_distill.student.files import load_student, save_student
from gliner_distill.student.initialization import transfer_student
from gliner_distill.student.predictor import StudentPredictor

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "languages"
LANGUAGES = ("german", "spanish", "hindi")
LABELS = ("person", "city", "country", "organization", "date", "money")
STARTS = ("bundled", "own pieces")


@dataclass(frozen=True)
class Fold:
    """Passages of a language with the answers of a dictionary, split at random."""

    train: list[LabeledPassage]
    dev: list[LabeledPassage]
    test: list[LabeledPassage]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--languages", default=",".join(LANGUAGES))
    parser.add_argument("--folds", type=int, default=5)
    given = parser.parse_args()
    rows = [measure(language, given.folds) for language in given.languages.split(",")]
    given.out.mkdir(parents=True, exist_ok=True)
    write_json(given.out / "languages.json", rows)
    print(f"| language | share | pieces | {' | '.join(STARTS)} |")
    print(f"|---|---:|---:|{'---:|' * len(STARTS)}")
    for row in rows:
        f1s = " | ".join(f"{100 * row[start]:.1f}" for start in STARTS)
        print(f"| {row['language']} | {100 * row['share']:.0f}% | {row['pieces']:,} | {f1s} |")


def measure(language: str, n_folds: int) -> dict[str, Any]:
    """Return the share of a language's text, and the F1 of each start over all folds."""
    folds = list(make_folds(list(read_passages(FOLDER / f"{language}.jsonl"))))[:n_folds]
    _, known = load_student(bundled_student_path())
    words = [word for fold in folds for passage in fold.train for word in passage.words]
    row: dict[str, Any] = {"language": language, "share": measure_share(known, words).spelled}
    for start in STARTS:
        found: list[Sequence[Entity]] = []
        with tempfile.TemporaryDirectory() as folder:
            for number, fold in enumerate(folds):
                predictor, row["pieces"] = train_from(start, fold, Path(folder) / str(number))
                found += predict(predictor, fold.test)
        expected = [answers(passage) for fold in folds for passage in fold.test]
        row[start] = score_spans(found, expected).f1
        print(json.dumps(row), flush=True)
    return row


def make_folds(passages: list[Passage]) -> Iterator[Fold]:
    """Yield five splits of passages, with the answers of a dictionary of all their names."""
    names = {
        passage.words[entity.start_word : entity.end_word]: entity.label
        for passage in passages
        for entity in passage.entities
    }
    labeled = [look_up(passage.words, names) for passage in passages]
    random.Random(0).shuffle(labeled)
    for first in range(5):
        rest = [passage for place, passage in enumerate(labeled) if place % 5 != first]
        yield Fold(rest[10:], rest[:10], labeled[first::5])


def look_up(words: tuple[str, ...], names: dict[tuple[str, ...], str]) -> LabeledPassage:
    """Return a passage with the names that a dictionary finds in it, the longest first."""
    entities, start = [], 0
    longest = max(map(len, names))
    while start < len(words):
        ends = range(min(len(words), start + longest), start, -1)
        end = next((end for end in ends if words[start:end] in names), None)
        if end is not None:
            entities.append(Entity(start, end, names[words[start:end]]))
        start = end or start + 1
    return LabeledPassage(Passage(words), LABELS, entities_to_probs(entities, LABELS, len(words)))


def train_from(start: str, fold: Fold, folder: Path) -> tuple[StudentPredictor, int]:
    """Return a student that has learned the training passages of a fold, and its pieces."""
    student, known = load_student(bundled_student_path())
    vocabulary: Vocabulary = known
    if start != "bundled":
        words = [word for passage in fold.train for word in passage.words]
        vocabulary = train_text_vocabulary(
            [*words, *LABELS * 8], known, max_pieces=most_pieces(student.config)
        )
        student = transfer_student(student, known, vocabulary)
    save_student(folder / "start", student, vocabulary)
    settings = DistillSettings()
    settings = replace(settings, epochs=tuning_epochs(len(fold.train), settings), patience=0)
    trained = train_on_targets(
        folder / "run",
        {"train": fold.train, "dev": fold.dev},
        {"train": [], "dev": []},
        training_settings(settings),
        settings,
        start=folder / "start",
        progress=no_progress,
    )
    return StudentPredictor(trained, vocabulary), len(vocabulary)


def predict(student: StudentPredictor, passages: Sequence[LabeledPassage]) -> list[list[Entity]]:
    """Return the entities that a student finds in passages."""
    logits = student.logits([passage.words for passage in passages], [LABELS] * len(passages))
    return [decode_entities(sigmoid(part).astype(np.float32), LABELS) for part in logits]


def answers(passage: LabeledPassage) -> list[Entity]:
    """Return the entities of the dictionary."""
    return decode_entities(passage.probs, passage.labels)


if __name__ == "__main__":
    main()
