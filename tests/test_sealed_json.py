"""JSON files with a checksum: any change is told, and hostile files are refused."""

import json
import os

import pytest

from gliner_distill.errors import CorpusError
from gliner_distill.sealed_json import is_sealed, read_json, read_sealed_json, write_sealed_json


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.json"


def read(path):
    return read_sealed_json(path, advice="choose another --out", error=CorpusError)


def test_read_sealed_json_returns_what_was_written(path):
    value = {"b": [1, 2.5, None], "a": {"naïve": "東京"}}
    write_sealed_json(path, value)
    assert read(path) == value
    assert is_sealed(json.loads(path.read_text(encoding="utf-8")))


def test_read_sealed_json_finds_every_flipped_bit_that_changes_the_value(path):
    write_sealed_json(path, {"share": 0.25, "names": ["a", "b"]})
    content = path.read_bytes()
    value = json.loads(content)
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1
        path.write_bytes(changed)
        try:
            is_same = json.loads(changed) == value
        except ValueError:
            is_same = False
        if not is_same:
            with pytest.raises(CorpusError, match=rf"^{path}: .*choose another --out$"):
                read(path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"null", b"[" * 100_000, b"\xff"])
def test_read_sealed_json_refuses_other_content(path, content):
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=rf"^{path}: .*choose another --out$"):
        read(path)


def test_read_sealed_json_refuses_pipes_and_missing_files(path):
    with pytest.raises(CorpusError, match=rf"^{path}: cannot be read: No such file"):
        read(path)
    os.mkfifo(path)
    with pytest.raises(CorpusError, match=rf"^{path}: cannot be read: .*regular file"):
        read(path)
    with pytest.raises(OSError, match="regular file"):
        read_json(path)
