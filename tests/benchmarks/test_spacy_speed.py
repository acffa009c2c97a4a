"""The comparison with gliner-spacy, run on a few texts."""

import importlib
import json

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def spacy_speed(benchmarks):
    for package in ("spacy", "gliner_spacy"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    return benchmarks("spacy_speed")


def test_spacy_speed_writes_the_rates_and_the_agreement(spacy_speed, run, tmp_path):
    options = ("--words", "25", "--round-words", "100", "--rounds", "2", "--threads", "1")
    printed = run(spacy_speed, *options, "--out", tmp_path / "out.json")
    case = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["cases"]["25"]
    assert (case["texts"], case["words"]) == (4, 100)
    names = {
        *("gliner_distill", "one by one", "gliner-spacy", "gliner-spacy, whole texts"),
        "tokenizer",
    }
    for times in case["times"].values():
        assert {name: len(seconds) for name, seconds in times.items()} == dict.fromkeys(names, 2)
    assert case["agreement"]["gliner-spacy, whole texts"] > 0.8
    assert "| gliner-spacy |" in printed
