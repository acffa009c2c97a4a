"""How a passage that is longer than a teacher reads at once is cut into overlapping windows."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_OVERLAP_WORDS = 32


@dataclass(frozen=True, slots=True)
class Window:
    """Words `start:end` of a passage, whose scores count for the words `keep_start:keep_end`."""

    start: int
    end: int
    keep_start: int
    keep_end: int


def plan_windows(
    word_pieces: NDArray[np.int64], *, max_pieces: int, max_words: int
) -> list[Window]:
    """Return windows that cover a passage: one where it fits, else several that overlap.

    Each is as long as it may be and begins 32 words (or a quarter of the window, if that is less)
    before the one before it ends. A word in an overlap counts in the window in which it lies
    deeper: the first window keeps the first half of the overlap, the next one the second half.

    Args:
        word_pieces: Shape `(words,)`, subword pieces of each word.
        max_pieces: Pieces that a window may hold; a longer word has a window of its own.
        max_words: Words that a window may hold.
    """
    totals = np.concatenate([[0], np.cumsum(word_pieces)])
    bounds: list[tuple[int, int]] = []
    start = end = 0
    while end < len(word_pieces):
        fitting = int(np.searchsorted(totals, totals[start] + max_pieces, side="right")) - 1
        end = min(max(fitting, start + 1), start + max_words, len(word_pieces))
        bounds.append((start, end))
        start = end - min(_OVERLAP_WORDS, (end - start) // 4)
    cuts = [(start + end) // 2 for (_, end), (start, _) in pairwise(bounds)]
    return [
        Window(start, end, keep_start, keep_end)
        for (start, end), keep_start, keep_end in zip(
            bounds, [0, *cuts], [*cuts, len(word_pieces)], strict=True
        )
    ]
