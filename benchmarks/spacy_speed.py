"""Compare the spaCy component with gliner-spacy: `python benchmarks/spacy_speed.py [OPTIONS]`.

Both components run in blank English pipelines, with the same student, labels, threshold and number
of threads. gliner-spacy runs unmodified; it gets the student in place of a GLiNER. The texts are
the words of the sample's training part, joined with spaces and cut to the exact length. The labels
are the most frequent ones of the sample.

In each round, the contenders take turns on the same texts, and the next round uses the next texts.
All go through `nlp.pipe`, which asks gliner-spacy about one text at a time, because it has no
batches. "one by one" calls our pipeline with one text at a time, and "tokenizer" is the pipeline
without a component, whose time is part of all others.

Prints Markdown with the median (lowest to highest) of the rounds. The agreement is the F1 of the
entities of our component against those of gliner-spacy: a span and its label must be equal. Scores
in 8 bits depend on the other texts in a batch, and gliner-spacy cuts texts into pieces of about 250
characters, so they do not agree completely.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import spacy
from spacy.language import Language
from spacy.tokens import Doc
from speed import read_material
from speed_report import describe_machine

from gliner_distill import StudentNER
from gliner_distill.corpus.reader import sample_path
from gliner_distill.files import write_json

OURS, ONE_BY_ONE, THEIRS, TOKENIZER = "gliner_distill", "one by one", "gliner-spacy", "tokenizer"

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
    ours = spacy.blank("en")
    ours.add_pipe(
        "gliner_distill", config={"labels": labels, "model": model, "num_threads": n_threads}
    )
    theirs = make_gliner_spacy(model, labels, n_threads)
    tokenizer = spacy.blank("en")
    return {
        OURS: lambda texts: list(ours.pipe(texts)),
        ONE_BY_ONE: lambda texts: [ours(text) for text in texts],
        THEIRS: lambda texts: list(theirs.pipe(texts)),
        TOKENIZER: lambda texts: list(tokenizer.pipe(texts)),
    }


def make_gliner_spacy(model: str | None, labels: Sequence[str], n_threads: int) -> Language:
    """Return a pipeline with gliner-spacy, whose GLiNER is the student."""
    import gliner_spacy.pipeline

    class StandIn:
        @staticmethod
        def from_pretrained(name: str, **_: Any) -> StudentNER:
            return StudentNER.from_pretrained(model, num_threads=n_threads)

    gliner_spacy.pipeline.GLiNER = StandIn
    nlp = spacy.blank("en")
    nlp.add_pipe("gliner_spacy", config={"labels": labels, "threshold": 0.5, "style": "ent"})
    return nlp


def measure(contenders: dict[str, Run], rounds: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Return the seconds of each contender and round, and the entities that two of them share."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    n_ours = n_theirs = n_shared = 0
    for number, texts in enumerate(rounds):
        found = {}
        for name, run in contenders.items():
            started = time.perf_counter()
            docs = run(texts)
            if number > 0:
                seconds[name].append(time.perf_counter() - started)
            found[name] = entities_of(docs)
        n_ours += len(found[OURS])
        n_theirs += len(found[THEIRS])
        n_shared += len(found[OURS] & found[THEIRS])
    return {
        "texts": len(rounds[0]),
        "words": sum(len(text.split()) for text in rounds[0]),
        "seconds": seconds,
        "entities": {"ours": n_ours, "theirs": n_theirs, "shared": n_shared},
        "agreement": 2 * n_shared / max(1, n_ours + n_theirs),
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
        f"{machine['date']}; labels: {', '.join(results['labels'])}\n"
    )
    for unit in ("texts", "words"):
        print(f"| {unit} per second | " + " | ".join(f"{n} words" for n in cases) + " |")
        print("|---|" + "---:|" * len(cases))
        for name in next(iter(cases.values()))["seconds"]:
            cells = [
                show([case[unit] / time_s for time_s in case["seconds"][name]])
                for case in cases.values()
            ]
            print(f"| {name} | " + " | ".join(cells) + " |")
        print()
    print("| | " + " | ".join(f"{n} words" for n in cases) + " |")
    print("|---|" + "---:|" * len(cases))
    ratios = [
        [theirs / ours for ours, theirs in zip(*pair, strict=True)]
        for pair in ((case["seconds"][OURS], case["seconds"][THEIRS]) for case in cases.values())
    ]
    cells = [f"{median(ratio):.1f} ({min(ratio):.1f} to {max(ratio):.1f})" for ratio in ratios]
    print("| times as fast as gliner-spacy | " + " | ".join(cells) + " |")
    agreements = [f"{100 * case['agreement']:.1f}" for case in cases.values()]
    print("| agreement of the entities, F1 in % | " + " | ".join(agreements) + " |")


def show(rates: Sequence[float]) -> str:
    return f"{median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})"


if __name__ == "__main__":
    main()
