"""The weights of a student in the form in which the kernel takes them, for the JavaScript modules.

`StudentNER` makes this form when it loads a student; here it is made once and stored, so that a
browser loads less and computes the same numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from gliner_distill.kernel.networks import Network, Product, pad
from gliner_distill.kernel.oracle import NumpyKernel, NumpyNetwork, NumpyProduct
from gliner_distill.runtime.bundle import Bundle
from gliner_distill.runtime.embeddings import (
    PIECE_SCALES,
    PIECES,
    SHAPES,
    PieceTable,
    largest_number,
)
from gliner_distill.runtime.heads import BOUNDARY, head_named
from gliner_distill.runtime.label_tower import LabelTower
from gliner_distill.runtime.word_network import WordNetwork

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class WebWeights:
    """The weights of a student for JavaScript.

    Attributes:
        arrays: The arrays by name; docs/file_format.md explains them.
        settings: The numbers that are not arrays, as fields of `student.json`.
    """

    arrays: Arrays
    settings: dict[str, Any]

    def as_file(self) -> bytes:
        """Return the content of `weights.safetensors`."""
        return safetensors.numpy.save(self.arrays)


def make_weights(bundle: Bundle) -> WebWeights:
    """Return the weights of a student that computes in 8 bits.

    Args:
        bundle: The student, with its pieces in 8 bits; see `quantize_weights`.
    """
    config, weights = bundle.config, bundle.weights
    pieces, shapes = PieceTable(weights), weights[SHAPES].astype(np.float32)
    words, labels = _RecordingKernel(), _RecordingKernel()
    network = WordNetwork(
        config,
        weights,
        bundle.precision,
        largest=largest_number(pieces, shapes),
        kernel=words,
    )
    LabelTower(weights, n_vectors=head_named(config.head).n_vectors, kernel=labels)
    layers = [f"layer{number}" for number in range(len(labels.products) - len(labels.networks))]
    label_products = ["inputs"] * len(labels.networks) + layers
    arrays = {
        PIECES: weights[PIECES],
        PIECE_SCALES: weights[PIECE_SCALES][:, 0].astype(np.float32),
        SHAPES: np.ascontiguousarray(shapes.T),
        **_network_arrays("words", words),
        **_product_arrays("words", ["inputs"], words),
        **_network_arrays("labels", labels),
        **_product_arrays("labels", label_products, labels),
    }
    settings = {
        "words": {
            **_sizes(words.networks[0]),
            "scale": float(network.scale),
            "most": network.most,
        },
        "labels": {
            **(_sizes(labels.networks[0]) if labels.networks else {}),
            "n_states": config.label_lstm_width,
            "n_layers_above": len(layers),
        },
    }
    if config.head == BOUNDARY:
        settings["bias"] = weights["bias"].astype(np.float32).tolist()
    else:
        none = weights["none.weight"].astype(np.float32)
        # The word vectors are divided by the square root of their width; "none" must undo that.
        scaled = none * np.float32(none.shape[1] ** 0.5)
        arrays["none.weight"] = pad(scaled, 1, network.width)[0]
        settings["bias"] = [*weights["none.bias"].astype(np.float32).tolist(), 0.0, 0.0]
    return WebWeights(arrays, settings)


@dataclass(slots=True)
class _RecordingKernel(NumpyKernel):
    """A kernel that keeps what it loads."""

    networks: list[Network] = field(default_factory=list)
    products: list[tuple[Product, NDArray[np.float32]]] = field(default_factory=list)

    def load(self, network: Network) -> NumpyNetwork:
        self.networks.append(network)
        return NumpyKernel.load(self, network)

    def load_product(self, product: Product, bias: NDArray[np.float32]) -> NumpyProduct:
        self.products.append((product, bias))
        return NumpyKernel.load_product(self, product, bias)


_SINGLE: Final = np.float32


def _network_arrays(name: str, kernel: _RecordingKernel) -> Arrays:
    arrays: Arrays = {}
    for network in kernel.networks:
        for number, layer in enumerate(network.layers):
            for side, direction in enumerate(layer):
                place = f"{name}.{number}.{side}"
                arrays |= (
                    {} if direction.input is None else _pair(f"{place}.input", direction.input)
                )
                arrays |= _pair(f"{place}.state", direction.state)
                arrays[f"{place}.bias"] = direction.bias
        if network.tower is not None:
            arrays |= _pair(f"{name}.tower", network.tower)
    return arrays


def _product_arrays(side: str, names: Sequence[str], kernel: _RecordingKernel) -> Arrays:
    arrays: Arrays = {}
    for name, (product, bias) in zip(names, kernel.products, strict=True):
        arrays |= _pair(f"{side}.{name}", product) | {f"{side}.{name}.bias": bias}
    return arrays


def _pair(name: str, product: Product) -> Arrays:
    weights = product.weights
    if weights.dtype != _SINGLE:
        return {f"{name}.weight": weights, f"{name}.scale": product.scales}
    # Weights that were stored in half precision stay small without any loss.
    half = weights.astype(np.float16)
    return {f"{name}.weight": half if np.array_equal(half.astype(_SINGLE), weights) else weights}


def _sizes(network: Network) -> dict[str, int]:
    return {
        "kind": network.kind,
        "n_layers": len(network.layers),
        "n_directions": network.n_directions,
        "n_units": network.n_units,
        "n_columns": network.n_columns,
    }
