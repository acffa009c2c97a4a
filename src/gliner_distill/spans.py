"""Candidate spans from probabilities per word and label, in a few array operations.

The input is the (passage, label, word) triples at which a label's inside probability is high
enough, which are only a few of all triples. The output is all spans that may be entities, with
their scores. The module `crowds` bounds their number, and `decoding` selects among them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliner_distill.entities import END, INSIDE, START

Ints = NDArray[np.int64]
Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class TagScores:
    """Probabilities at the (passage, label, word) triples that count; arrays of one length.

    Triples are in reading order if they are sorted by passage, then label, then word.

    Attributes:
        passage: The number of the passage.
        label: The number of the label.
        word: The position of the word.
        start: The probability that the word starts an entity of the label.
        end: The probability that it ends one.
        inside: The probability that it lies in one; at least the label's threshold.
    """

    passage: Ints
    label: Ints
    word: Ints
    start: Floats
    end: Floats
    inside: Floats

    @classmethod
    def from_probs(cls, probs: Floats, threshold: float) -> "TagScores":
        """Return the triples of one passage, number 0, whose inside probability is high enough.

        They are in reading order. `probs` has shape `(words, labels, 3)`: start, end, inside.
        """
        inside = probs[:, :, INSIDE]
        # The transposed array yields the triples by label first, which is the reading order.
        label, word = np.nonzero(np.greater_equal(inside.T, threshold))
        tags = probs[word, label]
        passage = np.zeros(len(word), dtype=np.int64)
        return cls(passage, label, word, tags[:, START], tags[:, END], tags[:, INSIDE])

    @classmethod
    def concatenate(cls, parts: "Sequence[TagScores]") -> "TagScores":
        """Return the triples of several parts together; there must be at least one part."""
        columns = zip(*(_columns(part) for part in parts), strict=True)
        return cls(*(np.concatenate(column) for column in columns))

    def take(self, rows: Ints | NDArray[np.bool_]) -> "TagScores":
        """Return the triples at some rows."""
        return TagScores(*(column[rows] for column in _columns(self)))

    def last_gap(self, first_word: int, end_word: int) -> int:
        """Return the last word that no label continues from the word before it.

        Args:
            first_word: The first word of the triples, which are of one passage, in reading order.
            end_word: The word up to which triples are known.

        Returns:
            A word between `first_word` and `end_word`, or `end_word` where every word is continued.
        """
        is_gap = np.ones(end_word - first_word, dtype=np.bool_)
        is_gap[self.word[1:][_follows(self)] - first_word] = False
        gaps = np.flatnonzero(is_gap[1:])
        return first_word + 1 + int(gaps[-1]) if len(gaps) else end_word

    def in_reading_order(self) -> "TagScores":
        """Return the triples sorted by passage, then label, then word."""
        keys = (self.word, self.label, self.passage)
        return self.take(np.lexsort([narrow_type(key) for key in keys]))


@dataclass(frozen=True, slots=True)
class Spans:
    """Candidate spans; arrays of one length.

    Attributes:
        passage: The number of the passage.
        label: The number of the label.
        start_word: The first word.
        end_word: The word after the last one.
        score: The smallest of the span's probabilities.
    """

    passage: Ints
    label: Ints
    start_word: Ints
    end_word: Ints
    score: Floats

    @classmethod
    def concatenate(cls, parts: "Sequence[Spans]") -> "Spans":
        """Return the spans of several parts together; there must be at least one part."""
        columns = zip(*(_columns(part) for part in parts), strict=True)
        return cls(*(np.concatenate(column) for column in columns))

    def take(self, rows: Ints) -> "Spans":
        """Return the spans at some rows."""
        return Spans(*(column[rows] for column in _columns(self)))


@dataclass(frozen=True, slots=True)
class SpanBounds:
    """The starts and ends of candidate spans, before the spans are written out.

    With a low threshold, the number of spans grows with the square of a passage's length. It is
    known here at little cost, so `crowds` can bound it and write the spans out in portions.

    Attributes:
        scores: The triples, in reading order.
        starts: The rows of `scores` at which a span may start, in order.
        first_ends: For each start, the position in `ends` of its first end.
        n_ends: For each start, the number of spans that begin there.
        ends: The rows of `scores` at which a span may end, in order.
    """

    scores: TagScores
    starts: Ints
    first_ends: Ints
    n_ends: Ints
    ends: Ints

    def take(self, rows: Ints) -> "SpanBounds":
        """Return the bounds of the spans that begin at some rows of `starts`."""
        columns = self.starts[rows], self.first_ends[rows], self.n_ends[rows]
        return SpanBounds(self.scores, *columns, self.ends)

    def spans(self) -> Spans:
        """Return the candidate spans, in order of passage, label, start and end.

        The score of a span is the smallest of its probabilities, as in GLiNER's token decoder.
        """
        scores, n_ends = self.scores, self.n_ends
        starts = np.repeat(self.starts, n_ends)
        # The offsets count the spans of each start from 0, so that they select its ends in turn.
        offsets = np.arange(len(starts)) - np.repeat(np.cumsum(n_ends) - n_ends, n_ends)
        lasts = self.ends[np.repeat(self.first_ends, n_ends) + offsets]
        # reduceat takes pairs of bounds; the results between two pairs are dropped.
        bounds = np.stack([starts, lasts + 1], axis=1).reshape(-1)
        # The last bound may equal the length, which `reduceat` refuses, so one element is appended.
        one = scores.inside.dtype.type(1)
        inside = np.minimum.reduceat(np.append(scores.inside, one), bounds)[::2]
        return Spans(
            scores.passage[starts],
            scores.label[starts],
            scores.word[starts],
            scores.word[lasts] + 1,
            np.minimum(np.minimum(scores.start[starts], scores.end[lasts]), inside),
        )


def _columns(table: TagScores | Spans) -> list[NDArray[Any]]:
    """Return the arrays of a table, in the order of its fields."""
    return [getattr(table, field.name) for field in fields(table)]


def narrow_type(numbers: Ints) -> NDArray[np.unsignedinteger]:
    """Return non-negative numbers in the narrowest type that holds them.

    numpy sorts integers of one or two bytes by radix, which is faster.
    """
    return numbers.astype(np.min_scalar_type(int(numbers.max(initial=0))))


def find_bounds(scores: TagScores, thresholds: Floats) -> SpanBounds:
    """Return the bounds of all spans whose start and end exceed their label's threshold.

    A span lies within one run of words of its label, so that no inside probability in it is below
    the threshold; see `TagScores`.

    Args:
        scores: Triples in reading order.
        thresholds: Shape `(labels,)`.
    """
    limits = thresholds[scores.label]
    starts = np.flatnonzero(scores.start > limits)
    ends = np.flatnonzero(scores.end > limits)
    first_ends = np.searchsorted(ends, starts)
    # A span must not leave the run of words in which it starts.
    last_rows = _last_of_run(scores)[starts]
    n_ends = np.searchsorted(ends, last_rows, side="right") - first_ends
    return SpanBounds(scores, starts, first_ends, n_ends, ends)


def _follows(scores: TagScores) -> NDArray[np.bool_]:
    """Return for each triple but the first one whether it continues the run of the one before."""
    follows: NDArray[np.bool_] = (
        (scores.word[1:] - scores.word[:-1] == 1)
        & (scores.label[1:] == scores.label[:-1])
        & (scores.passage[1:] == scores.passage[:-1])
    )
    return follows


def _last_of_run(scores: TagScores) -> Ints:
    """Return, for each triple, the row of the last one that follows it without a gap."""
    # Each run ends where the next triple does not continue it.
    breaks = np.append(np.flatnonzero(~_follows(scores)), len(scores.word) - 1)
    result: Ints = np.repeat(breaks, np.diff(breaks, prepend=-1))
    return result


def join_words(scores: TagScores) -> TagScores:
    """Return scores by which neighboring words of one label are one entity.

    This is the rule of a `softmax` head, which cannot tell apart two entities of one label that
    touch.

    Args:
        scores: Triples in reading order, with the score of a word as all three probabilities.
    """
    last = _last_of_run(scores)
    rows = np.arange(len(last))
    # The slice makes this work for an empty array, too.
    is_first = np.append(True, last[1:] != last[:-1])[: len(last)]
    zero = scores.start.dtype.type(0)
    return replace(
        scores,
        start=np.where(is_first, scores.start, zero),
        end=np.where(last == rows, scores.end, zero),
    )
