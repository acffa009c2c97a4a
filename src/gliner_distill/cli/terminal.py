"""Write whole lines, silence other libraries, and exit cleanly when a user stops a command.

No text of a file, a model or a file name may control the terminal: all that the command line prints
passes through `show_controls`.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, TextIO

import typer

from gliner_distill.errors import DistillError

SIGPIPE_EXIT_CODE: Final = 141
"""The exit status after SIGPIPE (128 + 13), as shells report it."""

# Each character is shown as one visible character, so that positions stay the same.
_VISIBLE = {
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"},
    0x7F: 0x2421,
    # Besides control characters, these are line breaks and changes of the reading direction.
    **dict.fromkeys((*range(0x80, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A)), 0xFFFD),
}


def show_controls(text: str) -> str:
    r"""Return a text with symbols for the characters that control a terminal.

    Line ends and tabs remain, and the text keeps its length.

    >>> show_controls("red: \x1b[31m")
    'red: ␛[31m'
    """
    return text.translate(_VISIBLE)


def say(text: str, *, err: bool = False) -> None:
    """Print lines to standard output, or to standard error; see `show_controls`."""
    stream = sys.stderr if err else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    # Bytes of a file name that are not UTF-8 arrive as characters that cannot be encoded.
    typer.echo(show_controls(text).encode(encoding, "backslashreplace").decode(encoding), err=err)


@contextmanager
def showing_log() -> Iterator[None]:
    """Print the warnings of this package on standard error while the block runs."""
    logger, handler = logging.getLogger("gliner_distill"), _LogLines(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _LogLines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage(), err=True)


@contextmanager
def when_stopped(kept: str) -> Iterator[None]:
    """Turn Ctrl-C into an error that says what is kept and how to continue.

    Args:
        kept: A clause, such as "the finished shards are kept".

    Raises:
        DistillError: The user pressed Ctrl-C.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise DistillError(f"stopped; {kept}") from None


@contextmanager
def until_reader_leaves() -> Iterator[None]:
    """End quietly when the reader of standard output, such as `head`, has closed it.

    Raises:
        typer.Exit: Standard output is closed; the exit code is that of SIGPIPE.
    """
    try:
        yield
    except BrokenPipeError:
        drop_output()
        raise typer.Exit(SIGPIPE_EXIT_CODE) from None


def drop_output() -> None:
    """Discard what is still in the buffer of standard output.

    Python flushes that buffer when it exits, and would then fail again on a closed pipe or a full
    disk.
    """
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def quiet_libraries() -> None:
    """Keep the warnings and log lines of other libraries off the terminal."""
    import warnings

    # TensorBoard's thread is the first to notice a full disk, and then passes the error on to us.
    threading.excepthook = _skip_file_errors
    warnings.filterwarnings("ignore")
    for name in ("transformers", "gliner", "huggingface_hub", "accelerate"):
        logging.getLogger(name).setLevel(logging.ERROR)


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is open and is a terminal."""
    return stream is not None and stream.isatty()


def print_whole(lines: bytes, *, is_colored: bool = False) -> None:
    """Write whole lines to standard output, even if the user presses Ctrl-C in between.

    A first Ctrl-C takes effect once the lines are out, a second one at once. A terminal gets
    symbols for control characters; a file or a pipe gets the lines as they are.

    Args:
        lines: The lines, in UTF-8.
        is_colored: Whether the lines hold the codes of colors and no other control characters.

    Raises:
        KeyboardInterrupt: The user pressed Ctrl-C while the lines were written.
    """
    if not is_colored and is_terminal(sys.stdout):
        lines = show_controls(lines.decode()).encode()
    handler = signal.getsignal(signal.SIGINT)
    if handler is not signal.default_int_handler:  # a caller handles Ctrl-C in its own way
        _write(lines)
        return
    is_stopped = False

    def remember(number: int, frame: object) -> None:
        nonlocal is_stopped
        is_stopped = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, remember)
    try:
        _write(lines)
    finally:
        signal.signal(signal.SIGINT, handler)
    if is_stopped:
        raise KeyboardInterrupt


def _write(lines: bytes) -> None:
    sys.stdout.buffer.write(lines)
    sys.stdout.buffer.flush()


def _skip_file_errors(happened: threading.ExceptHookArgs) -> None:
    if not issubclass(happened.exc_type, OSError):
        threading.__excepthook__(happened)
