"""The benchmark of quantization: sizes, entities that change, and tables, without training."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from gliner_distill.entities import LabeledPassage, Passage
from gliner_distill.store.quantization import COMPACT, UNIFORM

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="the benchmarks are in the repository, not in the package"
)


@pytest.fixture(scope="module")
def quantization():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("quantization")


def labeled(start, end, inside):
    probs = np.array([[[start, end, inside]]], dtype=np.float32)
    return LabeledPassage(Passage(("word",)), ("city",), probs)


def test_degrade_gives_probabilities_as_a_quantizer_gives_them_back(quantization, five_passages):
    assert quantization.degrade(five_passages, None) == list(five_passages)
    degraded = quantization.degrade(five_passages, UNIFORM)
    for item, coarse in zip(five_passages, degraded, strict=True):
        assert coarse.passage == item.passage
        np.testing.assert_array_equal(coarse.probs, UNIFORM.decode(UNIFORM.encode(item.probs)))


def test_count_changed_counts_the_entities_that_a_quantizer_loses(quantization):
    # 0.3005 lies in the bin from 76/256 to 77/256, whose middle 0.29883 is below 0.3.
    items = [labeled(0.95, 0.95, 0.95), labeled(0.3005, 0.3005, 0.3005)]
    for quantizer in (UNIFORM, COMPACT):
        assert quantization.count_changed(items, quantizer, 0.5) == {"changed": 0, "of": 1}
        assert quantization.count_changed(items, quantizer, 0.3) == {"changed": 1, "of": 2}


def test_measure_size_separates_the_scores_from_the_rest(quantization):
    rng = np.random.default_rng(0)
    probs = rng.random((2000, 5, 3)).astype(np.float32)
    items = [LabeledPassage(Passage(("word",) * 2000), tuple("abcde"), probs)]
    size = quantization.measure_size(items, UNIFORM)
    # Random bytes do not compress: three per pair of a word and a label.
    assert size["scores"] == pytest.approx(3, rel=0.05)
    assert size["all"] > size["scores"]


def test_print_tables_prints_sizes_and_the_mean_of_the_seeds(quantization, capsys):
    students = {"students": {measure: [0.8, 0.9] for measure in quantization.MEASURES}}
    size = {"own labels": {"all": 1.5, "scores": 1.0}, "8 negatives": {"all": 0.5, "scores": 0.25}}
    changed = {"entities changed": {0.5: {"changed": 1, "of": 2000}}, "bytes per pair": size}
    quantization.print_tables({"full": students, "uniform": students | changed})
    lines = capsys.readouterr().out.splitlines()
    assert "| uniform | 1.50 / 1.00 | 0.50 / 0.25 | 1 of 2,000 at 0.5 |" in lines
    assert sum(line.count("85.00") for line in lines) == 2 * len(quantization.MEASURES)
