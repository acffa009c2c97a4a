"""What commands do at the terminal: whole lines, no chatter, and an end when they are stopped."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

import typer

from gliner_distill.errors import DistillError

_READER_LEFT = 141
"""What a shell says of a command that writes into a pipe that nobody reads any more."""


@contextmanager
def when_stopped(what_is_kept: str) -> Iterator[None]:
    """Turn Ctrl-C into an error that says what is kept and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        raise DistillError(f"stopped; {what_is_kept}") from None


@contextmanager
def until_reader_leaves() -> Iterator[None]:
    """End quietly when nobody reads standard output any more."""
    try:
        yield
    except BrokenPipeError:
        drop_output()
        raise typer.Exit(_READER_LEFT) from None


def drop_output() -> None:
    """Send what is left in the buffer nowhere; it would fail again when Python exits."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def quiet_libraries() -> None:
    """Keep other libraries' chatter off the terminal."""
    import logging
    import warnings

    # TensorBoard's thread meets a full disk first, and then hands the error on to us.
    threading.excepthook = _skip_file_errors
    warnings.filterwarnings("ignore")
    for name in ("transformers", "gliner", "huggingface_hub", "accelerate"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _skip_file_errors(happened: threading.ExceptHookArgs) -> None:
    if not issubclass(happened.exc_type, OSError):
        threading.__excepthook__(happened)


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is open, and is a terminal."""
    return stream is not None and stream.isatty()


def print_whole(lines: bytes) -> None:
    """Print whole lines: a Ctrl-C in between counts when they are out, a second one at once."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is not signal.default_int_handler:
        _print_bytes(lines)
        return
    is_stopped = False

    def note(number: int, frame: object) -> None:
        nonlocal is_stopped
        is_stopped = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, note)
    try:
        _print_bytes(lines)
    finally:
        signal.signal(signal.SIGINT, handler)
    if is_stopped:
        raise KeyboardInterrupt


def _print_bytes(lines: bytes) -> None:
    sys.stdout.buffer.write(lines)
    sys.stdout.buffer.flush()
