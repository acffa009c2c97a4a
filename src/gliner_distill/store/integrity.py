"""What is broken in a soft-label store, and what of it can be kept.

Every file that the manifest lists is read whole and compared with what was written. Nothing here
changes a store: `label --repair` does, by what this module says.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from gliner_distill.errors import StoreError
from gliner_distill.store.manifest import (
    DATA_FOLDER,
    MANIFEST,
    Manifest,
    Shard,
    StoredFile,
    read_manifest,
    shard_name,
)
from gliner_distill.store.quantization import Quantizer
from gliner_distill.store.shards import (
    ShardOrigin,
    decode_shard,
    describe_shard,
    open_shard,
    read_origin,
    shard_schema,
)

# What pyarrow raises of bytes that are no Parquet file, or no longer.
_UNREADABLE = (OSError, ValueError, KeyError, pa.ArrowException)


@dataclass(frozen=True, slots=True)
class Fault:
    """A file of a store that is not as it should be."""

    file: str
    problem: str

    def __str__(self) -> str:
        return f"{self.file}: {self.problem}"


def find_faults(folder: Path) -> list[Fault]:
    """Return all that is broken in a store, in the order of its files; an empty list where nothing.

    A store that is unfinished is not broken for that.

    Raises:
        StoreError: The folder has no manifest, so nothing says what it should hold.
    """
    try:
        manifest = read_manifest(folder)
    except StoreError as error:
        if not (folder / MANIFEST).exists():
            raise
        problem = str(error).removeprefix(f"{folder / MANIFEST}: ")
        return [Fault(MANIFEST, problem)]
    faults = [
        Fault(stored.file, found)
        for stored in [*manifest.other_files, *manifest.shards]
        if (found := find_problem(folder, stored, manifest)) is not None
    ]
    return faults + (_unlisted(folder, manifest) if manifest.is_complete else [])


def find_problem(folder: Path, stored: StoredFile, manifest: Manifest) -> str | None:
    """Return what is wrong with one file of a store, or None."""
    path = folder / stored.file
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    if hashlib.sha256(content).hexdigest() == stored.sha256:
        return None
    if isinstance(stored, Shard) and (
        foreign := _describe_foreign_shard(content, stored, manifest)
    ):
        return foreign
    if len(content) != stored.n_bytes:
        cut = "is cut off" if len(content) < stored.n_bytes else "has grown"
        return f"{cut}: {len(content):,} bytes, written were {stored.n_bytes:,}"
    return "is not what was written: same length, but its SHA-256 differs"


def find_size_problem(folder: Path, stored: StoredFile) -> str | None:
    """Return what is wrong with a file as far as its size tells, or None; nothing is read."""
    try:
        n_bytes = (folder / stored.file).stat().st_size
    except OSError:
        return "is missing"
    if n_bytes != stored.n_bytes:
        return f"has {n_bytes:,} bytes, written were {stored.n_bytes:,}"
    return None


def recover_shards(folder: Path, expected: Manifest) -> list[Shard]:
    """Return records of the shards in a folder that belong to a store whose manifest is lost.

    A shard is kept when its metadata name this store and its own number, all its pages pass their
    checksums, and its columns and counts are a shard's: a byte that changed outside the pages is
    found so, unless nobody reads it.

    Args:
        folder: The store.
        expected: What the store is made from; its own list of shards is not looked at.
    """
    found = (_recover(path, expected) for path in shard_paths(folder))
    return [shard for shard in found if shard is not None]


def find_other_origin(folder: Path, expected: Manifest) -> ShardOrigin | None:
    """Return whose a shard in a folder is that belongs to another store; None where there is none.

    Args:
        folder: The store.
        expected: What the store is made from.
    """
    for path in shard_paths(folder):
        try:
            with open_shard(path) as opened:
                origin = read_origin(opened)
        except _UNREADABLE:
            continue
        if origin is not None and origin.store != expected.origin:
            return origin
    return None


def shard_paths(folder: Path) -> list[Path]:
    """Return what looks like a shard in a folder, whether a manifest lists it or not."""
    return sorted((folder / DATA_FOLDER).glob("shard-*.parquet"))


def _recover(path: Path, expected: Manifest) -> Shard | None:
    schema = shard_schema(len(expected.individual_teachers))
    try:
        content = path.read_bytes()
        with open_shard(pa.BufferReader(content)) as opened:
            origin = read_origin(opened)
            if origin is None or origin.store != expected.origin:
                return None
            n_words = opened.read()["n_words"].to_pylist()  # all is read, to verify all pages
            is_whole = opened.schema_arrow.equals(schema)
            is_whole &= opened.metadata.num_rows == len(n_words) > 0
        if not is_whole or shard_name(origin.index) != f"{DATA_FOLDER}/{path.name}":
            return None
        return _describe(content, origin.index, n_words, expected.quantizer)
    except _UNREADABLE:
        return None


def _describe(content: bytes, index: int, n_words: list[int], quantizer: Quantizer) -> Shard | None:
    items = list(decode_shard(content, quantizer))
    if [len(item.passage.words) for item in items] != n_words:
        return None
    return describe_shard(items, content, index)


def _describe_foreign_shard(content: bytes, stored: Shard, manifest: Manifest) -> str | None:
    """Say which other store or place a shard comes from; None where it is this one's or broken."""
    try:
        with open_shard(pa.BufferReader(content)) as opened:
            origin = read_origin(opened)
    except _UNREADABLE:
        return None
    if origin is None:
        return "is a Parquet file, but no shard of a soft-label store"
    if origin.store != manifest.origin:
        same = origin.teacher == manifest.teacher
        what = "another corpus or label policy" if same else f"teacher {origin.teacher}"
        return f"is a shard of another store, of {what}; this one's teacher is {manifest.teacher}"
    if origin.index != stored.index:
        return f"is shard {origin.index} of this store, not {stored.index}"
    return None


def _unlisted(folder: Path, manifest: Manifest) -> list[Fault]:
    listed = {shard.file for shard in manifest.shards}
    names = [
        f"{DATA_FOLDER}/{path.name}" for path in sorted((folder / DATA_FOLDER).glob("*.parquet"))
    ]
    return [
        Fault(name, "is not in the manifest, yet whoever opens the folder reads it; remove it")
        for name in names
        if name not in listed
    ]
