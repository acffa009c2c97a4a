"""The file of a mapping: its permissions, its content, and broken files."""

import json
import os
import stat

import pytest

from gliner_distill.errors import InputError, RedactionError
from gliner_distill.redaction.mapping import read_mapping, write_mapping

MAPPING = {"[PERSON_1]": "Zoë 🙂\n", "[PERSON_2]": "\ud83d", "[名前_1]": ""}


def test_write_mapping_is_read_back(tmp_path):
    write_mapping(tmp_path / "new" / "mapping.json", MAPPING)
    assert read_mapping(str(tmp_path / "new" / "mapping.json")) == MAPPING


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_write_mapping_lets_only_the_owner_read_the_file(tmp_path):
    path = tmp_path / "mapping.json"
    old_mask = os.umask(0)
    try:
        path.write_text("{}", encoding="utf-8")
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
        write_mapping(path, MAPPING)
    finally:
        os.umask(old_mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["mapping.json"]


def test_write_mapping_refuses_another_value_and_a_folder(tmp_path):
    with pytest.raises(InputError):
        write_mapping(tmp_path / "mapping.json", {"x": "y"})
    with pytest.raises(RedactionError, match="cannot be written"):
        write_mapping(tmp_path, MAPPING)


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000, '{"x": "y"}', '{"[A_1]": 7}'])
def test_read_mapping_refuses_other_files(tmp_path, content):
    path = tmp_path / "mapping.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(RedactionError) as error:
        read_mapping(path)
    assert str(path) in str(error.value)


def test_read_mapping_names_a_file_that_does_not_exist_or_is_not_utf8(tmp_path):
    with pytest.raises(RedactionError, match="No such file"):
        read_mapping(tmp_path / "mapping.json")
    (tmp_path / "latin.json").write_bytes(b'{"[A_1]": "\xe9"}')
    with pytest.raises(RedactionError, match=r"latin\.json"):
        read_mapping(tmp_path / "latin.json")


def test_mapping_file_is_a_plain_json_object(tmp_path):
    write_mapping(tmp_path / "mapping.json", {"[A_1]": "x"})
    content = (tmp_path / "mapping.json").read_text(encoding="ascii")
    assert json.loads(content) == {"[A_1]": "x"}
