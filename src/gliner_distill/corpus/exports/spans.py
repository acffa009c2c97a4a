"""Map entities that are given by characters of a text to words.

Every export that counts characters becomes an `AnnotatedText`, and `word_record` turns it into a
record in the pile-mistral format. An entity that does not begin and end where words do is left out
and counted, because half a word cannot be learned.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gliner_distill.corpus.records import (
    RecordError,
    checked_index,
    checked_label,
    checked_text,
)
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.entities import word_bounds
from gliner_distill.errors import name_kind, shorten

NO_WORDS = "they do not begin and end where words do"
"""The reason for which most entities are left out."""


@dataclass(frozen=True, slots=True)
class CharSpan:
    """An entity of a text as it stands in a file, not checked yet.

    Attributes:
        field: The place of the entity in its record, for messages.
        start: The first character.
        end: The character after the last one.
        label: The label.
        surface: The characters of the entity if the file repeats them, or None.
    """

    field: str
    start: object
    end: object
    label: object
    surface: object = None


@dataclass(frozen=True, slots=True)
class AnnotatedText:
    """A text and its entities as they stand in a file.

    Attributes:
        text: The text.
        spans: The entities.
        text_field: The field of the text, for messages.
        asked: The labels that the annotator was asked for.
    """

    text: object
    spans: Sequence[CharSpan]
    text_field: str = "text"
    asked: Sequence[object] = ()


@dataclass(frozen=True, slots=True)
class _Checked:
    field: str
    start_char: int
    end_char: int
    label: str
    surface: str | None


def word_record(
    annotated: AnnotatedText, place: str, notes: CorpusNotes
) -> dict[str, object] | None:
    """Return the record of a text with the words of its entities, or None if the text is blank.

    Offsets count characters. If the file repeats the characters of its entities, they may also
    count UTF-16 code units, as JavaScript does, or take a Windows line end for one character.

    Args:
        annotated: The text and its entities.
        place: The position of the record in its file, for messages.
        notes: Counts the entities and records that are left out.

    Raises:
        RecordError: An entity is not valid, lies outside the text or has other characters there.
    """
    if isinstance(annotated.text, str) and not annotated.text.strip() and not annotated.spans:
        notes.skipped["records with a blank text"] += 1
        return None
    text = checked_text(annotated.text, annotated.text_field)
    checked = [_check(span) for span in annotated.spans]
    spans = _as_characters(text, checked)
    bounds = word_bounds(text)
    first = {start: word for word, (start, _) in enumerate(bounds)}
    last = {end: word for word, (_, end) in enumerate(bounds)}
    entries = []
    for span in spans:
        start, end = _without_spaces(text, span)
        if start in first and end in last:
            entries.append([first[start], last[end], span.label])
        else:
            shown = f"characters {span.start_char} to {span.end_char}"
            example = f"{place}: {shown}, {shorten(text[start:end])}, label {span.label!r}"
            notes.add_left_out(NO_WORDS, example)
    words = [text[start:end] for start, end in bounds]
    record: dict[str, object] = {"tokenized_text": words, "ner": entries}
    if annotated.asked:
        record["ner_labels"] = list(annotated.asked)
    return record


def object_spans(
    entries: object,
    field: str,
    *,
    start: str = "start",
    end: str = "end",
    label: str = "label",
    surface: str | None = None,
) -> Iterator[CharSpan]:
    """Yield the entities of a list of JSON objects, or of lists `[start, end, label]`.

    Args:
        entries: The list.
        field: The field that holds it, for messages.
        start: The key of the first character.
        end: The key of the character after the last one.
        label: The key of the label.
        surface: The key of the characters themselves; they may be missing.

    Raises:
        RecordError: It is not a list, or one of the entries lacks a key.
    """
    if not isinstance(entries, list | tuple):
        raise RecordError(f"{field} is {name_kind(entries)}; expected a list")
    for number, entry in enumerate(entries):
        place = f"{field}[{number}]"
        if isinstance(entry, list | tuple) and len(entry) == 3:
            yield CharSpan(place, *entry)
            continue
        if not isinstance(entry, dict) or not {start, end, label} <= entry.keys():
            raise RecordError(
                f"{place} is {shorten(entry)}; expected an object with {start!r}, {end!r} and "
                f"{label!r}, or [start, end, label]"
            )
        found = entry.get(surface) if surface else None
        yield CharSpan(place, entry[start], entry[end], entry[label], found)


def _check(span: CharSpan) -> _Checked:
    start = checked_index(span.start, f"{span.field}: start")
    end = checked_index(span.end, f"{span.field}: end")
    if start >= end:
        raise RecordError(
            f"{span.field}: start {start} is not before end {end}; ends are exclusive"
        )
    label = checked_label(span.label, f"{span.field}: label")
    surface = span.surface if isinstance(span.surface, str) else None
    return _Checked(span.field, start, end, label, surface)


def _as_characters(text: str, spans: Sequence[_Checked]) -> list[_Checked]:
    """Return the spans with offsets that count characters.

    Raises:
        RecordError: Whatever the offsets count, a span lies outside the text or has other
            characters there.
    """
    problem: RecordError | None = None
    for convert in _ways_of_counting(text, can_choose=any(span.surface for span in spans)):
        try:
            return [_convert(text, span, convert) for span in spans]
        except RecordError as error:
            problem = problem or error
    assert problem is not None
    raise problem


def _ways_of_counting(text: str, *, can_choose: bool) -> Iterator[Callable[[int], int]]:
    """Yield functions that turn an offset of a file into a position of a character."""
    yield lambda offset: offset
    if not can_choose:
        return
    if max(text) > "\uffff":
        yield _converter(text, lambda char: 1 + (char > "\uffff"))
    if "\r\n" in text:
        yield _converter(text, lambda char: char != "\r")


def _converter(text: str, width: Callable[[str], int]) -> Callable[[int], int]:
    offsets = [0]
    for char in text:
        offsets.append(offsets[-1] + width(char))
    return lambda offset: bisect_left(offsets, offset)


def _convert(text: str, span: _Checked, convert: Callable[[int], int]) -> _Checked:
    start, end = convert(span.start_char), convert(span.end_char)
    if end > len(text):
        raise RecordError(
            f"{span.field}: end {span.end_char} is beyond the end of the text, which has "
            f"{len(text)} characters; ends are exclusive"
        )
    if span.surface is not None and _squeeze(text[start:end]) != _squeeze(span.surface):
        raise RecordError(
            f"{span.field}: characters {span.start_char} to {span.end_char} are "
            f"{shorten(text[start:end])}, but the entity is {shorten(span.surface)}; "
            "offsets count characters from 0, and ends are exclusive"
        )
    return _Checked(span.field, start, end, span.label, span.surface)


def _squeeze(text: str) -> str:
    """Return a text without white space and the escapes that Label Studio writes for line ends."""
    return "".join(text.replace("\\n", " ").split())


def _without_spaces(text: str, span: _Checked) -> tuple[int, int]:
    """Return the bounds of a span without the white space at its ends."""
    start, end = span.start_char, span.end_char
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


Content = dict[str, Any]
"""The JSON object of a record."""
