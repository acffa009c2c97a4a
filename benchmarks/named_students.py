"""Students under names of the user's choice, for benchmarks that compare several of them.

A student is given as a folder, or as `bundled` for the one that is installed with the package. All
of them are loaded by `StudentNER.from_pretrained`, so they answer as they do for a user.
"""

import argparse
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gliner_distill.entities import Entity
from gliner_distill.errors import DistillError, InputError
from gliner_distill.runtime.locate import locate_model
from gliner_distill.runtime.ner import StudentNER

BUNDLED = "bundled"
MAIN = "student"
"""The name of the student that a benchmark is about."""

RESERVED = (MAIN, "teacher", "models", "sets", "passages per set")
"""Names that the result files use themselves."""

ABOUT = ("README.md", "metrics.json")
"""Files beside a student that are about it, and not part of it."""

CALL_PASSAGES = 64
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class NamedStudent:
    """A student, its name in tables, and the hash of its files.

    Attributes:
        name: The name in tables.
        source: The last part of the folder's path, or `bundled`.
        sha256: A SHA-256 over the names and the contents of its files, but for its card.
        model: The student.
    """

    name: str
    source: str
    sha256: str
    model: StudentNER

    def find(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]], threshold: float
    ) -> list[list[Entity]]:
        """Return the entities of each passage, given as words; see `answer_in_calls`."""
        return answer_in_calls(
            lambda part: self.model.predict_words(
                passages[part], labels[part], threshold=threshold
            ),
            len(passages),
        )


def add_student_options(parser: argparse.ArgumentParser) -> None:
    """Add `--student NAME=FOLDER`, which may be repeated, and `--threads N`."""
    parser.add_argument(
        *("--student", "-s"),
        action="append",
        default=[],
        dest="students",
        metavar="NAME=FOLDER",
        help="a further student; `bundled` stands for the one that is installed",
    )
    parser.add_argument("--threads", type=int, help="threads of the students; default: all")


def load_students(
    named: Sequence[str], main: str | None = None, *, threads: int | None = None
) -> list[NamedStudent]:
    """Return the student that the benchmark is about, if there is one, and the named ones.

    Args:
        named: Items of the form `NAME=FOLDER`.
        main: The folder of the main student, or `bundled`; None for no main student.
        threads: The number of threads of each student; None for the default.

    Raises:
        SystemExit: An item has another form, a name is taken, or a folder holds no student.
    """
    sources = {} if main is None else {MAIN: main}
    for item in named:
        name, mark, folder = item.partition("=")
        if not (name and mark and folder):
            raise SystemExit(f"--student {item}: expected NAME=FOLDER, such as old=bundled")
        if name in sources or name in RESERVED:
            raise SystemExit(f"--student {item}: the name {name!r} is taken; choose another one")
        sources[name] = folder
    return [load_student(name, source, threads) for name, source in sources.items()]


def load_student(name: str, source: str, threads: int | None) -> NamedStudent:
    """Return the student in a folder or a run folder, or the bundled one."""
    folder = None if source == BUNDLED else source
    try:
        model = StudentNER.from_pretrained(folder, num_threads=threads)
        digest = digest_student(locate_model(folder).folder)
    except DistillError as error:
        raise SystemExit(str(error)) from error
    return NamedStudent(name, Path(source).resolve().name, digest, model)


def digest_student(folder: Path) -> str:
    """Return a SHA-256 over the names and the contents of the files of a student."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name not in ABOUT:
            digest.update(path.name.encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def answer_in_calls(
    ask: Callable[[slice], Sequence[list[Answer]]], n_passages: int
) -> list[list[Answer]]:
    """Return the answers to passages that are asked in several calls.

    The runtime refuses a passage in which a low threshold leaves more candidates than memory
    suffices for. Such a passage counts as one without entities, and a line that is printed says so.

    Args:
        ask: Returns the answers to a slice of the passages.
        n_passages: The number of passages.
    """
    answers: list[list[Answer]] = []
    n_refused = 0
    for first in range(0, n_passages, CALL_PASSAGES):
        part = slice(first, min(first + CALL_PASSAGES, n_passages))
        try:
            answers += ask(part)
        except InputError:
            for row in range(part.start, part.stop):
                try:
                    answers += ask(slice(row, row + 1))
                except InputError as error:
                    n_refused += 1
                    answers.append([])
                    if n_refused == n_passages:
                        raise
                    reason = error
    if n_refused:
        print(f"{n_refused} of {n_passages} passages count as empty; the last reason: {reason}")
    return answers
