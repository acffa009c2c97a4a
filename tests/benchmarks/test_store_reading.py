"""The benchmark of reading a store, run on a store of five passages."""

import importlib
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="the benchmarks are in the repository, not in the package"
)


@pytest.fixture(scope="module")
def store_reading():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("store_reading")


def test_store_reading_prints_a_rate_per_stage_and_the_time_of_a_look(
    store_reading, tmp_path, make_store, five_passages, monkeypatch, capsys
):
    make_store(tmp_path / "store", five_passages)
    monkeypatch.setattr(sys, "argv", ["store_reading.py", str(tmp_path / "store"), "--rounds", "1"])
    store_reading.main()
    lines = capsys.readouterr().out.splitlines()
    n_words = sum(len(item.words) for item in five_passages)
    assert lines[0] == f"store: 5 passages, {n_words} words"
    rows = [line.split("|")[1:3] for line in lines if line.startswith("|")]
    cells = {name.strip(): value.strip() for name, value in rows}
    assert {"passages", "examples", "batches", "scores", "passage"} <= cells.keys()
    for stage in ("passages", "examples", "batches"):
        assert int(cells[stage].replace(",", "")) > 0


def test_time_median_warms_up_once(store_reading):
    calls = []
    assert store_reading.time_median(lambda: calls.append(0), 3) >= 0
    assert len(calls) == 4
