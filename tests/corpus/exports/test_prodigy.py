"""Prodigy's tasks: spans of accepted ones, and a count of the others."""

from pathlib import Path
from typing import Any

from corpus_files import error_of, write_json
from export_files import PASSAGE, TEXT, read_as


def make_task(**changes: Any) -> dict[str, Any]:
    spans = [
        {"start": 0, "end": 12, "token_start": 0, "token_end": 1, "label": "person"},
        {"start": 20, "end": 26, "token_start": 4, "token_end": 4, "label": "city"},
    ]
    tokens = [{"text": "Ada", "start": 0, "end": 3, "id": 0, "ws": True}]
    task = {"text": TEXT, "tokens": tokens, "spans": spans, "answer": "accept", "_task_hash": 3}
    return task | changes


def test_read_prodigy_reads_accepted_tasks_and_counts_the_others(tmp_path: Path) -> None:
    tasks = [make_task(), make_task(answer="reject"), make_task(answer="ignore"), make_task()]
    passages, notes = read_as(tmp_path / "a", *tasks)
    assert passages == [PASSAGE] * 2
    assert sorted(notes.skipped.values()) == [1, 1]
    assert any("reject" in line for line in notes.lines())


def test_read_prodigy_reads_tasks_without_an_answer(tmp_path: Path) -> None:
    task = make_task()
    del task["answer"]
    assert read_as(tmp_path / "a", task)[0] == [PASSAGE]


def test_read_prodigy_leaves_out_ignored_tasks_without_spans(tmp_path: Path) -> None:
    ignored = {"text": "Nobody read this.", "answer": "ignore"}
    passages, notes = read_as(tmp_path / "a", make_task(), ignored)
    assert passages == [PASSAGE]
    assert list(notes.skipped.values()) == [1]


def test_read_prodigy_reads_an_accepted_task_without_spans_as_one_without_entities(
    tmp_path: Path,
) -> None:
    [passage], _ = read_as(tmp_path / "a", {"text": "Nobody left.", "answer": "accept"})
    assert passage.words == ("Nobody", "left", ".")
    assert passage.entities == ()


def test_read_prodigy_names_a_span_without_a_label(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", make_task(spans=[{"start": 0, "end": 3}]))
    message = error_of(path)
    assert message.startswith(f"{path}: record 1: spans[0] ")
    assert "'label'" in message
