"""Read CoNLL column files: one word and its tag per line, and a blank line after each passage.

Columns are separated by tabs, or by spaces in lines without a tab. The word is in the first column
and the tag in the last. Tags are O and B-/I- (in either IOB style), optionally with E-/S- or
L-/U-, or bare types without a prefix. The records have the keys of the pile-mistral format. This
module needs only the standard library.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from gliner_distill.corpus.records import RawRecord, RecordError, decode_line
from gliner_distill.corpus.statistics import CorpusNotes

_PREFIXED_TAG = re.compile(r"[BIESLU]-(?=.*\S).+")

# A tag such as "X-PER" or "B_PER" is taken for a typing error, not for a type of its own.
_BROKEN_TAG = re.compile(r"[A-Za-z][-_]")

# CoNLL-U writes its comments as "# key = value".
_KEY_VALUE = re.compile(r"#\s?\w[\w.:]*\s*=")
_N_SAMPLE_LINES = 500


def looks_like_columns(text: str) -> bool:
    """Return whether most of the first lines have the same number of columns and end in a tag.

    A single line is taken for plain text.
    """
    lines = [line for line in text.split("\n")[:_N_SAMPLE_LINES] if line.strip()]
    rows = [_split_columns(line) for line in lines if not line.startswith(("#", "-DOCSTART-"))]
    if len(rows) < 2:
        return False
    [(n_columns, n_regular)] = Counter(map(len, rows)).most_common(1)
    kinds = Counter(_tag_kind(columns[-1]) for columns in rows if len(columns) > 1)
    n_tagged = kinds["outside"] + kinds["prefixed"]
    return n_columns > 1 and min(n_regular, n_tagged) > len(rows) / 2


def read_columns(lines: Iterable[bytes], *, notes: CorpusNotes) -> Iterator[RawRecord]:
    """Yield a record for each passage of a column file.

    A bad row makes its passage bad; the next passage is read as usual.

    Args:
        lines: The lines of the file, as bytes.
        notes: Counts the comment lines and the entities that begin with an inside tag.
    """
    style = _ColumnStyle()
    number = 1
    for block in _blocks(lines, notes):
        try:
            rows = _without_comments(_decode_rows(block), style, notes)
            content = _build_content(rows, style, notes) if rows else None
        except _RowError as error:
            yield RawRecord(f"record {number} (line {error.line_number})", problem=str(error))
            number += 1
        else:
            if rows:
                yield RawRecord(f"record {number} (line {rows[0].line_number})", content)
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
    """The columns per row and the use of prefixes, which the first rows of a file decide."""

    n_columns: int | None = None
    has_prefixes: bool | None = None


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
    columns = _split_columns(line)
    has_tag = len(columns) > 1 and _tag_kind(columns[-1]) != "other"
    if style.n_columns is None:
        # Before the first row the number of columns is unknown, but a row ends in a tag.
        return not has_tag or _KEY_VALUE.match(line) is not None
    is_row = len(columns) == style.n_columns and (has_tag or style.has_prefixes is False)
    return not is_row


def _build_content(rows: list[_Row], style: _ColumnStyle, notes: CorpusNotes) -> dict[str, object]:
    words, tags = [], []
    for row in rows:
        try:
            word, tag = _read_row(row.text, style)
        except RecordError as error:
            raise _RowError(row.line_number, str(error)) from None
        words.append(word)
        tags.append(tag)
    entities, n_inside_starts = _join_tags(tags)
    if style.has_prefixes:
        notes.inside_starts += n_inside_starts
    return {"tokenized_text": words, "ner": entities}


def _read_row(line: str, style: _ColumnStyle) -> tuple[str, tuple[str, str]]:
    columns = _split_columns(line)
    if len(columns) == 1:
        raise RecordError("the row has one column; expected a word first and its tag last")
    if style.n_columns is None:
        style.n_columns = len(columns)
    if len(columns) != style.n_columns:
        raise RecordError(
            f"the row has {len(columns)} columns, but the first row of the file has "
            f"{style.n_columns}"
        )
    if not columns[0]:
        raise RecordError("the word of the row is empty; expected text before the first tab")
    return columns[0], _read_tag(columns[-1], style)


def _read_tag(tag: str, style: _ColumnStyle) -> tuple[str, str]:
    """Return the prefix and the type of a tag; a bare type gets I, so that its runs join."""
    kind = _tag_kind(tag)
    if kind == "outside":
        return "O", ""
    if kind == "other" and (len(tag) < 2 or _BROKEN_TAG.match(tag)):
        raise RecordError(f"tag {tag!r} is not valid; expected O or B-, I-, E-, S-, L- or U-TYPE")
    if style.has_prefixes is None:
        style.has_prefixes = kind == "prefixed"
    if style.has_prefixes != (kind == "prefixed"):
        earlier = "with a prefix (B-TYPE)" if style.has_prefixes else "without a prefix (TYPE)"
        raise RecordError(
            f"tag {tag!r} does not match the earlier tags, which are {earlier}; use one style"
        )
    return (tag[0], tag[2:]) if style.has_prefixes else ("I", tag)


def _join_tags(tags: Sequence[tuple[str, str]]) -> tuple[list[list[object]], int]:
    """Return `[start, end_inclusive, type]` per entity, and how many begin with an inside tag."""
    entities: list[list[object]] = []
    open_start, open_label = 0, None
    n_inside_starts = 0
    for position, (prefix, label) in enumerate([*tags, ("O", "")]):
        # IOB1 begins an entity with I-, unless another one of its type comes directly before it.
        begins_inside = prefix in "IEL" and label != open_label
        begins = prefix in "BSU" or begins_inside
        n_inside_starts += begins_inside
        if open_label is not None and (begins or prefix == "O"):
            entities.append([open_start, position - 1, open_label])
            open_label = None
        if begins:
            open_start, open_label = position, label
        if prefix in "ESLU":
            entities.append([open_start, position, open_label])
            open_label = None
    return entities, n_inside_starts


def _tag_kind(tag: str) -> Literal["outside", "prefixed", "other"]:
    if tag == "O":
        return "outside"
    return "prefixed" if _PREFIXED_TAG.fullmatch(tag) else "other"


def _split_columns(line: str) -> list[str]:
    line = line.rstrip("\t\r ")
    if "\t" in line:
        return [column.strip(" ") for column in line.split("\t")]
    return re.split(" +", line)
