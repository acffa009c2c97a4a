"""Write files completely or not at all, and keep other processes out of a folder.

This is the only module that writes files. It writes to a temporary file in the same folder, flushes
it to the disk and then renames it. A reader therefore never sees half of a file, and after an error
such as a full disk the old file is unchanged.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from gliner_distill.errors import DistillError, MissingExtraError

PART_SUFFIX = ".part"
"""The suffix of a file that is being written; a killed process may leave such a file behind."""


@contextmanager
def replacing(path: Path, *, mode: int | None = None) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces `path` when the block ends without an error.

    If the block raises an error, the old file is unchanged and the temporary file is removed.

    Args:
        path: The file.
        mode: The permissions of the file, which it has before anything is written to it; None for
            those that new files have.

    Raises:
        OSError: The disk is full, or the folder is missing or cannot be written.
    """
    temporary = path.with_name(path.name + PART_SUFFIX)
    try:
        if mode is not None:
            # What a killed process left may be open elsewhere, and keeps its permissions.
            temporary.unlink(missing_ok=True)
            temporary.touch(mode, exist_ok=False)
        with temporary.open("wb") as stream:
            yield stream
            stream.flush()
            # Without this, a power cut after the rename may leave an empty file.
            os.fsync(stream.fileno())
        temporary.replace(path)
    # Ctrl-C must not leave a temporary file, either.
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def replace_file(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Write the whole content of a file at once; see `replacing`.

    Raises:
        OSError: The disk is full, or the folder is missing or cannot be written.
    """
    with replacing(path, mode=mode) as stream:
        stream.write(content)


def write_file(
    path: Path,
    content: bytes | str,
    *,
    error: type[DistillError] = DistillError,
    mode: int | None = None,
) -> None:
    """Write a file as `replace_file` does, and create its folder if necessary.

    Args:
        path: The file.
        content: The bytes, or a text to encode as UTF-8; a lone surrogate becomes a question mark.
        error: The class of the error to raise.
        mode: See `replacing`.

    Raises:
        DistillError: The disk is full, or the folder cannot be written. The error is of the class
            `error`.
    """
    # Texts of users may contain lone surrogates, which UTF-8 cannot encode.
    data = content.encode("utf-8", "replace") if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, data, mode=mode)
    except OSError as problem:
        raise error(f"{path}: cannot be written: {reason_of(problem)}") from problem


def write_json(path: Path, value: Any, *, error: type[DistillError] = DistillError) -> None:
    """Write a value as indented JSON that ends with a line break; see `write_file`.

    Raises:
        DistillError: See `write_file`.
    """
    write_file(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n", error=error)


def reason_of(error: Exception) -> str:
    """Return the reason of an error as one line, without the path that an `OSError` repeats.

    >>> reason_of(FileNotFoundError(2, "No such file or directory", "notes.txt"))
    'No such file or directory'
    """
    return " ".join(str(getattr(error, "strerror", None) or error).split())


@contextmanager
def exclusive_lock(
    path: Path, *, busy: str, error: type[DistillError] = DistillError
) -> Iterator[None]:
    """Hold a lock while the block runs, so that only one process works in a folder.

    Args:
        path: The lock file; its folder is created if necessary.
        busy: The message for the case that another process holds the lock.
        error: The class of the error to raise.

    Raises:
        DistillError: Another process holds the lock, or the file cannot be written. The error is of
            the class `error`.
        MissingExtraError: The package filelock is not installed.
    """
    try:
        from filelock import FileLock, Timeout
    except ModuleNotFoundError as problem:
        raise MissingExtraError("filelock", "train") from problem

    lock = FileLock(path, timeout=0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise error(busy) from None
    except OSError as problem:
        message = f"{path.parent}: cannot be written: {reason_of(problem)}"
        raise error(message) from problem
    try:
        yield
    finally:
        lock.release()
