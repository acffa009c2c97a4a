"""The kernel in numpy: the same numbers to the last bit, where nothing can be compiled.

The tests compare every compiled path with this module.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliner_distill.kernel.arithmetic import exponential
from gliner_distill.kernel.networks import BYTE, FLOAT, Direction, Network, Product, SpanSearch

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]

_PARTS = 16
# tanh(x) is about x * P(x * x) / Q(x * x); P and Q from the highest power to the lowest.
_TANH = {
    BYTE: (
        5.25,
        (6.308347801677883e-04, 1.0087330639362335e-01, 9.997535943984985e-01),
        (1.2390084564685822e-02, 4.335137903690338e-01, 1.0),
    ),
    FLOAT: (
        8.25,
        (
            1.1051458386646118e-05,
            2.91448924690485e-03,
            1.2890785932540894e-01,
            9.999991655349731e-01,
        ),
        (
            2.3419632100285526e-07,
            2.3361368221230805e-04,
            2.36637145280838e-02,
            4.6223822236061096e-01,
            1.0,
        ),
    ),
}


class NumpyKernel:
    """The kernel in numpy; safe to share by threads."""

    name = "numpy"

    def load_product(self, product: Product, bias: Floats) -> "NumpyProduct":
        """Return a product that is ready to multiply.

        Args:
            product: Weights in single precision, or in 8 bits for numbers in 16 bits.
            bias: Shape `(outputs,)`.
        """
        return NumpyProduct(product, bias)

    def load(self, network: Network) -> "NumpyNetwork":
        """Return a network that is ready to read."""
        return NumpyNetwork(network)

    def load_search(self, search: SpanSearch) -> None:
        """Return None: without C, `decoding` finds the spans."""

    def compare(self, words: Floats, labels: Floats) -> Floats:
        """Return the products of words with labels, shape `(labels, words)`.

        Args:
            words: Shape `(words, width)`, the width a multiple of 16.
            labels: Shape `(labels, width)`.
        """
        products = np.empty((len(labels), len(words)), np.float32)
        for row, label in zip(products, labels, strict=True):
            row[:] = _dots(words, label[None])
        return products

    def compare_pairs(
        self, words: Floats, labels: Floats, word_of: Longs, label_of: Longs
    ) -> Floats:
        """Return the products of single pairs, shape `(pairs,)`.

        Args:
            words: Shape `(words, width)`, the width a multiple of 16.
            labels: Shape `(labels, width)`.
            word_of: The row of each pair's word.
            label_of: The row of each pair's label.
        """
        return _dots(words[word_of], labels[label_of])

    def logistic(self, logits: Floats) -> Floats:
        """Return the probabilities of logits, of the same shape."""
        odds_against = exponential(-np.clip(logits.astype(np.float64), -80, 80))
        return (1 / (1 + odds_against)).astype(np.float32)


class NumpyProduct:
    """A product that numpy computes."""

    def __init__(self, product: Product, bias: Floats) -> None:
        self._product, self._bias = product, bias

    def multiply(self, rows: NDArray[Any]) -> Floats:
        """Return `rows @ weights.T * scales + bias`, shape `(rows, outputs)`.

        Args:
            rows: Shape `(rows, inputs)`, padded; float32 for weights in single precision, else
                int16.
        """
        return _scale(self._product, _multiply(self._product, rows)) + self._bias


class NumpyNetwork:
    """A network that numpy computes."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def read(self, table: Floats, rows: Ints, lengths: Ints) -> Floats:
        """Return the result for each word of some windows, shape `(words, outputs)`.

        Args:
            table: What each distinct word gives to the network, shape `(words, columns)`.
            rows: The rows of the table of all words, one window after the other.
            lengths: The words of each window, the longest window first.
        """
        network = self._network
        firsts = np.cumsum(lengths) - lengths
        seen = table[rows]
        states = np.zeros((len(rows), 0), np.float32)
        for layer in network.layers:
            read = [
                self._read_direction(direction, number, seen, states, firsts, lengths)
                for number, direction in enumerate(layer)
            ]
            states = np.concatenate(read, axis=1)
        if network.tower is None:
            return states
        more = seen[:, network.n_directions * network.n_gates :]
        return _scale(network.tower, _multiply(network.tower, states)) + more

    def _read_direction(
        self,
        direction: Direction,
        number: int,
        seen: Floats,
        states: NDArray[Any],
        firsts: Ints,
        lengths: Ints,
    ) -> NDArray[Any]:
        network = self._network
        if direction.input is None:
            start = number * network.n_gates
            inputs = seen[:, start : start + network.n_gates]
        else:
            sums = _multiply(direction.input, states)
            inputs = _scale(direction.input, sums) + direction.bias
        cells = np.zeros((len(lengths), network.n_units), np.float32)
        last: NDArray[Any] = cells.astype(np.int16 if network.kind == BYTE else np.float32)
        result = np.zeros((len(seen), network.n_units), last.dtype)
        for step in range(int(lengths[0])):
            now = int(np.searchsorted(-lengths, -step, side="left"))
            place = lengths[:now] - 1 - step if number else step
            words = firsts[:now] + place
            kept = _scale(direction.state, _multiply(direction.state, last[:now]))
            cells[:now], last[:now] = _update(network.kind, inputs[words] + kept, cells[:now])
            result[words] = last[:now]
        return result


def _dots(words: Floats, labels: Floats) -> Floats:
    """Return the product of each row of words with a row of labels, or with the only one."""
    sums = np.zeros((len(words), _PARTS), np.float32)
    for first in range(0, words.shape[1], _PARTS):
        part = slice(first, first + _PARTS)
        sums = sums + words[:, part] * labels[:, part]
    while sums.shape[1] > 1:
        half = sums.shape[1] // 2
        sums = sums[:, :half] + sums[:, half:]
    return sums[:, 0]


def _multiply(product: Product, rows: NDArray[Any]) -> NDArray[Any]:
    if product.weights.dtype == np.int8:
        # Whole numbers of this size are exact in double precision, in any order.
        exact = rows.astype(np.float64) @ product.weights.astype(np.float64).T
        return exact.astype(np.int32)
    sums = np.zeros((len(rows), len(product.weights)), np.float32)
    for column, weights in zip(rows.T, product.weights.T, strict=True):
        sums = sums + column[:, None] * weights
    return sums


def _scale(product: Product, sums: NDArray[Any]) -> Floats:
    if sums.dtype == np.float32:
        return sums
    scaled: Floats = sums.astype(np.float32) * product.scales
    return scaled


def _update(kind: int, gates: Floats, cells: Floats) -> tuple[Floats, NDArray[Any]]:
    """Return the new cells and states."""
    half, one = np.float32(0.5), np.split(gates, 4, axis=1)
    (ni, di), (nf, df), (no, do) = (_tanh(kind, half * one[gate]) for gate in (0, 1, 3))
    (ni, nf, no), (ng, dg) = (di + ni, df + nf, do + no), _tanh(kind, one[2])
    both = di * dg
    cell = (nf * cells * both + ni * ng * df) / (df * (both + both))
    nt, dt = _tanh(kind, cell)
    state = (no * nt) / ((do + do) * dt)
    if kind == BYTE:
        return cell, np.rint(state * np.float32(127)).astype(np.int16)
    return cell, state


def _tanh(kind: int, x: Floats) -> tuple[Floats, Floats]:
    """Return a numerator and a denominator."""
    limit, above, below = _TANH[kind]
    x = np.maximum(np.minimum(x, np.float32(limit)), np.float32(-limit))
    square = x * x
    return _polynomial(above, square) * x, _polynomial(below, square)


def _polynomial(factors: Sequence[float], x: Floats) -> Floats:
    value = np.float32(factors[0]) * x + np.float32(factors[1])
    for factor in factors[2:]:
        value = value * x + np.float32(factor)
    return value
