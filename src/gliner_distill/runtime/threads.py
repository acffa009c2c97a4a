"""Divide windows into groups, and let threads read the groups."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from threading import Thread
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

Item = TypeVar("Item")
Result = TypeVar("Result")

GROUP_WINDOWS: Final = 12
"""The windows that are read side by side; more would not be faster."""

# The products of a group's words with labels take at most 16 MB.
_MOST_PRODUCTS = 4_000_000


def plan_groups(
    lengths: NDArray[np.int32], n_columns: int, num_threads: int, *, is_masked: bool
) -> list[slice]:
    """Return groups of neighboring windows.

    Args:
        lengths: The words of each window.
        n_columns: The labels that each word is compared with.
        num_threads: The number of threads, each of which should have as much to do.
        is_masked: Whether each window has labels of its own, and is compared by itself.
    """
    if len(lengths) == 1:
        return [slice(0, 1)]
    n_groups = -(-len(lengths) // GROUP_WINDOWS)
    if len(lengths) >= 4 * num_threads:
        n_groups = -(-n_groups // num_threads) * num_threads
    most = len(lengths) if is_masked else max(_MOST_PRODUCTS // n_columns, 1)
    bounds = np.linspace(0, len(lengths), n_groups + 1).astype(int).tolist()
    groups: list[slice] = []
    for first, end in pairwise(bounds):
        step = end - first if is_masked else max(1, min(most // int(lengths[first]), end - first))
        groups += [slice(start, min(start + step, end)) for start in range(first, end, step)]
    return groups


def run_threads(
    work: Callable[[Item], Result], items: Sequence[Item], num_threads: int
) -> list[Result]:
    """Return the results of a function for items, in their order; threads take one at a time.

    Threads are started for each call, so that nothing is left in a forked process.
    """
    if num_threads == 1 or len(items) == 1:
        return list(map(work, items))
    results: list[Result | None] = [None] * len(items)
    errors: list[BaseException] = []
    waiting = iter(range(len(items)))  # safe to share, because taking an item is one step

    def take() -> None:
        try:
            for place in waiting:
                results[place] = work(items[place])
        except BaseException as error:
            errors.append(error)

    threads = [Thread(target=take, daemon=True) for _ in range(min(num_threads, len(items)) - 1)]
    for thread in threads:
        thread.start()
    take()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [result for result in results if result is not None]
