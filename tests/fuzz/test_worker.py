"""A fault of each kind is found: a traceback, a silent change, a process that ends."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from fuzz.worker import Worker, run_case
from gliner_distill.errors import CorpusError


@dataclass(frozen=True)
class StandIn:
    """A kind that reads a folder with a function."""

    read: Callable[[Path], object]
    must_agree: bool = False


def fail(error: BaseException) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        raise error

    return read


class PanicError(BaseException):
    """Like the panic of a library in Rust, not an `Exception`."""


@pytest.mark.parametrize(
    ("kind", "result"),
    [
        (StandIn(lambda folder: 1, must_agree=True), "answered"),
        (StandIn(lambda folder: 2, must_agree=True), "a silent change"),
        (StandIn(lambda folder: 2), "answered"),
        (StandIn(fail(CorpusError("one line"))), "refused"),
        (StandIn(fail(CorpusError("two\nlines"))), "a message of several lines"),
        (StandIn(fail(ValueError("not ours"))), "a traceback"),
        (StandIn(fail(PanicError())), "a traceback"),
        (StandIn(fail(SystemExit(0))), "a traceback"),
    ],
)
def test_run_case_names_the_result(kind: StandIn, result: str, tmp_path: Path) -> None:
    assert run_case(kind, tmp_path, 1)[0] == result


@pytest.mark.slow
def test_worker_names_a_process_that_ends_and_starts_another_one(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    worker = Worker(tmp_path / "samples", scratch, seed="0", max_seconds=20)
    assert worker.run("mapping", 0).result == "ends the process with 1"  # the sample is missing
    sample = tmp_path / "samples" / "mapping" / "mapping.json"
    sample.parent.mkdir(parents=True)
    sample.write_text('{"[PERSON_1]": "Ada"}', encoding="utf-8")
    assert worker.run("mapping", 0).result in ("answered", "refused")
    worker.close()
