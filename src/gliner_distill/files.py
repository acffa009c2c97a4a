"""Write files whole or not at all, and keep other processes out of a folder.

Every file of the package is written here: under a temporary name beside its own, flushed to the
disk, and renamed. A reader never sees half a file, and a full disk leaves the old one as it was.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from gliner_distill.errors import DistillError

PART_SUFFIX = ".part"
"""Ending of a file that is being written; a killed process may leave one behind."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that takes the name of `path` once the block has ended.

    Raises:
        OSError: The disk is full, or the folder cannot be written. The old file is untouched and
            the temporary one is gone, as after any other error inside the block.
    """
    temporary = path.with_name(path.name + PART_SUFFIX)
    try:
        with temporary.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def replace_file(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, then rename it.

    Raises:
        OSError: See `replacing`.
    """
    with replacing(path) as stream:
        stream.write(content)


def write_file(
    path: Path, content: bytes | str, *, error: type[DistillError] = DistillError
) -> None:
    """Write a file as `replace_file` does, and make its folder if there is none.

    Args:
        path: The file.
        content: Its bytes, or text to encode as UTF-8; a lone surrogate becomes a question mark.
        error: The class of the error to raise.

    Raises:
        DistillError: The disk is full, or the folder cannot be written; of class `error`.
    """
    data = content.encode("utf-8", "replace") if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, data)
    except OSError as problem:
        raise error(f"{path}: cannot be written: {reason_of(problem)}") from problem


def write_json(path: Path, value: Any, *, error: type[DistillError] = DistillError) -> None:
    """Write a value as indented JSON that ends with a line break; see `write_file`.

    Raises:
        DistillError: See `write_file`.
    """
    write_file(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n", error=error)


def reason_of(error: Exception) -> str:
    """Return the reason of an error on one line, without the path that an `OSError` repeats.

    >>> reason_of(FileNotFoundError(2, "No such file or directory", "notes.txt"))
    'No such file or directory'
    """
    return " ".join(str(getattr(error, "strerror", None) or error).split())


@contextmanager
def exclusive_lock(
    path: Path, *, busy: str, error: type[DistillError] = DistillError
) -> Iterator[None]:
    """Hold a lock file for as long as the block runs, so that one process works in a folder.

    Args:
        path: The lock file; its folder is made if there is none.
        busy: The message if another process holds the lock.
        error: The class of the error to raise.

    Raises:
        DistillError: Another process holds the lock, or the file cannot be written; of class
            `error`.
    """
    from filelock import FileLock, Timeout  # of the extra `train`

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
