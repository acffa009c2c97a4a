"""Characters become words: ways of counting, spaces at the ends, and entities that do not fit."""

import json
import logging
from pathlib import Path

import pytest

from corpus_files import error_of
from export_files import PASSAGE, TEXT, read_as
from gliner_distill.corpus.exports.spans import AnnotatedText, CharSpan, word_record
from gliner_distill.corpus.reader import read_passages
from gliner_distill.corpus.records import RecordError
from gliner_distill.corpus.statistics import CorpusNotes


def spans_of(text: str, *spans: tuple[object, object, object]) -> tuple[object, CorpusNotes]:
    notes = CorpusNotes()
    made = [
        CharSpan(f"entities[{i}]", a, b, "x", surface) for i, (a, b, surface) in enumerate(spans)
    ]
    record = word_record(AnnotatedText(text, made), "record 1", notes)
    return record and record["ner"], notes


def test_word_record_counts_entities_that_do_not_fit_words_and_shows_the_first() -> None:
    found, notes = spans_of("Mary-Ann left New York", (0, 4, None), (14, 22, None), (10, 13, None))
    assert found == [[2, 3, "x"]]
    [line] = notes.left_out_lines()
    assert ": 2 " in line
    assert "record 1: characters 0 to 4, 'Mary', label 'x'" in line


def test_word_record_ignores_white_space_at_the_ends_of_an_entity() -> None:
    assert spans_of("Ada left  London ", (0, 4, None), (8, 17, "  London "))[0] == [
        [0, 0, "x"],
        [2, 2, "x"],
    ]
    found, notes = spans_of("Ada  left", (3, 5, None))
    assert (found, len(notes.left_out)) == ([], 1)


def test_word_record_reads_utf16_offsets_if_the_characters_are_repeated() -> None:
    text = "😀😀 Ada 😀 left"
    assert spans_of(text, (3, 6, "Ada"))[0] == spans_of(text, (5, 8, "Ada"))[0] == [[2, 2, "x"]]
    # All entities of a text are counted in the same way.
    with pytest.raises(RecordError, match=r"entities\[1\]: characters 8 to 9"):
        spans_of(text, (3, 6, "Ada"), (8, 9, "left"))


def test_word_record_reads_windows_line_ends_of_either_length() -> None:
    text = "Ada\r\nleft\r\nLondon"
    for start in (11, 9):
        assert spans_of(text, (start, start + 6, "London"))[0] == [[2, 2, "x"]]


@pytest.mark.parametrize(
    ("span", "facts"),
    [
        ((0, 99, None), ["end 99", "8 characters"]),
        ((3, 3, None), ["start 3", "end 3"]),
        ((5, 2, None), ["start 5", "end 2"]),
        ((-1, 2, None), ["-1", "negative"]),
        ((0.5, 2, None), ["0.5", "whole number"]),
        ((None, 2, None), ["null"]),
        ((True, 2, None), ["boolean"]),
        (([0], 2, None), ["a list"]),
        ((10**30, 10**31, None), ["beyond"]),
        ((0, 3, "Bob"), ["'Ada'", "'Bob'"]),
    ],
)
def test_word_record_refuses_offsets_that_are_wrong(
    span: tuple[object, object, object], facts: list[str]
) -> None:
    with pytest.raises(RecordError) as caught:
        spans_of("Ada left", span)
    assert str(caught.value).startswith("entities[0]: ")
    assert all(fact in str(caught.value) for fact in facts)


@pytest.mark.parametrize("text", ["half \ud83d", 3, None])
def test_word_record_refuses_what_is_not_text(text: object) -> None:
    with pytest.raises(RecordError, match=r"^text: "):
        word_record(AnnotatedText(text, []), "record 1", CorpusNotes())


def test_bad_entity_is_named_with_file_line_and_field(tmp_path: Path) -> None:
    path = tmp_path / "gold.jsonl"
    bad = {"text": TEXT, "entities": [{"start": 0, "end": 40, "label": "x"}]}
    path.write_text('{"text": "Ada"}\n' + json.dumps(bad) + "\n")
    message = error_of(path)
    assert message.startswith(f"{path}: record 2 (line 2): entities[0]: end 40 ")


def test_left_out_entities_are_logged_if_nobody_takes_notes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "gold.jsonl"
    path.write_text(json.dumps({"text": TEXT, "entities": [{"start": 0, "end": 2, "label": "x"}]}))
    with caplog.at_level(logging.WARNING):
        [passage] = read_passages(path)
    assert passage.entities == ()
    [message] = caplog.messages
    assert str(path) in message
    assert "'Ad'" in message


def test_escaped_surrogate_pairs_are_one_character(tmp_path: Path) -> None:
    record = {"text": TEXT, "entities": [[0, 12, "person"], [20, 26, "city"]]}
    assert "\\ud83d\\ude00" in json.dumps(record)
    assert read_as(tmp_path / "a", record)[0] == [PASSAGE]
