"""The benchmark of `predict` on Ray, without Ray."""

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="the benchmarks are in the repository, not in the package"
)


@pytest.fixture(scope="module")
def predict_cluster():
    pytest.importorskip("ray", reason="ray is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("predict_cluster")


@pytest.mark.slow
def test_predict_cluster_measures_a_way_after_its_first_answer(predict_cluster, tmp_path, capsys):
    from pyarrow import parquet

    n_words = predict_cluster.write_texts(tmp_path / "texts.parquet", 600)
    source = predict_cluster.DocumentSource(files=(str(tmp_path / "texts.parquet"),))
    way = predict_cluster.make_ways(None)["one thread"]
    seconds, rate = predict_cluster.time_way(way, source, tmp_path / "found.parquet")
    assert seconds > 0
    assert rate > 0
    assert parquet.read_table(tmp_path / "found.parquet").num_rows == 600
    predict_cluster.print_table({"one thread": [(1.0, 30.0), (3.0, 10.0)]}, 600, n_words)
    assert "| one thread | 20 (10 to 30) | 2.0 |" in capsys.readouterr().out
