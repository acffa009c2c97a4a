"""The choice of who is told about the progress of long work."""

import subprocess
import sys

import pytest

from gliner_distill.callbacks import no_progress, show_progress


def test_show_progress_passes_a_function_on():
    reports = []

    def collect(stage, done, total, note=""):
        reports.append((stage, done, total, note))

    with show_progress(collect) as progress:
        progress("training", 1, 2, "loss 0.5")
    assert reports == [("training", 1, 2, "loss 0.5")]


@pytest.mark.parametrize("choice", [False, None])
def test_show_progress_shows_nothing_if_it_is_switched_off(choice, capsys):
    with show_progress(choice, log_lines=True) as progress:
        assert progress is no_progress
        progress("training", 2, 2)
    assert capsys.readouterr().err == ""


def test_show_progress_writes_lines_outside_a_terminal_only_if_they_are_wanted(capsys):
    for log_lines, shown in ((False, ""), (True, "training: 2 of 2 words\n")):
        with show_progress(True, log_lines=log_lines) as progress:
            progress("training", 2, 2)
        assert capsys.readouterr() == ("", shown)


def test_show_progress_imports_rich_only_if_bars_are_wanted():
    script = """
import sys
from gliner_distill.callbacks import show_progress
for choice in (False, None, print):
    with show_progress(choice):
        assert "rich" not in sys.modules
with show_progress(True):
    assert "rich" in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
