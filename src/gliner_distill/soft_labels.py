"""The soft-label store: what a teacher said, kept in Parquet shards and a manifest.

A store is a folder: `manifest.json` (format version, teacher, corpus, label policy, shards with
their hashes) and `shard-00000.parquet`, .... A shard's columns are `words` (list of string),
`labels` (list of string: the labels asked), `entities` (list of start, end exclusive, label: the
gold annotation) and `scores` (binary: one byte a probability; `decode_scores` says in which order).
Shards are written to a temporary name and renamed, then the manifest is; so a killed run leaves a
store that is whole up to its last shard. This module neither asks a teacher nor trains.
"""

import hashlib
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gliner_distill.entities import Entity, Passage
from gliner_distill.errors import StoreError
from gliner_distill.files import replace_file

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
PART_SUFFIX = ".part"
"""Of a file that is being written; a killed run may leave one behind."""

_SCHEMA = pa.schema(
    [
        ("words", pa.list_(pa.string())),
        ("labels", pa.list_(pa.string())),
        (
            "entities",
            pa.list_(
                pa.struct([("start", pa.int32()), ("end", pa.int32()), ("label", pa.string())])
            ),
        ),
        ("scores", pa.binary()),
    ]
)


@dataclass(frozen=True, slots=True)
class LabelledPassage:
    """A passage, the labels a teacher was asked about it, and what the teacher said.

    Attributes:
        passage: Words and gold entities.
        labels: The labels asked.
        probs: Shape `(words, labels, 3)`, float32: start, end, inside probabilities.
    """

    passage: Passage
    labels: tuple[str, ...]
    probs: NDArray[np.float32]


def encode_probs(probs: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return probabilities as bytes: 256 equal bins of [0, 1], named 0 to 255.

    >>> encode_probs(np.array([0.0, 0.5, 1.0])).tolist()
    [0, 128, 255]
    """
    codes: NDArray[np.floating] = np.clip(np.floor(probs * 256.0), 0, 255)
    return codes.astype(np.uint8)


def decode_probs(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the middle of each code's bin, at most 1/512 from the encoded probability.

    >>> float(decode_probs(np.array([0], dtype=np.uint8))[0]) * 512
    1.0
    """
    return (codes.astype(np.float32) + 0.5) / 256.0


def encode_scores(probs: NDArray[np.floating]) -> bytes:
    """Return a passage's probabilities as the `scores` column holds them.

    Three planes of codes, each in C order of `(words, labels)`: start; end; and how far inside
    lies above the larger of the two, modulo 256. A span GLiNER's inside probability is mostly
    equal to one of the others, so the last plane is mostly zeros and compresses well.

    Args:
        probs: Shape `(words, labels, 3)`.
    """
    start, end, inside = np.moveaxis(encode_probs(probs), -1, 0)
    return np.stack([start, end, inside - np.maximum(start, end)]).tobytes()


def decode_scores(scores: bytes, n_words: int, n_labels: int) -> NDArray[np.float32]:
    """Return the probabilities of a row of the `scores` column, shape `(words, labels, 3)`."""
    planes = np.frombuffer(scores, dtype=np.uint8).reshape(3, n_words, n_labels)
    start, end, above = planes
    return decode_probs(np.stack([start, end, above + np.maximum(start, end)], axis=-1))


@dataclass(frozen=True, slots=True)
class Shard:
    """One Parquet file of a store."""

    file: str
    n_passages: int
    n_words: int
    n_pairs: int
    sha256: str


@dataclass(slots=True)
class Manifest:
    """What a store holds and what it was made from.

    Attributes:
        teacher: The teacher's name.
        teacher_fingerprint: Hash of whatever its scores depend on.
        corpus_fingerprint: Hash of the passages to label.
        label_policy: Which labels were asked, in plain JSON values.
        n_passages: Passages that the finished store holds.
        format_version: Of this layout.
        teacher_facts: What else is known of the teacher, such as its parameters.
        shards: Those written so far, in the order of the corpus.
        seconds: Time spent in the teacher and in writing, over all runs.
        machine: Where the last shard was made.
    """

    teacher: str
    teacher_fingerprint: str
    corpus_fingerprint: str
    label_policy: dict[str, Any]
    n_passages: int
    format_version: int = FORMAT_VERSION
    teacher_facts: dict[str, Any] = field(default_factory=dict)
    shards: list[Shard] = field(default_factory=list)
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


def read_manifest(folder: Path) -> Manifest:
    """Read a store's manifest.

    Raises:
        StoreError: There is none, it is no JSON, lacks a field, or has another format version.
    """
    path = folder / MANIFEST
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(f"{folder}: no {MANIFEST} in it, so this is no soft-label store") from None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read: {error}") from error
    version = raw.get("format_version") if isinstance(raw, dict) else None
    if version != FORMAT_VERSION:
        raise StoreError(
            f"{path}: format version {version}, but this release reads {FORMAT_VERSION}; "
            f"label again with this release, or read it with the one that wrote it"
        )
    try:
        shards = [Shard(**shard) for shard in raw.pop("shards")]
        return Manifest(shards=shards, **raw)
    except (KeyError, TypeError) as error:
        raise StoreError(f"{path}: not a manifest of format version 1: {error}") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a manifest to a temporary name, then rename it."""
    text = json.dumps(asdict(manifest), indent=1, ensure_ascii=False) + "\n"
    _write(folder / MANIFEST, text.encode())


def check_same_origin(folder: Path, found: Manifest, expected: Manifest) -> None:
    """Make sure that an existing store was made from the same things.

    Raises:
        StoreError: Teacher, corpus or label policy differ; the message names what differs.
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
    if found.label_policy != expected.label_policy:
        differences.append(f"label policy {found.label_policy}, not {expected.label_policy}")
    if differences:
        raise StoreError(
            f"{folder}: holds soft labels from {'; '.join(differences)}; "
            f"choose another --out or remove the folder"
        )


def write_shard(folder: Path, index: int, passages: Sequence[LabelledPassage]) -> Shard:
    """Write one shard to a temporary name, rename it, and return its record."""
    table = pa.table(
        {
            "words": [list(item.passage.words) for item in passages],
            "labels": [list(item.labels) for item in passages],
            "entities": [
                [
                    {"start": entity.start_word, "end": entity.end_word, "label": entity.label}
                    for entity in item.passage.entities
                ]
                for item in passages
            ],
            "scores": [encode_scores(item.probs) for item in passages],
        },
        schema=_SCHEMA,
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", compression_level=19, use_dictionary=["labels"])
    content = sink.getvalue().to_pybytes()
    name = f"shard-{index:05d}.parquet"
    _write(folder / name, content)
    return Shard(
        file=name,
        n_passages=len(passages),
        n_words=sum(len(item.passage.words) for item in passages),
        n_pairs=sum(len(item.passage.words) * len(item.labels) for item in passages),
        sha256=hashlib.sha256(content).hexdigest(),
    )


class SoftLabelStore:
    """A finished store, read passage by passage.

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

    def __len__(self) -> int:
        return self.manifest.n_passages

    def __iter__(self) -> Iterator[LabelledPassage]:
        for shard in self.manifest.shards:
            yield from read_shard(self.folder, shard)

    @property
    def size_bytes(self) -> int:
        """Size of all shards on disk."""
        return sum((self.folder / shard.file).stat().st_size for shard in self.manifest.shards)


def read_shard(folder: Path, shard: Shard) -> Iterator[LabelledPassage]:
    """Read one shard, checking its content against its hash.

    Raises:
        StoreError: The file is missing, or is not what was written.
    """
    path = folder / shard.file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path}: listed in the manifest but cannot be read: {error}") from error
    if hashlib.sha256(content).hexdigest() != shard.sha256:
        raise StoreError(f"{path}: is not what was written (its SHA-256 differs); label it again")
    for row in pq.read_table(pa.BufferReader(content), schema=_SCHEMA).to_pylist():
        yield _labelled_passage(row)


def _labelled_passage(row: Mapping[str, Any]) -> LabelledPassage:
    entities = tuple(Entity(span["start"], span["end"], span["label"]) for span in row["entities"])
    passage = Passage(words=tuple(row["words"]), entities=entities)
    probs = decode_scores(row["scores"], len(row["words"]), len(row["labels"]))
    return LabelledPassage(passage, tuple(row["labels"]), probs)


def _write(path: Path, content: bytes) -> None:
    try:
        replace_file(path, content)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror or error}") from error
