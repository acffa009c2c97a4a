"""Write files completely or not at all, and keep other processes out of a folder.

This is the only module that writes files. It writes to a temporary file in the same folder, flushes
it to the disk and then renames it. A reader therefore never sees half of a file, and after an error
such as a full disk the old file is unchanged. Only files of lines that arrive one by one over a
long time are appended to; a reader of such a file must skip a line that is not whole.
"""

import errno
import hashlib
import json
import os
import re
import secrets
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from gliner_distill.errors import DistillError, MissingExtraError

_LEFTOVER = re.compile(r".+\.[0-9a-f]{8}\.part")

LOCK_FILE = ".lock"
"""The file that is locked while a process works in a folder."""

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
        OSError: The disk is full, the folder is missing or cannot be written, or the path leads to
            a device or a pipe.
    """
    check_replaceable(path)
    # Two processes that write the same file must not write into the same temporary file.
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}{PART_SUFFIX}")
    try:
        if mode is not None:
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


def open_for_appending(path: Path) -> BinaryIO:
    """Open a file of lines to add some with `append_line`; create it if it does not exist.

    A line that a killed process has left without an end is ended, so that readers can skip it.

    Raises:
        OSError: The file cannot be written.
    """
    stream = path.open("ab+")
    if stream.tell():
        stream.seek(-1, os.SEEK_END)
        if stream.read(1) != b"\n":
            stream.write(b"\n")
    return stream


def append_line(stream: BinaryIO, line: bytes) -> None:
    """Add a line to a file and put it on the disk at once.

    Raises:
        OSError: The disk is full.
    """
    stream.write(line + b"\n")
    stream.flush()
    os.fsync(stream.fileno())


def is_leftover(name: str) -> bool:
    """Return whether a file name is one of the temporary names of `replacing`.

    >>> is_leftover("manifest.json.0a1b2c3d.part"), is_leftover("film.part")
    (True, False)
    """
    return _LEFTOVER.fullmatch(name) is not None


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files that killed processes have left in a folder.

    No other process may write into the folder meanwhile; see `exclusive_lock`.
    """
    for path in folder.glob(f"*{PART_SUFFIX}"):
        if is_leftover(path.name):
            with suppress(OSError):
                path.unlink()


def check_replaceable(path: Path) -> None:
    """Check that a path is free, or leads to a regular file.

    A new file in place of a device, such as /dev/null, would break other programs.

    Raises:
        OSError: The path leads to a folder, a device or a pipe.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    # The system owns links such as /dev/stdout, so they are never replaced.
    is_system_link = path.is_symlink() and str(path.readlink()).startswith("/proc/")
    if is_system_link or (path.exists() and not path.is_file()):
        raise OSError("this is not a regular file")


def replace_file(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Write the whole content of a file at once; see `replacing`.

    Raises:
        OSError: The disk is full, or the folder is missing or cannot be written.
    """
    with replacing(path, mode=mode) as stream:
        stream.write(content)


def replace_together(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files that belong together; the first one holds the SHA-256 of the others.

    All of them are on the disk under temporary names before the first one is renamed. If a process
    is killed before that, the old files are unchanged. If it is killed after that, `find_content`
    finds the new files, each under its own or its temporary name.

    Args:
        folder: The folder, which exists.
        contents: The contents by file name.

    Raises:
        OSError: The disk is full, or the folder cannot be written.
    """
    parts = {name: _part_of(folder / name) for name in contents}
    try:
        for name, content in contents.items():
            with parts[name].open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
    except BaseException:
        for part in parts.values():
            with suppress(OSError):
                part.unlink(missing_ok=True)
        raise
    for name, part in parts.items():
        part.replace(folder / name)


def find_content(path: Path, sha256: str, *, max_bytes: int) -> Path | None:
    """Return the path under which a file has the content with a SHA-256; None if it has another.

    This is the path itself or, where `replace_together` was cut off, its temporary name.

    Raises:
        OSError: The file is missing, cannot be read, is not a regular file, or has more than
            `max_bytes`.
    """
    part = _part_of(path)
    try:
        if digest_file(path, max_bytes=max_bytes) == sha256:
            return path
    except FileNotFoundError:
        if not part.is_file():
            raise
    is_part = part.is_file() and digest_file(part, max_bytes=max_bytes) == sha256
    return part if is_part else None


def digest_file(path: Path, *, max_bytes: int) -> str:
    """Return the SHA-256 of a file in hexadecimal digits; see `check_regular_file`.

    Raises:
        OSError: See `check_regular_file`.
    """
    check_regular_file(path, max_bytes=max_bytes)
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_regular_file(path: Path, *, max_bytes: int) -> None:
    """Check that a path leads to a regular file that is not too large to read.

    Reading anything else, such as a pipe or a device, may never end.

    Raises:
        OSError: The file is missing, is not a regular file, or has more than `max_bytes`.
    """
    info = path.stat()
    if not stat.S_ISREG(info.st_mode):
        raise OSError("this is not a regular file")
    if info.st_size > max_bytes:
        raise OSError(f"the file has {info.st_size:,} bytes; expected at most {max_bytes:,}")


def _part_of(path: Path) -> Path:
    return path.with_name(path.name + PART_SUFFIX)


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


def check_readable(path: Path) -> None:
    """Open and close a file, because some libraries call every file missing that they cannot open.

    Raises:
        OSError: The file cannot be opened, with the reason that the system gives, or it is not a
            regular file.
    """
    check_regular_file(path, max_bytes=sys.maxsize)
    with path.open("rb"):
        pass


def reason_of(error: BaseException) -> str:
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

    Temporary files that killed processes have left in the folder are deleted first.

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
        remove_leftovers(path.parent)
        yield
    finally:
        lock.release()


@contextmanager
def lock_folder(
    folder: Path, *, busy: str, error: type[DistillError] = DistillError
) -> Iterator[None]:
    """Keep other processes out of a folder, and leave nothing there if the block writes nothing.

    Args:
        folder: The folder; it is created if necessary.
        busy: The message for the case that another process holds the lock.
        error: The class of the error to raise.

    Raises:
        DistillError: See `exclusive_lock`.
    """
    lock = folder / LOCK_FILE
    try:
        with exclusive_lock(lock, busy=busy, error=error):
            try:
                yield
            finally:
                # The lock is still held here, so the file cannot be that of another process.
                with suppress(OSError):
                    lock.unlink()
    finally:
        with suppress(OSError):  # the folder holds something, or is in use
            folder.rmdir()
