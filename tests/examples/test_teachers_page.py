"""The page on teachers: its commands that need no model of the hub run."""

import re
import shlex
from pathlib import Path

import pytest

from gliner_distill.store.store import SoftLabelStore

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "teachers.md"

pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="the docs are in the repository")


def commands_of(page):
    """Return the arguments of each `gliner-distill` command on a page."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line)[1:] for line in lines if line.startswith("gliner-distill ")]


@pytest.mark.slow
def test_commands_with_rules_and_a_pipeline_run(run_cli, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))  # restores the path that opening changes
    monkeypatch.chdir(ROOT / "examples" / "teachers")
    n_run = 0
    for number, arguments in enumerate(commands_of(PAGE)):
        is_spacy = "python:spacy_pipeline:teacher" in arguments
        if is_spacy:
            pytest.importorskip("spacy", exc_type=ModuleNotFoundError)
        if is_spacy or arguments[:2] == ["label", "../workshop/letters.txt"]:
            out = tmp_path / str(number)
            ended = run_cli(*arguments[:-1], out)
            assert ended.code == 0, ended.err
            assert any(item.probs.any() for item in SoftLabelStore(out))
            n_run += 1
    assert n_run == 2
