"""Whole lines in spite of Ctrl-C, and a quiet end when the reader leaves."""

import io
import json
import logging
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
    say,
    show_controls,
    showing_log,
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
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=buffer, isatty=lambda: False))
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


CONTROLS = "".join(
    map(chr, [*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), 0x2028, 0x2066])
)


def test_show_controls_replaces_each_control_character_but_line_ends_and_tabs():
    shown = show_controls(CONTROLS)
    assert len(shown) == len(CONTROLS)
    assert {letter for letter in shown if letter in CONTROLS} == {"\n", "\t"}
    assert show_controls("\x1b[31m") == "\u241b[31m"
    assert show_controls("Zoë 東京 🙂 ‏שלום") == "Zoë 東京 🙂 ‏שלום"


@pytest.mark.parametrize("err", [False, True])
def test_say_prints_no_control_character_and_no_half_of_a_pair(err, capsys):
    say(f"a{CONTROLS}b \udce9", err=err)
    shown = capsys.readouterr()[err]
    assert not set(shown) & (set(CONTROLS) - {"\n", "\t"})
    assert shown.endswith("b \\udce9\n")


def test_say_escapes_what_the_encoding_of_the_stream_lacks(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", stream)
    say("Zoë 東")
    stream.flush()
    assert stream.buffer.getvalue() == "Zoë \\u6771\n".encode("latin-1")


def test_showing_log_prints_the_warnings_of_the_package_alone(capsys):
    with showing_log():
        logging.getLogger("gliner_distill.corpus.reader").warning("%s: odd", "a\x1b[2J")
        logging.getLogger("gliner_distill.hub").info("nothing new")
    assert capsys.readouterr().err == "a\u241b[2J: odd\n"
    assert logging.getLogger("gliner_distill").handlers == []


@pytest.mark.parametrize(("is_tty", "is_colored"), [(True, False), (True, True), (False, False)])
def test_print_whole_shows_control_characters_as_symbols_in_a_terminal(
    is_tty, is_colored, monkeypatch
):
    buffer = io.BytesIO()
    terminal = SimpleNamespace(buffer=buffer, isatty=lambda: is_tty)
    monkeypatch.setattr(sys, "stdout", terminal)
    print_whole(b"a\x1b[31m\n", is_colored=is_colored)
    as_it_is = is_colored or not is_tty
    assert buffer.getvalue() == (b"a\x1b[31m\n" if as_it_is else "a\u241b[31m\n".encode())


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
