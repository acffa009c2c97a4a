"""Cut long passages into overlapping windows, and group items of similar length into batches."""

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
    """The words `start:end` of a passage; their scores count for `keep_start:keep_end`."""

    start: int
    end: int
    keep_start: int
    keep_end: int


def plan_windows(
    word_pieces: NDArray[np.int64], *, max_pieces: int, max_words: int
) -> list[Window]:
    """Return windows that cover a passage: a single one if it fits, otherwise overlapping ones.

    Each window is as long as possible. Two windows overlap by 32 words, or by a quarter of the
    first one if that is less. The first window keeps the scores of the first half of the overlap,
    and the next window those of the second half, so that each word is scored in the window that
    shows more context around it.

    Args:
        word_pieces: Shape `(words,)`, the number of subword pieces of each word.
        max_pieces: The most pieces in a window; a word with more has a window of its own.
        max_words: The most words in a window.
    """
    totals = np.concatenate([[0], np.cumsum(word_pieces)])
    bounds: list[tuple[int, int]] = []
    start = end = 0
    while end < len(word_pieces):
        fitting = int(np.searchsorted(totals, totals[start] + max_pieces, side="right")) - 1
        # At least one word is taken, even if its pieces exceed the limit.
        end = min(max(fitting, start + 1), start + max_words, len(word_pieces))
        bounds.append((start, end))
        start = end - min(_OVERLAP_WORDS, (end - start) // 4)
    # Each overlap is cut in the middle.
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
    """Yield batches of items of similar length, so that a batch contains little padding.

    Items of equal length keep their order. A batch holds at least one item.

    Args:
        items: The items.
        length: A function that returns the length of an item.
        max_padded: The largest total length of a batch after each item is padded to the longest
            one; None for no limit.
        max_items: The most items in a batch; None for no limit.
        longest_first: Whether to start with the longest items, so that a lack of memory shows up in
            the first batch.

    >>> list(batches_by_length(["a", "bb", "c", "dddd"], len, max_padded=4))
    [['a', 'c'], ['bb'], ['dddd']]
    """
    batch: list[Item] = []
    for item in sorted(items, key=length, reverse=longest_first):
        # Items are sorted, so the longest is the first or the last.
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
