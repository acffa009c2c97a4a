"""`gliner-distill bench`: the table, the file, and a folder without a model."""

import json
from functools import partial
from pathlib import Path

import pytest

from command_line import assert_fails
from gliner_distill.evaluation import speed
from gliner_distill.evaluation.speed import SpeedSettings


@pytest.fixture
def little_to_read(monkeypatch):
    """Make the command measure a single case in one process."""
    small = partial(SpeedSettings, text_words=(25,), label_counts=(5,), total_words=400, n_starts=1)
    monkeypatch.setattr(speed, "SpeedSettings", small)


@pytest.mark.slow
def test_bench_prints_a_table_and_writes_json(run_cli, little_to_read):
    finished = run_cli("bench", "--threads", 1, "--rounds", 1, "--json", "bench.json")
    assert finished.code == 0
    head, blank, *table = finished.out.splitlines()
    assert head.endswith("; 1 thread; median of 1 round (lowest–highest)")
    assert blank == ""
    assert table[:2] == ["| | bundled student |", "|---|---:|"]
    assert len(table) == 2 + 1 + 4
    assert finished.err.splitlines() == [
        "0/3 texts of 25 words, 5 labels",
        "1/3 one text at a time",
        "2/3 first answer of bundled student",
    ]
    figures = json.loads(Path("bench.json").read_text())
    assert (figures["threads"], figures["rounds"]) == (1, 1)
    assert figures["models"]["bundled student"]["memory_mb"] > 0


def test_bench_refuses_a_folder_without_a_model(run_cli):
    Path("neither").mkdir()
    assert_fails(
        run_cli("bench", "neither"), "neither: ", "student_config.json", "gliner_config.json"
    )
