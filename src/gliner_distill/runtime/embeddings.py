"""Vectors of words and labels from a student's tables, in numpy: what a `Student` computes.

In: words, labels. Out: what goes into the graph of `words.onnx`. A word's vector is the mean of its
pieces' plus that of its shape; each is computed once and kept, up to a bound.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gliner_distill.runtime.vocabulary import Vocabulary

Array = NDArray[np.float32]


_MAX_KEPT_WORDS: Final = 65_536


_MAX_KEPT_CHARS = 100


_MAX_KEPT_LABELS = 8_192


PIECES, PIECE_SCALES, SHAPES = "pieces.weight", "pieces.scale", "shapes.weight"


class PieceTable:
    """Subword pieces' vectors, in the precision of their file.

    Args:
        tables: `pieces.weight`, shape `(pieces, width)`, and, where that is int8, `pieces.scale`,
            shape `(pieces, 1)`.
    """

    def __init__(self, tables: Mapping[str, NDArray[Any]]) -> None:
        self._pieces = tables[PIECES]
        self._scales = tables.get(PIECE_SCALES)

    @property
    def width(self) -> int:
        """Columns of the table."""
        return int(self._pieces.shape[1])

    def pool(self, piece_ids: NDArray[np.int64], starts: NDArray[np.int64]) -> Array:
        """Return mean vectors of runs of pieces, shape `(runs, width)`; no run may be empty."""
        vectors = self._pieces[piece_ids].astype(np.float32)
        if self._scales is not None:
            vectors *= self._scales[piece_ids]
        lengths = np.diff(starts, append=len(piece_ids)).astype(np.float32)
        pooled: Array = np.add.reduceat(vectors, starts, axis=0)
        pooled /= lengths[:, None]
        return pooled


class WordVectors:
    """Words' vectors, each computed once; safe to call from several threads."""

    def __init__(
        self, vocabulary: Vocabulary, pieces: PieceTable, tables: Mapping[str, NDArray[Any]]
    ) -> None:
        self._vocabulary = vocabulary
        self._pieces = pieces
        self._shapes = tables[SHAPES].astype(np.float32).T
        self._lock = Lock()
        self._row_of: dict[str, int]
        self._too_long: list[str]
        self._n_rows: int
        self._vectors: Array
        self._forget()

    def embed(self, passages: Sequence[Sequence[str]]) -> tuple[Array, NDArray[np.int32]]:
        """Return word vectors padded with zeros, shape `(batch, words, width)`, and the lengths.

        Args:
            passages: The words of each; together at least one word.
        """
        n_words = np.fromiter(map(len, passages), np.int32, len(passages))
        words = list(chain.from_iterable(passages))
        index = np.zeros((len(passages), int(n_words.max())), dtype=np.int64)
        with self._lock:
            distinct = set(words)
            self._add(distinct - self._row_of.keys(), distinct)
            rows = np.fromiter(map(self._row_of.__getitem__, words), np.int64, len(words))
            index[np.arange(index.shape[1]) < n_words[:, None]] = rows
            embedded: Array = self._vectors.take(index, axis=0)
            for word in self._too_long:
                del self._row_of[word]
            self._too_long = []
        return embedded, n_words

    def _add(self, missing: set[str], needed: set[str]) -> None:
        if not missing:
            return
        if self._n_rows + len(missing) > _MAX_KEPT_WORDS:
            self._forget()
            missing = needed
        words = sorted(missing)
        encoded = self._vocabulary.encode_words(words)
        vectors = self._pieces.pool(encoded.piece_ids, encoded.word_starts)
        vectors += encoded.word_shapes @ self._shapes
        end = self._n_rows + len(words)
        if end > len(self._vectors):
            larger = np.zeros((max(end, 2 * len(self._vectors)), self._pieces.width), np.float32)
            larger[: self._n_rows] = self._vectors[: self._n_rows]
            self._vectors = larger
        self._vectors[self._n_rows : end] = vectors
        self._row_of.update(zip(words, range(self._n_rows, end), strict=True))
        self._n_rows = end
        self._too_long = [word for word in words if len(word) > _MAX_KEPT_CHARS]

    def _forget(self) -> None:
        self._row_of = {}
        self._too_long = []
        self._n_rows = 1  # row 0 stays zero: padding
        self._vectors = np.zeros((1024, self._pieces.width), dtype=np.float32)


class LabelVectors:
    """The label tower; each label's vectors are computed once."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        pieces: PieceTable,
        tables: Mapping[str, NDArray[Any]],
        *,
        n_kinds: int,
    ) -> None:
        self._vocabulary = vocabulary
        self._pieces = pieces
        self._layers = [
            (tables[f"{name}.weight"].astype(np.float32).T, tables[f"{name}.bias"])
            for name in label_layers(tables)
        ]
        self._n_kinds = n_kinds
        self._lock = Lock()
        self._kept: dict[str, Array] = {}

    def encode(self, labels: Sequence[str]) -> Array:
        """Return labels' vectors, shape `(labels, kinds, width)`."""
        if not labels:
            n_columns = self._layers[-1][0].shape[1]
            return np.zeros((0, self._n_kinds, n_columns // self._n_kinds), dtype=np.float32)
        with self._lock:
            missing = [label for label in dict.fromkeys(labels) if label not in self._kept]
            if len(self._kept) + len(missing) > _MAX_KEPT_LABELS:
                self._kept = {}
                missing = list(dict.fromkeys(labels))
            if missing:
                self._kept.update(zip(missing, self._compute(missing), strict=True))
            return np.stack([self._kept[label] for label in labels])

    def _compute(self, labels: Iterable[str]) -> Array:
        pieces = [self._vocabulary.encode_label(label) for label in labels]
        lengths = np.array([len(ids) for ids in pieces], dtype=np.int64)
        ids = np.array(list(chain.from_iterable(pieces)), dtype=np.int64)
        states = self._pieces.pool(ids, np.cumsum(lengths) - lengths)
        for position, (weight, bias) in enumerate(self._layers):
            states = (gelu(states) if position else states) @ weight + bias
        return states.reshape(len(pieces), self._n_kinds, -1).astype(np.float32)


def label_layers(tables: Iterable[str]) -> list[str]:
    """Return the names of the label tower's layers, in order: one, or two with a hidden one."""
    return (
        ["label_tower.0", "label_tower.2"] if "label_tower.0.weight" in tables else ["label_tower"]
    )


def gelu(x: Array) -> Array:
    """Return `x * (1 + erf(x / sqrt 2)) / 2`, within 1e-6 of the exact value for |x| up to 8.

    The error function is Abramowitz and Stegun's approximation 7.1.26.

    >>> gelu(np.array([-1.0, 0.0, 2.0])).round(4).tolist()
    [-0.1587, 0.0, 1.9545]
    """
    z = np.abs(x.astype(np.float64)) / np.sqrt(2.0)
    t = 1.0 / (1.0 + 0.3275911 * z)
    series = t * (
        0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))
    )
    erf = np.copysign(1.0 - series * np.exp(-z * z), x)
    result: Array = (x * (1.0 + erf) / 2.0).astype(x.dtype)
    return result
