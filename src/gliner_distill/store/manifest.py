"""TODO-DOC."""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from gliner_distill.errors import FormatVersionError, StoreError
from gliner_distill.files import reason_of, write_file
from gliner_distill.store.quantization import COMPACT, QUANTIZERS, Quantizer

FORMAT_VERSION = 3


MANIFEST = "manifest.json"


DATA_FOLDER = "data"


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
        quantization: Name of the code of the scores, one of `QUANTIZERS`.
        individual_teachers: Names of the teachers that are kept each, beside their mean.
        format_version: Of this layout.
        teacher_metadata: What else is known of the teacher, such as its parameters.
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
    quantization: str = COMPACT.name
    individual_teachers: list[str] = field(default_factory=list)
    format_version: int = FORMAT_VERSION
    teacher_metadata: dict[str, Any] = field(default_factory=dict)
    shards: list[Shard] = field(default_factory=list)
    other_files: list[StoredFile] = field(default_factory=list)
    seconds: float = 0.0
    machine: str = field(default_factory=platform.machine)

    @property
    def n_labeled(self) -> int:
        """Passages labeled so far."""
        return sum(shard.n_passages for shard in self.shards)

    @property
    def is_complete(self) -> bool:
        """Whether every passage has been labeled."""
        return self.n_labeled == self.n_passages

    @property
    def quantizer(self) -> Quantizer:
        """The code of the scores."""
        return QUANTIZERS[self.quantization]

    @property
    def origin(self) -> str:
        """Hash of all that decides what the shards hold; each shard's metadata repeat it."""
        inputs = [
            self.teacher_fingerprint,
            self.corpus_fingerprint,
            self.label_policy,
            self.quantization,
            len(self.individual_teachers),
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
        raise StoreError(f"{path}: cannot be read: {reason_of(error)}") from error
    _check_version(path, raw)
    written = raw.pop("checksum", None)
    if written != _checksum(raw):
        raise StoreError(f"{path}: is not what was written (its checksum differs)")
    try:
        shards = [Shard(**shard) for shard in raw.pop("shards")]
        others = [StoredFile(**other) for other in raw.pop("other_files")]
        manifest = Manifest(shards=shards, other_files=others, **raw)
        _ = manifest.quantizer
    except (KeyError, TypeError) as error:
        raise StoreError(
            f"{path}: not a manifest of format version {FORMAT_VERSION}: {error}"
        ) from error
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a manifest to a temporary name, then rename it."""
    raw = asdict(manifest)
    text = json.dumps(raw | {"checksum": _checksum(raw)}, indent=1, ensure_ascii=False) + "\n"
    write_stored_file(folder, MANIFEST, text.encode())


def write_stored_file(folder: Path, name: str, content: bytes) -> StoredFile:
    """Write a file of a store to a temporary name, rename it, and return its record.

    Raises:
        StoreError: It cannot be written; what stood there before is untouched.
    """
    write_file(folder / name, content, error=StoreError)
    return StoredFile(name, len(content), hashlib.sha256(content).hexdigest())


def check_same_origin(folder: Path, found: Manifest, expected: Manifest) -> None:
    """Make sure that an existing store was made from the same things.

    Raises:
        StoreError: Teacher, corpus, label policy or quantization differ; the message names what.
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
    if found.quantization != expected.quantization:
        differences.append(f"quantization {found.quantization}, not {expected.quantization}")
    if len(found.individual_teachers) != len(expected.individual_teachers):
        differences.append(
            f"{len(found.individual_teachers)} individual teachers, "
            f"not {len(expected.individual_teachers)}"
        )
    if differences:
        raise StoreError(
            f"{folder}: holds soft labels from {'; '.join(differences)}; "
            f"choose another --out or remove the folder"
        )


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
