"""Measure how fast training reads a store: `python benchmarks/store_reading.py [STORE]`.

The store is the training split of the sample by default. The reading is measured in three stages,
each of which includes the one before it, in one thread: passages with their probabilities; examples
(words as pieces, with targets); and padded batches of 8, as the training loop takes them. Random
access is measured for the scores of one passage and for one whole passage. The output is Markdown
with the medians of the rounds.
"""

import argparse
import random
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from gliner_distill.corpus.reader import sample_path
from gliner_distill.runtime.heads import SOFTMAX
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.store.subword_vectors import VECTORS_FILE
from gliner_distill.student.heads import torch_head
from gliner_distill.student.initialization import load_or_train_vocabulary
from gliner_distill.training.data import collate_examples, make_example

BATCH = 8
LOOKS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    sample = sample_path("train").parent
    parser.add_argument("store", nargs="?", type=Path, default=sample / "soft_labels" / "train")
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds per stage")
    given = parser.parse_args()
    store = SoftLabelStore(given.store)
    has_vectors = (given.store / VECTORS_FILE).exists()
    vectors = given.store if has_vectors else sample / "subword_vectors"
    vocabulary, _ = load_or_train_vocabulary(vectors, list(store))

    head = torch_head(SOFTMAX)

    def read() -> None:
        for _ in store:
            pass

    def make_examples() -> None:
        for item in store:
            make_example(item, vocabulary)

    def make_batches() -> None:
        batch = []
        for item in store:
            batch.append(make_example(item, vocabulary))
            if len(batch) == BATCH:
                collate_examples(batch, vocabulary, head)
                batch.clear()

    n_words = store.manifest.n_words
    print(f"{given.store.name}: {len(store):,} passages, {n_words:,} words\n")
    print("| | words/s |\n|---|---:|")
    for name, stage in (("passages", read), ("examples", make_examples), ("batches", make_batches)):
        print(f"| {name} | {n_words / time_median(stage, given.rounds):,.0f} |")

    rng = random.Random(0)
    positions = [rng.randrange(len(store)) for _ in range(LOOKS)]

    def look_at_scores() -> None:
        for position in positions:
            store.read_scores(position)

    def look_at_passages() -> None:
        for position in positions:
            _ = store[position]

    print("\n| random access | ms |\n|---|---:|")
    for name, look in (("scores", look_at_scores), ("passage", look_at_passages)):
        print(f"| {name} | {1000 * time_median(look, given.rounds) / LOOKS:.2f} |")


def time_median(work: Callable[[], None], n_rounds: int) -> float:
    times = []
    for _ in range(n_rounds + 1):  # the first one warms up
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return median(times[1:])


if __name__ == "__main__":
    main()
