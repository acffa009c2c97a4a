"""Sets of spans of characters that do not overlap, and the rules by which two spans clash."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Final

CharSpan = tuple[int, int]
"""The first character and the character after the last one."""


class SpanSet:
    """Spans that do not overlap each other, in order of position.

    Args:
        spans: Spans in order of position.
    """

    def __init__(self, spans: Iterable[CharSpan] = ()) -> None:
        self._spans: Final = list(spans)

    def add(self, span: CharSpan) -> None:
        """Add a span that overlaps none of the others."""
        self._spans.insert(bisect_left(self._spans, span), span)

    def overlapping(self, start: int, end: int) -> list[CharSpan]:
        """Return the spans that share a character with `start:end`, in order of position."""
        first = bisect_right(self._spans, start, key=lambda span: span[1])
        last = bisect_left(self._spans, end, key=lambda span: span[0])
        return self._spans[first:last]


def clash(span: CharSpan, other: CharSpan, *, flat_ner: bool, multi_label: bool) -> bool:
    """Return whether two overlapping spans of different labels exclude one another.

    These are the rules of `decoding.resolve_overlaps`, in characters instead of words.
    """
    if span == other:
        return not multi_label
    if flat_ner:
        return True
    inner, outer = sorted((span, other), key=lambda span: span[1] - span[0])
    return not (outer[0] <= inner[0] and inner[1] <= outer[1])
