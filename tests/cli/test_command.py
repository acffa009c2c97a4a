"""The parts that all commands share: the text below their options, and lack of memory."""

import errno
import re
import sys
from dataclasses import dataclass
from inspect import signature
from typing import Annotated

import pyarrow as pa
import pytest
import typer

from command_line import start_process
from gliner_distill.cli.command import Command, make_epilog
from gliner_distill.cli.main import COMMANDS, app
from gliner_distill.corpus.records import BadRecordError
from gliner_distill.errors import CorpusError, DistillError, StoreError


def test_make_epilog_has_exit_codes_before_examples():
    epilog = make_epilog("  gliner-distill bench")
    before, _, after = epilog.partition("Examples:\n")
    assert all(f"\n  {code}  " in before for code in (0, 1, 2))
    assert after == "  gliner-distill bench"


def out_of_memory(kind):
    """Return an error as a library raises it when memory runs out."""
    from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException

    torch_says = "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"
    arena = "BFCArena::AllocateRawInternal: Available memory of 0 is smaller than requested bytes"
    return {
        "python": MemoryError(),
        "torch": RuntimeError(torch_says),
        "pyarrow": pa.ArrowMemoryError("malloc of size 64 failed"),
        "onnxruntime": RuntimeException(f"[ONNXRuntimeError] : 6 : {arena}"),
        "c++": RuntimeError("std::bad_alloc"),
        "system": OSError(errno.ENOMEM, "Cannot allocate memory"),
        "loader": ImportError("libtorch.so: failed to map segment from shared object"),
        "thread": RuntimeError("can't start new thread"),
    }[kind]


KINDS = ("python", "torch", "pyarrow", "onnxruntime", "c++", "system", "loader", "thread")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_wrapped", [False, True])
def test_guarded_tells_that_memory_ran_out(kind, is_wrapped):
    def run():
        try:
            raise out_of_memory(kind)
        except Exception as error:
            if is_wrapped:
                raise StoreError("a.parquet: cannot be read") from error
            raise

    command = Command(run, "", "", work="counting words", less_memory="give fewer words")
    with pytest.raises(DistillError) as caught:
        command.guarded()()
    assert str(caught.value).endswith("memory while counting words; give fewer words")


@pytest.mark.parametrize("error", [ValueError("out of memory"), StoreError("a"), KeyError("b")])
def test_guarded_leaves_other_errors_alone(error):
    def run():
        raise error

    with pytest.raises(type(error)) as caught:
        Command(run, "", "", work="", less_memory="").guarded()()
    assert caught.value is error


@pytest.mark.parametrize("can_skip", [False, True])
def test_guarded_suggests_to_skip_bad_records_where_the_command_can(can_skip):
    error = BadRecordError("a.json: record 2: is empty")

    def run() -> None:
        raise error

    def run_or_skip(skip_bad: bool = False) -> None:
        raise error

    command = Command(run_or_skip if can_skip else run, "", "", work="", less_memory="")
    with pytest.raises(CorpusError) as caught:
        command.guarded()()
    advice = "correct it, or leave bad records out with --skip-bad" if can_skip else "correct it"
    assert str(caught.value) == f"a.json: record 2: is empty; {advice}"


@dataclass(frozen=True, kw_only=True)
class Group:
    """A group of options."""

    depth: Annotated[int, typer.Option()] = 3
    height: Annotated[float, typer.Option()]


def test_guarded_takes_the_options_of_a_group_at_the_place_of_the_group():
    given = []

    def run(first: int, *, second: int = 2, group: Group, third: int = 0) -> None:
        given.append((first, second, group, third))

    guarded = Command(run, "", "", work="", less_memory="").guarded()
    assert list(signature(guarded).parameters) == ["first", "second", "depth", "height", "third"]
    guarded(first=1, second=5, depth=4, height=0.5, third=7)
    assert given == [(1, 5, Group(depth=4, height=0.5), 7)]


def test_every_command_says_how_it_needs_less_memory():
    for command in COMMANDS:
        assert command.work
        assert command.less_memory
        options = re.findall(r"--[a-z-]+", command.less_memory)
        flags = {
            flag
            for parameter in typer.main.get_command(app)
            .commands[command.run.__name__.replace("_", "-")]
            .params
            for flag in parameter.opts
        }
        assert set(options) <= flags


LITTLE_MEMORY = """
import resource
from pathlib import Path
import sys
from gliner_distill.cli.main import main
arguments = list(sys.argv)
sys.argv[1:] = ["predict", "Mary left Paris.", "-l", "city"]
try:
    main()
except SystemExit:
    pass
sys.argv = arguments
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 100_000_000, used + 100_000_000))
main()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit and /proc are those of Linux")
def test_predict_with_little_memory_says_so_in_one_line(tmp_path):
    # The libraries are loaded before the limit, because some of them end the process.
    labels = tmp_path / "labels.txt"
    with labels.open("wb") as stream:
        stream.truncate(500_000_000)
    process = start_process(LITTLE_MEMORY, "predict", "Mary left Paris.", "--labels", labels)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert err.splitlines()[-1].startswith("gliner-distill: there was not enough memory while ")
    assert "Traceback" not in err
