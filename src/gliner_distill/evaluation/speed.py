"""Measure how fast models read, side by side: text in, entities out.

The input is models, by folder or hub id. The output is words per second for several text lengths
and numbers of labels, milliseconds for one short text, and, measured in processes of their own, the
time to the first answer and the peak memory. In each round the models take turns, so that other
work on the machine slows all of them down. The texts and labels come from the sample.
"""

import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import count, product
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from gliner_distill.callbacks import Progress, no_progress
from gliner_distill.corpus.reader import read_passages, sample_path
from gliner_distill.evaluation.models import load_model
from gliner_distill.evaluation.startup import (
    BUNDLED_NAME,
    Inference,
    inference_of,
    measure_start,
)
from gliner_distill.processors import count_processors

_WARM_UP_TEXTS = 4
_PROBED_TEXTS = 16


@dataclass(frozen=True, slots=True)
class SpeedSettings:
    """The texts and labels of a measurement, and the number of repetitions.

    Attributes:
        text_words: The lengths of the texts, in words.
        label_counts: The numbers of labels asked.
        total_words: The number of words that a model reads per case and round.
        slow_seconds: The seconds that a slow model reads per case and round, instead of all words.
        rounds: How often each case is timed.
        latency_texts: The number of texts that are read one at a time.
        n_starts: The number of processes that are started per model.
    """

    text_words: tuple[int, ...] = (25, 100, 400)
    label_counts: tuple[int, ...] = (5, 50)
    total_words: int = 12_000
    slow_seconds: float = 2.0
    rounds: int = 5
    latency_texts: int = 100
    n_starts: int = 3


_DEFAULTS = SpeedSettings()


@dataclass(frozen=True, slots=True)
class CaseRate:
    """The words per second of one model for texts of one length and one number of labels.

    Attributes:
        text_words: The length of each text, in words.
        n_labels: The number of labels asked.
        words_per_second: The median of all rounds.
        lowest: The slowest round.
        highest: The fastest round.
    """

    text_words: int
    n_labels: int
    words_per_second: float
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class ModelSpeed:
    """All figures of one model.

    Attributes:
        rates: The words per second of each case.
        p50_ms: The median of the milliseconds that one short text takes by itself.
        p95_ms: Their 95th percentile.
        seconds: See `Start`.
        memory_mb: See `Start`.
        memory_source: See `Start`.
    """

    rates: list[CaseRate]
    p50_ms: float
    p95_ms: float
    seconds: float
    memory_mb: float
    memory_source: str


@dataclass(frozen=True, slots=True)
class SpeedComparison:
    """The speed of several models on one machine.

    Attributes:
        machine: The processor and the system.
        threads: The number of threads of each model.
        rounds: How often each case was timed.
        models: The figures of each model, by its name.
    """

    machine: str
    threads: int
    rounds: int
    models: dict[str, ModelSpeed]

    def as_json(self) -> dict[str, Any]:
        """Return all figures as dictionaries and lists."""
        return asdict(self)


def compare_speed(
    models: Sequence[str | None],
    *,
    num_threads: int,
    settings: SpeedSettings = _DEFAULTS,
    progress: Progress = no_progress,
) -> SpeedComparison:
    """Return the speed of several models.

    Args:
        models: Folders or hub ids; None for the student that comes with the package.
        num_threads: The number of threads of each model.
        settings: The texts, the labels and the number of repetitions.
        progress: Told before each step how many steps are done; its note names the next one.

    Raises:
        DistillError: A model does not exist or does not load.
    """
    names = {model or BUNDLED_NAME: model for model in models}
    readers = {
        name: inference_of(load_model(model, num_threads=num_threads))
        for name, model in names.items()
    }
    words, labels = sample_words()
    n_steps = len(settings.text_words) * len(settings.label_counts) + 1 + len(names)
    steps = count()

    def report(note: str) -> None:
        progress("measuring", next(steps), n_steps, note)

    rates = _measure_cases(readers, words, labels, settings, report)
    report("one text at a time")
    short_texts = make_texts(words, 25, settings.total_words)[: settings.latency_texts]
    latencies = {
        name: measure_latency(read, short_texts, labels[:5]) for name, read in readers.items()
    }
    speeds = {}
    for name, model in names.items():
        report(f"first answer of {name}")
        start = measure_start(model, num_threads=num_threads, n_starts=settings.n_starts)
        speeds[name] = ModelSpeed(rates[name], *latencies[name], **asdict(start))
    return SpeedComparison(describe_machine(), num_threads, settings.rounds, speeds)


def _measure_cases(
    readers: Mapping[str, Inference],
    words: Sequence[str],
    labels: list[str],
    settings: SpeedSettings,
    report: Callable[[str], None],
) -> dict[str, list[CaseRate]]:
    """Return the words per second of each model in each case."""
    rates: dict[str, list[CaseRate]] = {name: [] for name in readers}
    for text_words, n_labels in product(settings.text_words, settings.label_counts):
        report(f"texts of {text_words} words, {n_labels} labels")
        by_model = measure_rates(
            readers,
            make_texts(words, text_words, settings.total_words),
            labels[:n_labels],
            rounds=settings.rounds,
            slow_seconds=settings.slow_seconds,
        )
        for name, rounds in by_model.items():
            case = CaseRate(text_words, n_labels, median(rounds), min(rounds), max(rounds))
            rates[name].append(case)
    return rates


def measure_rates(
    readers: Mapping[str, Inference],
    texts: list[str],
    labels: list[str],
    *,
    rounds: int,
    slow_seconds: float = _DEFAULTS.slow_seconds,
) -> dict[str, list[float]]:
    """Return the words per second of each model in each round.

    Args:
        readers: The `inference` of each model, by the model's name.
        texts: The texts to read.
        labels: The labels asked of each text.
        rounds: How often each model reads them.
        slow_seconds: A slow model gets fewer texts: as many as it reads in about this time, judged
            by its warm-up, and at least four.
    """
    n_texts = {
        name: _texts_in_time(read, texts, labels, slow_seconds) for name, read in readers.items()
    }
    rates: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(rounds):
        for name, read in readers.items():
            chosen = texts[: n_texts[name]]
            started = time.perf_counter()
            read(chosen, labels)
            seconds = time.perf_counter() - started
            rates[name].append(sum(text.count(" ") + 1 for text in chosen) / seconds)
    return rates


def measure_latency(read: Inference, texts: list[str], labels: list[str]) -> tuple[float, float]:
    """Return the median and the 95th percentile of the milliseconds that one text takes.

    Args:
        read: The `inference` of a model.
        texts: At least two texts, which are read one at a time.
        labels: The labels asked of each text.
    """
    read(texts[:1], labels)
    taken = []
    for text in texts:
        started = time.perf_counter()
        read([text], labels)
        taken.append(1000 * (time.perf_counter() - started))
    return median(taken), quantiles(taken, n=20)[-1]


def make_texts(
    words: Sequence[str], n_words: int, total_words: int = _DEFAULTS.total_words
) -> list[str]:
    """Return texts of exactly `n_words` words each, cut one after the other from a list of words.

    >>> make_texts(["a", "b", "c", "d", "e"], 2, total_words=100)
    ['a b', 'c d']
    """
    n_texts = min(len(words), total_words) // n_words
    return [" ".join(words[row * n_words : (row + 1) * n_words]) for row in range(n_texts)]


def sample_words() -> tuple[list[str], list[str]]:
    """Return the words of the sample's training split and its labels, the most frequent first."""
    passages = list(read_passages(str(sample_path("train"))))
    counts = Counter(label for passage in passages for label in passage.own_labels)
    words = [word for passage in passages for word in passage.words]
    return words, [label for label, _ in counts.most_common()]


def describe_speed(comparison: SpeedComparison) -> Iterator[str]:
    """Yield the lines of a Markdown table of the figures, below a line about the machine."""
    yield (
        f"{comparison.machine}; {_count(comparison.threads, 'thread')}; "
        f"median of {_count(comparison.rounds, 'round')} (lowest–highest)"
    )
    yield ""
    yield "| | " + " | ".join(comparison.models) + " |"
    yield "|---|" + "---:|" * len(comparison.models)
    models = list(comparison.models.values())
    for rates in zip(*(model.rates for model in models), strict=True):
        cells = [
            f"{rate.words_per_second:,.0f} ({rate.lowest:,.0f}–{rate.highest:,.0f})"
            for rate in rates
        ]
        case = f"words/s, texts of {rates[0].text_words} words, {rates[0].n_labels} labels"
        yield f"| {case} | " + " | ".join(cells) + " |"
    sources = {model.memory_source for model in models} - {"VmHWM"}
    memory = "peak memory, MB" + "".join(f" ({source})" for source in sorted(sources))
    for title, cells in (
        (
            "25 words, 5 labels, one at a time: p50, ms",
            [f"{model.p50_ms:.2f}" for model in models],
        ),
        ("the same, p95, ms", [f"{model.p95_ms:.2f}" for model in models]),
        ("process start to first answer, s", [f"{model.seconds:.2f}" for model in models]),
        (memory, [f"{model.memory_mb:.0f}" for model in models]),
    ):
        yield f"| {title} | " + " | ".join(cells) + " |"


def describe_machine() -> str:
    """Return the processor, the number of processors that this process may use, and the system."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
        models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        name = next(models, name)
    return f"{name}, {_count(count_processors(), 'processor')}, {platform.system()}"


def _count(number: int, noun: str) -> str:
    """Return a number and its noun, in the plural unless the number is 1."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _texts_in_time(read: Inference, texts: list[str], labels: list[str], seconds: float) -> int:
    """Return how many of the texts a model reads in some seconds, after warming it up."""
    read(texts[:_WARM_UP_TEXTS], labels)  # fills the caches, such as that of the label vectors
    probed = texts[:_PROBED_TEXTS]
    started = time.perf_counter()
    read(probed, labels)
    taken = time.perf_counter() - started
    n_texts = max(_WARM_UP_TEXTS, min(len(texts), int(len(probed) * seconds / max(taken, 1e-6))))
    if n_texts == len(texts):
        read(texts, labels)  # the model is fast enough to be warmed up on all of them
    return n_texts
