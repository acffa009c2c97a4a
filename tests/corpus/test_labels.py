"""Labels: their clean form, prompts with descriptions, and label files."""

from pathlib import Path

import pytest

from gliner_distill.corpus.labels import clean_label, format_prompt, read_labels
from gliner_distill.errors import CorpusError


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ('"Village"', "village"),
        ('\\"Village\\"', "village"),
        ('""Village""', "village"),
        ("work_of  art", "work of art"),
        ("\tORG \n", "org"),
        ('6" pipe', '6" pipe'),
        ("pipe", "pipe"),
    ],
)
def test_clean_label_removes_quotes_underscores_case_and_spare_spaces(raw: str, clean: str) -> None:
    assert clean_label(raw) == clean


def test_format_prompt_puts_the_description_behind_the_label() -> None:
    assert format_prompt("drug", "a medicine") == "drug: a medicine"
    assert format_prompt("drug", "") == format_prompt("drug") == "drug"


def read_label_bytes(tmp_path: Path, content: bytes) -> dict[str, str]:
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    return read_labels(path)


def test_read_labels_cleans_labels_and_skips_blank_lines(tmp_path: Path) -> None:
    content = "\nPerson \r\n\n  work_of  art\n名前".encode()
    assert list(read_label_bytes(tmp_path, content)) == ["person", "work of art", "名前"]


def test_read_labels_keeps_descriptions(tmp_path: Path) -> None:
    content = b"Drug: a medicine,  such as: Aspirin \nship\nstar: \n12:30\nurl:x: an address\n"
    assert read_label_bytes(tmp_path, content) == {
        "drug": "a medicine, such as: Aspirin",
        "ship": "",
        "star": "",
        "12:30": "",
        "url:x": "an address",
    }


def test_read_labels_skips_a_byte_order_mark(tmp_path: Path) -> None:
    assert list(read_label_bytes(tmp_path, b"\xef\xbb\xbfcity\nriver\n")) == ["city", "river"]


@pytest.mark.parametrize("line", [b"City", b"city: a large town", b'"city"'])
def test_read_labels_names_a_repeated_label_and_both_lines(tmp_path: Path, line: bytes) -> None:
    with pytest.raises(CorpusError, match=r"labels\.txt: line 4: .*'city'.* line 1\b"):
        read_label_bytes(tmp_path, b"city\n\nriver\n" + line + b"\n")


@pytest.mark.parametrize("line", [b": a large town", b"  : text", b'"": text'])
def test_read_labels_names_the_line_of_a_description_without_a_label(
    tmp_path: Path, line: bytes
) -> None:
    with pytest.raises(CorpusError, match=r"labels\.txt: line 2: .*description"):
        read_label_bytes(tmp_path, b"city\n" + line + b"\n")


@pytest.mark.parametrize("content", [b"", b"\n \n\t\n", b" : \n"])
def test_read_labels_refuses_a_file_without_labels(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(CorpusError, match=r"labels\.txt: .*no label"):
        read_label_bytes(tmp_path, content)


@pytest.mark.parametrize("content", ["city\n".encode("utf-16"), b"caf\xe9\n"])
def test_read_labels_refuses_other_encodings(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(CorpusError, match=r"labels\.txt: .*UTF-8"):
        read_label_bytes(tmp_path, content)


def test_read_labels_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"nowhere: .*No such file"):
        read_labels(tmp_path / "nowhere")
