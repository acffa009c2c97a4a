"""The benchmark of the server, run for moments."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "serve.py"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BENCHMARK.is_file(), reason="the benchmarks are in the repository"),
    pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed"),
    *(
        pytest.mark.skipif(
            importlib.util.find_spec(package) is None, reason=f"{package} is not installed"
        )
        for package in ("fastapi", "prometheus_client", "uvicorn")
    ),
]


def test_serve_measures_the_student_beside_gliner_serves_model(tmp_path, gliner_folder):
    case = ("--words", "25", "--clients", "2", "--seconds", "1", "--threads", "1")
    servers = ("--servers", "empty handler", "gliner.serve", "--teacher", gliner_folder)
    done = subprocess.run(
        [sys.executable, BENCHMARK, *case, *servers, "--json", tmp_path / "out.json"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    cases = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["cases"]
    assert [case["server"] for case in cases] == ["empty handler", "gliner.serve"]
    assert all(case["rate"] > 0 and case["n_failed"] == 0 for case in cases)
