"""Find the broken files of a soft-label store, and the shards that can be kept.

Every file that the manifest lists is read completely and compared with its size and hash. This
module never changes a store; `label --repair` does so with the results.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from gliner_distill.errors import StoreError
from gliner_distill.files import reason_of
from gliner_distill.store.manifest import (
    DATA_FOLDER,
    MANIFEST,
    Manifest,
    Shard,
    StoredFile,
    read_manifest,
    shard_name,
)
from gliner_distill.store.shards import (
    UNREADABLE,
    ShardOrigin,
    check_shard,
    decode_shard,
    describe_shard,
    open_shard,
    read_origin,
)
from gliner_distill.store.stored_files import locate_stored


@dataclass(frozen=True, slots=True)
class Fault:
    """A file of a store that is missing, broken, or does not belong there.

    Attributes:
        file: The path below the store's folder.
        problem: What is wrong with the file, as the rest of a sentence.
    """

    file: str
    problem: str

    def __str__(self) -> str:
        return f"{self.file}: {self.problem}"


def find_faults(folder: Path) -> list[Fault]:
    """Return everything that is broken in a store, in the order of its files.

    An unfinished store is not broken just because shards are missing.

    Raises:
        StoreError: The folder has no manifest, so its expected content is unknown.
    """
    try:
        manifest = read_manifest(folder)
    except StoreError as error:
        if not (folder / MANIFEST).exists():
            raise
        return [Fault(MANIFEST, str(error).removeprefix(f"{folder / MANIFEST}: "))]
    faults = [
        Fault(stored.file, problem)
        for stored in [*manifest.other_files, *manifest.shards]
        if (problem := find_problem(folder, stored, manifest)) is not None
    ]
    # In an unfinished store, a shard may be written but not listed yet.
    return faults + (_unlisted(folder, manifest) if manifest.is_complete else [])


def find_problem(folder: Path, stored: StoredFile, manifest: Manifest) -> str | None:
    """Return what is wrong with one file of a store; None if it is intact."""
    try:
        content = locate_stored(folder, stored.file).read_bytes()
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {reason_of(error)}"
    if hashlib.sha256(content).hexdigest() == stored.sha256:
        return None
    if isinstance(stored, Shard) and (
        foreign := _describe_foreign_shard(content, stored, manifest)
    ):
        return foreign
    if len(content) != stored.n_bytes:
        change = "is cut off" if len(content) < stored.n_bytes else "has grown"
        return f"{change}: it has {len(content):,} bytes, but {stored.n_bytes:,} were written"
    return "has changed since it was written: the size is the same, but the SHA-256 differs"


def check_other_files(folder: Path, manifest: Manifest, names: Iterable[str]) -> None:
    """Check that some files of a store, which are not shards, have not changed.

    A file may be missing if the manifest does not list it.

    Raises:
        StoreError: A file is missing or has changed, or the manifest does not list it.
    """
    listed = {other.file: other for other in manifest.other_files}
    for name in names:
        problem = None
        if name in listed:
            problem = find_problem(folder, listed[name], manifest)
        elif (folder / name).exists():
            problem = "is not in the manifest, so it does not belong to the store; remove it"
        if problem is not None:
            raise StoreError(
                f"{folder / name}: {problem}; `inspect --verify` lists all broken files, "
                f"`label --repair` writes it again"
            )


def find_size_problem(folder: Path, stored: StoredFile) -> str | None:
    """Return what is wrong with the size of a file, or None; the file is not read."""
    try:
        n_bytes = locate_stored(folder, stored.file).stat().st_size
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {reason_of(error)}"
    if n_bytes != stored.n_bytes:
        return f"has {n_bytes:,} bytes, but {stored.n_bytes:,} were written"
    return None


def recover_shards(folder: Path, expected: Manifest) -> list[Shard]:
    """Return the records of the shards in a folder that belong to a store without a manifest.

    A shard is kept if its metadata name this store and the number of the shard, if all its pages
    pass their checksums, and if its columns and counts are those of a shard. A changed byte outside
    the pages is found, too, unless no reader uses that byte.

    Args:
        folder: The store.
        expected: What the store is made from. Its own list of shards is ignored.
    """
    recovered = (_recover(folder, path.name, expected) for path in shard_paths(folder))
    return [shard for shard in recovered if shard is not None]


def find_other_origin(folder: Path, expected: Manifest) -> ShardOrigin | None:
    """Return the origin of the first shard in a folder that belongs to another store, or None.

    Args:
        folder: The store.
        expected: What the store is made from.
    """
    for path in shard_paths(folder):
        try:
            with open_shard(locate_stored(folder, f"{DATA_FOLDER}/{path.name}")) as opened:
                origin = read_origin(opened)
        except MemoryError:  # see `store.naming_shard`
            raise
        except UNREADABLE:
            continue
        if origin is not None and origin.store != expected.origin:
            return origin
    return None


def shard_paths(folder: Path) -> list[Path]:
    """Return the files in a folder that are named like shards, listed in a manifest or not."""
    return sorted((folder / DATA_FOLDER).glob("shard-*.parquet"))


def _recover(folder: Path, name: str, expected: Manifest) -> Shard | None:
    """Return the record of a shard file; None if it is broken or belongs somewhere else."""
    stored = f"{DATA_FOLDER}/{name}"
    try:
        content = locate_stored(folder, stored).read_bytes()
        check_shard(content)
        with open_shard(pa.py_buffer(content)) as opened:
            origin = read_origin(opened)
            if origin is None or origin.store != expected.origin:
                return None
            # Everything is read, because that verifies the checksums of all pages.
            opened.read(use_threads=False)
        items = list(decode_shard(content, expected.quantizer, opened.metadata.num_rows))
    except MemoryError:  # see `store.naming_shard`
        raise
    except UNREADABLE:
        return None
    # An empty shard is never written, so one without rows is broken.
    if not items or shard_name(origin.index) != stored:
        return None
    n_teachers = len(expected.individual_teachers)
    if any(len(item.individual_probs) != n_teachers for item in items):
        return None
    return describe_shard(items, content, origin.index)


def _describe_foreign_shard(content: bytes, stored: Shard, manifest: Manifest) -> str | None:
    """Return which other store or place a shard comes from; None if it is broken or our own."""
    try:
        with open_shard(pa.py_buffer(content)) as opened:
            origin = read_origin(opened)
    except MemoryError:  # see `store.naming_shard`
        raise
    except UNREADABLE:
        return None
    if origin is None:
        return "is a Parquet file, but not a shard of a soft-label store"
    if origin.store != manifest.origin:
        # Two teachers may have the same name.
        what = "another teacher, corpus or label policy"
        if origin.teacher != manifest.teacher:
            what = f"teacher {origin.teacher}"
        return f"is a shard of another store, of {what}; this store's teacher is {manifest.teacher}"
    if origin.index != stored.index:
        return f"is shard {origin.index} of this store, not {stored.index}"
    return None


def _unlisted(folder: Path, manifest: Manifest) -> list[Fault]:
    listed = {shard.file for shard in manifest.shards}
    names = [
        f"{DATA_FOLDER}/{path.name}" for path in sorted((folder / DATA_FOLDER).glob("*.parquet"))
    ]
    # Other readers, such as `datasets`, open every Parquet file of the folder.
    return [
        Fault(name, "is not in the manifest, but other programs would read it; remove it")
        for name in names
        if name not in listed
    ]
