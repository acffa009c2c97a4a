"""Keep the answers of annotators in a file that `distill --gold` reads.

The file has one JSON object per line and per annotated text:

    {"text": "Ada left", "entities": [{"start": 0, "end": 3, "text": "Ada", "label": "person"}],
     "project": 1, "task": 7, "to_name": "text", "annotation": 12, "updated_at": "...", "older": []}

A task may be annotated several times. Its line has the newest answer, and keeps the others in
`older`, so that one of them can take its place if the newest is deleted. Lines of other programs
stay as they are. The file is replaced as a whole, so a reader never sees half of it, and a lock
file beside it keeps other servers from writing at the same time.
"""

import json
import operator
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, final

from gliner_distill.errors import CorpusError, MissingExtraError
from gliner_distill.files import check_regular_file, reason_of, write_file

_MAX_BYTES = 2**30
_LOCK_SECONDS = 30.0


class TextKey(NamedTuple):
    """The text of a task: the ids of project and task, and the name of its `Text` tag."""

    project: int
    task: int
    to_name: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of an annotator for a text.

    Attributes:
        annotation: The id of the annotation.
        updated_at: The time at which it was last changed, in ISO 8601 with a time zone.
        text: The text.
        entities: The entities, with `start`, `end`, `text` and `label`.
    """

    annotation: int
    updated_at: str
    text: str
    entities: Sequence[dict[str, Any]]

    @property
    def age_key(self) -> tuple[datetime, int]:
        """The key by which answers are sorted: the time, then the id."""
        return datetime.fromisoformat(self.updated_at), self.annotation


@dataclass(slots=True)
class _Line:
    """A line of the file: a text with its answers from old to new, or a line of another program.

    `raw` holds the bytes of the line, and is empty if the answers have changed.
    """

    key: TextKey | None = None
    answers: list[Answer] = field(default_factory=list)
    raw: bytes = b""

    def add(self, answer: Answer) -> None:
        earlier = [own for own in self.answers if own.annotation == answer.annotation]
        if all(own.age_key <= answer.age_key for own in earlier):
            self.answers = [own for own in self.answers if own not in earlier] + [answer]
            self.answers.sort(key=lambda own: own.age_key)
            self.raw = b""

    def drop(self, annotations: Collection[int]) -> int:
        kept = [own for own in self.answers if own.annotation not in annotations]
        n_dropped = len(self.answers) - len(kept)
        if n_dropped:
            self.answers, self.raw = kept, b""
        return n_dropped

    def content(self) -> bytes:
        if self.raw or self.key is None:
            return self.raw
        newest, *older = [asdict(answer) for answer in reversed(self.answers)]
        record = {"text": newest.pop("text"), "entities": newest.pop("entities")}
        record |= {**self.key._asdict(), **newest, "older": older}
        self.raw = json.dumps(record, ensure_ascii=False).encode()
        return self.raw


@final
class GoldFile:
    """The file of gold; threads and processes may share one.

    Args:
        path: The file; it and its folder are created when the first answer arrives.

    Raises:
        CorpusError: The file cannot be read, or it does not hold JSON lines.
        MissingExtraError: The package filelock is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        # Reading thousands of lines takes long, so they are kept until another program writes.
        self._lines: list[_Line] = []
        self._stamp: tuple[int, ...] | None = None
        _lock_class()
        self._read()

    def put(self, answers: Mapping[TextKey, Answer]) -> None:
        """Keep answers; the newest one of each text takes its line.

        Earlier versions of the same annotations are dropped. An answer that is older than the
        version of its annotation in the file is ignored.

        Raises:
            CorpusError: The file cannot be read or written; it is then unchanged.
        """

        def change(lines: list[_Line]) -> bool:
            by_key = {line.key: line for line in lines}
            for key, answer in answers.items():
                if key not in by_key:
                    by_key[key] = _Line(key)
                    lines.append(by_key[key])
                by_key[key].add(answer)
            return True

        self._change(change)

    def remove(self, project: int, annotations: Collection[int]) -> int:
        """Drop the answers with some ids, and return how many there were.

        Raises:
            CorpusError: See `put`.
        """
        n_removed = 0

        def change(lines: list[_Line]) -> bool:
            nonlocal n_removed
            for line in lines:
                if line.key is not None and line.key.project == project:
                    n_removed += line.drop(annotations)
            lines[:] = [line for line in lines if line.key is None or line.answers]
            return n_removed > 0

        self._change(change)
        return n_removed

    def _change(self, change: Callable[[list[_Line]], bool]) -> None:
        with self._lock():
            lines = self._read()
            self._stamp = None  # if anything fails, the file is read again
            if change(lines):
                content = b"".join(line.content() + b"\n" for line in lines)
                write_file(self.path, content, error=CorpusError)
            self._stamp = self._current_stamp()

    @contextmanager
    def _lock(self) -> Iterator[None]:
        path = self.path.with_name(f".{self.path.name}.lock")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = _lock_class()(path, timeout=_LOCK_SECONDS)
            lock.acquire()
        except OSError as error:  # a timeout is one, too
            raise CorpusError(f"{self.path}: cannot be locked: {reason_of(error)}") from error
        try:
            yield
        finally:
            lock.release()

    def _current_stamp(self) -> tuple[int, ...]:
        try:
            info = self.path.stat()
        except OSError:  # `_parse` says what is wrong
            return ()
        return info.st_ino, info.st_mtime_ns, info.st_size

    def _read(self) -> list[_Line]:
        stamp = self._current_stamp()
        if self._stamp is None or stamp != self._stamp:
            self._lines = self._parse()
            self._stamp = stamp
        return self._lines

    def _parse(self) -> list[_Line]:
        try:
            check_regular_file(self.path, max_bytes=_MAX_BYTES)
            content = self.path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CorpusError(f"{self.path}: cannot be read: {reason_of(error)}") from error
        lines = [line for line in content.splitlines() if line.strip()]
        if any(line.lstrip()[:1] != b"{" for line in lines):
            raise CorpusError(
                f"{self.path}: a line is not a JSON object; new answers are added as JSON lines, "
                "so name another file here, and give both to `distill`"
            )
        return [_parse_line(line) for line in lines]


def _parse_line(raw: bytes) -> _Line:
    """Return a line of the file; one that another program has written is kept as it is."""
    try:
        record = json.loads(raw)
        project, task = operator.index(record["project"]), operator.index(record["task"])
        key = TextKey(project, task, str(record["to_name"]))
        answers = [_answer(part) for part in (*reversed(record["older"]), record)]
    except (ValueError, KeyError, TypeError, RecursionError):
        return _Line(raw=raw)
    return _Line(key, answers, raw)


def _answer(part: dict[str, Any]) -> Answer:
    entities = list(part["entities"])
    answer = Answer(operator.index(part["annotation"]), part["updated_at"], part["text"], entities)
    if answer.age_key[0].tzinfo is None:
        raise ValueError("the time has no zone")
    return answer


def _lock_class() -> Any:
    try:
        from filelock import FileLock
    except ModuleNotFoundError as error:
        raise MissingExtraError("filelock", "label-studio") from error
    return FileLock
