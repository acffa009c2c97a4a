"""JSON files: any change is told, hostile files are refused, and a wrong field is named."""

import json
import os

import pytest

from gliner_distill.errors import CorpusError
from gliner_distill.json_files import (
    COUNT,
    LIST,
    NUMBER,
    OBJECT,
    SHA256,
    SHARE,
    TEXT,
    TEXTS,
    check_fields,
    is_plain,
    is_sealed,
    read_json,
    read_sealed_json,
    write_sealed_json,
)


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


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (TEXT, ["", "a"], [None, 1, b"a", ["a"]]),
        (TEXTS, [[], ["a"]], [None, "a", [1], ["a", None]]),
        (COUNT, [0, 2**62], [-1, True, 1.0, "1", None, 2**63]),
        (NUMBER, [0, 0.5, 7], [-1, True, float("nan"), float("inf"), "1", None]),
        (SHARE, [0, 1, 0.25], [-0.1, 1.5, float("nan"), False, None]),
        (SHA256, ["0f" * 32], ["0F" * 32, "0" * 63, 0, None, "0" * 64 + "\n"]),
        (LIST, [[], [[[[[[]]]]]]], [None, {}, "a"]),
        (OBJECT, [{}, {"a": {"b": [1]}}], [None, [], {"a": [[[[[]]]]]}]),
    ],
)
def test_kind_holds_for_its_values_alone(kind, good, bad):
    for value in good:
        check_fields({"x": value}, {"x": kind})
    for value in bad:
        with pytest.raises(ValueError, match=rf"^x: found .*; expected {kind.expected}$"):
            check_fields({"x": value}, {"x": kind})


def test_check_fields_names_missing_and_unknown_fields():
    with pytest.raises(ValueError, match=r"^rows\[2\]\.b: is missing; expected a string$"):
        check_fields({"a": 1}, {"a": COUNT, "b": TEXT}, where="rows[2]")
    check_fields({"a": 1}, {"a": COUNT, "b": TEXT}, optional=["b"])
    with pytest.raises(ValueError, match=r"^c: is not a field"):
        check_fields({"a": 1, "c": 1}, {"a": COUNT})


@pytest.mark.parametrize("record", [None, [], "a", 1])
def test_check_fields_refuses_anything_but_an_object(record):
    with pytest.raises(ValueError, match=r"^rows\[0\]: found .*; expected an object"):
        check_fields(record, {}, where="rows[0]")


def test_is_plain_survives_any_nesting():
    value = []
    for _ in range(100_000):
        value = [value]
    assert not is_plain(value)
    with pytest.raises(ValueError, match=r"^a: found a list; expected an object"):
        check_fields({"a": value}, {"a": OBJECT})
