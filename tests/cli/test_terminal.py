"""Whole lines in spite of Ctrl-C, and a quiet end when the reader leaves."""

import io
import json
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
import typer

from command_line import MAIN, start_process
from gliner_distill.cli.terminal import (
    SIGPIPE_EXIT_CODE,
    is_terminal,
    print_whole,
    quiet_libraries,
    until_reader_leaves,
    when_stopped,
)
from gliner_distill.errors import DistillError


class InterruptedBuffer(io.BytesIO):
    """A buffer whose user presses Ctrl-C while it is written to."""

    def write(self, content):
        signal.raise_signal(signal.SIGINT)
        return super().write(content)


def test_print_whole_writes_its_lines_before_it_is_interrupted(monkeypatch):
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    buffer = InterruptedBuffer()
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=buffer))
    try:
        with pytest.raises(KeyboardInterrupt):
            print_whole(b"one\ntwo\n")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, handler)
    assert buffer.getvalue() == b"one\ntwo\n"


@pytest.mark.slow
def test_print_whole_finishes_its_lines_when_ctrl_c_comes_in_between(world):
    """In a process of its own, whose answer is longer than a pipe holds."""
    script = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)

class Stdout:
    def __init__(self, stream):
        self.stream = stream
        self.buffer = self

    def write(self, lines):
        if lines:
            signal.raise_signal(signal.SIGINT)
        return self.stream.buffer.write(lines)

    def __getattr__(self, name):
        return getattr(self.stream, name)

sys.stdout = Stdout(sys.stdout)
{MAIN}"""
    text = "in paris " * 20_000
    process = start_process(
        script, "predict", "-m", world / "run", "-l", "city", stdin=subprocess.PIPE
    )
    out, err = process.communicate(f"{text}\n", timeout=60)
    assert process.returncode == 1
    assert json.loads(out)["text"] == text
    assert err.startswith("gliner-distill: stopped; ")
    assert err.count("\n") == 1


def test_when_stopped_says_what_is_kept():
    with pytest.raises(DistillError, match="half is kept"), when_stopped("half is kept"):
        raise KeyboardInterrupt


def test_until_reader_leaves_exits_with_the_code_of_sigpipe(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())  # without a file number to redirect
    with pytest.raises(typer.Exit) as end, until_reader_leaves():
        raise BrokenPipeError
    assert end.value.exit_code == SIGPIPE_EXIT_CODE == 141


def test_is_terminal_is_false_for_a_closed_stream():
    assert not is_terminal(None)
    assert not is_terminal(io.StringIO())


def test_quiet_libraries_hides_only_file_errors_of_threads(monkeypatch, capsys):
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    quiet_libraries()

    def fail(error):
        raise error

    for error in (OSError("disk full"), ValueError("a bug")):
        thread = threading.Thread(target=fail, args=(error,))
        thread.start()
        thread.join()
    shown = capsys.readouterr().err
    assert "a bug" in shown
    assert "disk full" not in shown
