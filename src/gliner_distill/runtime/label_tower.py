"""Compute the label side of a student from the pieces of labels, in numpy, as `Student` does.

A label is read as the mean of its pieces and, if the student has the weights for it, by two LSTMs
that read the pieces in order. Out come the vectors with which words are compared, and the numbers
by which the label is compared with other labels.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gliner_distill.decoding import sigmoid
from gliner_distill.specificity import LabelKinds

Array = NDArray[np.float32]
Ints = NDArray[np.int64]

LSTMS: Final = ("label_forward_lstm", "label_backward_lstm")
KINDS: Final = "label_kind"


@dataclass(frozen=True, slots=True)
class LabelOutputs:
    """The outputs of the label tower for some labels.

    Attributes:
        vectors: Shape `(labels, vectors per label, width)`, float32.
        kinds: The numbers by which labels are compared; None for a student that does not do so.
    """

    vectors: Array
    kinds: LabelKinds | None


class LabelTower:
    """The label tower of one student.

    Args:
        weights: The student's weights by name.
        n_vectors: The number of vectors per label.
    """

    def __init__(self, weights: Mapping[str, NDArray[Any]], *, n_vectors: int) -> None:
        self._n_vectors = n_vectors
        self._lstms = [_Lstm(weights, name) for name in LSTMS if f"{name}.weight_ih_l0" in weights]
        *hidden, last = label_layers(weights)
        self._has_kinds = f"{KINDS}.weight" in weights
        self._layers = [_join_layers(weights, [name]) for name in hidden]
        # Both layers that read the same units are one product.
        ends = [last, KINDS] if self._has_kinds else [last]
        self._layers.append(_join_layers(weights, ends))
        self._width = weights[f"{last}.weight"].shape[0] // n_vectors
        self._is_plain = not self._lstms and not self._has_kinds

    def read(self, pieces: Array, starts: Ints) -> Array:
        """Return one row of numbers per label, for `outputs`; it depends on no other label.

        Args:
            pieces: The vectors of the pieces of all labels, shape `(pieces, width)`.
            starts: The position of each label's first piece, shape `(labels,)`. No label may be
                without pieces.
        """
        states = mean_runs(pieces, starts)
        if self._lstms:
            forward, backward = self._lstms
            read = (forward.last_states(pieces, starts), backward.last_states(pieces, starts, -1))
            states = np.concatenate([states, *read], axis=1)
        for position, (weight, bias) in enumerate(self._layers):
            # The activation stands between two layers, so it is skipped before the first one.
            states = gelu(states) if position else states
            # A student without any of the newer layers keeps its numbers to the last bit.
            product = states @ weight if self._is_plain else _multiply_rows(states, weight)
            states = product + bias
        return states

    def outputs(self, rows: Array) -> LabelOutputs:
        """Return the meaning of rows that `read` has computed."""
        end = self._n_vectors * self._width
        vectors = rows[:, :end].reshape(len(rows), self._n_vectors, self._width)
        kinds = LabelKinds.from_rows(rows[:, end:]) if self._has_kinds else None
        return LabelOutputs(vectors, kinds)

    @property
    def n_columns(self) -> int:
        """The number of columns of the rows."""
        return len(self._layers[-1][1])


class _Lstm:
    """One direction of an LSTM, with torch's order of gates: input, forget, cell, output."""

    def __init__(self, weights: Mapping[str, NDArray[Any]], name: str) -> None:
        parts = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        read, kept, *biases = (weights[f"{name}.{part}"].astype(np.float32) for part in parts)
        self._from_input, self._from_state = read.T, kept.T
        self._bias = biases[0] + biases[1]

    def last_states(self, pieces: Array, starts: Ints, step: int = 1) -> Array:
        """Return the state after all pieces of each label, shape `(labels, units)`.

        Args:
            pieces: See `LabelTower.read`.
            starts: See `LabelTower.read`.
            step: 1 to read from the first piece to the last one, -1 to read backward.
        """
        lengths = np.diff(starts, append=len(pieces))
        # From the longest to the shortest: those that still have a piece always come first.
        order = np.argsort(-lengths, kind="stable")
        firsts = (starts if step > 0 else starts + lengths - 1)[order]
        n_reading = np.searchsorted(-lengths[order], -np.arange(int(lengths.max())), side="left")
        inputs = _multiply_rows(pieces, self._from_input) + self._bias
        hidden, cell = np.zeros((2, len(order), len(self._from_state)), dtype=np.float32)
        for place, n_labels in enumerate(n_reading.tolist()):
            now = slice(n_labels)
            gates = inputs[firsts[now] + step * place]
            gates = gates + _multiply_rows(hidden[now], self._from_state)
            opened, kept, new, shown = np.split(gates, 4, axis=1)
            cell[now] = sigmoid(kept) * cell[now] + sigmoid(opened) * np.tanh(new)
            hidden[now] = sigmoid(shown) * np.tanh(cell[now])
        states = np.empty_like(hidden)
        states[order] = hidden
        return states


def label_layers(weights: Iterable[str]) -> list[str]:
    """Return the names of the label tower's layers: one, or two if it has a hidden layer."""
    return (
        ["label_tower.0", "label_tower.2"] if "label_tower.0.weight" in weights else ["label_tower"]
    )


def mean_runs(vectors: Array, starts: Ints) -> Array:
    """Return the mean of each run of vectors, shape `(runs, width)`.

    Args:
        vectors: Shape `(vectors, width)`: those of all runs, one run after the other.
        starts: Shape `(runs,)`: the position of each run's first vector. No run may be empty.
    """
    lengths = np.diff(starts, append=len(vectors)).astype(np.float32)
    means: Array = np.add.reduceat(vectors, starts, axis=0)
    means /= lengths[:, None]
    return means


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


def _join_layers(weights: Mapping[str, NDArray[Any]], names: Iterable[str]) -> tuple[Array, Array]:
    """Return the weights, shape `(inputs, outputs)`, and the biases of layers side by side."""
    matrices = [weights[f"{name}.weight"].astype(np.float32) for name in names]
    biases = [weights[f"{name}.bias"].astype(np.float32) for name in names]
    return np.concatenate(matrices).T, np.concatenate(biases)


def _multiply_rows(rows: Array, weight: Array) -> Array:
    """Return `rows @ weight`, with each row multiplied by itself.

    A product of matrices adds the same numbers in an order that depends on the number of rows. Then
    the vectors of a label would depend on the labels beside it, in their last bits.
    """
    products: Array = np.matmul(rows[:, None], weight)[:, 0]
    return products
