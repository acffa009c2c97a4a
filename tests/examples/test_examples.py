"""The examples, run as a user runs them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

pytestmark = pytest.mark.skipif(
    not EXAMPLES.is_dir(), reason="the examples are in the repository, not in the package"
)

LABELED = """\
Ada Lovelace lived in London .
  Ada Lovelace: person 0.98
From York she wrote to New York and Washington .
  York: city 0.90
  New York: city 0.97
  Washington: city 0.60
The St . Lawrence River is long .
  St . Lawrence River: river 0.99
"""


@pytest.mark.slow
def test_label_with_a_dictionary_prints_the_entities_of_its_store(tmp_path):
    done = subprocess.run(
        [sys.executable, EXAMPLES / "label_with_a_dictionary.py", tmp_path / "store"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == (LABELED, "")


WITHOUT_TORCH = """
import runpy, sys
sys.modules |= dict.fromkeys(["torch", "gliner", "transformers"])
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
def test_label_with_a_dictionary_needs_no_torch(tmp_path):
    example = EXAMPLES / "label_with_a_dictionary.py"
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, example, tmp_path / "store"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout, done.stderr) == (LABELED, "")
