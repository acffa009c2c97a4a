"""Read CoNLL column files: one word and its tag per line, and a blank line after each passage.

Columns are separated by tabs, or by spaces in lines without a tab. `corpus.column_layout` finds the
columns of the word and the tags, and `corpus.tags` reads the tags. The records have the keys of the
pile-mistral format. This module needs only the standard library.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gliner_distill.corpus.column_layout import ColumnLayout, find_crossing, split_columns
from gliner_distill.corpus.records import RawRecord, RecordError, decode_line
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.corpus.tags import TagStyle, join_tags, read_tag, tag_kind

# CoNLL-U writes its comments as "# key = value".
_KEY_VALUE = re.compile(r"#\s?\w[\w.:]*\s*=")


def read_columns(
    lines: Iterable[bytes], *, layout: ColumnLayout | None = None, notes: CorpusNotes
) -> Iterator[RawRecord]:
    """Yield a record for each passage of a column file.

    A bad row makes its passage bad; the next passage is read as usual.

    Args:
        lines: The lines of the file, as bytes.
        layout: The columns of the word and the tags; the first and the last by default.
        notes: Counts the comment lines and the entities that begin with an inside tag.
    """
    style = _ColumnStyle(layout or ColumnLayout())
    number = 1
    for block in _blocks(lines, notes):
        try:
            rows = _without_comments(_decode_rows(block), style, notes)
            sentences = list(_sentences(rows, style))
        except _RowError as error:
            yield RawRecord(f"record {number} (line {error.line_number})", problem=str(error))
            number += 1
            continue
        for sentence in sentences:
            try:
                content = _build_content(sentence, style, notes)
            except _RowError as error:
                yield RawRecord(f"record {number} (line {error.line_number})", problem=str(error))
            else:
                yield RawRecord(f"record {number} (line {sentence[0].line_number})", content)
            number += 1


class _RowError(RecordError):
    def __init__(self, line_number: int, problem: str) -> None:
        super().__init__(problem)
        self.line_number = line_number


@dataclass(frozen=True, slots=True)
class _Row:
    line_number: int
    text: str


@dataclass(slots=True)
class _ColumnStyle:
    """The layout of a file, with what its first rows decide: number of columns and prefixes."""

    layout: ColumnLayout
    n_columns: int | None = None
    tags: list[TagStyle] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.n_columns = self.layout.n_columns
        self.tags = [TagStyle() for _ in self.layout.tag_columns]


def _blocks(lines: Iterable[bytes], notes: CorpusNotes) -> Iterator[list[tuple[int, bytes]]]:
    """Yield the numbered lines between blank lines and -DOCSTART- lines."""
    block: list[tuple[int, bytes]] = []
    for line_number, line in enumerate(lines, 1):
        is_docstart = line.startswith(b"-DOCSTART-")
        notes.comment_lines += is_docstart
        if line.strip() and not is_docstart:
            block.append((line_number, line))
        elif block:
            yield block
            block = []
    if block:
        yield block


def _decode_rows(block: Iterable[tuple[int, bytes]]) -> list[_Row]:
    rows = []
    for line_number, line in block:
        try:
            rows.append(_Row(line_number, decode_line(line)))
        except RecordError as error:
            raise _RowError(line_number, str(error)) from None
    return rows


def _without_comments(rows: list[_Row], style: _ColumnStyle, notes: CorpusNotes) -> list[_Row]:
    """Return the rows without the comments that CoNLL-U allows before a passage's first word."""
    n_comments = 0
    while n_comments < len(rows) and _is_comment(rows[n_comments].text, style):
        n_comments += 1
    notes.comment_lines += n_comments
    return rows[n_comments:]


def _is_comment(line: str, style: _ColumnStyle) -> bool:
    """Return whether a line is a comment and not a row whose word begins with "#"."""
    if not line.startswith("#"):
        return False
    columns = split_columns(line)
    has_tag = len(columns) > 1 and tag_kind(columns[-1]) != "other"
    if style.n_columns is None:
        # Before the first row the number of columns is unknown, but a row ends in a tag.
        return not has_tag or _KEY_VALUE.match(line) is not None
    is_row = len(columns) == style.n_columns and (has_tag or style.tags[-1].has_prefixes is False)
    return not is_row


def _sentences(rows: list[_Row], style: _ColumnStyle) -> Iterator[list[_Row]]:
    """Yield the rows of each sentence; numbers before the words may show where one begins.

    Raises:
        _RowError: A number is missing, or does not follow the one before it.
    """
    sentence: list[_Row] = []
    before: list[str] = []
    for row in rows:
        numbers = split_columns(row.text)[: len(style.layout.numberings)]
        if sentence and _begins_sentence(before, numbers, row, style.layout):
            yield sentence
            sentence = []
        sentence.append(row)
        before = [new or old for new, old in zip(numbers, before or numbers, strict=False)]
    if sentence:
        yield sentence


def _begins_sentence(
    before: list[str], numbers: list[str], row: _Row, layout: ColumnLayout
) -> bool:
    begins = False
    for kind, old, new in zip(layout.numberings, before, numbers, strict=False):
        if kind == "sentence numbers":
            begins = begins or new not in (old, "")
        elif new in ("0", "1") and old != "0":
            begins = True
        elif not new.isdecimal() or not old.isdecimal() or int(new) != int(old) + 1:
            raise _RowError(
                row.line_number,
                f"the number {new!r} follows {old!r}; expected the number of the word in its "
                "sentence, without gaps",
            )
    return begins


def _build_content(rows: list[_Row], style: _ColumnStyle, notes: CorpusNotes) -> dict[str, object]:
    words: list[str] = []
    tags: list[list[tuple[str, str]]] = [[] for _ in style.tags]
    for row in rows:
        try:
            columns = _checked_columns(row.text, style)
            for column, tag_style, read in zip(
                style.layout.tag_columns, style.tags, tags, strict=True
            ):
                read.append(read_tag(columns[column], tag_style))
        except RecordError as error:
            raise _RowError(row.line_number, str(error)) from None
        words.append(columns[style.layout.word_column])
    layers = []
    for tag_style, read in zip(style.tags, tags, strict=True):
        entities, n_inside_starts = join_tags(read)
        layers.append(entities)
        if tag_style.has_prefixes:
            notes.inside_starts += n_inside_starts
    if (problem := find_crossing(layers, style.layout.tag_columns)) is not None:
        raise _RowError(rows[0].line_number, problem)
    return {"tokenized_text": words, "ner": [list(entity) for layer in layers for entity in layer]}


def _checked_columns(line: str, style: _ColumnStyle) -> list[str]:
    columns = split_columns(line)
    if any("\r" in column for column in columns):
        raise RecordError("the row holds a carriage return; end each line with a line feed")
    if len(columns) == 1:
        raise RecordError("the row has one column; expected a word first and its tag last")
    if style.n_columns is None:
        style.n_columns = len(columns)
    if len(columns) != style.n_columns:
        raise RecordError(
            f"the row has {len(columns)} columns, but the first rows of the file have "
            f"{style.n_columns}"
        )
    if not columns[style.layout.word_column]:
        raise RecordError("the word of the row is empty; expected text before the first tab")
    return columns
