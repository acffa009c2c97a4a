"""A process that runs cases, with bounded memory, and that is killed if a case does not end."""

import logging
import multiprocessing
import os
import resource
import shutil
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

from fuzz.kinds import Kind, kind_named

MAX_SECONDS = 20.0
"""The time after which a case counts as one that never ends."""

_START_SECONDS = 300.0
_MOST_WAITS = 20

MEMORY_BYTES = 3 << 29
"""The memory that a case may take on top of what its process has before."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a case.

    Attributes:
        kind: The name of its kind.
        number: Its number within its kind.
        harm: What was done to the file.
        result: `answered`, `refused`, or what is wrong.
        detail: The message of the error, or the traceback.
    """

    kind: str
    number: int
    harm: str
    result: str
    detail: str = ""

    @property
    def is_fault(self) -> bool:
        return self.result not in ("answered", "refused")


class Worker:
    """Runs one case at a time in a process of its own, which is replaced if it hangs or dies."""

    def __init__(self, samples: Path, scratch: Path, *, seed: str, max_seconds: float) -> None:
        self._arguments = (samples, scratch, seed)
        self._max_seconds = max_seconds
        self._process: Any = None
        self._pipe: Any = None

    def run(self, kind: str, number: int) -> Outcome:
        if self._process is None:
            self._start()
        self._pipe.send((kind, number))
        harm = "(the file was not harmed yet)"
        # Reading the unharmed files for the first time imports packages.
        for step, seconds in enumerate((_START_SECONDS, self._max_seconds, self._max_seconds)):
            if not self._waits_for_message(seconds):
                self.close()
                return Outcome(kind, number, harm, "never ends")
            try:
                message = self._pipe.recv()
            except EOFError:
                self._process.join()
                code = self._process.exitcode
                self.close()
                return Outcome(kind, number, harm, f"ends the process with {code}")
            if step == 1:
                harm = message
        return Outcome(kind, number, harm, *message)

    def _waits_for_message(self, seconds: float) -> bool:
        """Say whether a message comes in time; more time is given on a machine that is busy."""
        before = _computing_seconds(self._process.pid)
        for _ in range(_MOST_WAITS):
            if self._pipe.poll(seconds):
                return True
            used = _computing_seconds(self._process.pid) - before
            # One that waits uses no processor, and one in a loop uses all that it gets.
            if not 0.02 * seconds < used < 0.8 * seconds:
                return False
        return False

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None

    def _start(self) -> None:
        # A process that is forked would share the threads of libraries, and their locks.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, *self._arguments), daemon=True)
        self._process.start()
        theirs.close()
        self._pipe.recv()  # the packages are imported, which may take long


def _serve(pipe: Connection, samples: Path, scratch: Path, seed: str) -> None:
    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    import fuzz.readers  # noqa: F401

    warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())  # or warnings would be printed
    pipe.send("ready")
    expected: dict[str, object] = {}
    with suppress(EOFError):
        while True:
            name, number = pipe.recv()
            kind = kind_named(name)
            if name not in expected:  # packages are imported here, before memory is bounded
                expected[name] = kind.read(_copy(samples / kind.sample, scratch))
            pipe.send("ready")
            folder = _copy(samples / kind.sample, scratch)
            pipe.send(kind.harm(Random(f"{seed}/{name}/{number}"), folder))
            with _bounded_memory():
                end = run_case(kind, folder, expected[name])
            pipe.send(end)


def run_case(kind: Kind, folder: Path, expected: object) -> tuple[str, str]:
    """Read a harmed folder, and return the result and the detail of its `Outcome`."""
    from gliner_distill.errors import DistillError

    try:
        answer = kind.read(folder)
    except DistillError as error:
        message = str(error)
        return ("a message of several lines", message) if "\n" in message else ("refused", message)
    except KeyboardInterrupt:
        raise
    except BaseException:  # a panic of a library in Rust is not an Exception
        return "a traceback", traceback.format_exc(limit=-12)
    if kind.must_agree and answer != expected:
        return "a silent change", f"{expected!s:.300} became {answer!s:.300}"
    return "answered", ""


def _copy(sample: Path, scratch: Path) -> Path:
    # A new name each time, so that no library finds an earlier file in a cache of its own.
    for earlier in scratch.iterdir():
        shutil.rmtree(earlier)
    folder = scratch / f"case-{time.monotonic_ns()}"
    shutil.copytree(sample, folder)
    return folder


def _computing_seconds(pid: int) -> float:
    """Return the time for which a process has computed; 0 on systems that do not say so."""
    path = Path(f"/proc/{pid}/stat")
    if not path.is_file():
        return 0.0
    # The name of the program comes before, and may hold spaces.
    fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _bounded_memory() -> Iterator[None]:
    """Let this process take little more memory than it has now while the block runs."""
    if sys.platform != "linux":  # other systems do not say how much address space is taken
        yield
        return
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
