"""The soft-label store: a teacher's probabilities, kept in Parquet shards with a manifest.

A store is a folder: `manifest.json` (format version, teacher, corpus, label policy, quantization,
and the shards with their hashes) and `data/shard-000000.parquet` and so on. A shard is first
written under a temporary name and then renamed; after that the manifest is replaced in the same
way. A run that is killed therefore leaves a store that is intact up to its last shards. This module
does not run a teacher and does not train.
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
from gliner_distill.store.hub import fetch_store, push_store
from gliner_distill.store.manifest import Shard, read_manifest
from gliner_distill.store.quantization import Quantizer
from gliner_distill.store.shards import (
    UNREADABLE,
    check_shard,
    decode_shard,
    open_shard,
    read_origin,
    read_row,
    read_scores,
)
from gliner_distill.store.stored_files import locate_stored


class SoftLabelStore:
    """A finished store that is read passage by passage: in order, or one by its position.

    `for item in store` reads all passages in the order of the corpus, and `store[position]` reads
    one.

    Attributes:
        folder: The store's folder.
        manifest: The record of what the store holds.

    Raises:
        StoreError: The folder is not a store, or its labeling was not finished.
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
        """Return a store that was pushed to the hub, from the hub or its local cache.

        Raises:
            HubError: The hub and its cache cannot provide it.
            StoreError: The data set is not a finished store.
        """
        return cls(fetch_store(repo_id))

    def push_to_hub(self, repo_id: str, *, private: bool = False) -> str:
        """Upload the store as a hub data set and return its URL.

        The data set is created if it does not exist. A data set card is written beside the shards,
        so that `datasets.load_dataset(repo_id)` opens them.

        Args:
            repo_id: The data set, as owner/name.
            private: Whether a new data set is visible only to its owner.

        Raises:
            HubError: The hub cannot be reached, or refuses the upload.
            StoreError: The card cannot be written.
        """
        return push_store(self.folder, self.manifest, repo_id, private=private)

    def __len__(self) -> int:
        return self.manifest.n_passages

    def __iter__(self) -> Iterator[LabeledPassage]:
        for shard in self.manifest.shards:
            yield from read_shard(self.folder, shard, self.manifest.quantizer)

    def __getitem__(self, position: int) -> LabeledPassage:
        """Return one passage; only the shard that holds it is read.

        Raises:
            IndexError: The position is out of range.
            StoreError: The shard is missing or broken.
        """
        shard, row = self._locate(position)
        with naming_shard(self.folder / shard.file):
            return read_row(self._open(shard), row, self.manifest.quantizer)

    def read_scores(self, position: int) -> NDArray[np.float32]:
        """Return the probabilities of one passage, shape `(words, labels, 3)`, without its words.

        Raises:
            IndexError: The position is out of range.
            StoreError: The shard is missing or broken.
        """
        shard, row = self._locate(position)
        with naming_shard(self.folder / shard.file):
            return read_scores(self._open(shard), row, self.manifest.quantizer)

    @property
    def size_bytes(self) -> int:
        """The size of all shards together."""
        return sum(shard.n_bytes for shard in self.manifest.shards)

    def _locate(self, position: int) -> tuple[Shard, int]:
        """Return the shard that holds a passage, and the passage's row in it."""
        if not -len(self) <= position < len(self):
            raise IndexError(
                f"{self.folder}: passage {position} is out of range; the store has {len(self)} "
                f"passages"
            )
        position %= len(self)
        # The ends are cumulative counts, so the first larger one belongs to the shard of the
        # passage.
        number = bisect_right(self._ends, position)
        shard = self.manifest.shards[number]
        return shard, position - (self._ends[number] - shard.n_passages)

    def _open(self, shard: Shard) -> pq.ParquetFile:
        """Return a shard's open file; the last one stays open for the next passage."""
        if self._opened is None or self._opened[0] != shard:
            content = locate_stored(self.folder, shard.file).read_bytes()
            check_shard(content)
            opened = open_shard(pa.py_buffer(content))
            origin = read_origin(opened)
            # A single passage is checked by the metadata and the checksums of its pages.
            identity = origin and (origin.store, origin.index, opened.metadata.num_rows)
            if identity != (self.manifest.origin, shard.index, shard.n_passages):
                raise ValueError("the file holds another shard")
            self._opened = shard, opened
        return self._opened[1]


def read_shard(folder: Path, shard: Shard, quantizer: Quantizer) -> Iterator[LabeledPassage]:
    """Yield the passages of one shard after checking its content against its hash.

    Raises:
        StoreError: The file is missing, or has changed since it was written.
    """
    path = folder / shard.file
    with naming_shard(path):
        # The file is read at once, so that the bytes that are hashed are the bytes that are
        # decoded.
        content = locate_stored(folder, shard.file).read_bytes()
    if hashlib.sha256(content).hexdigest() != shard.sha256:
        raise StoreError(
            f"{path}: has changed since it was written (its SHA-256 differs); `inspect --verify` "
            f"lists everything that is broken, `label --repair` labels it again"
        )
    with naming_shard(path):
        yield from decode_shard(content, quantizer, shard.n_passages)


@contextmanager
def naming_shard(path: Path) -> Iterator[None]:
    """Turn errors while reading a shard into a StoreError that names the file."""
    try:
        yield
    except FileNotFoundError as error:
        raise StoreError(
            f"{path}: is missing, though the manifest lists it; `label --repair` labels it again"
        ) from error
    except MemoryError:  # pyarrow's is also an ArrowException, but the file is not to blame
        raise
    except UNREADABLE as error:
        raise StoreError(
            f"{path}: cannot be read: {reason_of(error)}; `label --repair` labels it again"
        ) from error
