"""Compute the vectors of words and labels from a student's weights, as `Student` does.

The input is words and labels. The output is what `word_network` gets from each distinct word, and
the vectors of labels. The vector of a word is the mean of its pieces' vectors plus a vector of its
shape; `label_tower` reads the pieces of labels. Each is computed once and then cached.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gliner_distill.errors import StudentError
from gliner_distill.kernel.kernels import Kernel
from gliner_distill.runtime.caches import SizedCache
from gliner_distill.runtime.label_tower import LabelOutputs, LabelTower, mean_runs
from gliner_distill.runtime.vocabulary import Vocabulary

Array = NDArray[np.float32]


_MAX_CACHE_BYTES: Final = 64_000_000
_LABELS_AT_ONCE = 512

# The vocabulary reads only this many characters of a word. Longer words are rare, and would make
# large keys.
_MAX_CACHED_CHARS = 100

# A key takes at most this many bytes: four per character, and its place in the dictionary.
_KEY_BYTES = 600

NOT_FINITE: Final = (
    "the student computes numbers that are not finite; its weights are broken, so copy it again, "
    "or train it again with a lower learning rate"
)

PIECES: Final = "pieces.weight"
PIECE_SCALES: Final = "pieces.scale"
SHAPES: Final = "shapes.weight"


class PieceTable:
    """The vectors of subword pieces, in the precision of their file.

    Args:
        weights: `pieces.weight`, shape `(pieces, width)`, and, if that is int8, `pieces.scale`,
            shape `(pieces, 1)`.
    """

    def __init__(self, weights: Mapping[str, NDArray[Any]]) -> None:
        self._pieces = weights[PIECES]
        self._scales = weights.get(PIECE_SCALES)

    @property
    def width(self) -> int:
        """The number of columns of the table."""
        return int(self._pieces.shape[1])

    @property
    def largest(self) -> float:
        """The largest absolute value in the table."""
        if self._scales is None:
            return _largest(self._pieces)
        # The codes are compared as wide numbers, since -128 has no positive counterpart.
        codes = np.abs(self._pieces.astype(np.int16)).max(axis=1, initial=0)
        return float((codes * np.abs(self._scales[:, 0])).max(initial=0))

    def pool(self, piece_ids: NDArray[np.int64], starts: NDArray[np.int64]) -> Array:
        """Return the mean vector of each run of pieces, shape `(runs, width)`.

        Args:
            piece_ids: Shape `(pieces,)`: the pieces of all runs, one run after the other.
            starts: Shape `(runs,)`: the position of each run's first piece. No run may be empty.
        """
        return mean_runs(self.look_up(piece_ids), starts)

    def look_up(self, piece_ids: NDArray[np.int64]) -> Array:
        """Return the vectors of pieces, shape `(pieces, width)`."""
        vectors = self._pieces[piece_ids].astype(np.float32)
        if self._scales is not None:
            vectors *= self._scales[piece_ids]
        return vectors


def largest_number(pieces: PieceTable, shapes: Array) -> float:
    """Return the largest number that can occur in a vector of a word.

    Args:
        pieces: The vectors of subword pieces.
        shapes: The vectors of the shapes of words, shape `(width, shapes)`.
    """
    # A vector of a word is a mean of pieces and a sum of shapes, added here in a fixed order.
    return pieces.largest + float(reduce(np.add, np.abs(shapes.T)).max())


@dataclass(frozen=True, slots=True)
class WordRows:
    """Words as rows of a table.

    Attributes:
        table: What the network gets from each distinct word, shape `(distinct words, columns)`.
        rows: The rows of all words, one passage after the other.
        lengths: The words of each passage.
    """

    table: Array
    rows: NDArray[np.int32]
    lengths: NDArray[np.int32]


class WordVectors:
    """A cache of what the network gets from words; safe to call from several threads.

    Args:
        vocabulary: The subword pieces.
        pieces: Their vectors.
        shapes: The vectors of the shapes of words, shape `(width, shapes)`.
        prepare: Returns what the network gets from vectors of words.
        n_columns: The numbers that it gets from a word.
        max_bytes: The number of bytes above which the cache is emptied.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        pieces: PieceTable,
        shapes: NDArray[Any],
        prepare: Callable[[Array], Array],
        *,
        n_columns: int,
        max_bytes: int = _MAX_CACHE_BYTES,
    ) -> None:
        self._max_rows = max_bytes // (4 * n_columns + _KEY_BYTES)
        self._vocabulary = vocabulary
        self._pieces = pieces
        self._shapes = shapes.astype(np.float32).T
        self._prepare = prepare
        self._n_columns = n_columns
        self._lock = Lock()
        self._row_of: dict[str, int]
        self._too_long: list[str]
        self._n_rows: int
        self._table: Array
        self._forget()

    @property
    def n_bytes(self) -> int:
        """The bytes of the cache, with the longest possible keys."""
        return self._table.nbytes + _KEY_BYTES * len(self._row_of)

    def look_up(self, passages: Sequence[Sequence[str]]) -> WordRows:
        """Return the rows of words; the table stays as it is while later calls extend the cache.

        Args:
            passages: The words of each passage; together at least one word.
        """
        lengths = np.fromiter(map(len, passages), np.int32, len(passages))
        words = list(chain.from_iterable(passages))
        with self._lock:
            # All look-ups happen under the lock, because another thread may empty the cache.
            distinct = set(words)
            # Subtracting the keys would visit all of them.
            self._add({word for word in distinct if word not in self._row_of}, distinct)
            rows = np.fromiter(map(self._row_of.__getitem__, words), np.int32, len(words))
            table = self._table
            # The row stays unused until the cache is emptied.
            for word in self._too_long:
                del self._row_of[word]
            self._too_long = []
            # A batch may have more words than the cache may keep.
            if self._n_rows > self._max_rows:
                self._forget()
        return WordRows(table, rows, lengths)

    def _add(self, missing: set[str], needed: set[str]) -> None:
        if not missing:
            return
        # A full cache is emptied, because tracking the oldest words would cost more than it saves.
        if self._n_rows + len(missing) > self._max_rows:
            self._forget()
            missing = needed
        words = sorted(missing)
        end = self._n_rows + len(words)
        if end > len(self._table):
            # Doubling keeps the total cost of growing proportional to the number of words.
            n_rows = max(end, min(2 * len(self._table), self._max_rows))
            larger = np.zeros((n_rows, self._n_columns), np.float32)
            larger[: self._n_rows] = self._table[: self._n_rows]
            self._table = larger
        # Rows that another thread reads are never changed.
        self._table[self._n_rows : end] = self._compute(words)
        self._row_of.update(zip(words, range(self._n_rows, end), strict=True))
        self._n_rows = end
        self._too_long = [word for word in words if len(word) > _MAX_CACHED_CHARS]

    def _compute(self, words: Sequence[str]) -> Array:
        encoded = self._vocabulary.encode_words(words)
        vectors = self._pieces.pool(encoded.piece_ids, encoded.word_starts)
        # One shape after the other, because a product of matrices has no fixed order of sums.
        for number, shape in enumerate(self._shapes):
            vectors += encoded.word_shapes[:, number, None] * shape
        with np.errstate(over="ignore", invalid="ignore"):
            rows = self._prepare(vectors)
            is_finite = np.isfinite(rows.sum())
        if not is_finite:
            raise StudentError(NOT_FINITE)
        return rows

    def _forget(self) -> None:
        self._row_of = {}
        self._too_long = []
        self._n_rows = 0
        n_rows = max(1, min(1024, self._max_rows))
        self._table = np.zeros((n_rows, self._n_columns), dtype=np.float32)


class LabelVectors:
    """The label tower with a cache; safe to call from several threads.

    Args:
        vocabulary: The subword pieces.
        pieces: Their vectors.
        weights: The student's weights by name.
        n_vectors: The number of vectors per label.
        kernel: The kernel.
        max_bytes: The most bytes of the cached vectors.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        pieces: PieceTable,
        weights: Mapping[str, NDArray[Any]],
        *,
        n_vectors: int,
        kernel: Kernel,
        max_bytes: int = _MAX_CACHE_BYTES,
    ) -> None:
        self._vocabulary = vocabulary
        self._pieces = pieces
        self._tower = LabelTower(weights, n_vectors=n_vectors, kernel=kernel)
        self._cache = SizedCache[str, Array](max_bytes, _row_size)

    @property
    def n_bytes(self) -> int:
        """The bytes of the cache."""
        return self._cache.n_bytes

    def encode(self, labels: Sequence[str]) -> LabelOutputs:
        """Return the outputs of the label tower; those of a label depend on no other label."""
        if not labels:
            return self._tower.outputs(np.zeros((0, self._tower.n_columns), dtype=np.float32))
        cached = {label: self._cache.get(label) for label in labels}
        rows = {label: row for label, row in cached.items() if row is not None}
        missing = [label for label in cached if label not in rows]
        # The tower needs much memory for the pieces of a label.
        for first in range(0, len(missing), _LABELS_AT_ONCE):
            part = missing[first : first + _LABELS_AT_ONCE]
            for label, row in zip(part, self._compute(part), strict=True):
                rows[label] = row.copy()  # a view would keep the rows of all labels
                self._cache.put(label, rows[label])
        return self._tower.outputs(np.stack([rows[label] for label in labels]))

    def _compute(self, labels: Iterable[str]) -> Array:
        pieces = [self._vocabulary.encode_label(label) for label in labels]
        lengths = np.array([len(ids) for ids in pieces], dtype=np.int64)
        ids = np.array(list(chain.from_iterable(pieces)), dtype=np.int64)
        return self._tower.read(self._pieces.look_up(ids), np.cumsum(lengths) - lengths)


def _largest(numbers: NDArray[Any]) -> float:
    """Return the largest absolute value of numbers that are finite."""
    if numbers.dtype != np.float16:
        return float(np.abs(numbers).max(initial=0))
    # Without their sign, the bits of numbers in half precision have the order of the numbers, and
    # they are compared fifty times as fast.
    bits = (numbers.view(np.uint16) & np.uint16(0x7FFF)).max(initial=np.uint16(0))
    return float(bits.view(np.float16))


def _row_size(label: str, row: Array) -> int:
    return sys.getsizeof(label) + row.nbytes
