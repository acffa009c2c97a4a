"""The benchmark of labeling, run with a tiny GLiNER on a few passages."""

import importlib
import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="the benchmarks are in the repository, not in the package"
)


@pytest.fixture(scope="module")
def label_throughput():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("label_throughput")


@pytest.mark.slow
def test_label_throughput_writes_the_rates_of_all_ways(
    label_throughput, gliner_folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(label_throughput, "measure_rest", lambda n_rounds: {"encoding": 5.0})
    args = [str(gliner_folder), "--passages", "3", "--rounds", "1", "--rates-only"]
    monkeypatch.setattr(sys, "argv", ["label_throughput.py", *args, "--out", str(tmp_path / "out")])
    label_throughput.main()
    results = json.loads((tmp_path / "out").read_text(encoding="utf-8"))
    ways = {"forward", "forward, parallel", "label", "label, fp32", "label, compared before"}
    rates = [results[f"{key}_second"] for key in ("passages_per", "words_per", "words_per_cpu")]
    assert [rate.keys() for rate in rates] == [ways] * 3
    assert [len(seconds) for seconds in results["seconds"].values()] == [1] * 5
    assert results["gain"].keys() == {"label", "label, compared before"}
    assert results["students"] == []
    assert results["memory"] == []
    rates = results["passages_per_second"]
    share = rates["label, fp32"] / max(rates["forward"], rates["forward, parallel"])
    assert results["share_of_forward"] == pytest.approx(share)
    assert "encoding: 5 words/s on one core" in capsys.readouterr().out


def test_repeated_passages_are_cut_and_keep_the_entities_that_fit(label_throughput):
    passages = list(label_throughput.Repeated(1003, 12))
    assert len(passages) == 1003
    assert passages[1000:] == passages[:3]
    assert max(len(passage.words) for passage in passages) == 12
    assert any(passage.entities for passage in passages)
    assert all(entity.end_word <= 12 for passage in passages for entity in passage.entities)
