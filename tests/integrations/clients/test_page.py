"""The program of the page on clients of GLiNER, in a process without torch and gliner."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[3] / "docs" / "integrations" / "gliner_clients.md"
# Importing any of these packages fails.
WITHOUT_GLINER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "gliner", "transformers"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
"""
PROGRAM = re.compile(r"```python\n(.*?)```\n\n```\n(.*?)```", re.DOTALL)


@pytest.mark.slow
def test_program_of_the_page_runs_without_torch(needs):
    needs("presidio_analyzer")
    program, output = PROGRAM.search(PAGE.read_text(encoding="utf-8")).groups()
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_GLINER + program],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.stdout == output, done.stderr
