"""The answers of a language model, kept one by one, so that none is paid for twice.

They are in memory and, while a store is written, in a file of JSON lines in its folder, which is
only ever appended to. A line is on the disk before the next request of its thread is sent. If a
process is killed while it writes a line, the next one skips that line.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, fields
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, Final

from gliner_distill.errors import StoreError
from gliner_distill.files import append_line, check_regular_file, open_for_appending, reason_of
from gliner_distill.teacher.llm.grounding import FoundEntity

MAX_LINE_BYTES: Final = 16 * 2**20
_MAX_FILE_BYTES: Final = 16 * 2**30


class KeptAnswers:
    """Lists of answers by the hash of their question.

    An answer is any JSON value. Threads may share an object.

    Attributes:
        n_input: The tokens that were read for the answers that a file has.
        n_output: The tokens that were written for them.
        n_measured: The number of requests whose tokens these are.
    """

    def __init__(self) -> None:
        self._answers: dict[str, list[Any]] = {}
        self._unwritten: list[bytes] = []
        self._stream: BinaryIO | None = None
        self._path: Path | None = None
        self._paths: set[Path] = set()
        self._lock = Lock()
        self.n_input = self.n_output = self.n_measured = 0

    def get(self, key: str) -> list[Any]:
        """Return the answers to a question; an empty list if there are none."""
        with self._lock:
            return list(self._answers.get(key, ()))

    @property
    def has_answers(self) -> bool:
        """Whether there is an answer to any question."""
        with self._lock:
            return any(self._answers.values())

    def add(self, key: str, answers: list[Any], tokens: tuple[int, int] | None) -> None:
        """Keep answers to a question.

        Args:
            key: The hash of the question.
            answers: The new answers; an empty list keeps only the tokens.
            tokens: The tokens that were read and written for them, as the endpoint counts them.

        Raises:
            StoreError: The file cannot be written, such as on a full disk.
        """
        if not answers and tokens is None:
            return
        record = {"key": key, "answers": answers, "tokens": tokens}
        line = json.dumps(record, separators=(",", ":")).encode()
        with self._lock:
            self._answers.setdefault(key, []).extend(answers)
            self._count(tokens)
            self._unwritten.append(line)
            self._write_all()

    def read(self, path: Path) -> None:
        """Read the answers of a file once, if it exists; lines that are broken are skipped.

        Raises:
            StoreError: The file cannot be read.
        """
        try:
            if path in self._paths or not path.exists():
                return
            self._paths.add(path)
            check_regular_file(path, max_bytes=_MAX_FILE_BYTES)
            with path.open("rb") as stream, self._lock:
                while line := stream.readline(MAX_LINE_BYTES):
                    self._read_line(line)
        except OSError as error:
            raise StoreError(f"{path}: cannot be read: {reason_of(error)}") from error

    @contextmanager
    def written_to(self, path: Path) -> Iterator[None]:
        """Write answers to a file while the block runs, also those that have no file yet.

        The file is created with the first answer.

        Raises:
            StoreError: The file cannot be written.
        """
        with self._lock:
            self._path = path
            self._write_all()
        try:
            yield
        finally:
            with self._lock:
                self._path = None
                if self._stream is not None:
                    self._stream.close()
                    self._stream = None

    def _write_all(self) -> None:
        """Write the answers that have no file yet, if there is a file now."""
        if self._path is None:
            return
        try:
            while self._unwritten:
                if self._stream is None:
                    self._stream = open_for_appending(self._path)
                append_line(self._stream, self._unwritten[0])
                del self._unwritten[0]
        except OSError as error:
            raise StoreError(f"{self._path}: cannot be written: {reason_of(error)}") from error

    def _read_line(self, line: bytes) -> None:
        try:
            record = json.loads(line)
            key, answers, tokens = record["key"], record["answers"], record["tokens"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return
        if isinstance(key, str) and isinstance(answers, list):
            self._answers.setdefault(key, []).extend(answers)
            is_pair = isinstance(tokens, list) and len(tokens) == 2
            if is_pair and all(type(n) is int and n >= 0 for n in tokens):
                self._count((tokens[0], tokens[1]))

    def _count(self, tokens: tuple[int, int] | None) -> None:
        if tokens is not None:
            self.n_input += tokens[0]
            self.n_output += tokens[1]
            self.n_measured += 1


def pack_answer(entities: list[FoundEntity]) -> list[list[Any]]:
    """Return an answer in the form in which it is kept: a list of values per entity.

    >>> pack_answer([FoundEntity("Paris", "city", "in", "")])
    [['Paris', 'city', 'in', '', 1.0]]
    """
    return [list(astuple(entity)) for entity in entities]


def restore_answer(kept: Any) -> list[FoundEntity] | None:
    """Return an answer from the form in which it is kept; None if it is something else."""
    if not isinstance(kept, list) or not all(map(_is_row, kept)):
        return None
    return [FoundEntity(*row) for row in kept]


def _is_row(row: Any) -> bool:
    if not isinstance(row, list) or len(row) != len(fields(FoundEntity)):
        return False
    *texts, prob = row
    return all(isinstance(text, str) for text in texts) and type(prob) is float and 0 <= prob <= 1
