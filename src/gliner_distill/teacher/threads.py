"""Several batches through a model at once, each in a thread that computes on one core.

On a CPU that is faster than one batch on all cores, since the cores need not wait for each other at
every layer, and a batch's numbers do not depend on how many cores there are.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Item = TypeVar("Item")


Result = TypeVar("Result")


def map_in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], *, n_threads: int
) -> Iterator[Result]:
    """Yield `work(item)` for each item, in order; `n_threads` of them are worked on at a time.

    Items are taken, and results held, no further ahead than one more than there are streams. When
    it ends, torch has the number of threads that it had.
    """
    with _one_core_threads(n_threads) as pool:
        ahead: deque[Future[Result]] = deque()
        for item in items:
            ahead.append(pool.submit(work, item))
            if len(ahead) > n_threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


@contextmanager
def _one_core_threads(n_threads: int) -> Iterator[ThreadPoolExecutor]:
    before = torch.get_num_threads()
    with ThreadPoolExecutor(
        n_threads, thread_name_prefix="teacher", initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(before)
