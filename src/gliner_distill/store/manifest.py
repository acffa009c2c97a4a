"""The manifest of a soft-label store: the record of its content and of its inputs.

The manifest is a JSON file with a checksum of its own content. It lists every file of the store
with its size and SHA-256, so a store that was changed, truncated or mixed with another one is
detected.
"""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from itertools import takewhile
from pathlib import Path
from typing import Any

from gliner_distill.errors import FormatVersionError, StoreError, shorten
from gliner_distill.files import reason_of, write_file
from gliner_distill.json_files import (
    CHECKSUM,
    COUNT,
    LIST,
    MAX_JSON_BYTES,
    NUMBER,
    OBJECT,
    SHA256,
    TEXT,
    TEXTS,
    FieldKind,
    check_fields,
    is_sealed,
    read_json,
    write_sealed_json,
)
from gliner_distill.store.quantization import COMPACT, QUANTIZERS, Quantizer
from gliner_distill.store.stored_files import is_plain_name, locate_stored

FORMAT_VERSION = 3
"""The version of the layout that this release writes and reads."""

MANIFEST = "manifest.json"

FP32 = "fp32"
BF16 = "bf16"
PRECISIONS = (FP32, BF16)
"""The precisions in which a teacher may score."""

DATA_FOLDER = "data"

_SHOWN_CHARS = 60


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a store as it was written.

    Attributes:
        file: The path below the store's folder.
        n_bytes: The size.
        sha256: The hash of the content, in hexadecimal digits.
    """

    file: str
    n_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Shard(StoredFile):
    """The record of a Parquet file of a store.

    Attributes:
        index: The number of the shard, in the order of the corpus.
        n_passages: The number of passages in it.
        n_words: The number of words in it.
        n_pairs: The number of pairs of a word and a label in it.
    """

    index: int
    n_passages: int
    n_words: int
    n_pairs: int


@dataclass(slots=True)
class Manifest:
    """The record of the content of a store, and of the inputs that it was made from.

    Attributes:
        teacher: The teacher's name; of a local teacher, its folder without the path to it.
        teacher_fingerprint: The hash of everything that its scores depend on.
        corpus_fingerprint: The hash of the passages to label.
        label_policy: The `LabelPolicy`, which says which labels were asked, as plain JSON values.
        n_passages: The number of passages in the finished store.
        n_words: The number of words in the finished store.
        quantization: The name of the quantizer of the probabilities, one of `QUANTIZERS`.
        individual_teachers: The names of the teachers whose probabilities are kept beside their
            mean; empty if only the mean is kept.
        precision: The precision in which the teacher scored, one of `PRECISIONS`; `fp32` for a
            teacher that has only one.
        format_version: The version of this layout.
        teacher_metadata: More about the teacher, such as its number of parameters.
        shards: The shards written so far, by index.
        other_files: The other files of the store.
        seconds: The time spent on labeling, over all runs.
        machine: The kind of machine that made the last shard.
    """

    teacher: str
    teacher_fingerprint: str
    corpus_fingerprint: str
    label_policy: dict[str, Any]
    n_passages: int
    n_words: int
    quantization: str = COMPACT.name
    individual_teachers: list[str] = field(default_factory=list)
    precision: str = FP32
    format_version: int = FORMAT_VERSION
    teacher_metadata: dict[str, Any] = field(default_factory=dict)
    shards: list[Shard] = field(default_factory=list)
    other_files: list[StoredFile] = field(default_factory=list)
    seconds: float = 0.0
    machine: str = field(default_factory=platform.machine)

    @property
    def n_labeled(self) -> int:
        """The number of passages labeled so far."""
        return sum(shard.n_passages for shard in self.shards)

    @property
    def is_complete(self) -> bool:
        """Whether every passage has been labeled."""
        return self.n_labeled == self.n_passages

    @property
    def quantizer(self) -> Quantizer:
        """The quantizer of the probabilities."""
        return QUANTIZERS[self.quantization]

    @property
    def origin(self) -> str:
        """The hash of everything that decides what the shards hold; each shard repeats it."""
        inputs = [
            self.teacher_fingerprint,
            self.corpus_fingerprint,
            self.label_policy,
            self.quantization,
            len(self.individual_teachers),
            # Shards of earlier versions, which knew only fp32, keep their hash.
            *([] if self.precision == FP32 else [self.precision]),
        ]
        return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()

    def add_shard(self, shard: Shard) -> None:
        """Add a shard to the list, which is in the order of the indices."""
        self.shards.append(shard)
        self.shards.sort(key=lambda listed: listed.index)


def shard_name(index: int) -> str:
    """Return the path of a shard below the store's folder.

    >>> shard_name(7)
    'data/shard-000007.parquet'
    """
    return f"{DATA_FOLDER}/shard-{index:06d}.parquet"


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a store.

    Raises:
        FormatVersionError: The manifest has another format version, or none.
        StoreError: The manifest is missing, is not JSON, has changed since it was written, or has a
            wrong field.
    """
    path = folder / MANIFEST
    try:
        raw = read_json(locate_stored(folder, MANIFEST, max_bytes=MAX_JSON_BYTES))
        _check_version(path, raw)
        is_whole = is_sealed(raw)
    except (FileNotFoundError, NotADirectoryError):
        fault = "this is a file" if folder.is_file() else "this folder does not exist"
        fault = f"{MANIFEST} is missing" if folder.is_dir() else fault
        raise StoreError(f"{folder}: {fault}; expected the folder of a soft-label store") from None
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path}: cannot be read: {reason_of(error)}; `label --repair` rebuilds it"
        ) from error
    if not is_whole:
        raise StoreError(
            f"{path}: its checksum differs, so it has changed since it was written; "
            f"`label --repair` rebuilds it"
        )
    del raw[CHECKSUM]
    try:
        return _parse(raw)
    except ValueError as error:
        raise StoreError(
            f"{path}: is not a manifest of format version {FORMAT_VERSION}: {error}; "
            f"`label --repair` rebuilds it"
        ) from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a store, with its checksum.

    Raises:
        StoreError: It cannot be written. The old manifest is untouched.
    """
    write_sealed_json(folder / MANIFEST, asdict(manifest), error=StoreError)


def write_stored_file(folder: Path, name: str, content: bytes) -> StoredFile:
    """Write a file of a store and return its record.

    Args:
        folder: The store.
        name: The path of the file below the store's folder.
        content: The bytes of the file.

    Raises:
        StoreError: The file cannot be written. The old file is untouched.
    """
    write_file(folder / name, content, error=StoreError)
    return StoredFile(name, len(content), hashlib.sha256(content).hexdigest())


def check_same_origin(folder: Path, present: Manifest, expected: Manifest) -> None:
    """Make sure that an existing store was made from the same inputs.

    Args:
        folder: The store.
        present: The manifest that the store has.
        expected: The manifest that the store would get.

    Raises:
        StoreError: The teacher, corpus, label policy or quantization differs; the message names
            each difference.
    """
    differences = []
    if present.teacher_fingerprint != expected.teacher_fingerprint:
        differences.append(
            f"teacher {present.teacher} ({present.teacher_fingerprint[:12]}), "
            f"not {expected.teacher} ({expected.teacher_fingerprint[:12]})"
            + _metadata_differences(present.teacher_metadata, expected.teacher_metadata)
        )
    if present.corpus_fingerprint != expected.corpus_fingerprint:
        differences.append(
            f"corpus {present.corpus_fingerprint[:12]} of {present.n_passages} passages, "
            f"not {expected.corpus_fingerprint[:12]} of {expected.n_passages}"
        )
    differences += _policy_differences(present.label_policy, expected.label_policy)
    if present.quantization != expected.quantization:
        differences.append(f"quantization {present.quantization}, not {expected.quantization}")
    if len(present.individual_teachers) != len(expected.individual_teachers):
        differences.append(
            f"{len(present.individual_teachers)} individual teachers, "
            f"not {len(expected.individual_teachers)}"
        )
    if differences:
        raise StoreError(
            f"{folder}: holds soft labels from {'; '.join(differences)}; "
            f"choose another --out or remove the folder"
        )


def _metadata_differences(present: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """Return a clause on the settings in which two teachers differ; empty if there are none."""
    differing = [
        f"{name} {present[name]!r}, not {value!r}"
        for name, value in expected.items()
        if present.get(name, value) != value and isinstance(value, str | int | float)
    ]
    return f" with {'; '.join(differing)}" if differing else ""


def _check_version(path: Path, raw: object) -> None:
    version = raw.get("format_version") if isinstance(raw, dict) else None
    if version == FORMAT_VERSION:
        return
    if isinstance(version, int) and version > FORMAT_VERSION:
        advice = "a newer version of gliner-distill wrote it, so upgrade gliner-distill"
    else:
        advice = (
            "label the text again with `gliner-distill label`, or read it with the version that "
            "wrote it"
        )
    raise FormatVersionError(
        f"{path}: has format version {shorten(version)}, but this version of gliner-distill reads "
        f"{FORMAT_VERSION}; {advice}"
    )


_FILE_KINDS = {
    "file": FieldKind("the name of a file", is_plain_name),
    "n_bytes": COUNT,
    "sha256": SHA256,
}

_SHARD_KINDS = {
    "index": COUNT,
    "file": TEXT,
    "n_bytes": COUNT,
    "sha256": SHA256,
    "n_passages": COUNT,
    "n_words": COUNT,
    "n_pairs": COUNT,
}

_KINDS = {
    "format_version": COUNT,
    "teacher": TEXT,
    "teacher_fingerprint": TEXT,
    "corpus_fingerprint": TEXT,
    "label_policy": OBJECT,
    "n_passages": COUNT,
    "n_words": COUNT,
    "quantization": FieldKind(
        f"one of {', '.join(QUANTIZERS)}",
        lambda value: isinstance(value, str) and value in QUANTIZERS,
    ),
    "individual_teachers": TEXTS,
    "precision": FieldKind(f"one of {', '.join(PRECISIONS)}", lambda value: value in PRECISIONS),
    "teacher_metadata": OBJECT,
    "shards": LIST,
    "other_files": LIST,
    "seconds": NUMBER,
    "machine": TEXT,
}


def _parse(raw: dict[str, Any]) -> Manifest:
    """Return the manifest of JSON values after checking all of them.

    Raises:
        ValueError: A field is missing or wrong; the message names it.
    """
    defaults = {field.name for field in fields(Manifest) if _has_default(field)}
    check_fields(raw, _KINDS, optional=defaults - {"shards", "other_files"})
    for number, record in enumerate(raw["other_files"]):
        check_fields(record, _FILE_KINDS, where=f"other_files[{number}]")
    last = -1
    for number, record in enumerate(raw["shards"]):
        check_fields(record, _SHARD_KINDS, where=f"shards[{number}]")
        name = shard_name(record["index"])
        if record["index"] <= last or record["file"] != name:
            raise ValueError(
                f"shards[{number}].file: found {shorten(record['file'])}; expected {name!r}, and "
                f"an index above {last}"
            )
        last = record["index"]
    shards = [Shard(**record) for record in raw.pop("shards")]
    other_files = [StoredFile(**record) for record in raw.pop("other_files")]
    manifest = Manifest(shards=shards, other_files=other_files, **raw)
    if manifest.n_labeled > manifest.n_passages:
        raise ValueError(
            f"n_passages: found {manifest.n_passages}, but the shards have {manifest.n_labeled}"
        )
    return manifest


def _has_default(field: Field[Any]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def _policy_differences(present: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Return the differences of two label policies, field by field, shortened."""
    return [
        f"label policy {key} {_shorten_pair(present.get(key), expected.get(key))}"
        for key in dict.fromkeys([*present, *expected])
        if present.get(key) != expected.get(key)
    ]


def _shorten_pair(present: object, expected: object) -> str:
    texts = [json.dumps(value, ensure_ascii=False) for value in (present, expected)]
    if max(map(len, texts)) > _SHOWN_CHARS:
        # Lists of thousands of labels may begin alike, so show the place where they differ.
        alike = takewhile(lambda pair: pair[0] == pair[1], zip(*texts, strict=False))
        first = max(sum(1 for _ in alike) - 20, 0)
        texts = [_cut_out(text, first) for text in texts]
    return ", not ".join(texts)


def _cut_out(text: str, first: int) -> str:
    n_chars = _SHOWN_CHARS - 6
    before, after = "..." * (first > 0), "..." * (len(text) > first + n_chars)
    return f"{before}{text[first : first + n_chars]}{after}"
