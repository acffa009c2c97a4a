"""BRAT's pairs of files: folders, single files, discontinuous entities and line ends."""

import os
from pathlib import Path

import pytest

from corpus_files import error_of
from export_files import PASSAGE, TEXT, read_all
from gliner_distill.corpus.reader import CorpusFile
from gliner_distill.entities import Entity

LINES = ("T1\tperson 0 12\tAda Lovelace", "T2\tcity 20 26\tLondon")


def write_pair(stem: Path, text: str, *lines: str) -> Path:
    stem.parent.mkdir(parents=True, exist_ok=True)
    stem.with_suffix(".txt").write_bytes(text.encode())
    stem.with_suffix(".ann").write_text("\n".join(lines), encoding="utf-8")
    return stem.with_suffix(".ann")


def test_read_brat_reads_an_ann_file_and_a_folder(tmp_path: Path) -> None:
    path = write_pair(tmp_path / "b" / "deep" / "one", TEXT, *LINES)
    assert read_all(path)[0] == [PASSAGE]
    write_pair(tmp_path / "b" / "two", "Nobody.")
    (tmp_path / "b" / "three.txt").write_text("Not annotated")
    passages, notes = read_all(tmp_path / "b")
    assert passages[0] == PASSAGE
    assert passages[1].entities == ()
    assert list(notes.skipped.values()) == [1]
    assert list(CorpusFile(tmp_path / "b")) == passages


def test_read_brat_does_not_wait_for_a_pipe(tmp_path: Path) -> None:
    write_pair(tmp_path / "b" / "one", TEXT, *LINES)
    os.mkfifo(tmp_path / "b" / "two.ann")
    assert read_all(tmp_path / "b")[0] == [PASSAGE]


def test_read_brat_counts_discontinuous_entities_and_lines_that_are_not_read(
    tmp_path: Path,
) -> None:
    lines = (*LINES, "T3\tcity 0 3;20 26\tAda London", "R1\tin Arg1:T1 Arg2:T2", "#1\tNote T1\tx")
    passages, notes = read_all(write_pair(tmp_path / "a", TEXT, *lines))
    assert passages == [PASSAGE]
    [line] = notes.left_out_lines()
    assert ": 1 (the first: record 1: line 3: T3, 'Ada London', label 'city')" in line
    assert list(notes.skipped.values()) == [2]


def test_read_brat_tells_windows_line_ends_and_utf16_by_the_text(tmp_path: Path) -> None:
    text = "Ada left.\r\nShe saw 😀 London."
    for start in (21, 20):
        line = f"T1\tcity {start} {start + 6}\tLondon"
        [passage] = read_all(write_pair(tmp_path / "a", text, line))[0]
        assert passage.entities == (Entity(6, 7, "city"),)


@pytest.mark.parametrize(
    ("line", "facts"),
    [
        ("T1\tcity 0 99\tLondon", ["line 1: end 99"]),
        ("T1\tcity 0 6\tLondon", ["line 1: characters 0 to 6", "'Ada Lo'"]),
        ("T1 city 20 26 London", ["line 1 is 'T1 city"]),
        ("T1\tcity x 26\tLondon", ["line 1 is"]),
    ],
)
def test_read_brat_names_a_bad_line(tmp_path: Path, line: str, facts: list[str]) -> None:
    message = error_of(write_pair(tmp_path / "a", TEXT, line))
    assert message.startswith(f"{tmp_path / 'a.ann'}: record 1: ")
    assert all(fact in message for fact in facts)


def test_read_brat_refuses_an_ann_file_without_its_text(tmp_path: Path) -> None:
    path = write_pair(tmp_path / "a", TEXT, *LINES)
    path.with_suffix(".txt").unlink()
    message = error_of(path)
    assert message.startswith(f"{tmp_path / 'a.txt'}: ")
    assert ".ann" in message


def test_read_brat_names_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    path = write_pair(tmp_path / "a", TEXT, *LINES)
    path.with_suffix(".txt").write_bytes(b"caf\xe9")
    assert "a.txt: byte 4 is not UTF-8" in error_of(path)
