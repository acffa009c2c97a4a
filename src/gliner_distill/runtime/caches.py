"""A cache with a limit for the bytes of its entries instead of one for their number."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

# What an entry takes beside its key and value: its place in the table, its links, and a tuple.
_ENTRY_BYTES = 300

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class SizedCache(Generic[Key, Value]):
    """Values by key, of which the least recently used are dropped first; safe to share by threads.

    Args:
        max_bytes: The most bytes of all entries. A value that is larger alone is not kept.
        size: A function that returns the bytes of a key with its value.

    Attributes:
        n_bytes: The bytes of the entries.
    """

    def __init__(self, max_bytes: int, size: Callable[[Key, Value], int]) -> None:
        self.n_bytes = 0
        self._max_bytes = max_bytes
        self._size = size
        self._values: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Key) -> Value | None:
        """Return the value of a key, or None if it is not kept."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def put(self, key: Key, value: Value) -> None:
        """Keep a value, and drop others until all fit."""
        n_bytes = self._size(key, value) + _ENTRY_BYTES
        with self._lock:
            if n_bytes > self._max_bytes:
                return
            _, n_replaced = self._values.pop(key, (value, 0))
            self._values[key] = value, n_bytes
            self.n_bytes += n_bytes - n_replaced
            while self.n_bytes > self._max_bytes:
                _, (_, n_dropped) = self._values.popitem(last=False)
                self.n_bytes -= n_dropped

    def clear(self) -> None:
        """Drop all values."""
        with self._lock:
            self._values.clear()
            self.n_bytes = 0
