"""Progress bars in a terminal and a notebook, plain lines elsewhere."""

import io
import time

import pytest
from rich.console import Console

from gliner_distill import progress
from gliner_distill.progress import StageProgress


def test_stage_progress_writes_a_line_per_stage_outside_a_terminal(capsys):
    with StageProgress() as bars:
        bars.update("labeling", 500, 1500)
        assert capsys.readouterr().err == ""
        bars.update("labeling", 1500, 1500)
        bars.update("training", 10, 10, "loss [0.5]")
    assert capsys.readouterr().err == (
        "labeling: 1,500 of 1,500 words\ntraining: 10 of 10 words, loss [0.5]\n"
    )


def test_stage_progress_writes_a_line_every_half_minute(capsys, monkeypatch):
    now = time.monotonic()
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with StageProgress() as bars:
        for seconds, done in ((0, 1), (29, 2), (2, 3), (29, 4)):
            now += seconds
            bars.update("labeling", done, 10)
    assert capsys.readouterr().err == "labeling: 3 of 10 words\n"


def test_stage_progress_draws_bars_in_a_terminal():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120)
    with StageProgress(console=console) as bars:
        bars.update("labeling", 500, 1500, "shard 1")
    shown = screen.getvalue()
    assert "labeling" in shown
    assert "33%" in shown
    assert "shard 1" in shown


@pytest.mark.parametrize("has_widgets", [True, False])
def test_stage_progress_draws_bars_in_a_notebook_that_has_widgets(monkeypatch, has_widgets):
    console = Console(file=io.StringIO(), force_jupyter=True)
    monkeypatch.setattr(progress, "find_spec", lambda name: object() if has_widgets else None)
    bars = StageProgress(console=console)
    assert bars.has_bars == has_widgets
