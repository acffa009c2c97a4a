"""Read documents in a thread of its own, and hold a limited number of them."""

import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from types import TracebackType

from gliner_distill.cli.tables.records import Document


class Prefetcher:
    """A thread that reads documents in advance, and holds a limited number of them.

    Use it as a context manager, and iterate over lists of documents. Each list has the documents
    that were read since the last one, at least one. An error in reading is raised after the
    documents before it.

    Args:
        documents: The documents; they are closed if the context manager is left before their end.
        max_documents: The largest number of documents that may wait, and that a list may have.
        max_chars: The largest number of characters of all waiting documents; a longer document
            waits alone.
        waits_for_room: Whether to wait until a list is full instead of yielding the documents that
            have arrived. Then the lists do not depend on the speed of reading, so two machines that
            read the same documents get the same lists. Leaving the context manager then waits until
            reading has ended.
    """

    def __init__(
        self,
        documents: Generator[Document, None, None],
        *,
        max_documents: int = 512,
        max_chars: int = 1_000_000,
        waits_for_room: bool = False,
    ) -> None:
        self._documents = documents
        self._limits = (max_documents, max_chars)
        self._waiting: list[Document] = []
        self._n_chars = 0
        self._waits_for_room = waits_for_room
        self._is_full = False
        self._is_over = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        # A daemon thread, because it may still wait for a line when the program ends.
        self._thread = threading.Thread(target=self._fill, daemon=True)

    def __enter__(self) -> "Prefetcher":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        # A file keeps nobody waiting. pyarrow would abort the program if it ended while it reads.
        if self._waits_for_room:
            self._thread.join()

    def __iter__(self) -> Iterator[list[Document]]:
        while batch := self._take():
            yield batch
        if self._error is not None:
            raise self._error

    def _take(self) -> list[Document]:
        with self._changed:
            self._changed.wait_for(self._is_ready)
            batch, self._waiting, self._n_chars, self._is_full = self._waiting, [], 0, False
            self._changed.notify_all()
            return batch

    def _is_ready(self) -> bool:
        return self._is_over or (self._is_full if self._waits_for_room else bool(self._waiting))

    def _fill(self) -> None:
        try:
            with closing(self._documents) as documents:
                for document in documents:
                    if not self._put(document):
                        return
        except BaseException as error:  # raised in the thread that takes the documents
            self._error = error
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def _put(self, document: Document) -> bool:
        """Add a document when there is room; return False if the reader has stopped."""
        max_documents, max_chars = self._limits

        def has_room() -> bool:
            n_chars = self._n_chars + len(document.text)
            is_within = len(self._waiting) < max_documents and n_chars <= max_chars
            return self._is_over or not self._waiting or is_within

        with self._changed:
            if not has_room():
                self._is_full = True
                self._changed.notify_all()
            self._changed.wait_for(has_room)
            if self._is_over:
                return False
            self._waiting.append(document)
            self._n_chars += len(document.text)
            self._changed.notify_all()
            return True
