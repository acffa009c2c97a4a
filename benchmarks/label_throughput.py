"""Measure labeling against the bare teacher: `python benchmarks/label_throughput.py TEACHER`.

Rate: `label_corpus` (reading, choosing labels, batching, scoring, encoding and writing a new store
each time) is compared with the teacher's forward pass alone on the same batches, which are collated
before the measurement. The forward pass runs on all cores in two ways: batch after batch with all
of torch's threads (the usual way), and several batches at once with one core each (as
`GLiNERTeacher` does it). The three take turns, and the result is the median of the rounds.

Memory: the peak resident memory of a process that labels 1,000 passages and of one that labels
20,000. The passages repeat, and are cut to --words words.

The rest: the words per second, on one core, of all work other than scoring: counting the corpus,
cutting it into jobs with their labels, and encoding and compressing a shard. These rates determine
how many workers one process can supply.

The output is Markdown; OUT gets the results as JSON. The corpus is the training split of the
sample. --device cuda measures a GPU.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import torch

from gliner_distill.corpus.reader import CorpusFile, sample_path
from gliner_distill.corpus.statistics import scan_corpus
from gliner_distill.entities import Passage
from gliner_distill.evaluation.startup import peak_memory_mb
from gliner_distill.files import write_json
from gliner_distill.labeling.jobs import ShardJob, ShardLimits, shard_jobs
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.labeling.policy import LabelPolicy, LabelSampler
from gliner_distill.store.quantization import COMPACT
from gliner_distill.store.shards import ShardOrigin, pack_shard
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.teacher.threads import map_in_threads

POLICY = LabelPolicy(negatives=8)
COUNTS = (1_000, 20_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("teacher")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--passages", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--words", type=int, default=30, help="words per passage, for the memory")
    parser.add_argument("--out", type=Path, default=Path("label_throughput.json"))
    parser.add_argument("--rates-only", action="store_true", help="do not measure memory")
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.memory_of:
        print(json.dumps(measure_memory_here(given.teacher, given.memory_of, given.words)))
        return
    results = measure_rates(given.teacher, given.device, given.passages, given.rounds)
    results["rest"] = measure_rest(given.rounds)
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
    for _ in range(n_rounds + 1):  # the first one warms up
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            if device != "cpu":
                # A GPU works on after the call returns, so the clock has to wait for it.
                torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - started)
    n_words = sum(len(passage.words) for passage in passages)
    rates = {name: n_passages / median(times[1:]) for name, times in seconds.items()}
    return {
        "device": device if device == "cpu" else torch.cuda.get_device_name(),
        "passages": n_passages,
        "words": n_words,
        "seconds": {
            name: [round(time_s, 3) for time_s in times[1:]] for name, times in seconds.items()
        },
        "passages_per_second": rates,
        "words_per_second": {name: rate * n_words / n_passages for name, rate in rates.items()},
        "share_of_forward": rates["label"] / max(rates["forward"], rates["forward, parallel"]),
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
    def label() -> None:
        with tempfile.TemporaryDirectory() as folder:
            label_corpus(passages, teacher, folder, policy=POLICY, keep_subword_vectors=False)

    return {"forward": forward, "forward, parallel": forward_parallel, "label": label}


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
    print("| | passages/s | words/s |\n|---|---:|---:|")
    for name, rate in results["passages_per_second"].items():
        print(f"| {name} | {rate:.1f} | {results['words_per_second'][name]:,.0f} |")
    print(f"\nlabel / the faster forward: {results['share_of_forward']:.1%}")
    for name, rate in results["rest"].items():
        print(f"{name}: {rate:,.0f} words/s on one core")
    for row in results["memory"]:
        print(f"{row['passages']:,} passages, {row['words']:,} words: {row['peak_mb']:,.0f} MB")


if __name__ == "__main__":
    main()
