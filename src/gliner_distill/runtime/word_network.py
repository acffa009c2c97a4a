"""The word side of a student above its vectors of words, computed by the kernel.

The input is vectors of words, each computed once for a distinct word. The output is word vectors
for comparison with labels. Here the weights of a student get the form that the kernel needs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliner_distill.kernel.kernels import Kernel
from gliner_distill.kernel.networks import (
    BYTE,
    FLOAT,
    INPUT_STEP,
    OUTPUT_STEP,
    SHORT,
    UNIT_STEP,
    Direction,
    Network,
    make_product,
    pad,
    pad_gates,
    pad_states,
    round_up,
    state_product,
)
from gliner_distill.runtime.config import INT8, StudentConfig

Array = NDArray[np.float32]

TOWER = "word_tower"
_MOST_SHORT = 32_767


class WordNetwork:
    """The LSTM and the word tower of one student; safe to share by threads.

    Args:
        config: The architecture.
        weights: The student's weights by name.
        precision: `fp32` or `int8`.
        largest: The largest number that can occur in a vector of a word.
        kernel: The kernel.

    Attributes:
        n_columns: The numbers that the network gets from a distinct word.
        width: The width of the word vectors, padded with zeros.
        scale: The number with which vectors of words are multiplied before they are rounded.
        most: The largest rounded number.
    """

    def __init__(
        self,
        config: StudentConfig,
        weights: Mapping[str, NDArray[Any]],
        precision: str,
        *,
        largest: float,
        kernel: Kernel,
    ) -> None:
        self._is_short = precision == INT8
        network = _read_network(config, weights, BYTE if self._is_short else FLOAT)
        self._network = kernel.load(network)
        self.n_columns, self.width = network.n_columns, network.n_out
        self._n_inputs = round_up(config.embedding_width, INPUT_STEP)
        matrix, bias = _read_inputs(config, weights, network, self._n_inputs)
        # The sums of products must fit into 32 bits, however wide the vectors are.
        most = min(_MOST_SHORT, (2**31 - 1) // (127 * self._n_inputs))
        self.scale = np.float32(most / max(largest, 1e-8))
        self.most = most
        product = make_product(matrix, SHORT if self._is_short else FLOAT, 1 / float(self.scale))
        self._inputs = kernel.load_product(product, bias)

    def prepare(self, vectors: Array) -> Array:
        """Return what the network gets from words, shape `(words, columns)`.

        Args:
            vectors: The vectors of words, shape `(words, embedding width)`.
        """
        padded = pad(vectors, len(vectors), self._n_inputs)
        if not self._is_short:
            return self._inputs.multiply(padded)
        codes = np.clip(np.rint(padded * self.scale), -self.most, self.most)
        return self._inputs.multiply(codes.astype(np.int16))

    def read(self, table: Array, rows: NDArray[np.int32], lengths: NDArray[np.int32]) -> Array:
        """Return the word vectors of some windows, shape `(words, width)`.

        They are divided by the square root of their width before padding.

        Args:
            table: What `prepare` returned for distinct words.
            rows: The rows of the table of all words, one window after the other.
            lengths: The words of each window, the longest window first.
        """
        return self._network.read(table, rows, lengths)


def directions_of(config: StudentConfig) -> tuple[str, ...]:
    """Return the names of the LSTMs of each layer."""
    return ("forward_lstm", "backward_lstm") if config.bidirectional else ("forward_lstm",)


def lstm_parts(weights: Mapping[str, NDArray[Any]], name: str) -> tuple[Array, Array, Array]:
    """Return the weights of an LSTM for its input and its state, and the sum of its biases."""
    parts = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    read, kept, *biases = (weights[f"{name}.{part}"].astype(np.float32) for part in parts)
    return read, kept, biases[0] + biases[1]


def _read_network(config: StudentConfig, weights: Mapping[str, NDArray[Any]], kind: int) -> Network:
    n_units, names = round_up(config.hidden_width, UNIT_STEP), directions_of(config)
    n_states = len(names) * n_units
    layers: list[Sequence[Direction]] = []
    for layer in range(config.n_layers):
        directions = []
        for name in names:
            read, kept, bias = lstm_parts(weights, f"{name}.{layer}")
            padded = pad_states(read, len(read), len(names), n_units) if layer else read
            directions.append(
                Direction(
                    state_product(pad_gates(padded, n_units, n_states), kind) if layer else None,
                    state_product(pad_gates(kept, n_units, n_units), kind),
                    pad_gates(bias, n_units),
                )
            )
        layers.append(directions)
    tower = _tower(weights)[:, : len(names) * config.hidden_width]
    padded = pad_states(tower, round_up(len(tower), OUTPUT_STEP), len(names), n_units)
    return Network(kind, n_units, layers, state_product(padded, kind))


def _tower(weights: Mapping[str, NDArray[Any]], part: str = "weight") -> Array:
    """Return the weights of the word tower, with the scale of the product with the labels."""
    values = weights[f"{TOWER}.{part}"].astype(np.float32)
    return values * np.float32(len(values) ** -0.5)


def _read_inputs(
    config: StudentConfig, weights: Mapping[str, NDArray[Any]], network: Network, n_inputs: int
) -> tuple[Array, Array]:
    """Return the weights and biases of all products with the vectors of words."""
    n_units, width = network.n_units, config.embedding_width
    matrices, biases = [], []
    for name in directions_of(config):
        read, _, bias = lstm_parts(weights, f"{name}.0")
        matrices.append(pad_gates(read, n_units, n_inputs))
        biases.append(pad_gates(bias, n_units))
    matrices.append(pad(_tower(weights)[:, -width:], network.n_out, n_inputs))
    biases.append(pad(_tower(weights, "bias"), network.n_out))
    return np.concatenate(matrices), np.concatenate(biases)
