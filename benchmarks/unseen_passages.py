"""Measure students on open passages that were kept apart from their training.

`python benchmarks/unseen_passages.py FILE... [--student NAME=FOLDER] [--min-entities N]
[--out FILE]`

Each FILE is a group: passages in the training format of GLiNER (`tokenized_text` and `ner`), whose
spans may have several labels, the most specific one first. Each passage is asked for all labels
that it has, and no others, through `StudentNER.inference`. The words of a passage are joined by
spaces and split as the runtime splits a text. Without `--student`, the student that is installed is
measured.

Exact spans are scored in two ways. "Flat" is the default mode, in which a span has one label: only
the first label of a span is gold there. "Multi" is `multi_label=True`, in which all labels of a
span are gold. The best threshold is the one at which the mean over the groups is highest. A label
with at least N annotated entities in a group is listed as mute if none of them is found at 0.5.

Prints Markdown and writes the figures as JSON.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mute_labels import MIN_ENTITIES, count_frequent_labels, print_mute_labels
from named_students import (
    BUNDLED,
    NamedStudent,
    add_student_options,
    answer_in_calls,
    load_students,
)

from gliner_distill.corpus.reader import CorpusFile
from gliner_distill.entities import Entity, Passage, word_bounds
from gliner_distill.errors import CorpusError
from gliner_distill.files import write_json
from gliner_distill.metrics import score_spans
from gliner_distill.runtime.inputs import EntityDict

THRESHOLDS = tuple(step / 20 for step in range(4, 17))
SHOWN = (0.5, 0.3)
MODES = {"flat": False, "multi": True}
"""The value of `multi_label` for each way of scoring."""


@dataclass(frozen=True)
class Group:
    """Passages of one file as texts.

    Attributes:
        name: The name of the file, without its suffix.
        texts: The words of each passage, joined by spaces.
        entities: The entities of each passage with all their labels, in the words of
            `split_words`.
    """

    name: str
    texts: list[str]
    entities: list[list[Entity]]

    @property
    def labels(self) -> list[list[str]]:
        """The labels that each passage is asked for: those of its entities."""
        return [
            list(dict.fromkeys(entity.label for entity in entities)) for entities in self.entities
        ]

    def gold(self, mode: str) -> list[list[Entity]]:
        """Return the entities of each passage that count in a mode."""
        if MODES[mode]:
            return self.entities
        return [first_labels(entities) for entities in self.entities]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    add_student_options(parser)
    parser.add_argument("--min-entities", type=int, default=MIN_ENTITIES)
    parser.add_argument("--out", type=Path, default=Path("unseen_passages.json"))
    options = parser.parse_args()
    main_student = None if options.students else BUNDLED
    students = load_students(options.students, main_student, threads=options.threads)
    groups = [read_group(path) for path in options.files]
    results: dict[str, Any] = {
        student.name: {mode: measure(student, groups, mode, options.min_entities) for mode in MODES}
        for student in students
    }
    for mode in MODES:
        print_scores(mode, {name: own[mode] for name, own in results.items()}, groups)
    for name, own in results.items():
        for mode in MODES:
            print_mute_labels(f"{name}, {mode}", own[mode]["frequent labels"])
    results["models"] = {
        student.name: {"source": student.source, "sha256": student.sha256} for student in students
    }
    write_json(options.out, results)


def read_group(path: Path) -> Group:
    """Return the passages of a file that have entities.

    Raises:
        SystemExit: The file cannot be read, or a record in it is bad.
    """
    try:
        passages = [passage for passage in CorpusFile(path) if passage.entities]
    except CorpusError as error:
        raise SystemExit(str(error)) from error
    split = [split_again(passage) for passage in passages]
    return Group(path.stem, [text for text, _ in split], [entities for _, entities in split])


def split_again(passage: Passage) -> tuple[str, list[Entity]]:
    """Return a passage as a text, and its entities in the words into which the text is split.

    >>> split_again(Passage(("in", "the", "U.S."), (Entity(2, 3, "country"),)))
    ('in the U.S.', [Entity(start_word=2, end_word=6, label='country', score=1.0)])
    """
    first_word, n_words = [], 0
    for word in passage.words:
        first_word.append(n_words)
        n_words += len(word_bounds(word))
    first_word.append(n_words)
    entities = [
        Entity(first_word[entity.start_word], first_word[entity.end_word], entity.label)
        for entity in passage.entities
    ]
    return " ".join(passage.words), entities


def first_labels(entities: Sequence[Entity]) -> list[Entity]:
    """Return the first entity of each span.

    >>> first_labels([Entity(0, 1, "politician"), Entity(0, 1, "person")])
    [Entity(start_word=0, end_word=1, label='politician', score=1.0)]
    """
    by_span: dict[tuple[int, int], Entity] = {}
    for entity in entities:
        by_span.setdefault((entity.start_word, entity.end_word), entity)
    return list(by_span.values())


def measure(
    student: NamedStudent, groups: Sequence[Group], mode: str, min_entities: int
) -> dict[str, Any]:
    """Return the scores of a student in a mode, by group."""
    predicted = {
        step: [ask(student, group, step, multi_label=MODES[mode]) for group in groups]
        for step in THRESHOLDS
    }
    gold = [group.gold(mode) for group in groups]
    scores = {
        step: {
            group.name: score_spans(*pair).f1
            for group, *pair in zip(groups, by_group, gold, strict=True)
        }
        for step, by_group in predicted.items()
    }
    means = {step: float(np.mean(list(row.values()))) for step, row in scores.items()}
    best = max(means, key=lambda step: means[step])
    return {
        "best threshold": best,
        "mean by threshold": means,
        **{f"at {step}": scores[step] | {"mean": means[step]} for step in SHOWN},
        "at best": scores[best] | {"mean": means[best]},
        "frequent labels": {
            group.name: count_frequent_labels(*pair, min_entities=min_entities)
            for group, *pair in zip(groups, predicted[0.5], gold, strict=True)
        },
    }


def ask(
    student: NamedStudent, group: Group, threshold: float, *, multi_label: bool
) -> list[list[Entity]]:
    """Return what a student finds in each passage of a group."""
    labels = group.labels
    answers = answer_in_calls(
        lambda part: student.model.inference(
            group.texts[part], labels[part], threshold=threshold, multi_label=multi_label
        ),
        len(group.texts),
    )
    return [as_words(text, own) for text, own in zip(group.texts, answers, strict=True)]


def as_words(text: str, found: Sequence[EntityDict]) -> list[Entity]:
    """Return entities by words instead of characters."""
    bounds = word_bounds(text)
    start_word = {start_char: word for word, (start_char, _) in enumerate(bounds)}
    end_word = {end_char: word + 1 for word, (_, end_char) in enumerate(bounds)}
    return [
        Entity(start_word[each["start"]], end_word[each["end"]], each["label"], each["score"])
        for each in found
    ]


def print_scores(mode: str, results: Mapping[str, dict[str, Any]], groups: Sequence[Group]) -> None:
    """Print the F1 of each group, one block of columns per student."""
    columns = "".join(
        f" {name} at 0.5 | at 0.3 | at best ({own['best threshold']}) |"
        for name, own in results.items()
    )
    sizes = {group.name: (len(group.texts), gold_size(group, mode)) for group in groups}
    total = tuple(map(sum, zip(*sizes.values(), strict=True)))
    print(f"\nF1 of exact spans, {mode}")
    print(
        f"\n| group | passages | entities |{columns}\n|---|---:|---:|" + len(results) * 3 * "---:|"
    )
    for name, (n_passages, n_entities) in (sizes | {"mean": total}).items():
        cells = "".join(
            f" {100 * own[key][name]:.1f} |"
            for own in results.values()
            for key in ("at 0.5", "at 0.3", "at best")
        )
        print(f"| {name} | {n_passages:,} | {n_entities:,} |{cells}")


def gold_size(group: Group, mode: str) -> int:
    """Return the number of entities that count in a mode."""
    return sum(map(len, group.gold(mode)))


if __name__ == "__main__":
    main()
