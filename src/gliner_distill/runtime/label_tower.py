"""Compute the label side of a student from the pieces of labels, as `Student` does.

A label is read as the mean of its pieces and, if the student has the weights for it, by two LSTMs
that read the pieces in order. Out come the vectors with which words are compared, and the numbers
by which the label is compared with other labels.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gliner_distill.kernel.arithmetic import exponential
from gliner_distill.kernel.compiled import MOST_WINDOWS
from gliner_distill.kernel.kernels import Kernel
from gliner_distill.kernel.networks import (
    FLOAT,
    INPUT_STEP,
    OUTPUT_STEP,
    UNIT_STEP,
    Direction,
    Network,
    make_product,
    pad,
    pad_gates,
    round_up,
    state_product,
)
from gliner_distill.runtime.word_network import lstm_parts
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
    """The label tower of one student, in single precision.

    Args:
        weights: The student's weights by name.
        n_vectors: The number of vectors per label.
        kernel: The kernel.
    """

    def __init__(
        self, weights: Mapping[str, NDArray[Any]], *, n_vectors: int, kernel: Kernel
    ) -> None:
        self._n_vectors = n_vectors
        has_lstms = f"{LSTMS[0]}.weight_ih_l0" in weights
        self._lstms = _Lstms(weights, kernel) if has_lstms else None
        *hidden, last = label_layers(weights)
        self._has_kinds = f"{KINDS}.weight" in weights
        # Both layers that read the same units are one product.
        ends = [last, KINDS] if self._has_kinds else [last]
        self._layers = [_Layer(weights, names, kernel) for names in ([name] for name in hidden)]
        self._layers.append(_Layer(weights, ends, kernel))
        self._width = weights[f"{last}.weight"].shape[0] // n_vectors

    def read(self, pieces: Array, starts: Ints) -> Array:
        """Return one row of numbers per label, for `outputs`; it depends on no other label.

        Args:
            pieces: The vectors of the pieces of all labels, shape `(pieces, width)`.
            starts: The position of each label's first piece, shape `(labels,)`. No label may be
                without pieces.
        """
        states = mean_runs(pieces, starts)
        if self._lstms:
            states = np.concatenate([states, self._lstms.last_states(pieces, starts)], axis=1)
        for position, layer in enumerate(self._layers):
            # The activation stands between two layers, so it is skipped before the first one.
            states = layer.multiply(gelu(states) if position else states)
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
        return self._layers[-1].n_out


class _Lstms:
    """The two LSTMs that read the pieces of labels, one from the first piece, one from the last."""

    def __init__(self, weights: Mapping[str, NDArray[Any]], kernel: Kernel) -> None:
        parts = [lstm_parts(weights, name) for name in LSTMS]
        self._n_units = parts[0][1].shape[1]
        n_units, width = round_up(self._n_units, UNIT_STEP), parts[0][0].shape[1]
        self._n_inputs = round_up(width, INPUT_STEP)
        layer = [
            Direction(None, state_product(pad_gates(kept, n_units, n_units), FLOAT), bias)
            for _, kept, bias in parts
        ]
        self._network = kernel.load(Network(FLOAT, n_units, [layer], None))
        matrix = np.concatenate([pad_gates(read, n_units, self._n_inputs) for read, _, _ in parts])
        bias = np.concatenate([pad_gates(bias, n_units) for _, _, bias in parts])
        self._inputs = kernel.load_product(make_product(matrix, FLOAT), bias)

    def last_states(self, pieces: Array, starts: Ints) -> Array:
        """Return the states after all pieces of each label, shape `(labels, 2 * units)`.

        Args:
            pieces: See `LabelTower.read`.
            starts: See `LabelTower.read`.
        """
        lengths = np.diff(starts, append=len(pieces))
        table = self._inputs.multiply(pad(pieces, len(pieces), self._n_inputs))
        states = np.empty((len(starts), 2 * self._n_units), np.float32)
        order = np.argsort(-lengths, kind="stable")
        for first in range(0, len(order), MOST_WINDOWS):
            labels = order[first : first + MOST_WINDOWS]
            rows = [np.arange(starts[label], starts[label] + lengths[label]) for label in labels]
            own = lengths[labels].astype(np.int32)
            read = self._network.read(table, np.concatenate(rows).astype(np.int32), own)
            ends = np.cumsum(own)
            forward, backward = np.split(read, 2, axis=1)
            states[labels, : self._n_units] = forward[ends - 1, : self._n_units]
            states[labels, self._n_units :] = backward[ends - own, : self._n_units]
        return states


class _Layer:
    """One or more layers side by side."""

    def __init__(
        self, weights: Mapping[str, NDArray[Any]], names: Iterable[str], kernel: Kernel
    ) -> None:
        matrix, bias = _join_layers(weights, names)
        self.n_out = len(matrix)
        n_in = matrix.shape[1]
        self._n_inputs, n_outputs = round_up(n_in, INPUT_STEP), round_up(self.n_out, OUTPUT_STEP)
        product = make_product(pad(matrix, n_outputs, self._n_inputs), FLOAT)
        self._product = kernel.load_product(product, pad(bias, n_outputs))

    def multiply(self, rows: Array) -> Array:
        padded = pad(rows, len(rows), self._n_inputs)
        return np.ascontiguousarray(self._product.multiply(padded)[:, : self.n_out])


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
    lengths = np.diff(starts, append=len(vectors))
    means: Array = vectors[starts]
    # One vector of each run after the other, because numpy does not promise an order of sums.
    for place in range(1, int(lengths.max(initial=0))):
        runs = np.flatnonzero(lengths > place)
        means[runs] += vectors[starts[runs] + place]
    means /= lengths[:, None].astype(np.float32)
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
    erf = np.copysign(1.0 - series * exponential(-np.minimum(z * z, 700)), x)
    result: Array = (x * (1.0 + erf) / 2.0).astype(x.dtype)
    return result


def _join_layers(weights: Mapping[str, NDArray[Any]], names: Iterable[str]) -> tuple[Array, Array]:
    """Return the weights, shape `(outputs, inputs)`, and the biases of layers side by side."""
    matrices = [weights[f"{name}.weight"].astype(np.float32) for name in names]
    biases = [weights[f"{name}.bias"].astype(np.float32) for name in names]
    return np.concatenate(matrices), np.concatenate(biases)
