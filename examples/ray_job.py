"""Count entities with Ray Data: `python examples/ray_job.py TEXTS OUT`.

TEXTS is a file or a folder of text files with one document per line. Each worker loads one student
and finds entities in batches of documents. OUT gets Parquet files with one row per document and
label, which holds the number of entities. Start from here if `gliner-distill predict --ray` does
not do what you need. To run it on a cluster, install this package on every machine, and use
`ray job submit`.
"""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import ray

from gliner_distill import StudentNER

MODEL = None  # the bundled student; or the folder or the hub id of another one
LABELS = ["person", "city", "date"]
N_WORKERS = 1  # leave a core for the tasks that read and write, or they wait forever


class EntityCounter:
    """A worker: it loads its student once, and then counts entities in batches."""

    def __init__(self) -> None:
        # One thread per worker, because Ray starts one worker per core.
        self._student = StudentNER.from_pretrained(MODEL, num_threads=1)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[str] | list[int]]:
        """Return one row per document and label that was found in it."""
        texts = [str(text) for text in batch["text"]]
        rows = [
            (text, label, n_entities)
            for text, entities in zip(texts, self._student.inference(texts, LABELS), strict=True)
            for label, n_entities in Counter(entity["label"] for entity in entities).items()
        ]
        return {
            "text": [row[0] for row in rows],
            "label": [row[1] for row in rows],
            "n_entities": [row[2] for row in rows],
        }


def main(source: str, out: str) -> None:
    """Count the entities in all documents, and print a sum per label."""
    documents = ray.data.read_text(source)
    counts = documents.map_batches(
        EntityCounter, batch_size=512, compute=ray.data.ActorPoolStrategy(size=N_WORKERS)
    )
    counts.write_parquet(str(Path(out).resolve()))
    totals = Counter[str]()
    for row in ray.data.read_parquet(out).iter_rows():
        totals[row["label"]] += row["n_entities"]
    for label, n_entities in totals.most_common():
        print(label, n_entities)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python ray_job.py TEXTS OUT")
    if Path(sys.argv[2]).exists():
        sys.exit(f"{sys.argv[2]}: it exists; name a new folder, since Ray adds files to an old one")
    main(*sys.argv[1:])
