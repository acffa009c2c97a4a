"""Run several batches at once, each in a thread that computes on one core.

On a CPU this is faster than one batch on all cores, because the cores do not have to wait for each
other at every layer. The numbers of a batch also do not depend on the number of cores.
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
    """Yield `work(item)` for each item, in order, with `n_threads` items in work at a time.

    At most `n_threads + 1` more items are taken than results were yielded. At the end, torch's
    number of threads is restored.
    """
    with _one_core_threads(n_threads) as pool:
        pending: deque[Future[Result]] = deque()
        for item in items:
            pending.append(pool.submit(work, item))
            # One more item than threads is in the queue, so that no thread waits.
            if len(pending) > n_threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


@contextmanager
def _one_core_threads(n_threads: int) -> Iterator[ThreadPoolExecutor]:
    before = torch.get_num_threads()
    with ThreadPoolExecutor(
        n_threads, thread_name_prefix="teacher", initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        try:
            yield pool
        finally:
            # After an error, items that were not started are dropped.
            pool.shutdown(cancel_futures=True)
            # Limiting a worker to one core may also affect the other threads of the process.
            torch.set_num_threads(before)
