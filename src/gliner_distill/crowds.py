"""Limit the number of candidate spans where too many overlap, and yield them in portions.

The input is the bounds of candidate spans, and the output is the spans themselves. Candidates that
share words, directly or through others, form a stretch of words. Which of them are kept does not
depend on anything outside the stretch, so the limits apply to a stretch, and not to a text or to
all texts that are read together. Only repetitive texts and very low thresholds reach the limits:

- A stretch with more than 100,000 candidates is cut into pieces of 128 words, and the candidates
  that cross a cut are dropped.
- If a piece still has more, because many labels are asked, its 100,000 strongest are kept. Among
  equally strong ones the shortest come first.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from gliner_distill.spans import Floats, Ints, SpanBounds, Spans

MAX_SPANS: Final = 100_000
"""The most candidates of a stretch, or of a piece of a larger stretch."""

PIECE_WORDS: Final = 128
"""The length of the pieces into which a stretch with too many candidates is cut."""

SPANS_AT_ONCE: Final = 500_000
"""The number of candidates that are written out at once unless the caller sets another one."""


def list_spans(
    bounds: SpanBounds,
    *,
    max_spans: int = MAX_SPANS,
    piece_words: int = PIECE_WORDS,
    at_once: int = SPANS_AT_ONCE,
) -> Iterator[Spans]:
    """Yield candidate spans in portions; spans of different portions share no word.

    Args:
        bounds: The candidates, before they are written out.
        max_spans: The most candidates of a stretch or of a piece.
        piece_words: The length of a piece.
        at_once: The most candidates of a portion, or `max_spans` if that is more. It has no
            influence on which candidates are kept.
    """
    if bounds.n_ends.sum() <= max_spans:  # so is every stretch
        yield bounds.spans()
        return
    bounds = bounds.take(np.flatnonzero(bounds.n_ends))
    bounds, groups = _cut(bounds, max_spans, piece_words)
    order = np.argsort(groups, kind="stable")
    sizes = np.bincount(groups, weights=bounds.n_ends).astype(np.int64)
    n_starts = np.cumsum(np.bincount(groups))
    at_once = max(at_once, max_spans)
    is_crowded = sizes > max_spans
    first = 0
    # A piece with too many candidates counts as more than a portion, so it stands alone.
    for end in _ends_of_portions(np.where(is_crowded, at_once + 1, sizes), at_once):
        rows = order[n_starts[first - 1] if first else 0 : n_starts[end - 1]]
        # In reading order, `SpanBounds.spans` passes over the probabilities only once.
        portion = bounds.take(np.sort(rows))
        if is_crowded[first]:
            yield _strongest(portion, max_spans, at_once)
        else:
            yield portion.spans()
        first = end


@dataclass(frozen=True, slots=True)
class _Line:
    """The words of candidates as if all passages stood one after the other.

    Attributes:
        start: For each start, its word.
        end: The end of the longest candidate that begins there.
    """

    start: Ints
    end: Ints

    @classmethod
    def of(cls, bounds: SpanBounds) -> "_Line":
        scores, starts = bounds.scores, bounds.starts
        lasts = bounds.ends[bounds.first_ends + bounds.n_ends - 1]
        n_places = int(scores.word.max(initial=0)) + 1
        offsets = scores.passage[starts].astype(np.int64) * n_places
        return cls(offsets + scores.word[starts], offsets + scores.word[lasts] + 1)

    def stretches(self) -> tuple[Ints, Ints]:
        """Return the number of the stretch of each start, and the first word of each stretch."""
        order = np.argsort(self.start, kind="stable")
        start, reach = self.start[order], np.maximum.accumulate(self.end[order])
        is_new = np.append(True, start[1:] >= reach[:-1])
        numbers = np.empty(len(order), dtype=np.int64)
        numbers[order] = np.cumsum(is_new) - 1
        return numbers, start[is_new]


def _cut(bounds: SpanBounds, max_spans: int, piece_words: int) -> tuple[SpanBounds, Ints]:
    """Return bounds whose spans cross no cut, and the number of each start's stretch or piece.

    The numbers begin at 0, follow the order of the words, and leave none out.
    """
    line = _Line.of(bounds)
    stretches, first_words = line.stretches()
    sizes = np.bincount(stretches, weights=bounds.n_ends)
    is_crowded = (sizes > max_spans)[stretches]
    pieces = np.where(is_crowded, (line.start - first_words[stretches]) // piece_words, 0)
    # The words of a run stand in consecutive rows, so a distance in words is one in rows.
    cuts = first_words[stretches] + (pieces + 1) * piece_words
    last_rows = bounds.starts + (cuts - line.start) - 1
    within = np.searchsorted(bounds.ends, last_rows, side="right") - bounds.first_ends
    n_ends = np.where(is_crowded, np.minimum(bounds.n_ends, within), bounds.n_ends)
    # A start whose ends all lie behind the cut begins no candidate any more.
    kept = np.flatnonzero(n_ends)
    n_pieces = int(pieces.max(initial=0)) + 1
    groups = np.unique(stretches[kept] * n_pieces + pieces[kept], return_inverse=True)[1]
    return replace(bounds, n_ends=n_ends).take(kept), groups


def _ends_of_portions(sizes: Ints, at_once: int) -> Iterator[int]:
    """Yield the end of each portion of consecutive groups, in numbers of groups."""
    totals = np.cumsum(sizes)
    end = 0
    while end < len(sizes):
        n_before = int(totals[end - 1]) if end else 0
        fitting = int(np.searchsorted(totals, n_before + at_once, side="right"))
        # A group that is too large is a portion of its own.
        end = max(fitting, end + 1)
        yield end


def _strongest(bounds: SpanBounds, max_spans: int, at_once: int) -> Spans:
    """Return the strongest candidates, at most `max_spans`, without writing out all at once."""
    best = bounds.take(np.arange(0)).spans()
    first = 0
    for end in _ends_of_portions(bounds.n_ends, at_once):
        spans = Spans.concatenate([best, bounds.take(np.arange(first, end)).spans()])
        best = spans.take(_by_strength(spans)[:max_spans])
        first = end
    return best


def _by_strength(spans: Spans) -> Ints:
    """Return the rows of candidates from the strongest to the weakest; ties have a fixed order."""
    weakness: Floats = -spans.score
    length = spans.end_word - spans.start_word
    return np.lexsort((spans.label, spans.start_word, length, weakness))
