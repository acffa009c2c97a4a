"""`read_passages`, `CorpusFile` and `write_passages`."""

import json
import logging
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_files import (
    GOOD,
    GOOD_PASSAGE,
    error_of,
    make_record,
    read_only_passage,
    write_json,
    write_lines,
)
from gliner_distill.corpus import reader
from gliner_distill.corpus.reader import CorpusFile, read_passages, sample_path, write_passages
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.entities import Entity, Passage
from gliner_distill.errors import CorpusError

SHARED = Path(__file__).resolve().parents[3] / "shared"
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1)
LABELS = st.sampled_from(["person", "work of art", "日本"])


def test_reader_imports_neither_torch_nor_the_hub_library() -> None:
    code = "import sys, gliner_distill.corpus.reader; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "pyarrow", "huggingface_hub", "gliner"} & set(run.stdout.split())


def test_read_passages_makes_inclusive_ends_exclusive(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", GOOD, make_record(ner=[]))
    assert list(read_passages(path)) == [GOOD_PASSAGE, Passage(GOOD_PASSAGE.words)]


def test_read_passages_reads_a_corpus_of_one_passage(tmp_path: Path) -> None:
    assert read_only_passage(write_json(tmp_path / "a.json", GOOD)) == GOOD_PASSAGE


def test_read_passages_reads_a_corpus_without_entities(tmp_path: Path) -> None:
    notes = CorpusNotes()
    path = write_json(tmp_path / "a.json", make_record(ner=[]), make_record(ner=[]))
    assert len(list(read_passages(path, notes=notes))) == 2
    assert notes.lines() == ["passages without entities (kept): 2"]


def test_read_passages_yields_good_passages_before_the_error(tmp_path: Path) -> None:
    passages = read_passages(write_json(tmp_path / "a.json", GOOD, []))
    assert next(passages) == GOOD_PASSAGE
    with pytest.raises(CorpusError, match=r"record 2: .* a list"):
        next(passages)


def test_read_passages_logs_skipped_records_if_nobody_takes_notes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_json(tmp_path / "a.json", GOOD, {}, {})
    with caplog.at_level(logging.WARNING):
        list(read_passages(path, skip_bad=True))
    [message] = caplog.messages
    assert "2 bad records" in message
    assert "a.json: record 2: " in message


def test_read_passages_refuses_a_file_with_only_bad_records(tmp_path: Path) -> None:
    message = error_of(write_json(tmp_path / "a.json", {}, {}), skip_bad=True)
    assert "2 records" in message
    assert "a.json: record 1: " in message


@pytest.mark.parametrize("text", ["[]", " [ ] ", "\n\n", "-DOCSTART- O\n\n"])
def test_read_passages_refuses_a_file_without_passages(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.conll"
    path.write_text(text)
    message = error_of(path)
    assert message.startswith(f"{path}: ")
    assert "no passage" in message


def test_read_passages_refuses_missing_files_folders_and_odd_paths_at_the_call(
    tmp_path: Path,
) -> None:
    with pytest.raises(CorpusError, match=r"a\.json: .*does not exist"):
        read_passages(tmp_path / "a.json")
    (tmp_path / "letters.txt").touch()
    with pytest.raises(CorpusError, match=r"does not exist \(did you mean .*/letters\.txt\?\); "):
        read_passages(tmp_path / "leters.txt")
    with pytest.raises(CorpusError, match=f"{tmp_path}: .*folder"):
        read_passages(tmp_path)
    with pytest.raises(CorpusError, match=r"x: .*File name too long"):
        read_passages("x" * 5000)
    with pytest.raises(CorpusError, match=r"null (byte|character)"):
        read_passages("a\0b")


def test_read_passages_refuses_a_file_without_read_permission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = write_json(tmp_path / "a.json", GOOD)
    monkeypatch.setattr(Path, "open", refuse)
    message = error_of(path)
    assert message.startswith(f"{path}: ")
    assert message.endswith("Permission denied")


def test_read_passages_asks_the_hub_only_if_no_such_file_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = write_json(tmp_path / "data.json", GOOD)
    monkeypatch.setattr(reader, "download_dataset_file", lambda repo_id: stored)
    assert list(read_passages("me/passages")) == [GOOD_PASSAGE]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "me").mkdir()
    write_lines(tmp_path / "me/passages", "a local file")
    assert next(read_passages("me/passages")).words == ("a", "local", "file")


@pytest.mark.slow
@given(data=st.data())
def test_write_passages_writes_what_read_passages_reads(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    passages = []
    for _ in range(data.draw(st.integers(1, 3))):
        words = tuple(data.draw(st.lists(WORDS, min_size=1, max_size=6)))
        entities = []
        for _ in range(data.draw(st.integers(0, 3))):
            start = data.draw(st.integers(0, len(words) - 1))
            end = data.draw(st.integers(start + 1, len(words)))
            entities.append(Entity(start, end, data.draw(LABELS)))
        listed = tuple(data.draw(st.lists(LABELS, unique=True)))
        passages.append(Passage(words, tuple(dict.fromkeys(entities)), listed))
    path = tmp_path_factory.mktemp("written") / "a.json"
    write_passages(path, passages)
    assert list(read_passages(path)) == passages


def test_write_passages_writes_a_pile_mistral_list(tmp_path: Path) -> None:
    write_passages(tmp_path / "a.json", [GOOD_PASSAGE, GOOD_PASSAGE])
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == [GOOD, GOOD]
    write_passages(tmp_path / "a.json", [])
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == []


def test_write_passages_can_replace_the_file_that_it_reads(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", *[make_record(ner=[["3", "4", "City"]])] * 3)
    write_passages(path, read_passages(path))
    assert json.loads(path.read_text("utf-8")) == [GOOD] * 3


def test_write_passages_leaves_the_old_file_and_no_partial_one_after_an_error(
    tmp_path: Path,
) -> None:
    path = write_json(tmp_path / "a.json", GOOD)
    bad = write_json(tmp_path / "b.json", GOOD, {})
    with pytest.raises(CorpusError, match="record 2"):
        write_passages(path, read_passages(bad))
    assert read_only_passage(path) == GOOD_PASSAGE
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.json", "b.json"]


@pytest.mark.parametrize("name", ["missing/a.json", "file/a.json"])
def test_write_passages_refuses_a_place_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CorpusError, match=r"a\.json: .*(No such file|Not a directory)"):
        write_passages(tmp_path / name, [GOOD_PASSAGE])


def test_corpus_file_gives_the_same_passages_each_time(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", GOOD, make_record(ner=[]))
    for source in (path, str(path)):
        passages = CorpusFile(source)
        assert list(passages) == list(passages) == list(read_passages(path))


def test_corpus_file_can_be_read_twice_at_once(tmp_path: Path) -> None:
    passages = CorpusFile(write_json(tmp_path / "a.json", GOOD, make_record(ner=[])))
    pairs = list(zip(passages, passages, strict=True))
    assert len(pairs) == 2
    assert all(first == second for first, second in pairs)


def test_corpus_file_reads_the_file_again_each_time(tmp_path: Path) -> None:
    passages = CorpusFile(write_json(tmp_path / "a.json", GOOD))
    assert len(list(passages)) == 1
    write_json(tmp_path / "a.json", GOOD, GOOD)
    assert len(list(passages)) == 2


def test_corpus_file_is_read_only_when_iterated_over(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[{", encoding="utf-8")
    passages = CorpusFile(tmp_path / "a.json")
    with pytest.raises(CorpusError, match=r"a\.json: record 1"):
        list(passages)


def test_corpus_file_notes_are_those_of_one_reading(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", GOOD, {"words": []}, make_record(ner=[]))
    passages = CorpusFile(path, skip_bad=True)
    assert passages.notes.lines() == []
    for _ in range(3):
        assert len(list(passages)) == 2
        assert passages.notes.bad_records == 1
        assert "passages without entities (kept): 1" in passages.notes.lines()


def test_corpus_file_raises_for_bad_records_unless_they_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_json(tmp_path / "a.json", GOOD, {"words": []})
    with pytest.raises(CorpusError, match=r"a\.json: record 2: .*--skip-bad"):
        list(CorpusFile(path))
    assert list(CorpusFile(path, skip_bad=True)) == [GOOD_PASSAGE]
    assert caplog.messages == []  # the notes have them


@pytest.mark.parametrize(
    ("name", "reason"), [("none", "does not exist"), (".", "folder has no .ann files")]
)
def test_corpus_file_refuses_a_source_that_is_not_a_file_at_once(
    tmp_path: Path, name: str, reason: str
) -> None:
    with pytest.raises(CorpusError, match=reason):
        CorpusFile(tmp_path / name)


def test_corpus_file_refuses_a_pipe_which_can_be_read_only_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CorpusError, match="pipe"):
        CorpusFile(tmp_path / "pipe")


@pytest.mark.parametrize(("split", "n_passages"), [("train", 1000), ("dev", 90), ("test", 100)])
def test_sample_corpus_reads_without_a_finding(
    split: Literal["train", "dev", "test"], n_passages: int
) -> None:
    notes = CorpusNotes()
    assert sum(1 for _ in read_passages(sample_path(split), notes=notes)) == n_passages
    assert notes.lines() == []


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the development corpora are not on this machine")
def test_read_passages_reads_the_development_corpora_without_a_bad_record() -> None:
    paths = [*sorted((SHARED / "data/corpora").glob("*.jsonl")), SHARED / "data/open/train.json"]
    assert len(paths) > 100
    for path in paths:
        passages = list(islice(read_passages(path), 50))
        assert passages, path
        assert all(passage.words for passage in passages)
