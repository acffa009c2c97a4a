"""Distill without task data: measure how well students do that never saw texts of their domain.

`python benchmarks/without_data.py CORPORA TEACHER WRITTEN OUT [--sets a,b] [--seeds 3]`

CORPORA holds NAME.jsonl and NAME.labels.json of each set, and the out-of-domain text (sentences
from Wikipedia, `fewnerd_a`), in GLiNER's training form. WRITTEN is a file of passages that a
language model wrote. TEACHER is a GLiNER that scores spans. The setting follows Rashid et al. 2020
(Towards Zero-Shot Knowledge Distillation for Natural Language Processing): a student with a
thirtieth of the teacher's parameters learns from soft labels alone, and the texts that the teacher
labels are

- passages of the set itself ("task data"), which is the upper reference,
- out-of-domain text, drawn at random, or chosen because the teacher finds much in it,
- text written by a language model, drawn or chosen in the same way,
- text that a language model wrote when it was told the domain, the labels and what to vary
  (`domain_passages/NAME.txt`; a set without this file has no such students),
- random words, drawn by their frequency in the out-of-domain text,
- out-of-domain text, in half of which 30% of the words are replaced by random words ("perturbed"),
- the same, but the replaced words are found by gradient ascent, so that teacher and student differ
  on them ("adversarial"; see `adversarial_words.py`). In the first of two rounds, a student learns
  from the unchanged text, and words are searched for on which it differs from the teacher. In the
  second round, another student learns from both texts, and the search is repeated against it. The
  student that is measured is trained from the start on all of these texts.

A smaller student, with about a hundredth of the teacher's parameters, learns from two of these
texts, too: passages of the set, and text for the domain.

Out-of-domain and written text is also tried with 15 times the words and 6 times the steps, and
written text with 100 times the words and 16 times the steps (4 epochs instead of 10). The other
students of a set read about the same number of words and take about as many steps. All
students of a set have the same pieces, and those with the same seed start from the same weights.
Without task data, a dev part does not exist, so F1 is measured on 300 test passages at a threshold
of 0.5; the best threshold on test is given as well. OUT/results.json has each run, and a run that
is in this file is not repeated. The program prints Markdown tables and draws OUT/without_data.png.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from study import Job, Row, Runs, difference, draw_bars, hours, run_jobs, show, table, values_of
from without_data_texts import (
    ADVERSARIAL,
    ASKED,
    ASKED_FOLDER,
    CHOSEN,
    MORE,
    MOST,
    PERTURBED,
    RANDOM,
    TASK,
    TEXTS,
    WIKIPEDIA,
    WRITTEN,
    Domain,
    Setting,
    TextMaker,
    open_teacher,
    read_domain,
)

from gliner_distill.decoding import decode_entities
from gliner_distill.entities import LabeledPassage, count_words
from gliner_distill.metrics import score_spans
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.runtime.heads import head_named
from gliner_distill.student.initialization import initialize_student
from gliner_distill.student.model import Student
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.training.loop import train_student
from gliner_distill.training.settings import TrainingSettings

SETS: Final = ("restaurant8k", "tasteset", "bc5cdr")
ARCHITECTURE: Final = StudentConfig(embedding_width=96, hidden_width=112)
SMALLER: Final = StudentConfig(embedding_width=32, hidden_width=72)
"""A student with about a hundredth of the teacher's parameters."""

SMALLER_TEXTS: Final = (TASK, ASKED)
"""The texts that the smaller student learns from, too."""

SCHEDULES: Final = {MORE: (10, 6), MOST: (4, 40)}
"""The epochs for larger texts, and the steps in an epoch as a multiple of the usual number."""
THRESHOLDS: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
COMPARED: Final = {
    "Wikipedia minus task data": (WIKIPEDIA, TASK),
    "language model minus Wikipedia": (WRITTEN, WIKIPEDIA),
    "language model: chosen minus drawn": (WRITTEN + CHOSEN, WRITTEN),
    "Wikipedia: chosen minus drawn": (WIKIPEDIA + CHOSEN, WIKIPEDIA),
    "Wikipedia: 15 times the words minus the usual words": (WIKIPEDIA + MORE, WIKIPEDIA),
    "language model: 15 times the words minus the usual words": (WRITTEN + MORE, WRITTEN),
    "language model: 100 times the words minus 15 times": (WRITTEN + MOST, WRITTEN + MORE),
    "language model: for the domain minus drawn": (ASKED, WRITTEN),
    "language model: for the domain minus 100 times the words": (ASKED, WRITTEN + MOST),
    "language model, for the domain, minus task data": (ASKED, TASK),
    "random words minus Wikipedia": (RANDOM, WIKIPEDIA),
    "perturbed minus Wikipedia": (PERTURBED, WIKIPEDIA),
    "adversarial minus perturbed": (ADVERSARIAL, PERTURBED),
    "adversarial minus Wikipedia": (ADVERSARIAL, WIKIPEDIA),
}
"""The pairs of texts whose students are compared seed by seed."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A set, the text that its student learns from, and whether this is the smaller student."""

    set_name: str
    text: str
    setting: Setting
    is_smaller: bool = False

    @property
    def name(self) -> str:
        """The key in `results.json`."""
        return run_name(self.set_name, self.text, is_smaller=self.is_smaller)


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpora", help="folder of the sets")
    parser.add_argument("teacher", help="folder of a GLiNER")
    parser.add_argument("written", help="file of passages that a language model wrote")
    parser.add_argument("out", type=Path)
    parser.add_argument("--sets", type=lambda text: text.split(","), default=list(SETS))
    parser.add_argument("--texts", type=lambda text: text.split("+"), default=list(TEXTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1, help="processes of one thread each")
    options = parser.parse_args()
    if unknown := set(options.texts) - set(TEXTS):
        parser.error(f"unknown texts: {', '.join(sorted(unknown))}; known: {'+'.join(TEXTS)}")
    stores = str(options.out / "stores")
    setting = Setting(options.corpora, options.teacher, options.written, stores)
    jobs = plan(setting, options.sets, options.texts, options.seeds)
    runs = run_jobs(options.out, jobs, run, n_workers=options.workers)
    for text in tables(runs):
        print(text, end="\n\n")
    print(f"{hours(runs):.1f} hours of processor time")
    draw(runs, options.out)


def plan(setting: Setting, sets: Sequence[str], texts: Sequence[str], n_seeds: int) -> list[Job]:
    """Return all jobs; what takes longest or matters least comes last.

    The first set has all its seeds and a search before the other sets begin, so that a stop leaves
    a complete set.
    """
    searched = [text for text in texts if text == ADVERSARIAL]
    last = [text for text in texts if text == WIKIPEDIA + CHOSEN or text.endswith((MORE, MOST))]
    quick = [text for text in texts if text not in (*searched, *last)]
    groups = [(sets[:1], quick), (sets[:1], searched), (sets[1:], quick)]
    groups += [(sets[1:], searched), (sets, last)]
    smaller = [text for text in texts if text in SMALLER_TEXTS]
    conditions = [
        (Condition(name, text, setting, is_smaller), seed)
        for is_smaller, parts in ((False, groups), (True, [(sets, smaller)]))
        for names, asked in parts
        for seed in range(n_seeds)
        for name in names
        for text in asked
        if text != ASKED or (ASKED_FOLDER / f"{name}.txt").is_file()
    ]
    return [Job(item.name, item, seed) for item, seed in conditions]


def run_name(set_name: str, text: str, *, is_smaller: bool = False) -> str:
    """Return the key of a condition in `results.json`."""
    return f"{set_name}, {text}" + (", smaller student" if is_smaller else "")


def run(condition: Condition, seed: int) -> Row:
    """Train and measure a student."""
    setting = condition.setting
    domain = read_domain(setting, condition.set_name)

    def train(passages: Sequence[LabeledPassage]) -> Student:
        return train_on(
            domain,
            passages,
            with_schedule(setting, condition.text),
            seed,
            architecture=SMALLER if condition.is_smaller else ARCHITECTURE,
        )

    maker = TextMaker(setting, condition.set_name, seed, train)
    passages = maker.make(condition.text)
    student = train(passages)
    found = sum(len(decode_entities(item.probs, item.labels)) for item in passages)
    n_words = count_words(passages)
    return (
        measure(student, domain)
        | maker.notes
        | {
            "n_passages": len(passages),
            "n_words": n_words,
            "found_per_100_words": round(100 * found / n_words, 3),
            "n_parameters": student.n_parameters,
            "n_parameters_without_embeddings": student.n_parameters_without_embeddings,
            "teacher": open_teacher(setting.teacher).fingerprint[:16],
        }
    )


def measure(student: Student, domain: Domain) -> Row:
    """Return the F1 of exact spans on test, at 0.5 and at the best threshold, and the teacher's."""
    words = [item.words for item in domain.test]
    asked = [domain.labels] * len(words)
    gold = [item.passage.entities for item in domain.test]
    theirs = [decode_entities(item.probs, item.labels) for item in domain.test]
    logits = StudentPredictor(student, domain.vocabulary).logits(words, asked)
    decode = head_named(student.config.head).decode
    scores = {}
    for threshold in THRESHOLDS:
        answers = [decode(item, domain.labels, threshold=threshold) for item in logits]
        scores[threshold] = (score_spans(answers, gold).f1, score_spans(answers, theirs).f1)
    teacher_f1 = score_spans(theirs, gold).f1
    best = max(THRESHOLDS, key=lambda threshold: scores[threshold][0])
    return {
        "f1": round(scores[0.5][0], 5),
        "agreement": round(scores[0.5][1], 5),
        "best_f1": round(scores[best][0], 5),
        "best_threshold": best,
        "teacher_f1": round(teacher_f1, 5),
        "kept": round(scores[0.5][0] / teacher_f1, 5) if teacher_f1 else 0.0,
        "best_kept": round(scores[best][0] / teacher_f1, 5) if teacher_f1 else 0.0,
    }


def with_schedule(setting: Setting, text: str) -> Setting:
    """Return a setting with the epochs and the steps for a text."""
    for suffix, (epochs, n_times) in SCHEDULES.items():
        if text.endswith(suffix):
            return replace(setting, epochs=epochs, steps=n_times * setting.steps)
    return setting


def train_on(
    domain: Domain,
    passages: Sequence[LabeledPassage],
    setting: Setting,
    seed: int,
    *,
    architecture: StudentConfig = ARCHITECTURE,
) -> Student:
    """Return a student of the passages; the batches are as large as the steps of an epoch ask."""
    config = replace(architecture, n_pieces=len(domain.vocabulary))
    student = initialize_student(domain.vocabulary, domain.vectors, config, seed=seed)
    settings = TrainingSettings(
        alpha=1.0,
        epochs=setting.epochs,
        batch_size=max(1, round(len(passages) / setting.steps)),
        seed=seed,
    )
    with tempfile.TemporaryDirectory() as folder:
        return train_student(student, domain.vocabulary, passages, Path(folder), settings)


def tables(runs: Runs) -> Iterator[str]:
    """Yield a table of each set and one of the differences, as Markdown."""
    names = sets_of(runs)
    for name in names:
        heads = [f"{name}: text", "F1", "teacher kept", "kept at the best threshold"]
        heads += ["agreement", "entities in 100 words"]
        rows = []
        for text in TEXTS:
            key = run_name(name, text)
            row = [show(runs, key, part) for part in ("f1", "kept", "best_kept", "agreement")]
            found = values_of(runs, key, "found_per_100_words")
            rows.append([text, *row, f"{np.mean(found):.1f}" if found else ""])
        yield table(heads, [row for row in rows if row[1] != "not run"])
    differences = [
        [label, *(str(difference(runs, *_keys(name, pair), "f1")) for name in names)]
        for label, pair in COMPARED.items()
    ]
    yield table(["F1", *names], differences)
    yield from _smaller_table(runs)
    yield from _search_tables(runs)


def _keys(name: str, pair: Sequence[str]) -> tuple[str, str]:
    first, second = (run_name(name, text) for text in pair)
    return first, second


def _smaller_table(runs: Runs) -> Iterator[str]:
    """Yield the smaller student beside the usual one, if it was run."""
    heads = ["smaller student", "F1", "teacher kept", "kept at the best threshold"]
    heads += ["F1, minus the usual student"]
    rows = []
    for set_name in sets_of(runs):
        for text in SMALLER_TEXTS:
            name = run_name(set_name, text, is_smaller=True)
            row = [f"{set_name}: {text}"]
            row += [show(runs, name, part) for part in ("f1", "kept", "best_kept")]
            rows.append([*row, str(difference(runs, name, run_name(set_name, text), "f1"))])
    rows = [row for row in rows if row[1] != "not run"]
    if rows:
        yield table(heads, rows)


def _search_tables(runs: Runs) -> Iterator[str]:
    """Yield what the searches did to the divergence of teacher and student, if there were any."""
    rows = []
    for name in sets_of(runs):
        found = values_of(runs, run_name(name, ADVERSARIAL), "divergences")
        for number, pairs in enumerate(zip(*found, strict=True), start=1):
            before, after = np.mean(pairs, axis=0)
            rows.append([f"{name}, round {number}", f"{before:.3f}", f"{after:.3f}"])
    if rows:
        yield table(["divergence per word", "random words", "words found"], rows)


def sets_of(runs: Runs) -> list[str]:
    """Return the sets of the runs, in order."""
    return list(dict.fromkeys(name.split(", ")[0] for name in runs))


def draw(runs: Runs, out: Path) -> None:
    """Draw the share of the teacher's F1 that is kept, a panel per set and a bar per text."""
    groups = {
        name: {text: values_of(runs, run_name(name, text), "kept") for text in TEXTS}
        for name in sets_of(runs)
    }
    draw_bars(out / "without_data.png", groups, x_label="share of the teacher's F1, %")


if __name__ == "__main__":
    main()
