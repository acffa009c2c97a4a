"""Cut long passages into overlapping windows, and gather items of like length into batches."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Item = TypeVar("Item")

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


def batches_by_length(
    items: Iterable[Item],
    length: Callable[[Item], int],
    *,
    max_padded: int | None = None,
    max_items: int | None = None,
    longest_first: bool = False,
) -> Iterator[list[Item]]:
    """Yield batches of items of like length, so that little of a batch is padding.

    Items of equal length keep their order. A batch holds at least one item.

    Args:
        items: What to batch.
        length: Returns the length of an item.
        max_padded: The most that a batch may hold, each item padded to the longest of the batch;
            None for no limit.
        max_items: The most items in a batch; None for no limit.
        longest_first: Start with the longest items, so that too little memory shows at once.

    >>> list(batches_by_length(["a", "bb", "c", "dddd"], len, max_padded=4))
    [['a', 'c'], ['bb'], ['dddd']]
    """
    batch: list[Item] = []
    for item in sorted(items, key=length, reverse=longest_first):
        longest = length(batch[0] if batch and longest_first else item)
        is_full = len(batch) == max_items
        if max_padded is not None:
            is_full |= (len(batch) + 1) * longest > max_padded
        if batch and is_full:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch
