"""Write a soft-label store shard by shard; a run that is killed can be resumed.

`open_writer` creates or resumes a store. It refuses a folder that holds something else, a store
that was made from other inputs, and a store that another process is writing.
"""

import logging
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from gliner_distill.errors import FormatVersionError, StoreError
from gliner_distill.files import LOCK_FILE, exclusive_lock, is_leftover, reason_of, remove_leftovers
from gliner_distill.store.integrity import (
    find_other_origin,
    find_problem,
    find_size_problem,
    recover_shards,
    shard_paths,
)
from gliner_distill.store.manifest import (
    DATA_FOLDER,
    MANIFEST,
    PRECISIONS,
    Manifest,
    Shard,
    StoredFile,
    check_same_origin,
    read_manifest,
    write_manifest,
    write_stored_file,
)

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class StoreWriter:
    """A store that is open for writing.

    Attributes:
        folder: The store's folder.
        manifest: The record of what the store holds so far.
        seconds_between_manifests: The shortest time between two writes of the manifest. A cluster
            may finish many shards per second, and the manifest of a large store takes megabytes.
    """

    folder: Path
    manifest: Manifest
    seconds_between_manifests: float = 1.0
    _written_at: float = field(default=0.0, init=False)
    _counted_to: float = field(init=False)

    def __post_init__(self) -> None:
        self._counted_to = time.monotonic()

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
        # The time is added up over all runs, without the pauses between them.
        self.manifest.seconds += now - self._counted_to
        self._counted_to = now
        if now - self._written_at >= self.seconds_between_manifests:
            self.save()

    def add_file(self, name: str, content: bytes) -> None:
        """Write a file that is not a shard, and list it in the manifest.

        Raises:
            StoreError: See `add`.
        """
        others = [other for other in self.manifest.other_files if other.file != name]
        self.manifest.other_files = [*others, write_stored_file(self.folder, name, content)]

    def has_file(self, name: str) -> bool:
        """Return whether the manifest lists a file that is not a shard."""
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
    """Open a store for writing; create it if it does not exist.

    Args:
        folder: The store's folder.
        expected: The inputs that the store is to be made from, without shards.
        repair: Whether to read every file first and to remove broken files from the manifest, so
            that they are written again. A manifest that is broken or lost is rebuilt from the
            shards. Each broken file is logged as a warning.
        seconds_between_manifests: See `StoreWriter`.

    Raises:
        StoreError: The folder holds something else, or a store made from other inputs; or the store
            is broken and `repair` is false; or another process is writing it; or it cannot be
            written.
    """
    _prepare_folder(folder, repair=repair)
    busy = f"{folder}: another process is labeling into it; wait for it, or choose another --out"
    with exclusive_lock(folder / LOCK_FILE, busy=busy, error=StoreError):
        remove_leftovers(folder / DATA_FOLDER)
        manifest = _open_manifest(folder, expected, repair=repair)
        writer = StoreWriter(folder, manifest, seconds_between_manifests)
        writer.save()
        try:
            yield writer
        except BaseException:
            # The error that stopped the work matters more than an error while saving the manifest.
            with suppress(StoreError):
                writer.save()
            _remove_unused(folder)
            raise
        writer.save()


def _remove_unused(folder: Path) -> None:
    """Remove the manifest of a store that holds nothing, so that another teacher may be tried.

    A teacher may fail at its first passage, such as a language model whose name is mistyped.
    """
    with suppress(OSError):
        (folder / DATA_FOLDER).rmdir()  # it is not empty if there are shards
    with suppress(OSError):
        if {path.name for path in folder.iterdir()} <= {MANIFEST, LOCK_FILE}:
            (folder / MANIFEST).unlink(missing_ok=True)


def _prepare_folder(folder: Path, *, repair: bool) -> None:
    """Make a folder if it is missing, and refuse one that holds something else."""
    # A run that was killed during its first write leaves half a manifest, which does not count.
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = {path.name for path in folder.iterdir() if not is_leftover(path.name)}
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written: {reason_of(error)}") from error
    if MANIFEST in names:
        try:
            read_manifest(folder)
        except FormatVersionError:  # a repair does not help here
            raise
        except StoreError:
            return  # the manifest is read again, and repaired or refused, under the lock
    elif names - {LOCK_FILE} and not (repair and shard_paths(folder)):
        raise StoreError(
            f"{folder}: is not empty and does not hold a soft-label store; choose another --out"
        )


def _open_manifest(folder: Path, expected: Manifest, *, repair: bool) -> Manifest:
    """Return the manifest of a store, checked against the inputs; the expected one if it is new."""
    if not (folder / MANIFEST).exists() and not (repair and shard_paths(folder)):
        return expected
    try:
        manifest = read_manifest(folder)
    except StoreError as error:
        if not repair:
            raise
        _logger.warning("%s", error)
        return _recover_manifest(folder, expected)
    check_same_origin(folder, manifest, expected)
    if repair:
        _drop_broken(folder, manifest)
    else:
        # Reading every file takes minutes in a large store, so a normal run checks only sizes.
        _check_sizes(folder, manifest)
    return manifest


def _recover_manifest(folder: Path, expected: Manifest) -> Manifest:
    # The shards know in which precision the teacher scored them.
    for precision in PRECISIONS:
        expected.precision = precision
        expected.shards = recover_shards(folder, expected)
        if expected.shards:
            break
    # Shards of another store must not be overwritten by a repair.
    other = None if expected.shards else find_other_origin(folder, expected)
    if other is not None:
        raise StoreError(
            f"{folder}: {MANIFEST} is broken or lost, and the shards belong to another store (its "
            f"teacher is {other.teacher}; the teacher, the corpus or the label policy differs); "
            f"choose another --out or remove the folder"
        )
    return expected


def _drop_broken(folder: Path, manifest: Manifest) -> None:
    def is_whole(stored: StoredFile) -> bool:
        problem = find_problem(folder, stored, manifest)
        if problem is not None:
            _logger.warning("%s: %s; it will be made again", folder / stored.file, problem)
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
