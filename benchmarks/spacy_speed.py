"""Compare the spaCy component with gliner-spacy: `python benchmarks/spacy_speed.py [OPTIONS]`.

Both components run in blank English pipelines, with the same student, labels, threshold and number
of threads. gliner-spacy runs unmodified; it gets the student in place of a GLiNER. The texts are
the words of the sample's training part, joined with spaces and cut to the exact length. The labels
are the most frequent ones of the sample.

In each round, the contenders take turns on the same texts, and the next round uses the next texts.
All go through `nlp.pipe`, which asks gliner-spacy about one text at a time, because it has no
batches. By default, gliner-spacy cuts texts into pieces of about 250 characters; "whole texts" is
gliner-spacy with larger pieces. "one by one" calls our pipeline with one text at a time, and
"tokenizer" is the pipeline without a component, whose time is part of all others.

Prints Markdown with the median (lowest to highest) of the rounds, by the clock and in processor
time. The latter depends less on what else the machine does. The agreement is the F1 of the entities
of our component against those of gliner-spacy: a span and its label must be equal.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import spacy
from spacy.language import Language
from spacy.tokens import Doc
from speed import read_material
from speed_report import describe_machine

from gliner_distill import compat
from gliner_distill.corpus.reader import sample_path
from gliner_distill.files import write_json

OURS, ONE_BY_ONE, TOKENIZER = "gliner_distill", "one by one", "tokenizer"
THEIRS, THEIRS_WHOLE = "gliner-spacy", "gliner-spacy, whole texts"
PIECE_CHARS = {THEIRS: 250, THEIRS_WHOLE: 1_000_000}  # 250 is its default
CLOCKS = {"second": time.perf_counter, "second of processor time": time.process_time}

Run = Callable[[Sequence[str]], list[Doc]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="a student (default: the one of the package)")
    parser.add_argument("--words", type=int, nargs="+", default=[25, 100, 400], help="per text")
    parser.add_argument("--n-labels", type=int, default=5)
    parser.add_argument("--round-words", type=int, default=40_000, help="words per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("spacy_speed.json"))
    given = parser.parse_args()

    material = read_material(sample_path("train"))
    labels = material.labels[: given.n_labels]
    contenders = make_contenders(given.model, labels, given.threads)
    cases = {}
    for n_words in given.words:
        n_texts = max(1, given.round_words // n_words)
        rounds = [
            material.texts(n_words, n_texts, start=number * n_texts)
            for number in range(given.rounds + 1)  # the first one warms up
        ]
        cases[str(n_words)] = measure(contenders, rounds)
    results = {"machine": describe_machine(given.threads), "labels": labels, "cases": cases}
    write_json(given.out, results)
    print_tables(results)


def make_contenders(model: str | None, labels: Sequence[str], n_threads: int) -> dict[str, Run]:
    """Return the contenders; gliner-spacy gets the student, because it imports our stand-in."""
    os.environ["OMP_NUM_THREADS"] = str(n_threads)  # gliner-spacy has no setting for it
    compat.install(model)
    ours = spacy.blank("en")
    ours.add_pipe(
        "gliner_distill", config={"labels": labels, "model": model, "num_threads": n_threads}
    )
    tokenizer = spacy.blank("en")
    theirs = {
        name: make_gliner_spacy(labels, piece_chars=n_chars)
        for name, n_chars in PIECE_CHARS.items()
    }
    return {
        OURS: partial(run_pipe, ours),
        ONE_BY_ONE: lambda texts: [ours(text) for text in texts],
        **{name: partial(run_pipe, nlp) for name, nlp in theirs.items()},
        TOKENIZER: partial(run_pipe, tokenizer),
    }


def run_pipe(nlp: Language, texts: Sequence[str]) -> list[Doc]:
    return list(nlp.pipe(texts))


def make_gliner_spacy(labels: Sequence[str], *, piece_chars: int) -> Language:
    """Return a pipeline with gliner-spacy."""
    nlp = spacy.blank("en")
    settings = {"labels": labels, "threshold": 0.5, "style": "ent", "chunk_size": piece_chars}
    nlp.add_pipe("gliner_spacy", config=settings)
    return nlp


def measure(contenders: dict[str, Run], rounds: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Return the times of each contender and round by each clock, and the agreements."""
    times: dict[str, dict[str, list[float]]] = {
        unit: {name: [] for name in contenders} for unit in CLOCKS
    }
    n_found = dict.fromkeys(PIECE_CHARS, 0)  # by both components together
    n_shared = dict.fromkeys(PIECE_CHARS, 0)
    for number, texts in enumerate(rounds):
        found = {}
        for name, run in contenders.items():
            started = {unit: clock() for unit, clock in CLOCKS.items()}
            docs = run(texts)
            if number > 0:
                for unit, clock in CLOCKS.items():
                    times[unit][name].append(clock() - started[unit])
            found[name] = entities_of(docs)
        for name in PIECE_CHARS:
            n_found[name] += len(found[OURS]) + len(found[name])
            n_shared[name] += len(found[OURS] & found[name])
    return {
        "texts": len(rounds[0]),
        "words": sum(len(text.split()) for text in rounds[0]),
        "times": times,
        "agreement": {name: 2 * n_shared[name] / max(1, n_found[name]) for name in PIECE_CHARS},
    }


def entities_of(docs: Sequence[Doc]) -> set[tuple[int, int, int, str]]:
    return {
        (number, ent.start_char, ent.end_char, ent.label_)
        for number, doc in enumerate(docs)
        for ent in doc.ents
    }


def print_tables(results: dict[str, Any]) -> None:
    machine, cases = results["machine"], results["cases"]
    print(
        f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads, "
        f"{machine['date']}; labels: {', '.join(results['labels'])}"
    )
    for unit in CLOCKS:
        names = next(iter(cases.values()))["times"][unit]
        for counted in ("texts", "words"):
            print_table(
                f"{counted} per {unit}",
                cases,
                {
                    name: [rates(case, counted, unit, name) for case in cases.values()]
                    for name in names
                },
            )
        print_table(
            f"times as fast as these, by the {unit}",
            cases,
            {name: [ratios(case, unit, name) for case in cases.values()] for name in PIECE_CHARS},
        )
    print_table(
        "F1 of the entities against these, %",
        cases,
        {
            name: [f"{100 * case['agreement'][name]:.1f}" for case in cases.values()]
            for name in PIECE_CHARS
        },
    )


def print_table(title: str, cases: Iterable[str], rows: Mapping[str, Sequence[str]]) -> None:
    columns = [f"{n_words} words" for n_words in cases]
    print("\n" + " | ".join(["| " + title, *columns]) + " |")
    print("|---|" + "---:|" * len(columns))
    for name, cells in rows.items():
        print(" | ".join(["| " + name, *cells]) + " |")


def rates(case: Mapping[str, Any], counted: str, unit: str, name: str) -> str:
    values = [case[counted] / time_s for time_s in case["times"][unit][name]]
    return f"{median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def ratios(case: Mapping[str, Any], unit: str, name: str) -> str:
    pairs = zip(case["times"][unit][OURS], case["times"][unit][name], strict=True)
    values = [theirs / ours for ours, theirs in pairs]
    return f"{median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


if __name__ == "__main__":
    main()
