"""Work in several threads: order, how far ahead it runs, errors, and torch's threads."""

import threading
import time

import pytest
import torch

from gliner_distill.teacher.threads import map_in_threads


@pytest.fixture(autouse=True)
def three_torch_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_map_in_threads_keeps_the_order_of_the_items():
    def work(item):
        time.sleep(0.002 * (item % 3 == 0))
        return item * item

    assert list(map_in_threads(work, range(30), n_threads=4)) == [n * n for n in range(30)]
    assert list(map_in_threads(work, [], n_threads=2)) == []


def test_map_in_threads_takes_few_items_ahead():
    taken = []

    def items():
        for item in range(20):
            taken.append(item)
            yield item

    results = map_in_threads(lambda item: item, items(), n_threads=2)
    for n_yielded, _ in enumerate(results, start=1):
        assert len(taken) <= n_yielded + 3


def test_map_in_threads_computes_on_one_core_and_restores_torch_threads():
    seen = set(map_in_threads(lambda _: torch.get_num_threads(), range(9), n_threads=2))
    assert seen == {1}
    assert torch.get_num_threads() == 3


def test_map_in_threads_raises_the_error_of_the_work_and_leaves_no_thread():
    def fail(item):
        raise RuntimeError(f"item {item}")

    with pytest.raises(RuntimeError, match="item 0"):
        list(map_in_threads(fail, range(99), n_threads=2))
    assert torch.get_num_threads() == 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("teacher")]
