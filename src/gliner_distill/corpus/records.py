"""Check one record of a corpus file and turn it into a clean `Passage`.

The readers of the file formats (`corpus.formats`, `corpus.conll`) yield `RawRecord`s;
`passage_from_record` checks one, cleans its labels and counts what it changed. A record is either
used as a whole or left out as a whole. Nothing here opens a file.
"""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from gliner_distill.corpus.statistics import TEACHER_WINDOW_WORDS, CorpusNotes
from gliner_distill.entities import Entity, Passage, word_texts
from gliner_distill.errors import CorpusError, name_kind, shorten
from gliner_distill.labels import clean_label

_READ_KEYS = {"tokenized_text", "text", "ner", "ner_labels", "ner_negatives"}


class RecordError(Exception):
    """The reason why a record is bad; the reader of the file decides what happens to the record."""


class BadRecordError(CorpusError):
    """A record of a file is bad, and bad records are not left out.

    Its argument names the file, the record and the reason.
    """

    @property
    def problem(self) -> str:
        """The file, the record and the reason, without the advice to leave bad records out."""
        return str(self.args[0])

    def __str__(self) -> str:
        return f"{self.problem}; correct it, or leave bad records out with --skip-bad"


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record with the content that its file has, not checked yet.

    Attributes:
        place: The position in the file: "record 17", with a line number in formats with lines.
        content: The JSON value; for other formats, a dictionary with the same keys.
        problem: The reason why the content is missing, or None.
    """

    place: str
    content: object = None
    problem: str | None = None


def decode_line(line: bytes) -> str:
    """Return the text of a line without its line end.

    Raises:
        RecordError: A byte of the line is not UTF-8.
    """
    try:
        return line.rstrip(b"\r\n").decode()
    except UnicodeDecodeError as error:
        byte = f"byte 0x{line[error.start]:02x} at position {error.start + 1} of the line"
        raise RecordError(f"{byte} is not UTF-8") from None


def passage_from_record(record: RawRecord, notes: CorpusNotes) -> Passage:
    """Return the passage of a record, and count anything unusual about it in `notes`.

    Ends become exclusive. Entities keep the order of the file; exact duplicates are dropped.

    Raises:
        RecordError: The record is bad; the message names the field and the reason, and nothing
            has been counted.
    """
    if record.problem is not None:
        raise RecordError(record.problem)
    content = _checked_object(record.content)
    words = _checked_words(content)
    entries = _checked_list(content, "ner") if "tokenized_text" in content else []
    spans = [_checked_span(entry, f"ner[{i}]", len(words)) for i, entry in enumerate(entries)]
    asked = [
        checked_label(label, f"{key}[{i}]")
        for key in ("ner_labels", "ner_negatives")
        if content.get(key) is not None
        for i, label in enumerate(_checked_list(content, key))
    ]
    # Nothing below this line raises, so that a bad record leaves no trace in the counts.
    for raw in [span.raw_label for span in spans] + asked:
        notes.add_label(raw, clean_label(raw))
    # A dictionary drops duplicates and keeps the order.
    entities = dict.fromkeys(
        Entity(span.start_word, span.end_word, clean_label(span.raw_label)) for span in spans
    )
    passage = Passage(words, tuple(entities), tuple(dict.fromkeys(map(clean_label, asked))))
    notes.string_indexes += sum(span.had_string_index for span in spans)
    notes.duplicate_entities += len(spans) - len(entities)
    notes.ignored_keys.update(key for key in content if key not in _READ_KEYS)
    _count_passage(passage, notes)
    return passage


def _count_passage(passage: Passage, notes: CorpusNotes) -> None:
    spans = Counter((entity.start_word, entity.end_word) for entity in passage.entities)
    notes.passages += 1
    notes.multi_label_spans += sum(count > 1 for count in spans.values())
    notes.passages_without_entities += not passage.entities
    notes.long_passages += len(passage.words) > TEACHER_WINDOW_WORDS
    notes.spaced_words += sum(len(word.split()) > 1 for word in passage.words)


@dataclass(frozen=True, slots=True)
class _RawSpan:
    start_word: int
    end_word: int
    raw_label: str
    had_string_index: bool


def _checked_object(content: object) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise RecordError(
            f"the record is {name_kind(content)}; expected an object with "
            '"tokenized_text" and "ner", or with "text"'
        )
    if "tokenized_text" not in content and "text" not in content:
        keys = ", ".join(shorten(key) for key in list(content)[:8]) or "none"
        raise RecordError(
            f'the key "tokenized_text" is missing (the keys: {keys}); expected '
            '"tokenized_text" and "ner", or "text"'
        )
    if "tokenized_text" in content and "ner" not in content:
        raise RecordError('the key "ner" is missing; a passage without entities needs "ner": []')
    if "tokenized_text" not in content and content.get("ner"):
        raise RecordError(
            'ner: positions count the words of "tokenized_text", but the record has only "text"; '
            'add "tokenized_text"'
        )
    return content


def _checked_words(content: dict[str, Any]) -> tuple[str, ...]:
    if "tokenized_text" in content:
        words = _checked_list(content, "tokenized_text")
        for i, word in enumerate(words):
            checked_text(word, f"tokenized_text[{i}]")
    else:
        words = word_texts(checked_text(content["text"], "text"))
    if not words:
        raise RecordError("tokenized_text: the list is empty; expected at least one word")
    return tuple(words)


def _checked_list(content: dict[str, Any], key: str) -> list[Any]:
    value = content[key]
    if not isinstance(value, list):
        raise RecordError(f"{key} is {name_kind(value)}; expected a list")
    return value


def checked_text(value: object, field: str) -> str:
    """Return a value that must be a string with text in it.

    Raises:
        RecordError: It is not, or it holds half of a surrogate pair.
    """
    if not isinstance(value, str):
        raise RecordError(f"{field}: found {shorten(value)}; expected a string")
    if not value.strip():
        raise RecordError(f"{field}: the string is empty or only white space; expected text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise RecordError(
            f"{field}: {shorten(value)} holds half of a surrogate pair, which is not a character"
        ) from None
    return value


def checked_label(value: object, field: str) -> str:
    """Return a value that must be a label; it is not cleaned.

    Raises:
        RecordError: It is not a string, or nothing is left of it when it is cleaned.
    """
    label = checked_text(value, field)
    if not clean_label(label):
        raise RecordError(
            f"{field}: label {shorten(label)} contains only quotes and underscores; expected a name"
        )
    return label


def _checked_span(entry: object, field: str, n_words: int) -> _RawSpan:
    if not isinstance(entry, list):
        raise RecordError(f"{field} is {name_kind(entry)}; expected [start, end, type]")
    if len(entry) != 3:
        raise RecordError(f"{field} has {len(entry)} values; expected three: [start, end, type]")
    start = checked_index(entry[0], f"{field}: start")
    end = checked_index(entry[1], f"{field}: end")
    if start > end:
        raise RecordError(f"{field}: start {start} is greater than end {end}; ends are inclusive")
    if end >= n_words:
        raise RecordError(
            f"{field}: end {end} is beyond the last word of the passage, {n_words - 1}; "
            "positions count from 0 and ends are inclusive"
        )
    label = checked_label(entry[2], f"{field}: type")
    return _RawSpan(start, end + 1, label, any(isinstance(value, str) for value in entry[:2]))


def checked_index(value: object, field: str) -> int:
    """Return a value that must be a position, or a string of digits.

    Raises:
        RecordError: It is not, or it is negative.
    """
    # Some exports write numbers as strings; nine digits are more than any passage has words.
    if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,9}\s*", value):
        value = int(value)
    if type(value) is not int:  # a bool is an int, but not a position
        raise RecordError(
            f"{field} {shorten(value)} is {name_kind(value)}; expected a whole number"
        )
    if value < 0:
        raise RecordError(f"{field} {value} is negative; positions count from 0")
    return value
