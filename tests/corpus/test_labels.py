"""Prompts with descriptions, lists of labels, and label files."""

from pathlib import Path

import pytest

from gliner_distill.corpus.labels import format_prompt, read_labels, split_labels
from gliner_distill.errors import CorpusError


def test_format_prompt_puts_the_description_behind_the_label() -> None:
    assert format_prompt("drug", "a medicine") == "drug: a medicine"
    assert format_prompt("drug", "") == format_prompt("drug") == "drug"


def test_format_prompt_does_not_depend_on_the_spelling_of_the_label() -> None:
    assert format_prompt("PLACE_Name", "A Place") == "place name: A Place"


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("person,city", ["person", "city"]),
        (" PERSON , Work_of  Art ,", ["PERSON", "Work_of  Art"]),
        ('"date, time", city', ["date, time", "city"]),
        ('6" pipe, city', ['6" pipe', "city"]),
        (' ["person", "date, time", ""]', ["person", "date, time"]),
        ("a\nb", ["a b"]),
        (" , ", []),
        ("", []),
    ],
)
def test_split_labels_reads_a_list_with_commas(text: str, labels: list[str]) -> None:
    assert split_labels(text) == labels


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("person;city", "person;city"),
        ("org: a company", "org: a company"),
        ("person\tcity", "person\tcity"),
        ("person|city", "person|city"),
        ("- person", "- person"),
        ("2. person", "2. person"),
        ("'person', city", "'person'"),
        ("person # human", "person # human"),
        ("[person, city", "[person"),
        ("{person}", "{person}"),
    ],
)
def test_split_labels_warns_of_marks_that_are_not_commas(
    text: str, label: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert split_labels(text)[0] == label
    assert repr(label) in caplog.records[0].getMessage()


def test_split_labels_does_not_warn_of_ordinary_labels(caplog: pytest.LogCaptureFixture) -> None:
    split_labels("non-profit, C#, 3d model, 24/7 service, O'Brien's, 2.5 GHz, #tag, a & b (c)")
    assert not caplog.records


def read_label_bytes(tmp_path: Path, content: bytes) -> dict[str, str]:
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    return read_labels(path)


def test_read_labels_names_the_line_of_an_endless_label(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"labels\.txt: line 2: "):
        read_label_bytes(tmp_path, b"city\n" + b"a" * 200_000)


def test_read_labels_keeps_the_spelling_and_skips_blank_lines(tmp_path: Path) -> None:
    content = "\nPERSON \r\n\n  work_of  art\n名前".encode()
    assert list(read_label_bytes(tmp_path, content)) == ["PERSON", "work_of  art", "名前"]


def test_read_labels_reads_lists_with_commas_and_skips_comments(tmp_path: Path) -> None:
    content = b'# people, places\nperson, City\n  #more\n"date, time": when: a, b\n'
    expected = {"person": "", "City": "", "date, time": "when: a, b"}
    assert read_label_bytes(tmp_path, content) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'["person", "City, State"]', {"person": "", "City, State": ""}),
        (b'\n[\n "person"\n]', {"person": ""}),
        (
            b'{"Drug": "a  medicine", "ship": "", "x": null}',
            {"Drug": "a medicine", "ship": "", "x": ""},
        ),
    ],
)
def test_read_labels_reads_json(tmp_path: Path, content: bytes, expected: dict[str, str]) -> None:
    assert read_label_bytes(tmp_path, content) == expected


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'["person", "city"', "valid"),
        (b"[" * 100_000, "valid"),
        (b'["person", 3]', "item 2: 3 is a whole number"),
        (b'{"person": ["a"]}', r"item 1: \['a'\] is a list"),
        (b'["a", {"b": "c"}]', "item 2"),
        (b'["person", "PERSON"]', "item 2: .*'person'.* item 1"),
        (b'{"a_b": "x", "A b": "y"}', "item 2: .*'a b'.* item 1"),
        (b'["person", " "]', "item 2: a label is missing"),
        (b"[]", "no label"),
        (b"a, b: a letter", r"line 1: .*'a letter'.* 2 labels"),
        (b"a\n_\n", "line 2: a label is missing"),
    ],
)
def test_read_labels_says_what_it_cannot_read(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(CorpusError, match=rf"labels\.txt: .*{said}"):
        read_label_bytes(tmp_path, content)


def test_read_labels_keeps_descriptions(tmp_path: Path) -> None:
    content = b"Drug: a medicine,  such as: Aspirin \nship\nstar: \n12:30\nurl:x: an address\n"
    assert read_label_bytes(tmp_path, content) == {
        "Drug": "a medicine, such as: Aspirin",
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
    with pytest.raises(CorpusError, match=r"nowhere: this file does not exist; expected a file"):
        read_labels(tmp_path / "nowhere")
    (tmp_path / "labels.txt").touch()
    with pytest.raises(CorpusError, match=r"does not exist \(did you mean .*labels\.txt\?\); exp"):
        read_labels(tmp_path / "label.txt")
