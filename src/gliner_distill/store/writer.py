"""Writing a soft-label store: one process at a time, shard by shard, whatever happens between.

A store is made or gone on with by entering a `StoreWriter`; it refuses folders that hold something
else, stores made from other things, and a store that another process is writing.
"""

import logging
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from gliner_distill.errors import FormatVersionError, StoreError
from gliner_distill.files import PART_SUFFIX, exclusive_lock, reason_of
from gliner_distill.store.integrity import (
    find_other_origin,
    find_problem,
    find_size_problem,
    recover_shards,
    shard_paths,
)
from gliner_distill.store.manifest import (
    MANIFEST,
    Manifest,
    Shard,
    StoredFile,
    check_same_origin,
    read_manifest,
    write_manifest,
    write_stored_file,
)

_logger = logging.getLogger(__name__)


LOCK_FILE = ".lock"


@dataclass(slots=True)
class StoreWriter:
    """A store that is open for writing.

    Attributes:
        folder: The store.
        manifest: The record of what the store holds so far.
        seconds_between_manifests: The least time between two writes of the manifest. Many shards
            may come per second from a cluster, and the manifest of a large store is megabytes.
    """

    folder: Path
    manifest: Manifest
    seconds_between_manifests: float = 1.0
    _written_at: float = field(default=0.0, init=False)
    _counted_to: float = field(default_factory=time.monotonic, init=False)

    def add(self, shard: Shard, content: bytes) -> None:
        """Write a shard and list it in the manifest.

        The manifest itself is written at most once per second; `save` writes the rest.

        Args:
            shard: The shard's record.
            content: The bytes of its file.

        Raises:
            StoreError: The disk is full or the folder cannot be written. The store keeps the
                shards that it had.
        """
        write_stored_file(self.folder, shard.file, content)
        self.manifest.add_shard(shard)
        self.manifest.machine = platform.machine()
        now = time.monotonic()
        self.manifest.seconds += now - self._counted_to
        self._counted_to = now
        if now - self._written_at >= self.seconds_between_manifests:
            self.save()

    def add_file(self, name: str, content: bytes) -> None:
        """Write a file that is no shard, and list it in the manifest."""
        others = [other for other in self.manifest.other_files if other.file != name]
        self.manifest.other_files = [*others, write_stored_file(self.folder, name, content)]

    def has_file(self, name: str) -> bool:
        """Say whether the manifest lists a file that is no shard."""
        return any(other.file == name for other in self.manifest.other_files)

    def save(self) -> None:
        """Write the manifest."""
        write_manifest(self.folder, self.manifest)
        self._written_at = time.monotonic()


@contextmanager
def open_writer(
    folder: Path,
    expected: Manifest,
    *,
    repair: bool = False,
    seconds_between_manifests: float = 1.0,
) -> Iterator[StoreWriter]:
    """Open a store for writing; make it where it does not exist.

    Args:
        folder: The store.
        expected: What it is to be made from, without shards.
        repair: Read every file first, and take what is broken off the manifest, so that it is
            made again; a manifest that is broken or lost is made anew from the shards. What is
            broken is logged as a warning.
        seconds_between_manifests: See `StoreWriter`.

    Raises:
        StoreError: The folder holds something else, or a store made from other things, or a
            broken one and `repair` is false; another process is writing it; it cannot be written.
    """
    _prepare_folder(folder, repair=repair)
    busy = f"{folder}: another process is labeling into it; wait for it, or choose another --out"
    with exclusive_lock(folder / LOCK_FILE, busy=busy, error=StoreError):
        manifest = _open_manifest(folder, expected, repair=repair)
        writer = StoreWriter(folder, manifest, seconds_between_manifests)
        writer.save()
        try:
            yield writer
        except BaseException:
            with suppress(StoreError):  # what stopped the work says more
                writer.save()
            raise
        writer.save()


def _prepare_folder(folder: Path, *, repair: bool) -> None:
    """Make a folder where there is none; leave one that holds something else as it is."""
    # A run that was killed in its first write leaves half a manifest: that is no foreign file.
    ours = {LOCK_FILE, MANIFEST + PART_SUFFIX}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written: {reason_of(error)}") from error
    if MANIFEST in names:
        try:
            read_manifest(folder)
        except FormatVersionError:  # no repair mends that
            raise
        except StoreError:
            return  # it is read again, and mended or refused, under the lock
    elif names - ours and not (repair and shard_paths(folder)):
        raise StoreError(f"{folder}: is not empty and holds no soft-label store; choose another")


def _open_manifest(folder: Path, expected: Manifest, *, repair: bool) -> Manifest:
    if not (folder / MANIFEST).exists() and not (repair and shard_paths(folder)):
        return expected
    try:
        found = read_manifest(folder)
    except StoreError as error:
        if not repair:
            raise
        _logger.warning("%s", error)
        return _recover_manifest(folder, expected)
    check_same_origin(folder, found, expected)
    if repair:
        _drop_broken(folder, found)
    else:
        _check_sizes(folder, found)
    return found


def _recover_manifest(folder: Path, expected: Manifest) -> Manifest:
    expected.shards = recover_shards(folder, expected)
    other = None if expected.shards else find_other_origin(folder, expected)
    if other is not None:
        raise StoreError(
            f"{folder}: its {MANIFEST} is broken or lost, and its shards hold soft labels of "
            f"teacher {other.teacher} made from another teacher, corpus or label policy than "
            f"this; choose another --out or remove the folder"
        )
    return expected


def _drop_broken(folder: Path, manifest: Manifest) -> None:
    def is_whole(stored: StoredFile) -> bool:
        problem = find_problem(folder, stored, manifest)
        if problem is not None:
            _logger.warning("%s: %s; it is made again", folder / stored.file, problem)
        return problem is None

    manifest.shards = [shard for shard in manifest.shards if is_whole(shard)]
    manifest.other_files = [other for other in manifest.other_files if is_whole(other)]


def _check_sizes(folder: Path, manifest: Manifest) -> None:
    problems = [
        f"{folder / stored.file}: {problem}"
        for stored in [*manifest.other_files, *manifest.shards]
        if (problem := find_size_problem(folder, stored)) is not None
    ]
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise StoreError(f"{problems[0]}{more}; run the same command with --repair")
