"""How fast models read, side by side: text in, entities out.

In: models, by path or hub id. Out: words a second for texts of several lengths and label lists of
several sizes, milliseconds for one short text, and, in processes of their own, the time to the
first answer and memory. Models take turns in each round, so that all share the machine's noise.
Text and labels are the sample's.
"""

import platform
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from gliner_distill.callbacks import Progress, no_progress
from gliner_distill.corpus.reader import read_passages, sample_path
from gliner_distill.errors import StudentError
from gliner_distill.runtime.locate import find_student
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.runtime.scorer import count_processors

Reader = Callable[[list[str], list[str]], Sequence[Any]]
"""Texts and labels in, the entities of each text out."""


TEXT_WORDS = (25, 100, 400)


LABEL_COUNTS = (5, 50)


_WORDS = 12_000


_SECONDS = 2.0


_LATENCY_TEXTS = 100


_RUNS = 3


@dataclass(frozen=True, slots=True)
class Case:
    """Texts of one length with a number of labels."""

    text_words: int
    n_labels: int


def open_reader(model: str | None, *, num_threads: int) -> Reader:
    """Return what reads texts with a student, or with a GLiNER through its own library.

    Raises:
        DistillError: There is no such model, or it is broken.
    """
    path = Path(str(model))
    if model is None or find_student(model) is not None or not path.is_dir():
        student = StudentNER.from_pretrained(model, num_threads=num_threads)
        return lambda texts, labels: list(student.inference(texts, labels))
    if not (path / "gliner_config.json").is_file():
        raise StudentError(f"{model}: neither a student nor a GLiNER (no gliner_config.json in it)")
    import torch

    from gliner_distill.teacher.gliner import GLiNERTeacher

    torch.set_num_threads(num_threads)
    gliner = GLiNERTeacher.from_pretrained(str(model)).model
    return lambda texts, labels: list(gliner.inference(texts, labels))


def make_texts(words: Sequence[str], n_words: int, total_words: int = _WORDS) -> list[str]:
    """Return texts of exactly so many words, one after the other out of a list of words.

    >>> make_texts(["a", "b", "c", "d", "e"], 2, total_words=100)
    ['a b', 'c d']
    """
    n_texts = min(len(words), total_words) // n_words
    return [" ".join(words[row * n_words : (row + 1) * n_words]) for row in range(n_texts)]


def sample_words() -> tuple[list[str], list[str]]:
    """Return the words of the sample's training part and its labels, the most frequent first."""
    passages = list(read_passages(str(sample_path("train"))))
    counts = Counter(label for passage in passages for label in passage.own_labels)
    words = [word for passage in passages for word in passage.words]
    return words, [label for label, _ in counts.most_common()]


def measure_rates(
    readers: Mapping[str, Reader], texts: list[str], labels: list[str], *, rounds: int
) -> dict[str, list[float]]:
    """Return each reader's words a second in each round.

    A slow reader gets fewer of the texts: as many as it reads in about two seconds, as its warm-up
    tells, and at least four.
    """
    share = {name: _texts_in_time(read, texts, labels) for name, read in readers.items()}
    rates: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(rounds):
        for name, read in readers.items():
            part = texts[: share[name]]
            started = time.perf_counter()
            read(part, labels)
            seconds = time.perf_counter() - started
            rates[name].append(sum(text.count(" ") + 1 for text in part) / seconds)
    return rates


def _texts_in_time(read: Reader, texts: list[str], labels: list[str]) -> int:
    read(texts[:4], labels)  # what is computed once is computed here
    first = texts[: min(16, len(texts))]
    started = time.perf_counter()
    read(first, labels)
    seconds = time.perf_counter() - started
    n_texts = max(4, min(len(texts), int(len(first) * _SECONDS / max(seconds, 1e-6))))
    if n_texts == len(texts):
        read(texts, labels)  # quick enough for a warm-up on all of them
    return n_texts


def measure_latency(read: Reader, texts: list[str], labels: list[str]) -> tuple[float, float]:
    """Return the median and the 95th percentile of the milliseconds that one text takes."""
    read(texts[:1], labels)
    taken = []
    for text in texts[:_LATENCY_TEXTS]:
        started = time.perf_counter()
        read([text], labels)
        taken.append(1000 * (time.perf_counter() - started))
    return median(taken), quantiles(taken, n=20)[-1]


def measure_start(model: str | None, *, num_threads: int) -> dict[str, float]:
    """Return `seconds`, from the start of a process to its first answer, and `memory_mb`, its peak.

    The median of three processes.

    Raises:
        StudentError: The process fails.
    """
    command = [sys.executable, "-m", "gliner_distill.evaluation.speed", str(num_threads)]
    seconds, memory = [], []
    for _ in range(_RUNS):
        started = time.perf_counter()
        done = subprocess.run(
            [*command, *([model] if model is not None else [])],
            capture_output=True,
            text=True,
            check=False,
        )
        seconds.append(time.perf_counter() - started)
        if done.returncode:
            raise StudentError(f"{model}: does not start: {done.stderr.strip().splitlines()[-1:]}")
        memory.append(float(done.stdout))
    return {"seconds": median(seconds), "memory_mb": median(memory)}


def compare_speed(
    models: Sequence[str | None],
    *,
    num_threads: int,
    rounds: int,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Return every figure of several models: see `describe_speed`.

    Args:
        models: Folders or hub ids; None for the student that comes with the package.
        num_threads: Of each model.
        rounds: How often each case is timed.
        progress: Told before each step how many are done; its note says what comes.

    Raises:
        DistillError: A model cannot be had.
    """
    names = {model or "bundled student": model for model in models}
    readers = {name: open_reader(model, num_threads=num_threads) for name, model in names.items()}
    words, labels = sample_words()
    cases = [Case(n_words, n_labels) for n_words in TEXT_WORDS for n_labels in LABEL_COUNTS]
    figures: dict[str, Any] = {name: {"rates": []} for name in names}
    n_steps = len(cases) + 1 + len(names)
    for step, case in enumerate(cases):
        progress(
            "measuring", step, n_steps, f"texts of {case.text_words} words, {case.n_labels} labels"
        )
        texts = make_texts(words, case.text_words)
        rates = measure_rates(readers, texts, labels[: case.n_labels], rounds=rounds)
        for name, of_rounds in rates.items():
            figures[name]["rates"].append(
                {
                    "text_words": case.text_words,
                    "n_labels": case.n_labels,
                    "words_per_second": median(of_rounds),
                    "lowest": min(of_rounds),
                    "highest": max(of_rounds),
                }
            )
    progress("measuring", len(cases), n_steps, "one text at a time")
    for name, read in readers.items():
        p50, p95 = measure_latency(read, make_texts(words, 25), labels[:5])
        figures[name] |= {"p50_ms": p50, "p95_ms": p95}
    for step, (name, model) in enumerate(names.items(), start=len(cases) + 1):
        progress("measuring", step, n_steps, f"first answer of {name}")
        figures[name] |= measure_start(model, num_threads=num_threads)
    return {"machine": describe_machine(), "threads": num_threads, "rounds": rounds} | {
        "models": figures
    }


def describe_speed(figures: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a Markdown table of what `compare_speed` returned."""
    machine, threads, rounds = figures["machine"], figures["threads"], figures["rounds"]
    yield f"{machine}; {threads} threads; median of {rounds} rounds (lowest–highest)"
    yield ""
    names = list(figures["models"])
    yield "| | " + " | ".join(names) + " |"
    yield "|---|" + "---:|" * len(names)
    models = [figures["models"][name] for name in names]
    for rows in zip(*(model["rates"] for model in models), strict=True):
        cells = [
            f"{row['words_per_second']:,.0f} ({row['lowest']:,.0f}–{row['highest']:,.0f})"
            for row in rows
        ]
        case = f"words/s, texts of {rows[0]['text_words']} words, {rows[0]['n_labels']} labels"
        yield f"| {case} | " + " | ".join(cells) + " |"
    for title, key, form in (
        ("25 words, 5 labels, one at a time: p50, ms", "p50_ms", "{:.2f}"),
        ("the same, p95, ms", "p95_ms", "{:.2f}"),
        ("process start to first answer, s", "seconds", "{:.2f}"),
        ("peak memory, MB", "memory_mb", "{:.0f}"),
    ):
        yield f"| {title} | " + " | ".join(form.format(model[key]) for model in models) + " |"


def describe_machine() -> str:
    """Return processor, number of processors that this process may use, and system."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
        models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        name = next(models, name)
    return f"{name}, {count_processors()} processors, {platform.system()}"


def _answer_once(arguments: Sequence[str]) -> None:
    """Read one text with a model in this process, and print its peak memory in MB."""
    import resource  # not on every system

    num_threads, *model = arguments
    read = open_reader(model[0] if model else None, num_threads=int(num_threads))
    read(["Marie Curie was born in Warsaw in 1867."], ["person", "city", "year"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(peak / (1e6 if sys.platform == "darwin" else 1024))


if __name__ == "__main__":
    _answer_once(sys.argv[1:])
