"""Measure labeling against the bare teacher: `python benchmarks/label_throughput.py TEACHER`.

Rate: `label_corpus` (reading, choosing labels, batching, scoring, encoding and writing a new store
each time) is compared with the teacher's forward pass alone on the same batches, which are collated
before the measurement. The forward pass runs on all cores in two ways: batch after batch with all
of torch's threads (the usual way), and several batches at once with one core each (as
`GLiNERTeacher` does it). Labeling runs in single precision, in the faster precision that
`label_corpus` chooses, with the comparison on the first passages that it makes in each process, and
once more after this comparison. All take turns, and the result is the median of the rounds.

Memory: the peak resident memory of a process that labels 1,000 passages and of one that labels
20,000. The passages repeat, and are cut to --words words.

The rest: the words per second, on one core, of all work other than scoring: counting the corpus,
cutting it into jobs with their labels, and encoding and compressing a shard. These rates determine
how many workers one process can supply.

Students (--students N): N pairs of small students, each pair with one seed, learn from the answers
in both precisions, and are compared on the test passages of the sample, against gold and against
the answers in single precision.

The output is Markdown; OUT gets the results as JSON. The corpus is the training split of the
sample. --device cuda measures a GPU.
"""

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import torch

from gliner_distill.corpus.reader import CorpusFile, sample_path
from gliner_distill.corpus.statistics import scan_corpus
from gliner_distill.decoding import decode_entities
from gliner_distill.entities import Passage
from gliner_distill.evaluation.startup import peak_memory_mb
from gliner_distill.files import write_json
from gliner_distill.labeling.jobs import ShardJob, ShardLimits, shard_jobs
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.labeling.policy import LabelPolicy, LabelSampler
from gliner_distill.metrics import score_spans
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.store.quantization import COMPACT
from gliner_distill.store.shards import ShardOrigin, pack_shard
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.teacher.precision import PrecisionCheck
from gliner_distill.teacher.threads import map_in_threads
from gliner_distill.training.run import STUDENT_FOLDER
from gliner_distill.training.settings import TrainingSettings
from gliner_distill.training.train import train

POLICY = LabelPolicy(negatives=8)
STUDENT = StudentConfig(hidden_width=64, embedding_width=64, head="boundary")
COUNTS = (1_000, 20_000)
LABEL, LABEL_CHECKED, LABEL_FP32 = "label", "label, compared before", "label, fp32"

# A comparison that no precision passes, so that the teacher stays in single precision.
REFUSED = PrecisionCheck(0, math.inf, 0.0)
ACCEPTED = PrecisionCheck(0, 0.0, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("teacher")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--passages", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--words", type=int, default=30, help="words per passage, for the memory")
    parser.add_argument("--out", type=Path, default=Path("label_throughput.json"))
    parser.add_argument("--rates-only", action="store_true", help="do not measure memory")
    parser.add_argument("--students", type=int, default=0, metavar="N")
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.memory_of:
        print(json.dumps(measure_memory_here(given.teacher, given.memory_of, given.words)))
        return
    results = measure_rates(given.teacher, given.device, given.passages, given.rounds)
    results["rest"] = measure_rest(given.rounds)
    results["students"] = compare_students(given.teacher, given.passages, given.students)
    counts = () if given.rates_only else COUNTS
    results["memory"] = [measure_memory(given.teacher, n, given.words) for n in counts]
    results["machine"] = f"{platform.machine()}, {os.cpu_count()} cores"
    results["torch"] = f"{torch.__version__}, {torch.get_num_threads()} threads"
    write_json(given.out, results)
    print_table(results)


def measure_rates(source: str, device: str, n_passages: int, n_rounds: int) -> dict[str, Any]:
    teacher = GLiNERTeacher.from_pretrained(source, device=device)
    passages = list(islice(CorpusFile(sample_path("train")), n_passages))
    ways = list_ways(teacher, passages)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    cpu_seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(n_rounds + 1):  # the first one warms up
        for name, way in ways.items():
            started, computed = time.perf_counter(), time.process_time()
            way()
            if device != "cpu":
                # A GPU works on after the call returns, so the clock has to wait for it.
                torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - started)
            cpu_seconds[name].append(time.process_time() - computed)
    n_words = sum(len(passage.words) for passage in passages)
    rates = {name: n_passages / median(times[1:]) for name, times in seconds.items()}
    cpu_rates = {name: n_words / median(times[1:]) for name, times in cpu_seconds.items()}
    return {
        "device": device if device == "cpu" else torch.cuda.get_device_name(),
        "passages": n_passages,
        "words": n_words,
        "seconds": {
            name: [round(time_s, 3) for time_s in times[1:]] for name, times in seconds.items()
        },
        "passages_per_second": rates,
        "words_per_cpu_second": cpu_rates,
        "words_per_second": {name: rate * n_words / n_passages for name, rate in rates.items()},
        "precision": "none"
        if teacher.precision_check is None
        else teacher.precision_check.describe(),
        # Other programs on the machine change the processor time less than the time on the clock.
        "gain": {name: cpu_rates[name] / cpu_rates[LABEL_FP32] for name in (LABEL, LABEL_CHECKED)},
        "share_of_forward": rates[LABEL_FP32] / max(rates["forward"], rates["forward, parallel"]),
    }


def measure_rest(n_rounds: int) -> dict[str, float]:
    corpus = CorpusFile(sample_path("train"))
    scan = scan_corpus(corpus)
    sampler = LabelSampler(POLICY, scan.label_counts)

    def cut() -> list[ShardJob]:
        return list(shard_jobs(corpus, sampler, scan.fingerprint, ShardLimits(), done={}))

    store = SoftLabelStore(sample_path("train").parent / "soft_labels" / "train")
    items = list(store)
    stages: dict[str, Callable[[], object]] = {
        "counting": lambda: scan_corpus(corpus),
        "cutting into jobs": cut,
        "encoding": lambda: pack_shard(items, COMPACT, ShardOrigin("", "", 0)),
    }
    rates = {}
    for name, stage in stages.items():
        times = []
        for _ in range(n_rounds):
            started = time.perf_counter()
            stage()
            times.append(time.perf_counter() - started)
        rates[name] = scan.n_words / median(times)
    return rates


def list_ways(teacher: GLiNERTeacher, passages: list[Passage]) -> dict[str, Callable[[], None]]:
    sampler = LabelSampler(POLICY, scan_corpus(passages).label_counts)
    labels = [sampler.choose(position, passage) for position, passage in enumerate(passages)]
    batches = teacher.collate([passage.words for passage in passages], labels)

    def forward() -> None:
        with torch.inference_mode():
            for batch in batches:
                teacher.model.run_batch(batch)

    def forward_parallel() -> None:
        for _ in map_in_threads(teacher.model.run_batch, batches, n_threads=teacher.n_threads):
            pass

    # Each round writes a new store, since a finished one would not be labeled again.
    def label(check: PrecisionCheck | None) -> None:
        teacher.precision_check = check
        with tempfile.TemporaryDirectory() as folder:
            label_corpus(passages, teacher, folder, policy=POLICY, keep_subword_vectors=False)

    return {
        "forward": forward,
        "forward, parallel": forward_parallel,
        LABEL_FP32: partial(label, REFUSED),
        LABEL_CHECKED: partial(label, ACCEPTED),
        # The last one, so that the comparison can be printed.
        LABEL: partial(label, None),
    }


def compare_students(source: str, n_passages: int, n_seeds: int) -> list[dict[str, Any]]:
    """Train a small student on the answers in each precision, for each seed."""
    teacher = GLiNERTeacher.from_pretrained(source)
    splits = {
        split: list(islice(CorpusFile(sample_path(split)), n_passages))
        for split in ("train", "dev", "test")
    }
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        exact = Path(folder) / "exact"
        for name, check in (("fp32", REFUSED), ("faster", ACCEPTED)):
            teacher.precision_check = check
            stores = Path(folder) / name
            for split, passages in splits.items():
                label_corpus(passages, teacher, stores / split, policy=POLICY)
            exact = stores / "test" if name == "fp32" else exact
            for seed in range(n_seeds):
                settings = TrainingSettings(epochs=8, patience=3, seed=seed)
                run = stores / f"run-{seed}"
                train(stores / "train", run, settings, STUDENT, dev=stores / "dev")
                rows.append({"precision": name, "seed": seed} | measure_student(run, exact))
    return rows


def measure_student(run: Path, test: Path) -> dict[str, float]:
    """Return a student's F1 on a store: against gold, and against the teacher's answers."""
    passages = list(SoftLabelStore(test))
    student = StudentNER.from_pretrained(run / STUDENT_FOLDER)
    labels = [passage.labels for passage in passages]
    found = student.predict_words([passage.words for passage in passages], labels)
    gold = [list(passage.passage.entities) for passage in passages]
    teacher = [decode_entities(passage.probs, passage.labels) for passage in passages]
    return {"gold": score_spans(found, gold).f1, "agreement": score_spans(found, teacher).f1}


def measure_memory(source: str, n_passages: int, n_words: int) -> dict[str, Any]:
    command = [sys.executable, __file__, source, "--memory-of", str(n_passages)]
    ran = subprocess.run(
        [*command, "--words", str(n_words)], check=True, capture_output=True, text=True
    )
    measured: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return measured


class Repeated:
    """The training passages of the sample, cut short and repeated."""

    def __init__(self, n_passages: int, n_words: int) -> None:
        self._n_passages, self._n_words = n_passages, n_words

    def __iter__(self) -> Iterator[Passage]:
        left = self._n_passages
        while left:
            for passage in islice(CorpusFile(sample_path("train")), left):
                left -= 1
                kept = tuple(
                    entity for entity in passage.entities if entity.end_word <= self._n_words
                )
                yield replace(passage, words=passage.words[: self._n_words], entities=kept)


def measure_memory_here(source: str, n_passages: int, n_words: int) -> dict[str, Any]:
    teacher = GLiNERTeacher.from_pretrained(source)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        passages = Repeated(n_passages, n_words)
        store = label_corpus(passages, teacher, folder, policy=POLICY, keep_subword_vectors=False)
    return {
        "passages": n_passages,
        "words": store.manifest.n_words,
        "seconds": round(time.perf_counter() - started, 1),
        "peak_mb": peak_memory_mb()[0],
    }


def print_table(results: dict[str, Any]) -> None:
    print(f"{results['device']}; {results['machine']}; torch {results['torch']}")
    print("| | passages/s | words/s | words per second of processor time |\n|---|---:|---:|---:|")
    for name, rate in results["passages_per_second"].items():
        words, of_cpu = (results[key][name] for key in ("words_per_second", "words_per_cpu_second"))
        print(f"| {name} | {rate:.1f} | {words:,.0f} | {of_cpu:,.0f} |")
    print(f"\nlabel / the faster forward: {results['share_of_forward']:.1%}")
    for name, times in results["gain"].items():
        print(f"{name}: {times:.2f} times the words of 'label, fp32' per second of processor time")
    print(f"comparison of the precisions: {results['precision']}")
    for row in results["students"]:
        print(
            f"student of {row['precision']}, seed {row['seed']}: F1 {100 * row['gold']:.1f} "
            f"against gold, {100 * row['agreement']:.1f} against the teacher in fp32"
        )
    for name, rate in results["rest"].items():
        print(f"{name}: {rate:,.0f} words/s on one core")
    for row in results["memory"]:
        print(f"{row['passages']:,} passages, {row['words']:,} words: {row['peak_mb']:,.0f} MB")


if __name__ == "__main__":
    main()
