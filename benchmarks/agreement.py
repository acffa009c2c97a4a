"""Measure agreement with the teacher: `python benchmarks/agreement.py OUT --text DIR`.

In the published experiment, a student of 1,000 passages agrees with its teacher on 99% of the words
and finds 97% of the teacher's words in 100 passages. This study measures on the 100 test passages
of the sample what brings a student closer to these figures:

- the start: random weights with the teacher's subword vectors, as in `gliner-distill reproduce`,
  or the bundled student;
- the words of training text: the sample's training part first, then DIR, the text that
  `benchmarks/transfer_text.py` has labeled;
- the targets: the teacher's soft labels alone, or mixed with the annotation;
- the number of epochs, alpha and the temperature, each with one amount of text.

With --teacher and --other, it also measures references: the same teacher asked with the labels in
another order or one at a time, and a second GLiNER.

The threshold of each student is the one from 0.3 to 0.8 with the best word F1 against the teacher
on the sample's `dev`. OUT/results.json has each run; a run that is in this file is not repeated.
With `--words` above 600,000, the curve of the bundled start continues with twice as many words each
time, and ends with that number. The program prints Markdown tables, extrapolates the curve, and
draws OUT/agreement.png.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from agreement_conditions import MEASURES, SIZES, Condition, plan
from agreement_report import draw, tables
from sample_students import read_sample
from study import Job, Row, hours, jobs_of, run_jobs
from teacher_references import OTHER, REFERENCES, reference_agreement
from transfer_text import check_parts, read_parts

from gliner_distill.entities import LabeledPassage
from gliner_distill.evaluation.evaluate import Evaluation
from gliner_distill.reproduction.agreement import (
    agreement_at_best_threshold,
    load_bundled,
    only_annotated,
)
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.runtime.vocabulary import Vocabulary
from gliner_distill.student.initialization import initialize_student
from gliner_distill.student.model import Student
from gliner_distill.training.loop import train_student


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--text", default="", help="folder of transfer_text.py")
    parser.add_argument("--teacher", default="", help="folder of the sample's teacher")
    parser.add_argument("--other", default="", help="folder of a second GLiNER")
    parser.add_argument("--words", type=int, default=SIZES[-1], help="the largest text to train on")
    parser.add_argument("--seeds", type=int, default=3, help="seeds up to the sample's words")
    parser.add_argument("--large-seeds", type=int, default=1, help="seeds of larger text")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    options = parser.parse_args()
    if options.words < SIZES[0]:
        parser.error(f"--words is {options.words}; expected at least {SIZES[0]}")
    if options.text:
        check_parts(Path(options.text))
    jobs = list(references(options.teacher, options.other))
    jobs += plan(options.text, options.words, options.seeds, options.large_seeds)
    runs = run_jobs(options.out, jobs, run, n_workers=options.workers)
    for text in tables(runs):
        print(text, end="\n\n")
    print(f"{hours(runs):.1f} hours of processor time")
    draw(runs, options.out)


def references(teacher: str, other: str) -> Iterator[Job]:
    """Yield the jobs that ask teachers about the test."""
    if teacher:
        yield from jobs_of({name: Condition(name, teacher=teacher) for name in REFERENCES}, [0])
    if other:
        yield from jobs_of({OTHER: Condition(OTHER, teacher=other)}, [0])


def run(condition: Condition, seed: int) -> Row:
    """Train and measure a student, or measure a reference."""
    if condition.teacher:
        evaluation, fingerprint = reference_agreement(condition.start, condition.teacher)
        return {**_rounded(evaluation), "words": 0, "fingerprint": fingerprint[:12]}
    sample = read_sample()
    student, vocabulary = make_start(condition.start, seed)
    training = replace(condition.training, seed=seed)
    passages = material(condition) if condition.n_words else []
    if passages:
        with tempfile.TemporaryDirectory() as folder:
            train_student(student, vocabulary, passages, Path(folder), training)
    threshold, evaluation = agreement_at_best_threshold(
        student, vocabulary, sample.dev, sample.test
    )
    return {"threshold": threshold, **_rounded(evaluation), "words": _n_words(passages)}


def make_start(start: str, seed: int) -> tuple[Student, Vocabulary]:
    """Return a student before training."""
    if start == "bundled":
        return load_bundled()
    vocabulary, vectors = read_sample().vocabulary, read_sample().vectors
    config = StudentConfig(len(vocabulary))
    return initialize_student(vocabulary, vectors, config, seed=seed), vocabulary


def material(condition: Condition) -> list[LabeledPassage]:
    """Return the passages of a condition: the sample's training part, then the text."""
    passages = [*read_sample().train, *(_text(condition.text) if condition.text else [])]
    chosen = up_to(passages, condition.n_words)
    # A softmax calls a word of no annotated label "none", so it gets annotated labels alone.
    if condition.alpha < 1 and condition.start == "vectors":
        return [only_annotated(item) for item in chosen]
    return chosen


@cache
def _text(folder: str) -> list[LabeledPassage]:
    return list(read_parts(Path(folder)))


def up_to(passages: Sequence[LabeledPassage], n_words: int) -> list[LabeledPassage]:
    """Return the first passages that have so many words together, the last one not cut.

    Raises:
        SystemExit: There are fewer words.
    """
    chosen = []
    n_chosen = 0
    for labeled in passages:
        if n_chosen >= n_words:
            break
        chosen.append(labeled)
        n_chosen += len(labeled.words)
    if n_chosen < n_words:
        raise SystemExit(f"there are {n_chosen} labeled words; expected {n_words}: label more text")
    return chosen


def _n_words(passages: Sequence[LabeledPassage]) -> int:
    return sum(len(labeled.words) for labeled in passages)


def _rounded(evaluation: Evaluation) -> Row:
    scores = evaluation.as_json()
    return {key: round(scores[key], 5) for key in MEASURES}


if __name__ == "__main__":
    main()
