"""The soft-label store: what a teacher said, kept in Parquet shards and a manifest.

A store is a folder: `manifest.json` (format version, teacher, corpus, label policy, code of the
scores, shards with their hashes) and `data/shard-000000.parquet`, .... Shards are written to a
temporary name and renamed, then the manifest is; so a killed run leaves a store that is whole up to
its last shards. This module neither asks a teacher nor trains.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gliner_distill.entities import LabeledPassage
from gliner_distill.errors import StoreError
from gliner_distill.files import reason_of
from gliner_distill.hub import download_store, upload_store
from gliner_distill.store.manifest import (
    DATA_FOLDER,
    MANIFEST,
    Manifest,
    Shard,
    read_manifest,
    write_stored_file,
)
from gliner_distill.store.quantization import Quantizer
from gliner_distill.store.shards import decode_shard, open_shard, read_origin, read_row, read_scores

HUB_FILES = (MANIFEST, f"{DATA_FOLDER}/*.parquet", "*.safetensors", "tokenizer.json", "README.md")
"""What of a store goes to the hub and comes back."""


class SoftLabelStore:
    """A finished store, read passage by passage: in order by `iter`, one by its number by `[]`.

    Raises:
        StoreError: The folder is no store, or its labeling was not finished.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.manifest = read_manifest(self.folder)
        if not self.manifest.is_complete:
            raise StoreError(
                f"{self.folder}: {self.manifest.n_labeled} of {self.manifest.n_passages} "
                f"passages are labeled; run the same label command again to finish it"
            )
        self._ends = list(accumulate(shard.n_passages for shard in self.manifest.shards))
        self._opened: tuple[Shard, pq.ParquetFile] | None = None

    @classmethod
    def from_hub(cls, repo_id: str) -> "SoftLabelStore":
        """Return a store that was pushed to the hub, from there or from the hub's cache.

        Raises:
            HubError: It cannot be had.
            StoreError: What came is no finished store.
        """
        return cls(download_store(repo_id, HUB_FILES))

    def push_to_hub(self, repo_id: str, *, private: bool = False) -> str:
        """Upload the store as a hub data set, which is made where there is none; return its URL.

        A data set card is written beside the shards, so that `datasets.load_dataset(repo_id)`
        opens them.

        Raises:
            HubError: The hub refuses.
            StoreError: The card cannot be written.
        """
        write_stored_file(self.folder, "README.md", _data_set_card(self.manifest).encode())
        return upload_store(self.folder, repo_id, HUB_FILES, private=private)

    def __len__(self) -> int:
        return self.manifest.n_passages

    def __iter__(self) -> Iterator[LabeledPassage]:
        for shard in self.manifest.shards:
            yield from read_shard(self.folder, shard, self.manifest.quantizer)

    def __getitem__(self, position: int) -> LabeledPassage:
        """Return one passage; of the shards, only its own is read.

        Raises:
            IndexError: There is no such passage.
            StoreError: The shard is missing or broken.
        """
        shard, row = self._locate(position)
        with _naming(self.folder / shard.file):
            return read_row(self._open(shard), row, self.manifest.quantizer)

    def read_scores(self, position: int) -> NDArray[np.float32]:
        """Return one passage's probabilities, shape `(words, labels, 3)`, without its words.

        Raises:
            IndexError: There is no such passage.
            StoreError: The shard is missing or broken.
        """
        shard, row = self._locate(position)
        with _naming(self.folder / shard.file):
            return read_scores(self._open(shard), row, self.manifest.quantizer)

    @property
    def size_bytes(self) -> int:
        """Size of all shards."""
        return sum(shard.n_bytes for shard in self.manifest.shards)

    def _locate(self, position: int) -> tuple[Shard, int]:
        if not -len(self) <= position < len(self):
            raise IndexError(f"passage {position}, but {self.folder} has {len(self)}")
        position %= len(self)
        number = bisect_right(self._ends, position)
        shard = self.manifest.shards[number]
        return shard, position - (self._ends[number] - shard.n_passages)

    def _open(self, shard: Shard) -> pq.ParquetFile:
        if self._opened is None or self._opened[0] != shard:
            opened = open_shard(self.folder / shard.file)
            origin = read_origin(opened)
            found = origin and (origin.store, origin.index, opened.metadata.num_rows)
            if found != (self.manifest.origin, shard.index, shard.n_passages):
                raise ValueError("it is another shard than was written there")
            self._opened = shard, opened
        return self._opened[1]


def read_shard(folder: Path, shard: Shard, quantizer: Quantizer) -> Iterator[LabeledPassage]:
    """Read one shard, checking its content against its hash.

    Raises:
        StoreError: The file is missing, or is not what was written.
    """
    path = folder / shard.file
    with _naming(path):
        content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != shard.sha256:
        raise StoreError(
            f"{path}: is not what was written (its SHA-256 differs); `inspect --verify` says what "
            f"is broken, `label --repair` labels it again"
        )
    with _naming(path):
        yield from decode_shard(content, quantizer)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn what reading a shard may raise into a StoreError that names the file."""
    try:
        yield
    except FileNotFoundError as error:
        raise StoreError(
            f"{path}: listed in the manifest but not there; `label --repair` labels it again"
        ) from error
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise StoreError(f"{path}: cannot be read: {reason_of(error)}") from error


def _data_set_card(manifest: Manifest) -> str:
    n_pairs = sum(shard.n_pairs for shard in manifest.shards)
    return f"""---
configs:
- config_name: default
  data_files: "{DATA_FOLDER}/*.parquet"
tags:
- gliner-distill
- soft-labels
- token-classification
---
# Soft labels of {manifest.teacher}

{manifest.n_passages:,} passages, {manifest.n_words:,} words, {n_pairs:,} (word, label) pairs,
scored by `{manifest.teacher}` ({manifest.teacher_fingerprint[:12]}) and kept by gliner-distill,
format version {manifest.format_version}, score code `{manifest.quantization}`.

```python
from gliner_distill import SoftLabelStore

for item in SoftLabelStore.from_hub("OWNER/NAME"):
    print(item.labels, item.probs.shape)  # (words, labels, 3): start, end, inside
```
"""
