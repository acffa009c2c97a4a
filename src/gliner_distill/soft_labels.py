"""The soft-label store: what a teacher said, kept in Parquet shards and a manifest.

A store is a folder: `manifest.json` (format version, teacher, corpus, label policy, code of the
scores, shards with their hashes) and `data/shard-000000.parquet`, .... Shards are written to a
temporary name and renamed, then the manifest is; so a killed run leaves a store that is whole up to
its last shards. This module neither asks a teacher nor trains.
"""

import hashlib
import json
import platform
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import accumulate, takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gliner_distill.errors import StoreError
from gliner_distill.files import replace_file
from gliner_distill.hub import download_store, upload_store
from gliner_distill.score_codes import COMPANDED, SCORE_CODES, ScoreCode
from gliner_distill.shards import (
    LabelledPassage,
    decode_shard,
    open_shard,
    read_origin,
    read_row,
    read_scores,
)

FORMAT_VERSION = 2
MANIFEST = "manifest.json"
DATA_FOLDER = "data"
PART_SUFFIX = ".part"
"""Of a file that is being written; a killed run may leave one behind."""

HUB_FILES = (MANIFEST, f"{DATA_FOLDER}/*.parquet", "*.safetensors", "tokenizer.json", "README.md")
"""What of a store goes to the hub and comes back."""


class FormatVersionError(StoreError):
    """A manifest is of another release's format, or of no store at all."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a store as it was written; `file` is its path below the store's folder."""

    file: str
    n_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Shard(StoredFile):
    """One Parquet file of a store: number `index`, in the order of the corpus."""

    index: int
    n_passages: int
    n_words: int
    n_pairs: int


@dataclass(slots=True)
class Manifest:
    """What a store holds and what it was made from.

    Attributes:
        teacher: The teacher's name.
        teacher_fingerprint: Hash of whatever its scores depend on.
        corpus_fingerprint: Hash of the passages to label.
        label_policy: Which labels were asked, in plain JSON values.
        n_passages: Passages that the finished store holds.
        n_words: Words that the finished store holds.
        score_code: Name of the code of the scores, one of `SCORE_CODES`.
        each_teacher: Names of the teachers that are kept each, beside their mean.
        format_version: Of this layout.
        teacher_facts: What else is known of the teacher, such as its parameters.
        shards: Those written so far, by index.
        other_files: What else belongs to the store.
        seconds: Time spent in the teacher and in writing, over all runs.
        machine: Where the last shard was made.
    """

    teacher: str
    teacher_fingerprint: str
    corpus_fingerprint: str
    label_policy: dict[str, Any]
    n_passages: int
    n_words: int
    score_code: str = COMPANDED.name
    each_teacher: list[str] = field(default_factory=list)
    format_version: int = FORMAT_VERSION
    teacher_facts: dict[str, Any] = field(default_factory=dict)
    shards: list[Shard] = field(default_factory=list)
    other_files: list[StoredFile] = field(default_factory=list)
    seconds: float = 0.0
    machine: str = field(default_factory=platform.machine)

    @property
    def n_labelled(self) -> int:
        """Passages labelled so far."""
        return sum(shard.n_passages for shard in self.shards)

    @property
    def is_complete(self) -> bool:
        """Whether every passage has been labelled."""
        return self.n_labelled == self.n_passages

    @property
    def code(self) -> ScoreCode:
        """The code of the scores."""
        return SCORE_CODES[self.score_code]

    @property
    def origin(self) -> str:
        """Hash of all that decides what the shards hold; each shard's metadata repeat it."""
        inputs = [
            self.teacher_fingerprint,
            self.corpus_fingerprint,
            self.label_policy,
            self.score_code,
            len(self.each_teacher),
        ]
        return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()

    def add_shard(self, shard: Shard) -> None:
        """Take a shard in, in its place."""
        self.shards.append(shard)
        self.shards.sort(key=lambda one: one.index)


def shard_name(index: int) -> str:
    """Return the path of a shard below the store's folder.

    >>> shard_name(7)
    'data/shard-000007.parquet'
    """
    return f"{DATA_FOLDER}/shard-{index:06d}.parquet"


def read_manifest(folder: Path) -> Manifest:
    """Read a store's manifest.

    Raises:
        FormatVersionError: It has another format version, or none.
        StoreError: There is none, it is no JSON, lacks a field, or is not what was written.
    """
    path = folder / MANIFEST
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(f"{folder}: no {MANIFEST} in it, so this is no soft-label store") from None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read: {_reason(error)}") from error
    _check_version(path, raw)
    written = raw.pop("checksum", None)
    if written != _checksum(raw):
        raise StoreError(f"{path}: is not what was written (its checksum differs)")
    try:
        shards = [Shard(**shard) for shard in raw.pop("shards")]
        others = [StoredFile(**other) for other in raw.pop("other_files")]
        manifest = Manifest(shards=shards, other_files=others, **raw)
        _ = manifest.code
    except (KeyError, TypeError) as error:
        raise StoreError(
            f"{path}: not a manifest of format version {FORMAT_VERSION}: {error}"
        ) from error
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a manifest to a temporary name, then rename it."""
    raw = asdict(manifest)
    text = json.dumps(raw | {"checksum": _checksum(raw)}, indent=1, ensure_ascii=False) + "\n"
    write_file(folder, MANIFEST, text.encode())


def write_file(folder: Path, name: str, content: bytes) -> StoredFile:
    """Write a file of a store to a temporary name, rename it, and return its record.

    Raises:
        StoreError: It cannot be written; what stood there before is untouched.
    """
    path = folder / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror or error}") from error
    return StoredFile(name, len(content), hashlib.sha256(content).hexdigest())


def check_same_origin(folder: Path, found: Manifest, expected: Manifest) -> None:
    """Make sure that an existing store was made from the same things.

    Raises:
        StoreError: Teacher, corpus, label policy or score code differ; the message names what.
    """
    differences = []
    if found.teacher_fingerprint != expected.teacher_fingerprint:
        differences.append(
            f"teacher {found.teacher} ({found.teacher_fingerprint[:12]}), "
            f"not {expected.teacher} ({expected.teacher_fingerprint[:12]})"
        )
    if found.corpus_fingerprint != expected.corpus_fingerprint:
        differences.append(
            f"corpus {found.corpus_fingerprint[:12]} of {found.n_passages} passages, "
            f"not {expected.corpus_fingerprint[:12]} of {expected.n_passages}"
        )
    differences += _differences(found.label_policy, expected.label_policy)
    if found.score_code != expected.score_code:
        differences.append(f"score code {found.score_code}, not {expected.score_code}")
    if len(found.each_teacher) != len(expected.each_teacher):
        differences.append(
            f"{len(found.each_teacher)} teachers kept each, not {len(expected.each_teacher)}"
        )
    if differences:
        raise StoreError(
            f"{folder}: holds soft labels from {'; '.join(differences)}; "
            f"choose another --out or remove the folder"
        )


class SoftLabelStore:
    """A finished store, read passage by passage: in order by `iter`, one by its number by `[]`.

    Raises:
        StoreError: The folder is no store, or its labelling was not finished.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.manifest = read_manifest(self.folder)
        if not self.manifest.is_complete:
            raise StoreError(
                f"{self.folder}: {self.manifest.n_labelled} of {self.manifest.n_passages} "
                f"passages are labelled; run the same label command again to finish it"
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
        write_file(self.folder, "README.md", _data_set_card(self.manifest).encode())
        return upload_store(self.folder, repo_id, HUB_FILES, private=private)

    def __len__(self) -> int:
        return self.manifest.n_passages

    def __iter__(self) -> Iterator[LabelledPassage]:
        for shard in self.manifest.shards:
            yield from read_shard(self.folder, shard, self.manifest.code)

    def __getitem__(self, position: int) -> LabelledPassage:
        """Return one passage; of the shards, only its own is read.

        Raises:
            IndexError: There is no such passage.
            StoreError: The shard is missing or broken.
        """
        shard, row = self._locate(position)
        with _naming(self.folder / shard.file):
            return read_row(self._open(shard), row, self.manifest.code)

    def read_scores(self, position: int) -> NDArray[np.float32]:
        """Return one passage's probabilities, shape `(words, labels, 3)`, without its words.

        Raises:
            IndexError: There is no such passage.
            StoreError: The shard is missing or broken.
        """
        shard, row = self._locate(position)
        with _naming(self.folder / shard.file):
            return read_scores(self._open(shard), row, self.manifest.code)

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


def read_shard(folder: Path, shard: Shard, code: ScoreCode) -> Iterator[LabelledPassage]:
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
        yield from decode_shard(content, code)


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
        raise StoreError(f"{path}: cannot be read: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Return an error's message in one line, without the path that OSErrors repeat."""
    return " ".join(str(getattr(error, "strerror", None) or error).split())


def _check_version(path: Path, raw: object) -> None:
    version = raw.get("format_version") if isinstance(raw, dict) else None
    if version == FORMAT_VERSION:
        return
    if isinstance(version, int) and version > FORMAT_VERSION:
        advice = "it was written by a later gliner-distill: upgrade this one"
    else:
        advice = "label again with this release, or read it with the one that wrote it"
    raise FormatVersionError(
        f"{path}: format version {version}, but this release reads {FORMAT_VERSION}; {advice}"
    )


def _checksum(raw: Mapping[str, Any]) -> str:
    canonical = json.dumps(raw, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _differences(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Return what differs between two label policies, field by field, shortened."""
    return [
        f"label policy {key} {_shortened(found.get(key), expected.get(key))}"
        for key in dict.fromkeys([*found, *expected])
        if found.get(key) != expected.get(key)
    ]


def _shortened(found: object, expected: object) -> str:
    texts = [json.dumps(value, ensure_ascii=False) for value in (found, expected)]
    if max(map(len, texts)) > 60:
        # Lists of thousands of labels may begin alike: show where they part.
        alike = takewhile(lambda pair: pair[0] == pair[1], zip(*texts, strict=False))
        first = max(sum(1 for _ in alike) - 20, 0)
        texts = [_cut(text, first) for text in texts]
    return ", not ".join(texts)


def _cut(text: str, first: int) -> str:
    before, after = "..." * (first > 0), "..." * (len(text) > first + 54)
    return f"{before}{text[first : first + 54]}{after}"


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
format version {manifest.format_version}, score code `{manifest.score_code}`.

```python
from gliner_distill import SoftLabelStore

for item in SoftLabelStore.from_hub("OWNER/NAME"):
    print(item.labels, item.probs.shape)  # (words, labels, 3): start, end, inside
```
"""
