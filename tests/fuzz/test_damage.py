"""Harm is drawn from a seed, changes the file, and is described."""

import json
from pathlib import Path
from random import Random

import pytest

from fuzz.damage import harm_file, replace_file

CONTENTS = (
    b'{"a": [1, {"b": "c"}], "d": null}',
    b'{"a": 1}\n{"b": 2}\n',
    b"B-x 1 2\n",
    b"",
    b"\0" * 999,
)


@pytest.mark.parametrize("content", CONTENTS)
def test_harm_file_changes_the_file_and_repeats_it_from_a_seed(
    content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    for seed in range(200):
        harmed = []
        for _ in range(2):
            path.write_bytes(content)
            harmed.append((harm_file(Random(seed), path), path.read_bytes()))
        assert harmed[0] == harmed[1]
        assert harmed[0][1] != content
        assert harmed[0][0]


def test_harm_file_often_leaves_json_that_can_be_parsed(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    n_parsed = 0
    for seed in range(100):
        path.write_bytes(CONTENTS[0])
        harm_file(Random(seed), path)
        try:
            json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            continue
        n_parsed += 1
    assert n_parsed > 30


def test_replace_file_puts_pipes_and_devices_in_the_place_of_a_file(tmp_path: Path) -> None:
    done = set()
    for seed in range(60):
        path = tmp_path / str(seed) / "file"
        path.parent.mkdir()
        path.touch()
        done.add(replace_file(Random(seed), path))
    assert {"replaced by a pipe", "replaced by a link to /dev/zero"} < done
