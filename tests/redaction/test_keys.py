"""The key of a hash: from a file or the environment, and never in a message."""

import pytest

from gliner_distill.errors import InputError, RedactionError
from gliner_distill.redaction.keys import KEY_VARIABLE, check_key, read_key


def test_check_key_takes_bytes_and_strings():
    assert check_key(b"0123456789abcdef") == b"0123456789abcdef"
    assert check_key("é" * 8) == ("é" * 8).encode()


@pytest.mark.parametrize("key", [None, 7, "secret word", b"", "é" * 7])
def test_check_key_refuses_short_keys_without_showing_them(key):
    with pytest.raises(InputError) as error:
        check_key(key)
    assert "16" in str(error.value)
    assert "secret word" not in str(error.value)


def test_read_key_prefers_the_file_and_drops_its_line_end(tmp_path, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "the key of the environment")
    assert read_key(None) == b"the key of the environment"
    (tmp_path / "key").write_bytes(b" the key of the file \r\n")
    assert read_key(tmp_path / "key") == b" the key of the file "


def test_read_key_says_where_the_key_may_come_from(tmp_path, monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with pytest.raises(RedactionError, match=KEY_VARIABLE):
        read_key(None)
    monkeypatch.setenv(KEY_VARIABLE, "short")
    with pytest.raises(RedactionError, match=rf"{KEY_VARIABLE}: .*16"):
        read_key(None)
    with pytest.raises(RedactionError, match=r"none: .*No such file"):
        read_key(tmp_path / "none")
