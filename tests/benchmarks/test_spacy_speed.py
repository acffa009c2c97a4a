"""The comparison with gliner-spacy, run on a few texts."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not BENCHMARKS.is_dir(), reason="the benchmarks are in the repository, not in the package"
    ),
    *(
        pytest.mark.skipif(
            importlib.util.find_spec(package) is None, reason=f"{package} is not installed"
        )
        for package in ("spacy", "gliner_spacy")
    ),
]


def test_spacy_speed_writes_the_rates_and_the_agreement(tmp_path):
    options = ("--words", "25", "--round-words", "100", "--rounds", "2", "--threads", "1")
    # gliner-spacy must find the stand-in when it is imported, so the process has to be a new one.
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "spacy_speed.py", *options, "--out", tmp_path / "out.json"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    case = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["cases"]["25"]
    assert (case["texts"], case["words"]) == (4, 100)
    names = {
        *("gliner_distill", "one by one", "gliner-spacy", "gliner-spacy, whole texts"),
        "tokenizer",
    }
    for times in case["times"].values():
        assert {name: len(seconds) for name, seconds in times.items()} == dict.fromkeys(names, 2)
    assert case["agreement"]["gliner-spacy, whole texts"] > 0.8
    assert "| gliner-spacy |" in done.stdout
