"""The spaCy project among the examples: its commands, one after the other."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[3] / "examples" / "spacy_project"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not PROJECT.is_dir(), reason="the examples are in the repository, not in the package"
    ),
]


def test_commands_of_the_project_write_entities_of_rules_and_student(needs, tmp_path):
    needs("spacy")
    folder = tmp_path / "project"
    shutil.copytree(PROJECT, folder)
    (tmp_path / "texts.txt").write_text("Job 2217 is for Ada Lovelace.\n\n", encoding="utf-8")
    project = yaml.safe_load((folder / "project.yml").read_text(encoding="utf-8"))
    assert project["workflows"]["all"] == [command["name"] for command in project["commands"]]
    for command in project["commands"]:
        for line in command["script"]:
            program, *args = shlex.split(line.replace("${vars.texts}", "../texts.txt"))
            assert program == "python"
            subprocess.run(
                [sys.executable, *args],
                cwd=folder,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                capture_output=True,
                timeout=200,
                check=True,
            )
        assert all((folder / name).exists() for name in command["outputs"])
    lines = (folder / "entities.jsonl").read_text(encoding="utf-8").splitlines()
    first, second = map(json.loads, lines)
    assert {"start": 0, "end": 8, "label": "job"} in first["entities"]
    assert {"start": 16, "end": 28, "label": "person"} in first["entities"]
    assert second == {"text": "", "entities": []}
