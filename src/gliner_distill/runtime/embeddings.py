"""Compute the vectors of words and labels from a student's weights, in numpy, as `Student` does.

The input is words and labels, and the output is the input of the graph in `words.onnx`. The vector
of a word is the mean of its pieces' vectors plus a vector of its shape; `label_tower` reads the
pieces of labels. Each vector is computed once and then cached.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gliner_distill.runtime.caches import SizedCache
from gliner_distill.runtime.label_tower import LabelOutputs, LabelTower, mean_runs
from gliner_distill.runtime.vocabulary import Vocabulary

Array = NDArray[np.float32]


_MAX_CACHE_BYTES: Final = 64_000_000

# The vocabulary reads only this many characters of a word. Longer words are rare, and would make
# large keys.
_MAX_CACHED_CHARS = 100

# A key takes at most this many bytes: four per character, and its place in the dictionary.
_KEY_BYTES = 600

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


class WordVectors:
    """A cache of the vectors of words; safe to call from several threads.

    Args:
        vocabulary: The subword pieces.
        pieces: Their vectors.
        weights: The student's weights by name.
        max_bytes: The number of bytes above which the cache is emptied.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        pieces: PieceTable,
        weights: Mapping[str, NDArray[Any]],
        *,
        max_bytes: int = _MAX_CACHE_BYTES,
    ) -> None:
        self._max_rows = max_bytes // (4 * pieces.width + _KEY_BYTES)
        self._vocabulary = vocabulary
        self._pieces = pieces
        self._shapes = weights[SHAPES].astype(np.float32).T
        self._lock = Lock()
        self._row_of: dict[str, int]
        self._too_long: list[str]
        self._n_rows: int
        self._vectors: Array
        self._forget()

    @property
    def n_bytes(self) -> int:
        """The bytes of the cache, with the longest possible keys."""
        return self._vectors.nbytes + _KEY_BYTES * len(self._row_of)

    def embed(self, passages: Sequence[Sequence[str]]) -> tuple[Array, NDArray[np.int32]]:
        """Return word vectors padded with zeros, shape `(batch, words, width)`, and the lengths.

        Args:
            passages: The words of each passage; together at least one word.
        """
        n_words = np.fromiter(map(len, passages), np.int32, len(passages))
        words = list(chain.from_iterable(passages))
        index = np.zeros((len(passages), int(n_words.max())), dtype=np.int64)
        with self._lock:
            # All look-ups happen under the lock, because another thread may empty the cache.
            distinct = set(words)
            self._add(distinct - self._row_of.keys(), distinct)
            rows = np.fromiter(map(self._row_of.__getitem__, words), np.int64, len(words))
            # Positions beyond the end keep row 0, the padding.
            index[np.arange(index.shape[1]) < n_words[:, None]] = rows
            embedded: Array = self._vectors.take(index, axis=0)
            # The row stays unused until the cache is emptied.
            for word in self._too_long:
                del self._row_of[word]
            self._too_long = []
            # A batch may have more words than the cache may keep.
            if self._n_rows > self._max_rows:
                self._forget()
        return embedded, n_words

    def _add(self, missing: set[str], needed: set[str]) -> None:
        if not missing:
            return
        # A full cache is emptied, because tracking the oldest words would cost more than it saves.
        if self._n_rows + len(missing) > self._max_rows:
            self._forget()
            missing = needed
        words = sorted(missing)
        encoded = self._vocabulary.encode_words(words)
        vectors = self._pieces.pool(encoded.piece_ids, encoded.word_starts)
        vectors += encoded.word_shapes @ self._shapes
        end = self._n_rows + len(words)
        if end > len(self._vectors):
            # Doubling keeps the total cost of growing proportional to the number of words.
            n_rows = max(end, min(2 * len(self._vectors), self._max_rows))
            larger = np.zeros((n_rows, self._pieces.width), np.float32)
            larger[: self._n_rows] = self._vectors[: self._n_rows]
            self._vectors = larger
        self._vectors[self._n_rows : end] = vectors
        self._row_of.update(zip(words, range(self._n_rows, end), strict=True))
        self._n_rows = end
        self._too_long = [word for word in words if len(word) > _MAX_CACHED_CHARS]

    def _forget(self) -> None:
        self._row_of = {}
        self._too_long = []
        self._n_rows = 1  # row 0 stays zero, as padding
        n_rows = max(1, min(1024, self._max_rows))
        self._vectors = np.zeros((n_rows, self._pieces.width), dtype=np.float32)


class LabelVectors:
    """The label tower with a cache; safe to call from several threads.

    Args:
        vocabulary: The subword pieces.
        pieces: Their vectors.
        weights: The student's weights by name.
        n_vectors: The number of vectors per label.
        max_bytes: The most bytes of the cached vectors.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        pieces: PieceTable,
        weights: Mapping[str, NDArray[Any]],
        *,
        n_vectors: int,
        max_bytes: int = _MAX_CACHE_BYTES,
    ) -> None:
        self._vocabulary = vocabulary
        self._pieces = pieces
        self._tower = LabelTower(weights, n_vectors=n_vectors)
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
        if missing:
            for label, row in zip(missing, self._compute(missing), strict=True):
                rows[label] = row.copy()  # a view would keep the rows of all labels
                self._cache.put(label, rows[label])
        return self._tower.outputs(np.stack([rows[label] for label in labels]))

    def _compute(self, labels: Iterable[str]) -> Array:
        pieces = [self._vocabulary.encode_label(label) for label in labels]
        lengths = np.array([len(ids) for ids in pieces], dtype=np.int64)
        ids = np.array(list(chain.from_iterable(pieces)), dtype=np.int64)
        return self._tower.read(self._pieces.look_up(ids), np.cumsum(lengths) - lengths)


def _row_size(label: str, row: Array) -> int:
    return sys.getsizeof(label) + row.nbytes
