"""Tags of column files: their kinds, their prefixes, and the entities that a row of them marks.

Tags are O and B-/I- (in either IOB style), optionally with E-/S- or L-/U-, or bare types without a
prefix. This module needs only the standard library.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gliner_distill.corpus.records import RecordError

BARE_TAGS = frozenset("BIOESLU")
"""The prefixes, which some files use as tags of their own, without a type."""

_PREFIXED_TAG = re.compile(r"[BIESLU]-(?=.*\S).+")

# A tag such as "X-PER", "B_PER", "B:PER" or "PER-B" is not taken for a type of its own.
_BROKEN_TAG = re.compile(r"[A-Za-z][-_:].*|.+[-_:][BIESLU]")


@dataclass(slots=True)
class TagStyle:
    """Whether the tags of a column have prefixes, which its first tag with a type decides."""

    has_prefixes: bool | None = None


def tag_kind(tag: str) -> Literal["outside", "prefixed", "other"]:
    """Return the kind of a tag; a type without a prefix is of the kind `other`.

    >>> tag_kind("O"), tag_kind("B-PER"), tag_kind("PER")
    ('outside', 'prefixed', 'other')
    """
    if tag == "O":
        return "outside"
    return "prefixed" if _PREFIXED_TAG.fullmatch(tag) else "other"


def read_tag(tag: str, style: TagStyle) -> tuple[str, str]:
    """Return the prefix and the type of a tag; a type without a prefix gets I.

    Raises:
        RecordError: The tag is not valid, or it does not match the earlier tags of its column.
    """
    kind = tag_kind(tag)
    if kind == "outside":
        return "O", ""
    if kind == "other" and (len(tag) < 2 or tag[0] == "(" or _BROKEN_TAG.fullmatch(tag)):
        raise RecordError(f"tag {tag!r} is not valid; expected O or B-, I-, E-, S-, L- or U-TYPE")
    if style.has_prefixes is None:
        style.has_prefixes = kind == "prefixed"
    if style.has_prefixes != (kind == "prefixed"):
        earlier = "with a prefix (B-TYPE)" if style.has_prefixes else "without a prefix (TYPE)"
        raise RecordError(
            f"tag {tag!r} does not match the earlier tags, which are {earlier}; use one style"
        )
    return (tag[0], tag[2:]) if style.has_prefixes else ("I", tag)


def join_tags(tags: Sequence[tuple[str, str]]) -> tuple[list[tuple[int, int, str]], int]:
    """Return `(start, end_inclusive, type)` per entity, and how many begin with an inside tag.

    >>> join_tags([("B", "PER"), ("I", "PER"), ("O", "")])
    ([(0, 1, 'PER')], 0)
    """
    entities: list[tuple[int, int, str]] = []
    open_start, open_label = 0, None
    n_inside_starts = 0
    for position, (prefix, label) in enumerate([*tags, ("O", "")]):
        # IOB1 begins an entity with I-, unless another one of its type comes directly before it.
        begins_inside = prefix in "IEL" and label != open_label
        begins = prefix in "BSU" or begins_inside
        n_inside_starts += begins_inside
        if open_label is not None and (begins or prefix == "O"):
            entities.append((open_start, position - 1, open_label))
            open_label = None
        if begins:
            open_start, open_label = position, label
        if prefix in "ESLU" and open_label is not None:
            entities.append((open_start, position, open_label))
            open_label = None
    return entities, n_inside_starts
