"""The weights of networks in the form that the kernel computes with: padded, perhaps in 8 bits.

Both backends, `compiled` and `oracle`, take these. In 8 bits, each row of a matrix of weights has a
scale of its own. The states of an LSTM lie between -1 and 1 and are rounded to multiples of 1/127.
The vectors of words are rounded to 16 bits, on a scale that their largest possible number gives.
So nothing is fitted, and the answer for a text depends on nothing but the text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

FLOAT: Final = 0
"""Weights and states in single precision."""
BYTE: Final = 1
"""Weights and states in 8 bits."""
SHORT: Final = 2
"""Weights in 8 bits, multiplied with numbers in 16 bits."""

INPUT_STEP: Final = 16
OUTPUT_STEP: Final = 64
UNIT_STEP: Final = 16
"""Widths are padded with zeros to multiples of these."""

MOST_WEIGHT: Final = {BYTE: 63, SHORT: 127}
"""The largest weights. With 63, a sum of two products of 8-bit numbers fits into 16 bits."""

_MOST_STATE = 127


@dataclass(frozen=True, slots=True)
class Product:
    """The weights of one product.

    Attributes:
        weights: Shape `(outputs, inputs)`, padded; float32 or int8.
        scales: Shape `(outputs,)`: the numbers with which sums of 8-bit products are multiplied;
            zeros in single precision.
    """

    weights: NDArray[Any]
    scales: Floats


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction of an LSTM layer, with padded units and torch's order of gates.

    Attributes:
        input: The product with the layer's input; None in the first layer, whose inputs come from
            a table.
        state: The product with the last state.
        bias: Shape `(4 * units,)`; in the first layer, the table holds it.
    """

    input: Product | None
    state: Product
    bias: Floats


@dataclass(frozen=True, slots=True)
class Network:
    """An LSTM and the tower above it, without the products of its inputs.

    A row of the table holds what the gates of the first layer's directions get from a word, and
    then what the tower gets from it, both with the biases.

    Attributes:
        kind: `FLOAT` or `BYTE`.
        n_units: The units of a direction, padded.
        layers: The directions of each layer.
        tower: The product with the states of the last layer; None if the network's result is these
            states, which needs single precision.
    """

    kind: int
    n_units: int
    layers: Sequence[Sequence[Direction]]
    tower: Product | None

    @property
    def n_directions(self) -> int:
        """The number of directions of each layer."""
        return len(self.layers[0])

    @property
    def n_gates(self) -> int:
        """The numbers in the table for one direction."""
        return 4 * self.n_units

    @property
    def n_out(self) -> int:
        """The numbers of a word in the result."""
        return self.n_directions * self.n_units if self.tower is None else len(self.tower.weights)

    @property
    def n_columns(self) -> int:
        """The numbers in a row of the table."""
        return self.n_directions * self.n_gates + (0 if self.tower is None else self.n_out)


@dataclass(frozen=True, slots=True)
class SpanSearch:
    """The labels and rules of a search for spans.

    Attributes:
        inside: What words are compared with, shape `(labels, width)`, padded: for a boundary head
            the inside vectors.
        edges: The start and the end vector of each label, shape `(2 * labels, width)`; None for a
            softmax head.
        none: The vector of "none" of a softmax head, shape `(width,)`; None for a boundary head.
        cuts: Shape `(labels,)`: products below do not count with a boundary head.
        shifts: Shape `(labels,)`: what is subtracted from logits.
        thresholds: Shape `(labels,)`.
        bias: Shape `(3,)`: what is added to products for start, end and inside; for a softmax head,
            the first one is that of "none".
        kinds: The whole numbers by which labels are compared: narrow and broad, both int32 of shape
            `(labels, kinds)`, and breadth, int64 of shape `(labels,)`; None if they are not.
        score_map: The lines by which scores are mapped: the logits of the knots, those that are
            reported, and the slopes between them, all float64; None if scores stay as they are.
        is_flat: Whether entities may not overlap.
        is_multi: Whether a span may have several labels.
    """

    inside: Floats
    edges: Floats | None
    none: Floats | None
    cuts: Floats
    shifts: Floats
    thresholds: Floats
    bias: Floats
    kinds: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]] | None
    score_map: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]] | None
    is_flat: bool
    is_multi: bool


def pad(values: NDArray[Any], *sizes: int) -> NDArray[Any]:
    """Return an array with zeros behind the end of each axis."""
    padded = np.zeros(sizes, values.dtype)
    padded[tuple(map(slice, values.shape))] = values
    return padded


def round_up(size: int, step: int) -> int:
    """Return the next multiple of a step."""
    return -(-size // step) * step


def make_product(weights: Floats, kind: int, unit: float = 1.0) -> Product:
    """Return padded weights as a product.

    Args:
        weights: Shape `(outputs, inputs)`, padded.
        kind: `FLOAT`, `BYTE` or `SHORT`.
        unit: The number that an activation of 1 stands for, in 8 or 16 bits.
    """
    weights = np.ascontiguousarray(weights, np.float32)
    if kind == FLOAT:
        return Product(weights, np.zeros(len(weights), np.float32))
    largest = np.abs(weights).max(axis=1)
    largest = np.where(largest > 0, largest, 1).astype(np.float32)
    scales = (largest / np.float32(MOST_WEIGHT[kind])).astype(np.float32)
    codes = np.rint(weights / scales[:, None]).astype(np.int8)
    return Product(codes, scales * np.float32(unit))


def state_product(weights: Floats, kind: int) -> Product:
    """Return padded weights as a product with states."""
    return make_product(weights, kind, 1 / _MOST_STATE)


def pad_gates(values: Floats, n_units: int, *more: int) -> Floats:
    """Return values by gate and unit with padded units.

    Args:
        values: Shape `(4 * units, ...)`.
        n_units: The padded number of units.
        more: The padded sizes of the other axes.
    """
    gates = values.reshape(4, -1, *values.shape[1:])
    return pad(gates, 4, n_units, *more).reshape(4 * n_units, *more)


def pad_states(weights: Floats, n_rows: int, n_directions: int, n_units: int) -> Floats:
    """Return weights of shape `(outputs, directions * units)` with padded outputs and units."""
    apart = weights.reshape(len(weights), n_directions, -1)
    return pad(apart, n_rows, n_directions, n_units).reshape(n_rows, n_directions * n_units)
