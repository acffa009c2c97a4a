"""The number of documents that are held at once, and the lists in which they arrive."""

import threading
import time

import pytest

from gliner_distill.cli.reading.prefetcher import Prefetcher
from gliner_distill.cli.tables.records import Document
from gliner_distill.errors import CorpusError


def test_prefetcher_gives_all_documents_in_order():
    made = (Document(str(number)) for number in range(2000))
    with Prefetcher(made, max_documents=7) as batches:
        found = list(batches)
    assert [int(document.text) for batch in found for document in batch] == list(range(2000))
    assert max(map(len, found)) <= 7


@pytest.mark.parametrize(
    ("n_chars", "max_documents", "held"), [(1, 5, 5), (10, 100, 3), (1000, 100, 1)]
)
def test_prefetcher_holds_no_more_than_its_limits(n_chars, max_documents, held):
    made, is_full = [], threading.Event()

    def make():
        while True:
            # One more than are held is made before there must be room for it.
            if len(made) == held:
                is_full.set()
            assert len(made) <= held
            made.append(Document("x" * n_chars))
            yield made[-1]

    with Prefetcher(make(), max_documents=max_documents, max_chars=30) as batches:
        assert is_full.wait(timeout=60)
        assert len(next(iter(batches))) == held
        made.clear()


def test_prefetcher_raises_an_error_after_the_documents_before_it():
    def make():
        yield Document("one")
        yield Document("two")
        raise CorpusError("line 3 is bad")

    found = []

    def take_all(batches):
        for batch in batches:
            found.extend(document.text for document in batch)

    with Prefetcher(make()) as batches, pytest.raises(CorpusError, match="line 3 is bad"):
        take_all(batches)
    assert found == ["one", "two"]


def test_prefetcher_that_waits_for_room_gives_the_same_lists_at_every_speed():
    lengths = [4, 7, 9, 30, 2, 2, 2, 2, 2, 100, 1]

    def make(slow_at):
        for place, length in enumerate(lengths):
            if place == slow_at:
                time.sleep(0.02)
            yield Document("x" * length)

    limits = {"max_documents": 4, "max_chars": 20, "waits_for_room": True}
    expected = [[4, 7, 9], [30], [2] * 4, [2], [100], [1]]
    for slow_at in range(len(lengths)):
        with Prefetcher(make(slow_at), **limits) as batches:
            assert [[len(document.text) for document in batch] for batch in batches] == expected


@pytest.mark.parametrize("waits_for_room", [True, False])
def test_prefetcher_closes_its_documents_when_it_is_left(waits_for_room):
    is_closed = threading.Event()

    def make():
        try:
            while True:
                yield Document("x")
        finally:
            is_closed.set()

    with Prefetcher(make(), waits_for_room=waits_for_room) as batches:
        next(iter(batches))
    assert is_closed.wait(timeout=60)


def test_prefetcher_of_files_reads_no_more_once_it_is_left():
    is_closed = threading.Event()

    def make():
        try:
            while True:
                yield Document("x")
        finally:
            time.sleep(0.1)
            is_closed.set()

    with Prefetcher(make(), waits_for_room=True) as batches:
        next(iter(batches))
    assert is_closed.is_set()
