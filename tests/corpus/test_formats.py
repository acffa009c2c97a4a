"""The formats of corpus files: how they are recognized, streamed and refused."""

import json
import tracemalloc
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from corpus_files import (
    GOOD,
    GOOD_PASSAGE,
    error_of,
    make_record,
    read_only_passage,
    write_json,
    write_lines,
)
from gliner_distill.corpus.formats import read_records
from gliner_distill.corpus.reader import read_passages
from gliner_distill.corpus.recognition import recognize_format
from gliner_distill.corpus.records import passage_from_record
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.entities import Passage
from gliner_distill.errors import CorpusError


def read_in_chunks(path: Path, chunk_bytes: int) -> Iterator[Passage]:
    """Yield the passages of a file that is read in chunks of this size."""
    notes = CorpusNotes()
    with path.open("rb") as stream:
        for record in read_records(stream, name=str(path), notes=notes, chunk_bytes=chunk_bytes):
            yield passage_from_record(record, notes)


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.txt", "a"])
def test_read_records_recognizes_json_lines_under_any_file_name(tmp_path: Path, name: str) -> None:
    path = write_lines(tmp_path / name, json.dumps(GOOD), "", json.dumps(GOOD, indent=None))
    notes = CorpusNotes()
    assert list(read_passages(path, notes=notes)) == [GOOD_PASSAGE] * 2
    assert notes.lines() == ["blank lines skipped: 1"]


def test_read_records_tolerates_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode() + b"\r\n")
    assert read_only_passage(path) == GOOD_PASSAGE
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps([GOOD]).encode())
    assert read_only_passage(path) == GOOD_PASSAGE


@pytest.mark.parametrize("chunk_bytes", [1, 2, 7, 64])
def test_read_records_gives_the_same_records_for_every_chunk_size(
    tmp_path: Path, chunk_bytes: int
) -> None:
    words = ['quote "', "naïve", "日本", "\\", "ok"]
    path = tmp_path / "a.json"
    path.write_text(json.dumps([GOOD, make_record(tokenized_text=words)], indent=1), "utf-8")
    passages = list(read_in_chunks(path, chunk_bytes))
    assert [passage.words for passage in passages] == [GOOD_PASSAGE.words, tuple(words)]
    path.write_text(
        json.dumps([GOOD, make_record(tokenized_text=words)], ensure_ascii=False), "utf-8"
    )
    assert list(read_in_chunks(path, chunk_bytes)) == passages
    with path.open("wb") as stream:
        stream.write(b"[123456]")
    with path.open("rb") as stream:
        [record] = read_records(stream, name="a.json", notes=CorpusNotes(), chunk_bytes=chunk_bytes)
    assert record.content == 123456


@pytest.mark.slow
def test_read_records_does_not_hold_a_json_list_in_memory(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", *[GOOD] * 20_000)
    assert path.stat().st_size > 1_500_000
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_passages(path)) == 20_000
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 750_000


def test_read_records_names_a_json_line_that_does_not_parse_and_can_skip_it(tmp_path: Path) -> None:
    good = json.dumps(GOOD)
    path = write_lines(tmp_path / "a.jsonl", good, "", good[:40], "[" * 10**5, good)
    assert error_of(path).startswith(f"{path}: record 2 (line 3): ")
    notes = CorpusNotes()
    assert len(list(read_passages(path, skip_bad=True, notes=notes))) == 2
    assert [message.split(": ")[1] for message in notes.bad_messages] == [
        "record 2 (line 3)",
        "record 3 (line 4)",
    ]


@pytest.mark.parametrize("chunk_bytes", [5, 1 << 16])
def test_read_records_names_the_record_at_which_a_json_list_is_cut_off(
    tmp_path: Path, chunk_bytes: int
) -> None:
    path = tmp_path / "a.json"
    whole = json.dumps([GOOD, GOOD, make_record(tokenized_text=["é"] * 5)])
    second_ends = len(json.dumps([GOOD, GOOD])) - 1
    for n_chars in range(second_ends, len(whole)):
        path.write_text(whole[:n_chars], encoding="utf-8")
        passages = read_in_chunks(path, chunk_bytes)
        complete = 3 if n_chars == len(whole) - 1 else 2
        assert len(list(islice(passages, complete))) == complete
        with pytest.raises(CorpusError) as caught:
            next(passages)
        assert "cut off" in str(caught.value)
        assert any(f"record {n}: " in str(caught.value) for n in (2, 3))
    assert str(caught.value).startswith(f"{path}: after record 3: ")


@pytest.mark.parametrize("text", ["[", "[ ", "[{"])
def test_read_records_refuses_a_json_list_that_is_cut_off_at_once(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    message = error_of(path)
    assert message.startswith(f"{path}: record 1: ")
    assert "cut off" in message


@pytest.mark.parametrize(
    ("text", "place", "culprit"),
    [
        ("[%s %s]", "after record 1", "'{'"),
        ("[%s, %s] x", "after record 2", "'x'"),
        ("[%s, %s}", "after record 2", "'}'"),
        ("[%s, {'a': %s}]", "record 2", "double quotes"),
        ("[%s, %s, ]", "record 3", "']'"),
    ],
)
def test_read_records_names_the_position_at_which_a_json_list_breaks(
    tmp_path: Path, text: str, place: str, culprit: str
) -> None:
    path = tmp_path / "a.json"
    path.write_text(text % (json.dumps(GOOD), json.dumps(GOOD)))
    message = error_of(path, skip_bad=True)
    assert message.startswith(f"{path}: {place}: ")
    assert culprit in message


def test_read_records_finds_a_syntax_error_without_reading_the_rest_of_the_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.json"
    good = json.dumps(GOOD)
    path.write_text("[" + ",".join([good] * 3000 + ["{'x'}"] + [good] * 30_000) + "]")
    passages = read_passages(path)
    assert sum(1 for _ in islice(passages, 3000)) == 3000
    with pytest.raises(CorpusError, match="record 3001: "):
        next(passages)


def test_read_records_refuses_json_that_is_nested_too_deeply(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[{}, " + "[" * 10**5 + "]" * 10**5 + "]")
    assert error_of(path, skip_bad=True).startswith(f"{path}: record 2: ")


@pytest.mark.parametrize("chunk_bytes", [3, 1 << 16])
def test_read_records_names_the_record_of_a_byte_that_is_not_utf8(
    tmp_path: Path, chunk_bytes: int
) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(json.dumps([GOOD, GOOD, GOOD]).encode()[:-30] + b"\xff" + b" " * 40)
    passages = read_in_chunks(path, chunk_bytes)
    assert len(list(islice(passages, 2))) == 2
    with pytest.raises(CorpusError, match="record 3: byte 0xff "):
        next(passages)


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt", "a.conll"])
def test_read_records_names_the_line_of_a_byte_that_is_not_utf8_and_can_skip_it(
    tmp_path: Path, name: str
) -> None:
    good, blank = {
        "a.jsonl": (json.dumps(GOOD), ""),
        "a.txt": ("Anna left", ""),
        "a.conll": ("Anna O", "\n"),
    }[name]
    path = tmp_path / name
    path.write_bytes(f"{good}\n{blank}".encode() + b"\xe9t\xe9 O\n" + f"{blank}{good}\n".encode())
    line = 3 if blank else 2
    assert error_of(path).startswith(
        f"{path}: record 2 (line {line}): byte 0xe9 at position 1 of the line "
    )
    assert len(list(read_passages(path, skip_bad=True))) == 2


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf"])
def test_read_records_refuses_an_empty_file(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(data)
    message = error_of(path)
    assert message.startswith(f"{path}: ")
    assert "empty" in message


def test_read_records_refuses_a_json_file_without_json(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.json", "<html>not found</html>")
    message = error_of(path)
    assert "'<'" in message
    assert "JSON list" in message


def test_read_records_makes_each_line_of_text_a_passage_and_counts_blank_lines(
    tmp_path: Path,
) -> None:
    path = write_lines(tmp_path / "a.txt", "Anna left.", "", " \t", "Ed took B-12\x0bpills")
    notes = CorpusNotes()
    first, second = read_passages(path, notes=notes)
    assert first == Passage(("Anna", "left", "."))
    assert second.words == ("Ed", "took", "B-12", "pills")
    assert notes.blank_lines == 2


@pytest.mark.parametrize(
    "text",
    [
        "[1] Smith et al.",
        "{sic} he wrote",
        "She gave blood, type O",
        '"Quoted," she said.\nThen nothing.',
        "# A heading\nSome prose follows it here.\n",
    ],
)
def test_recognize_format_takes_prose_neither_for_json_nor_for_columns(text: str) -> None:
    assert recognize_format(text.encode(), suffix=".txt") == "text"
