"""Show what a student finds and misses in example sentences from many fields.

`python benchmarks/example_sentences.py [STUDENT] [--out FILE]`

STUDENT is a folder; by default it is the student that is installed. The sentences are those in
`example_sentences.json`, each with labels and with what a careful reader would mark. They were
written before the student was trained, and were not changed since. Writes Markdown with one section
per sentence to FILE, or to the standard output.
"""

import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gliner_distill import StudentNER
from gliner_distill.files import write_file

SENTENCES = Path(__file__).with_suffix(".json")
HEADER = """# What the student finds in fourteen sentences

This page shows what the bundled student finds, misses and gets wrong in sentences from fourteen
fields. The sentences and the expected entities were written before the student was trained. Every
answer is the default one, at a threshold of 0.5. The page was written by
`python benchmarks/example_sentences.py --out docs/examples.md`.
"""


@dataclass(frozen=True)
class Comparison:
    """The answer to one sentence beside what was expected, as pairs of a text and its label."""

    found: list[tuple[str, str]]
    missed: list[tuple[str, str]]
    wrong: list[tuple[str, str]]


def main() -> None:
    """Write the sentences with what is found, missed and wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("student", nargs="?")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    student = StudentNER.from_pretrained(options.student, num_threads=1)
    examples = json.loads(SENTENCES.read_text(encoding="utf-8"))
    sections = [describe(example, compare(student, example)) for example in examples]
    summary = summarize(compare(student, example) for example in examples)
    text = "\n".join([HEADER, summary, *sections])
    if options.out:
        write_file(options.out, text)
    else:
        print(text)


def compare(student: StudentNER, example: dict[str, Any]) -> Comparison:
    """Return the student's answer to a sentence beside what was expected."""
    expected = [(text, label) for label, texts in example["expected"].items() for text in texts]
    entities = student.predict_entities(example["text"], example["labels"])
    answers = [(entity["text"], entity["label"]) for entity in entities]
    return Comparison(
        found=[answer for answer in answers if answer in expected],
        missed=[pair for pair in expected if pair not in answers],
        wrong=[answer for answer in answers if answer not in expected],
    )


def describe(example: dict[str, Any], comparison: Comparison) -> str:
    """Return the section of one sentence."""
    rows = [
        f"## {example['field']}\n",
        f"> {example['text']}\n",
        f"Asked for: {', '.join(example['labels'])}.\n",
        f"- found: {list_pairs(comparison.found)}",
        f"- missed: {list_pairs(comparison.missed)}",
        f"- wrong: {list_pairs(comparison.wrong)}\n",
    ]
    return "\n".join(rows)


def list_pairs(pairs: list[tuple[str, str]]) -> str:
    """Return pairs as text, or "nothing"."""
    return ", ".join(f"{text} ({label})" for text, label in pairs) or "nothing"


def summarize(comparisons: Iterable[Comparison]) -> str:
    """Return one line with the numbers of all sentences."""
    rows = list(comparisons)
    n_found = sum(len(row.found) for row in rows)
    n_missed = sum(len(row.missed) for row in rows)
    n_wrong = sum(len(row.wrong) for row in rows)
    return (
        f"In these {len(rows)} sentences the student finds {n_found} of {n_found + n_missed} "
        f"entities exactly, and gives {n_wrong} wrong answers.\n"
    )


if __name__ == "__main__":
    main()
