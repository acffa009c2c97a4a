"""The progress bar of `predict`."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from command_line import MAIN


@pytest.mark.slow
def test_document_progress_is_shown_in_a_terminal(world):
    """In a process of its own, whose standard error is a terminal."""
    Path("notes.txt").write_text("in paris\n" * 3, encoding="utf-8")
    args = ("predict", "-m", world / "run", "notes.txt", "-l", "city")
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    with process:
        assert process.stdout.read().count(b"\n") == 3
    shown = b""
    with suppress(OSError):  # how a terminal ends
        while part := os.read(ours, 65_536):
            shown += part
    os.close(ours)
    assert process.returncode == 0
    assert b"27/27 bytes" in shown
    assert b"3 documents" in shown
