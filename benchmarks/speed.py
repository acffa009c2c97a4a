"""Compare the speed of several engines: `python benchmarks/speed.py TEACHER [OPTIONS]`.

TEACHER is the folder of a GLiNER. The contenders are the torch-free students, the teacher in torch
and exported to ONNX, a model with gliner_small-v2.1's architecture in both forms, both exports in
fast-gliner, and spaCy's en_core_web_sm. The students come from --int8 and --fp32, which are folders
that `gliner-distill export` wrote; without --int8, it is the student that is installed with the
package. A contender that is not installed is reported as not measured.

Each contender is loaded once, in a process of its own, with --threads threads on the same number of
cores. In each round all contenders take turns at each case, on the same texts, so that other work
on the machine affects all of them; only one contender is busy at a time. The next round uses the
next texts. After its warm-up, a contender gets the number of texts that it reads in --budget
seconds, between 1,600 and 12,000 words; a slow contender gets the first part of a round's texts.
Texts are the words of the corpus joined with spaces and cut to the exact length. The labels are the
most frequent ones of the sample.

After that, fresh processes measure the time from the start of the process to its first answer, and
the peak memory after 200 texts of 100 words. F1 counts exact spans on the sample's test part; each
passage is asked its own labels, at each contender's default threshold of 0.5. The script prints
Markdown and writes --out as JSON; --plot draws speed against F1.
"""

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from speed_processes import Contender, NotMeasuredError, Worker, list_contenders, make_models
from speed_report import add_comparisons, describe_machine, draw_plot, format_report

from gliner_distill.corpus.reader import CorpusFile, sample_path
from gliner_distill.entities import Entity
from gliner_distill.errors import DistillError
from gliner_distill.files import replace_file
from gliner_distill.metrics import score_spans

TEXT_WORDS = (25, 100, 400)
N_LABELS = (5, 50)
MANY_LABELS = (10, 1000)
LATENCY_WORDS, LATENCY_TEXTS = 25, 50
MEMORY_WORDS, MEMORY_TEXTS = 100, 200
LEAST_WORDS = 1600


@dataclass(frozen=True)
class Case:
    """Texts of one length and a number of labels, in batches or one at a time."""

    n_words: int
    n_labels: int
    is_latency: bool = False
    is_for_students: bool = False

    @property
    def key(self) -> str:
        """The name of the case in figures and tables."""
        name = f"{self.n_words} words, {self.n_labels:,} labels"
        return f"{name}, one at a time" if self.is_latency else name


CASES = (
    *(Case(n_words, n_labels) for n_words in TEXT_WORDS for n_labels in N_LABELS),
    *(Case(MEMORY_WORDS, n_labels, is_for_students=True) for n_labels in MANY_LABELS),
    Case(LATENCY_WORDS, N_LABELS[0], is_latency=True),
)


class Material:
    """A source of texts of any length and of any number of labels.

    Attributes:
        words: All words of the corpus, in order.
        labels: The labels of the sample, the most frequent first.
    """

    def __init__(self, words: Sequence[str], labels: Sequence[str]) -> None:
        self.words, self.labels = words, labels

    def texts(self, n_words: int, n_texts: int, *, start: int = 0) -> list[str]:
        """Return texts of exactly `n_words` words, from text number `start` on, in a circle.

        >>> Material("a b c d e".split(), []).texts(2, 3, start=1)
        ['c d', 'a b', 'c d']
        """
        n_distinct = len(self.words) // n_words
        places = [(start + place) % n_distinct * n_words for place in range(n_texts)]
        return [" ".join(self.words[place : place + n_words]) for place in places]


def main() -> None:
    parser = make_parser()
    given = parser.parse_args()
    try:
        material = read_material(given.texts or sample_path("train"))
        contenders = choose_contenders(given)
    except (DistillError, ValueError) as error:
        parser.error(str(error))
    if not (given.teacher / "gliner_config.json").is_file():
        parser.error(f"{given.teacher}: this folder does not hold a GLiNER")
    if given.plot and not importlib.util.find_spec("matplotlib"):
        parser.error("--plot needs matplotlib")
    with tempfile.TemporaryDirectory() as folder:
        contenders = make_models(contenders, given.teacher, Path(folder))
        figures = measure(contenders, material, given)
    replace_file(given.out, (json.dumps(figures, indent=1) + "\n").encode())
    print(format_report(figures))
    if given.plot:
        draw_plot(figures, given.plot)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("teacher", type=Path)
    parser.add_argument("--out", type=Path, default=Path("speed.json"))
    parser.add_argument("--int8", type=Path, help="an exported student")
    parser.add_argument("--fp32", type=Path, help="an exported student")
    parser.add_argument("--texts", help="a corpus (default: the sample's training part)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--fresh", type=int, default=3, help="fresh processes per contender, or 0")
    parser.add_argument(
        "--words", type=int, default=12_000, help="the most words per round of a case"
    )
    parser.add_argument("--budget", type=float, default=2.0, help="seconds per round of a case")
    # The thread pools of ONNX Runtime keep a core busy for a while after their last answer.
    parser.add_argument("--settle", type=float, default=0.2, help="seconds of rest between cases")
    parser.add_argument("--contenders", help="names separated by commas (default: all)")
    parser.add_argument(
        "--student-python", help="interpreter with another version of this package to compare"
    )
    parser.add_argument("--spacy-python", default=sys.executable, help="interpreter with spaCy")
    parser.add_argument(
        "--fast-gliner-python", default=sys.executable, help="interpreter with fast-gliner"
    )
    parser.add_argument("--plot", type=Path, help="a picture to draw")
    return parser


def choose_contenders(given: argparse.Namespace) -> list[Contender]:
    """Return the contenders that were asked for, in their usual order.

    Raises:
        ValueError: No contender has one of the names.
    """
    known = list_contenders(
        {"int8": given.int8, "fp32": given.fp32},
        given.teacher,
        {
            "student": given.student_python,
            "spacy": given.spacy_python,
            "fast-gliner": given.fast_gliner_python,
        },
    )
    if given.contenders is None:
        return [contender for contender in known if contender.name != "student-fp32" or given.fp32]
    asked = given.contenders.split(",")
    names = [contender.name for contender in known]
    for name in asked:
        if name not in names:
            raise ValueError(f"{name!r} is not a contender; expected one of {', '.join(names)}")
    return [contender for contender in known if contender.name in asked]


def read_material(corpus: str | Path) -> Material:
    """Return the words of a corpus and the labels of the sample.

    Raises:
        CorpusError: The corpus cannot be read.
        ValueError: The corpus has fewer words than the longest text needs.
    """
    words = [word for passage in CorpusFile(corpus) for word in passage.words]
    if len(words) < max(TEXT_WORDS):
        raise ValueError(
            f"{corpus}: {len(words)} words, fewer than the {max(TEXT_WORDS)} of the longest text"
        )
    counts: Counter[str] = Counter()
    for passage in CorpusFile(sample_path("train")):
        counts.update(entity.label for entity in passage.entities)
    return Material(words, [label for label, _ in counts.most_common()])


def measure(
    contenders: Sequence[Contender], material: Material, given: argparse.Namespace
) -> dict[str, Any]:
    """Return all figures in the form in which they are written to --out."""
    rows: dict[str, dict[str, Any]] = {
        contender.name: {"title": contender.title, "size_mb": contender.size_mb, "cases": {}}
        for contender in contenders
    }
    figures: dict[str, Any] = {"machine": describe_machine(given.threads), "contenders": rows}
    figures["rounds"] = given.rounds
    figures["corpus_words"] = len(material.words)
    with ExitStack() as stack:
        workers = {}
        for contender in contenders:
            name = contender.name
            try:
                workers[name] = stack.enter_context(Worker(contender, given.threads))
                rows[name] |= workers[name].loading
            except NotMeasuredError as error:
                rows[name]["not_measured"] = str(error)
        measure_rounds(workers, material, given, rows)
        for name, worker in workers.items():
            if worker.contender.has_f1:
                rows[name]["f1"] = attempt(measure_f1, worker)
        started = [worker.contender for worker in workers.values()]
    for contender, fresh in measure_fresh(started, material, given.fresh, given.threads):
        rows[contender.name].setdefault("fresh", []).append(fresh)
    return add_comparisons(figures)


def measure_rounds(
    workers: dict[str, Worker],
    material: Material,
    given: argparse.Namespace,
    rows: dict[str, dict[str, Any]],
) -> None:
    """Fill in the cases of each row; all contenders take turns at each case in each round."""
    turns = [
        (case, worker)
        for case in CASES
        for worker in workers.values()
        if worker.contender.is_student or not case.is_for_students
    ]
    for case, worker in turns:
        rows[worker.contender.name]["cases"][case.key] = attempt(
            warm_up,
            worker,
            case,
            material,
            n_most_words=given.words,
            budget_s=given.budget,
            settle_s=given.settle,
        )
    for number in range(1, given.rounds + 1):
        print(f"round {number} of {given.rounds}", file=sys.stderr)
        for case, worker in turns:
            row = rows[worker.contender.name]["cases"][case.key]
            if "not_measured" not in row:
                start = number * max(1, given.words // case.n_words)
                texts = material.texts(case.n_words, row["texts"], start=start)
                answer = attempt(ask, worker, case, texts, material, settle_s=given.settle)
                if "not_measured" in answer:
                    rows[worker.contender.name]["cases"][case.key] = answer
                else:
                    row["seconds"].append(answer["seconds"])
                    row["entities"] += answer.get("entities", 0)


def attempt(measure: Any, *args: Any, **options: Any) -> Any:
    """Return the measurement of a function, or the reason why it cannot measure."""
    try:
        return measure(*args, **options)
    except NotMeasuredError as error:
        return {"not_measured": str(error)}


def ask(
    worker: Worker, case: Case, texts: list[str], material: Material, *, settle_s: float
) -> dict[str, Any]:
    time.sleep(settle_s)
    request = {
        "do": "singles" if case.is_latency else "batches",
        "texts": texts,
        "labels": list(material.labels[: case.n_labels]),
        "batch_size": worker.contender.batch_size,
    }
    return worker.ask(request)


def warm_up(
    worker: Worker,
    case: Case,
    material: Material,
    *,
    n_most_words: int,
    budget_s: float,
    settle_s: float,
) -> dict[str, Any]:
    """Return the row of a case, with the number of texts to time per round.

    The number of texts is multiplied by four until they take an eighth of the budget or until
    there are no more.
    """
    n_most = max(1, n_most_words // case.n_words)
    if case.is_latency:
        texts = material.texts(case.n_words, LATENCY_TEXTS // 10)
        ask(worker, case, texts, material, settle_s=settle_s)
        n_texts, first_s = LATENCY_TEXTS, None
    else:
        n_texts, first_s = min(worker.contender.batch_size, n_most), None
        while True:
            texts = material.texts(case.n_words, n_texts)
            seconds = ask(worker, case, texts, material, settle_s=settle_s)["seconds"]
            first_s = first_s if first_s is not None else seconds
            if seconds >= budget_s / 8 or n_texts == n_most:
                break
            n_texts = min(4 * n_texts, n_most)
        n_least = min(n_most, LEAST_WORDS // case.n_words)
        n_texts = min(max(int(n_texts * budget_s / seconds), n_least), n_most)
    words = n_texts * case.n_words
    found = {"texts": n_texts, "words": words, "first_call_s": first_s}
    return found | {"seconds": [], "entities": 0}


def measure_f1(worker: Worker) -> float:
    """Return the F1 of exact spans over the sample's test part."""
    passages = list(CorpusFile(sample_path("test")))
    texts = [" ".join(passage.words) for passage in passages]
    labels = [list(passage.own_labels) for passage in passages]
    answer = worker.ask({"do": "spans", "texts": texts, "labels": labels})
    # Both sides are in characters, since contenders split words in different ways.
    found = [[Entity(*span) for span in spans] for spans in answer["spans"]]
    gold = [gold_in_characters(passage.words, passage.entities) for passage in passages]
    return score_spans(found, gold).f1


def gold_in_characters(words: Sequence[str], entities: Sequence[Entity]) -> list[Entity]:
    """Return entities with the characters that they span in their words joined with spaces.

    >>> gold_in_characters(["in", "New", "York"], [Entity(1, 3, "city")])
    [Entity(start_word=3, end_word=11, label='city', score=1.0)]
    """
    starts, place = [], 0
    for word in words:
        starts.append(place)
        place += len(word) + 1
    return [
        replace(
            entity,
            start_word=starts[entity.start_word],
            end_word=starts[entity.end_word - 1] + len(words[entity.end_word - 1]),
        )
        for entity in entities
    ]


def measure_fresh(
    contenders: Sequence[Contender], material: Material, n_times: int, n_threads: int
) -> Iterator[tuple[Contender, dict[str, Any]]]:
    """Yield each contender with the figures of a fresh process of it, `n_times` times."""
    labels = list(material.labels[: N_LABELS[0]])
    first = {"do": "singles", "texts": material.texts(LATENCY_WORDS, 1), "labels": labels}
    texts = material.texts(MEMORY_WORDS, MEMORY_TEXTS)
    for number in range(1, n_times + 1):
        print(f"fresh processes {number} of {n_times}", file=sys.stderr)
        for contender in contenders:
            try:
                with Worker(contender, n_threads) as worker:
                    worker.ask(first)
                    cold_s = worker.age_s
                    many = {"do": "batches", "texts": texts, "labels": labels}
                    worker.ask(many | {"batch_size": contender.batch_size})
                    peak_mb = worker.ask({"do": "memory"})["peak_mb"]
                    import_s = worker.loading["import_s"]
                figures = {"cold_s": cold_s, "import_s": import_s, "peak_mb": peak_mb}
                yield contender, figures
            except NotMeasuredError as error:
                yield contender, {"not_measured": str(error)}


if __name__ == "__main__":
    main()
