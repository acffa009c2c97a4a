"""Measure Presidio on the test set of personal data: its own recognizers, and ours beside them.

`python benchmarks/presidio_recognizers.py [--model STUDENT] [--out FILE]`

The engine of Presidio is a blank English pipeline of spaCy, so that Presidio's own recognizers are
its patterns alone. The test set is that of `personal_passages.py`. A recall counts entities of gold
whose characters are those of a result of the same type ("exact") or overlap with one ("touched").
A result is false if it overlaps no entity of gold of its type. Dates and places are annotated only
if they are dates of birth and street addresses, so results of these two types are not counted as
false. Results below 0.4 are left out, because many of Presidio's patterns have such a score
without a word beside them that supports it.

The first table has the student alone at several thresholds, the second Presidio without and with
the recognizer, and the third the processor time per text, with one thread, as the least of several
rounds, over every fourth text. Prints Markdown tables and writes all figures as JSON.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import spacy
from personal_data import Matches, match_spans, percent
from personal_passages import PersonalPassage, read_test_set
from presidio_analyzer import AnalyzerEngine, BatchAnalyzerEngine, RecognizerRegistry
from presidio_analyzer.nlp_engine import SpacyNlpEngine

from gliner_distill.files import write_json
from gliner_distill.integrations.presidio import BatchingNlpEngine, GLiNERDistillRecognizer

ENTITIES = {
    "person": "PERSON",
    "phone number": "PHONE_NUMBER",
    "email address": "EMAIL_ADDRESS",
    "url": "URL",
    "ip address": "IP_ADDRESS",
    "card number": "CREDIT_CARD",
    "iban": "IBAN_CODE",
    "date of birth": "DATE_TIME",
    "street address": "LOCATION",
}
NOT_FALSE = ("DATE_TIME", "LOCATION")
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
MIN_SCORE = 0.4
N_ROUNDS = 3
Found = list[list[tuple[int, int, str]]]


def main(passages: Sequence[PersonalPassage] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="the student; that of the package by default")
    parser.add_argument("--out", type=Path, default=Path("presidio_recognizers.json"))
    options = parser.parse_args()
    passages = read_test_set() if passages is None else passages
    texts = [passage.text for passage in passages]
    with tempfile.TemporaryDirectory() as folder:
        spacy.blank("en").to_disk(folder)
        engine = SpacyNlpEngine(models=[{"lang_code": "en", "model_name": folder}])
        engine.load()
    alone = AnalyzerEngine(nlp_engine=engine)
    recognizers = {
        threshold: GLiNERDistillRecognizer(model=options.model, threshold=threshold, num_threads=1)
        for threshold in THRESHOLDS
    }
    by_threshold = {
        str(threshold): count(passages, ask_student(recognizer, texts))
        for threshold, recognizer in recognizers.items()
    }
    print_thresholds(by_threshold)
    ours = GLiNERDistillRecognizer(model=options.model, num_threads=1)
    only_ours = AnalyzerEngine(nlp_engine=engine, registry=RecognizerRegistry(recognizers=[ours]))
    together = AnalyzerEngine(nlp_engine=engine)
    together.registry.add_recognizer(ours)
    analyzers = {"Presidio alone": alone, "with the student": together}
    by_analyzer = {
        name: count(passages, ask_presidio(analyzer, texts)) for name, analyzer in analyzers.items()
    }
    print_analyzers(by_analyzer)
    speed = measure_speed({**analyzers, "the student alone": only_ours}, texts[::4])
    print_speed(speed)
    write_json(options.out, {"thresholds": by_threshold, "analyzers": by_analyzer, "speed": speed})


def ask_student(recognizer: GLiNERDistillRecognizer, texts: Sequence[str]) -> Found:
    """Return what a student finds in each text."""
    mapping = recognizer.entity_mapping
    return [
        [(entity["start"], entity["end"], mapping[entity["label"]]) for entity in entities]
        for entities in recognizer.find(texts, list(mapping))
    ]


def ask_presidio(analyzer: AnalyzerEngine, texts: Sequence[str]) -> Found:
    """Return what an analyzer finds in each text."""
    answers = BatchAnalyzerEngine(analyzer).analyze_iterator(
        texts, language="en", score_threshold=MIN_SCORE
    )
    return [
        [(result.start, result.end, result.entity_type) for result in results]
        for results in answers
    ]


def count(passages: Sequence[PersonalPassage], answers: Found) -> dict[str, dict[str, Any]]:
    """Return the figures of each type."""
    totals = dict.fromkeys(ENTITIES.values(), Matches())
    for passage, found in zip(passages, answers, strict=True):
        gold = [(start, end, ENTITIES[label]) for start, end, label in passage.spans]
        for entity in totals:
            totals[entity] += match_spans(gold, found, entity)
    return {entity: figures(total, entity) for entity, total in totals.items()}


def figures(total: Matches, entity: str) -> dict[str, Any]:
    """Return the shares of one type, and the number of false results."""
    n_false = total.n_found - total.n_found_touched
    return {
        "gold": total.n_gold,
        "exact": total.n_exact / total.n_gold if total.n_gold else None,
        "touched": total.n_gold_touched / total.n_gold if total.n_gold else None,
        "n_exact": total.n_exact,
        "n_found": total.n_found,
        "false": None if entity in NOT_FALSE else n_false,
    }


def print_thresholds(by_threshold: dict[str, dict[str, dict[str, Any]]]) -> None:
    """Print the student's figures of exact spans at each threshold, for types that can be false.

    F2 counts recall twice as much as precision.
    """
    print("\n| threshold | recall | precision | F1 | F2 | false |\n|---:|---:|---:|---:|---:|---:|")
    for threshold, by_entity in by_threshold.items():
        rows = [row for row in by_entity.values() if row["false"] is not None]
        gold, exact, found, false = (
            sum(row[key] for row in rows) for key in ("gold", "n_exact", "n_found", "false")
        )
        shares = [exact / (gold or 1), exact / (found or 1)]
        shares += [(1 + beta**2) * exact / (beta**2 * gold + found or 1) for beta in (1, 2)]
        print(f"| {threshold} | {' | '.join(map(percent, shares))} | {false} |")


def print_analyzers(by_analyzer: dict[str, dict[str, dict[str, Any]]]) -> None:
    """Print one row per type: recall, exact and touched, and the number of false results."""
    columns = [f"{name}: recall | false" for name in by_analyzer]
    print(f"\n| entity | in gold | {' | '.join(columns)} |\n|---|---:{'|---:|---:' * 2}|")
    for entity in ENTITIES.values():
        rows = [by_entity[entity] for by_entity in by_analyzer.values()]
        cells = [
            f"{percent(row['exact'])}, {percent(row['touched'])} | "
            f"{'-' if row['false'] is None else row['false']}"
            for row in rows
        ]
        print(f"| {entity} | {rows[0]['gold']} | {' | '.join(cells)} |")


def measure_speed(
    analyzers: dict[str, AnalyzerEngine], texts: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Return the milliseconds of processor time per text, text by text and with batches."""
    speed: dict[str, dict[str, float]] = {}
    for name, analyzer in analyzers.items():
        own = analyzer.nlp_engine
        speed[name] = {}
        for way, engine in (("text by text", own), ("in batches", BatchingNlpEngine(own))):
            analyzer.nlp_engine = engine
            seconds = min(time_call(ask_presidio, analyzer, texts) for _ in range(N_ROUNDS))
            speed[name][way] = 1000 * seconds / len(texts)
        analyzer.nlp_engine = own
    return speed


def time_call(function: Callable[..., Any], *arguments: Iterable[Any] | AnalyzerEngine) -> float:
    """Return the seconds of processor time that a call takes."""
    start = time.process_time()
    function(*arguments)
    return time.process_time() - start


def print_speed(speed: dict[str, dict[str, float]]) -> None:
    """Print one row per analyzer."""
    print("\n| milliseconds per text | text by text | in batches |\n|---|---:|---:|")
    for name, row in speed.items():
        print(f"| {name} | {row['text by text']:.2f} | {row['in batches']:.2f} |")


if __name__ == "__main__":
    main()
