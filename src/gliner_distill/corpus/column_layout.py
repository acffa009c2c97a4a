"""Find out which columns of a column file hold the word and its tags, from the first lines.

The word usually comes first and the tag last. Before the word there may be the position of the word
in its sentence or the number of the sentence; the tag may come first; and there may be several
columns of tags, one inside the other. A file whose columns can be read in two ways is refused.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from gliner_distill.corpus.records import RecordError
from gliner_distill.corpus.tags import BARE_TAGS, TagStyle, join_tags, read_tag, tag_kind
from gliner_distill.errors import CorpusError

Numbering = Literal["positions", "sentence numbers"]

_N_SAMPLE_LINES = 500

# The end of a sample that has fewer lines than this is the end of the file.
_N_SURE_LINES = 20
_N_SURE_NUMBERS = 3
_NUMBER = re.compile(r"(?:[Ss]ent(?:ence)?[\s:_#-]*)?(\d{1,9})")
# CoNLL-U gives such numbers to a word of several parts, and to one that is left out of the text.
_PART_NUMBER = re.compile(r"\d{1,9}[-.]\d{1,9}")

# The types of syntactic chunks, which many files tag in a column of their own.
_CHUNKS = frozenset(
    ("NP", "VP", "PP", "ADJP", "ADVP", "SBAR", "PRT", "CONJP", "INTJ", "LST", "UCP")
)


@dataclass(frozen=True, slots=True)
class ColumnLayout:
    """The meaning of the columns of a file, counted from 0.

    Attributes:
        n_columns: The number of columns, or None if the first row decides.
        numberings: The meaning of each column before the word and the tags.
        word_column: The column of the word.
        tag_columns: The columns of tags; the entities of a later one lie inside those of an
            earlier one. -1 is the last column.
    """

    n_columns: int | None = None
    numberings: tuple[Numbering, ...] = ()
    word_column: int = 0
    tag_columns: tuple[int, ...] = (-1,)


class _LayoutError(Exception):
    """The columns cannot be read, or can be read in several ways; the message says why."""


@dataclass(frozen=True, slots=True)
class _Sample:
    """The first rows of a file, without those that have an unusual number of columns.

    Attributes:
        blocks: The rows between blank lines, each as its columns.
        first_line: The line number of the first row.
        n_rows: The number of rows, including those with an unusual number of columns.
    """

    blocks: list[list[list[str]]]
    first_line: int
    n_rows: int

    @property
    def rows(self) -> list[list[str]]:
        return [row for block in self.blocks for row in block]

    @property
    def n_columns(self) -> int:
        return len(self.blocks[0][0]) if self.blocks else 0

    def values(self, column: int) -> list[str]:
        return [row[column] for row in self.rows]

    def n_tags(self, column: int) -> int:
        return sum(tag_kind(value) != "other" for value in self.values(column))


def split_columns(line: str) -> list[str]:
    """Return the columns of a line, split at tabs or, if it has no tab, at spaces."""
    line = line.rstrip("\t\r ")
    if "\t" in line:
        return [column.strip(" ") for column in line.split("\t")]
    return re.split(" +", line)


def looks_like_columns(text: str) -> bool:
    """Return whether most of the first lines have the same number of columns and hold a tag.

    The tag is in the last or in the first column. A single line is taken for plain text.
    """
    sample = _take_sample(text)
    half = sample.n_rows / 2
    if sample.n_rows < 2 or sample.n_columns < 2 or len(sample.rows) <= half:
        return False
    if max(sample.n_tags(0), sample.n_tags(sample.n_columns - 1)) > half:
        return True
    has_tags = any(sample.n_tags(column) > half for column in range(sample.n_columns))
    return has_tags or any(_is_bare(sample.values(column)) for column in (0, -1))


def find_layout(text: str, name: str) -> ColumnLayout:
    """Return the layout of a column file.

    Args:
        text: The first lines of the file.
        name: The path of the file, for messages.

    Raises:
        CorpusError: The columns can be read in more than one way, or the tags have no types.
    """
    sample = _take_sample(text)
    if sample.n_columns < 2:
        return ColumnLayout()
    try:
        numberings = tuple(_leading_numberings(sample))
        word_column, tag_columns = _find_tags(sample, len(numberings))
    except _LayoutError as error:
        shown = " ".join(sample.rows[0])[:60]
        raise CorpusError(f"{name}: line {sample.first_line} ({shown!r}): {error}") from None
    return ColumnLayout(sample.n_columns, numberings, word_column, tag_columns)


def _take_sample(text: str) -> _Sample:
    blocks: list[list[list[str]]] = [[]]
    n_rows = first_line = 0
    lines = text.split("\n")[:_N_SAMPLE_LINES]
    for number, line in enumerate(lines[:-1] if len(lines) > _N_SURE_LINES else lines, 1):
        if not line.strip() or line.startswith("-DOCSTART-"):
            blocks.append([])
        elif not line.startswith("#"):
            blocks[-1].append(split_columns(line))
            first_line = first_line or number
            n_rows += 1
    widths = Counter(len(row) for block in blocks for row in block)
    width = widths.most_common(1)[0][0] if widths else 0
    regular = [[row for row in block if len(row) == width] for block in blocks]
    return _Sample([block for block in regular if block], first_line, n_rows)


def _leading_numberings(sample: _Sample) -> Iterator[Numbering]:
    """Yield the meaning of each column of numbers before the word and its tag.

    Raises:
        _LayoutError: The first column holds only numbers, and it is not clear what they count.
    """
    for column in range(sample.n_columns - 2):
        blocks = [[_as_number(row[column]) for row in block] for block in sample.blocks]
        numbers = [number for block in blocks for number in block]
        _refuse_parts(sample.values(column), column)
        # Some files write the number of a sentence only beside its first word.
        if numbers[0] is None or any(
            number is None and value
            for number, value in zip(numbers, sample.values(column), strict=True)
        ):
            return
        if _are_positions(numbers):
            yield "positions"
        elif _are_sentence_numbers(blocks):
            yield "sentence numbers"
        else:
            raise _LayoutError(
                f"column {column + 1} holds only numbers, which count neither the words of a "
                "sentence nor the sentences; expected the word first and its tag last; remove the "
                "column if it does not hold the words"
            )


def _refuse_parts(values: Sequence[str], column: int) -> None:
    """Refuse a column of numbers that also numbers words of several parts, such as 1-2."""
    parts = [value for value in values if _PART_NUMBER.fullmatch(value)]
    n_numbers = sum(_as_number(value) is not None for value in values)
    if parts and n_numbers and len(parts) + n_numbers == len(values):
        raise _LayoutError(
            f"column {column + 1} holds numbers of words, and the number {parts[0]} of a word of "
            "several parts; remove the lines of such words, or those of their parts"
        )


def _as_number(value: str) -> int | None:
    match = _NUMBER.fullmatch(value)
    return int(match[1]) if match else None


def _are_positions(numbers: Sequence[int | None]) -> bool:
    """Return whether numbers count from 0 or 1, and begin again for each sentence."""
    first = numbers[0]
    if first not in (0, 1):
        return False
    pairs = pairwise(numbers)
    is_count = all(
        after == first or (before is not None and after == before + 1) for before, after in pairs
    )
    return is_count and max(number or 0 for number in numbers) >= first + _N_SURE_NUMBERS - 1


def _are_sentence_numbers(blocks: Sequence[Sequence[int | None]]) -> bool:
    """Return whether all words of each block have the same number, or the numbers rise by one."""
    numbers = [number for block in blocks for number in block]
    filled = [number for number in numbers if number is not None]
    pairs = pairwise(filled)
    is_rising = all(after - before in (0, 1) for before, after in pairs)
    is_constant = all(len(set(block) - {None}) == 1 for block in blocks)
    has_repeats = any(len(block) > len(set(block) - {None}) for block in blocks)
    return has_repeats and (is_rising or is_constant) and len(numbers) >= _N_SURE_NUMBERS


def _find_tags(sample: _Sample, first: int) -> tuple[int, tuple[int, ...]]:
    """Return the column of the word and those of the tags.

    Args:
        sample: The first rows.
        first: The first column that does not number anything.

    Raises:
        _LayoutError: They can be read in more than one way, or the tags have no types.
    """
    n_rows, last = len(sample.rows), sample.n_columns - 1
    for column in range(first, last + 1):
        if _is_bare(sample.values(column)) and column in (first, last):
            raise _LayoutError(
                "the tags are B, I and O without a type; add the type to each tag, such as "
                "B-disease and I-disease"
            )
    tagged = [c for c in range(first, last + 1) if sample.n_tags(c) > n_rows / 2]
    if first in tagged and last not in tagged:
        if last - first > 1 or len(tagged) > 1:
            raise _LayoutError(
                f"column {first + 1} holds tags, and any of the {last - first} columns after it "
                "may hold the word; keep two columns, the word first and its tag last"
            )
        return last, (first,)
    columns = [c for c in tagged if c > first]
    entities = [c for c in columns if not _holds_chunks(sample.values(c))] or columns
    if len(entities) > 1:
        _check_nesting(sample, entities)
    return first, tuple(entities) or (-1,)


def _is_bare(values: Sequence[str]) -> bool:
    """Return whether values are prefixes alone, at least one of which begins an entity."""
    return BARE_TAGS.issuperset(values) and "O" in values and not {"B", "I"}.isdisjoint(values)


def _holds_chunks(tags: Sequence[str]) -> bool:
    types = {tag[2:] for tag in tags if tag_kind(tag) == "prefixed"}
    return bool(types) and types <= _CHUNKS


def _check_nesting(sample: _Sample, columns: Sequence[int]) -> None:
    """Refuse several columns of tags unless the entities of each lie inside those before it."""
    styles = {column: TagStyle() for column in columns}
    for block in sample.blocks:
        try:
            layers = [
                join_tags([read_tag(row[column], styles[column]) for row in block])[0]
                for column in columns
            ]
        except RecordError:
            continue  # the tag is reported with its line when the file is read
        if (problem := find_crossing(layers, columns)) is not None:
            raise _LayoutError(problem)


def find_crossing(
    layers: Sequence[Sequence[tuple[int, int, str]]], columns: Sequence[int]
) -> str | None:
    """Return what is wrong if an entity is not inside one of an earlier column; None if all are.

    Args:
        layers: The entities of each column of tags.
        columns: The columns, counted from 0.
    """
    outer = list(layers[0])
    for layer, column in zip(layers[1:], columns[1:], strict=True):
        for start, end, label in layer:
            is_inside = any(first <= start and end <= last for first, last, _ in outer)
            if (start, end, label) in outer or not is_inside:
                shown = " and ".join(str(place + 1) for place in columns)
                return (
                    f"columns {shown} hold tags, and the entity {label!r} of column {column + 1} "
                    "does not lie inside an entity of an earlier column, so the entities are not "
                    "nested; keep one column of tags"
                )
        outer += layer
    return None
