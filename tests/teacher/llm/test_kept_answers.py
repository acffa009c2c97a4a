"""Answers that are kept one by one."""

import pytest

from gliner_distill.errors import StoreError
from gliner_distill.teacher.llm.grounding import FoundEntity
from gliner_distill.teacher.llm.kept_answers import KeptAnswers, pack_answer, restore_answer


def read(path):
    kept = KeptAnswers()
    kept.read(path)
    return kept


def test_kept_answers_are_on_the_disk_as_soon_as_they_are_added(tmp_path):
    path = tmp_path / "answers.jsonl"
    kept = KeptAnswers()
    kept.add("early", [["a"]], None)
    with kept.written_to(path):
        assert read(path).get("early") == [["a"]]
        kept.add("late", [0.25], (10, 2))
        kept.add("late", [0.5], (10, 3))
        again = read(path)
        assert again.get("late") == [0.25, 0.5] == kept.get("late")
        assert (again.n_input, again.n_output, again.n_measured) == (20, 5, 2)
    assert read(path).get("none") == []


def test_kept_answers_create_no_file_without_an_answer(tmp_path):
    with KeptAnswers().written_to(tmp_path / "answers.jsonl"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_kept_answers_survive_a_line_that_was_cut(tmp_path):
    path = tmp_path / "answers.jsonl"
    kept = KeptAnswers()
    with kept.written_to(path):
        for key in ("first", "second"):
            kept.add(key, [key], None)
    whole = path.read_bytes()
    for n_bytes in range(len(whole) // 2 + 1, len(whole) - 1):
        path.write_bytes(whole[:n_bytes])
        kept = read(path)
        assert (kept.get("first"), kept.get("second")) == (["first"], [])
        with kept.written_to(path):
            kept.add("third", ["third"], None)
        again = read(path)
        assert [again.get(key) for key in ("first", "second", "third")] == [
            ["first"],
            [],
            ["third"],
        ]


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"null",
        b'{"key": "a"}',
        b'{"key": 1, "answers": [1], "tokens": null}',
        b'{"key": "a", "answers": 1, "tokens": null}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_kept_answers_skip_broken_lines(tmp_path, line):
    path = tmp_path / "answers.jsonl"
    path.write_bytes(line + b'\n{"key": "b", "answers": [2], "tokens": [1, "x"]}\n')
    kept = read(path)
    assert (kept.get("a"), kept.get("b"), kept.n_measured) == ([], [2], 0)


def test_kept_answers_read_a_file_once(tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_bytes(b'{"key": "b", "answers": [2], "tokens": null}\n')
    kept = read(path)
    kept.read(path)
    assert kept.get("b") == [2]


def test_restore_answer_gives_back_what_was_packed():
    entities = [FoundEntity("a", "b", "c", "d", 0.25), FoundEntity("e", "f")]
    assert restore_answer(pack_answer(entities)) == entities
    assert restore_answer([]) == []


@pytest.mark.parametrize(
    "kept",
    [0.5, None, [1], [["a", "b", "c", "d"]], [["a", "b", "c", 1, 1.0]]]
    + [[["a", "b", "c", "d", prob]] for prob in (2.0, float("nan"), None, "1", True)],
)
def test_restore_answer_refuses_other_values(kept):
    assert restore_answer(kept) is None


def test_kept_answers_name_a_file_that_cannot_be_used(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="folder"):
        KeptAnswers().read(tmp_path / "folder")
    kept = KeptAnswers()
    with (
        pytest.raises(StoreError, match="missing"),
        kept.written_to(tmp_path / "missing" / "answers.jsonl"),
    ):
        kept.add("a", [1], None)
