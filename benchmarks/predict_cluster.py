"""Measure `predict` here and on Ray, side by side: `python benchmarks/predict_cluster.py`.

The documents are passages of the sample, repeated until there are --documents of them, in a Parquet
file. Each way answers all of them and writes the table, as `gliner-distill predict --out` does:
this process with one thread and with two, and a Ray cluster on this machine with one worker and
with two, of one thread each. The ways take turns, and each has its own median, lowest and highest
of the rounds. The clock starts at the first answer, so that the time in which a cluster and its
workers start does not count; it is given besides.

The output is Markdown. All tables must be the same.
"""

import argparse
import platform
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import pyarrow as pa
from pyarrow import parquet

from gliner_distill.cli.reading.input import DocumentSource
from gliner_distill.cli.tables.answers import Answers, Question, answer_here, answer_on_cluster
from gliner_distill.cli.tables.columns import read_columns
from gliner_distill.cli.tables.writers import write_table
from gliner_distill.corpus.reader import read_passages, sample_path
from gliner_distill.labeling.cluster import Cluster

LABELS = {label: label for label in ("person", "city", "date", "organization", "product")}
WAYS = ("one thread", "two threads", "Ray, one worker", "Ray, two workers")

Way = Callable[[DocumentSource], Answers]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="a student; by default the one of the package")
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = DocumentSource(files=(str(Path(folder) / "texts.parquet"),))
        n_words = write_texts(Path(source.files[0]), given.documents)
        ways = make_ways(given.model)
        measured: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        tables = set()
        for _ in range(given.rounds):
            for name, way in ways.items():
                table = Path(folder) / "found.parquet"
                measured[name].append(time_way(way, source, table))
                tables.add(table.read_bytes())
    if len(tables) > 1:
        raise SystemExit("the tables differ")
    print_table(measured, given.documents, n_words)


def write_texts(path: Path, n_documents: int) -> int:
    """Write the documents, and return their number of words."""
    passages = list(read_passages(sample_path("test")))
    chosen = list(islice(cycle(passages), n_documents))
    texts = [" ".join(passage.words) for passage in chosen]
    parquet.write_table(pa.table({"text": texts}), path)
    return sum(len(passage.words) for passage in chosen)


def make_ways(model: str | None) -> dict[str, Way]:
    ways: dict[str, Way] = {}
    for n_threads, name in enumerate(WAYS[:2], start=1):
        question = Question(model, LABELS, num_threads=n_threads)
        ways[name] = partial(answer_here, question, question.load(), prints=False)
    for n_workers, name in enumerate(WAYS[2:], start=1):
        question = Question(model, LABELS, num_threads=1)
        cluster = Cluster(n_workers, in_order=True)
        ways[name] = partial(answer_on_cluster, question, cluster, prints=False)
    return ways


def time_way(way: Way, source: DocumentSource, path: Path) -> tuple[float, float]:
    """Return the seconds until the first answer, and the words per second from there to the end."""
    started = time.perf_counter()
    with write_table(path, "parquet", read_columns(source, "parquet")) as table:
        answers = way(source)
        _, documents, entities = next(answers)
        first = time.perf_counter()
        table.write(documents, entities)
        n_words = 0
        for _, documents, entities in answers:
            table.write(documents, entities)
            n_words += sum(document.text.count(" ") + 1 for document in documents)
    return first - started, n_words / (time.perf_counter() - first)


def print_table(
    measured: dict[str, list[tuple[float, float]]], n_documents: int, n_words: int
) -> None:
    print(
        f"{n_documents:,} documents, {n_words:,} words, {len(LABELS)} labels;", platform.platform()
    )
    print("\n| | words per second | seconds to the first answer |\n|---|---:|---:|")
    for name, rounds in measured.items():
        starts, rates = zip(*rounds, strict=True)
        print(
            f"| {name} | {median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f}) "
            f"| {median(starts):.1f} |"
        )


if __name__ == "__main__":
    main()
