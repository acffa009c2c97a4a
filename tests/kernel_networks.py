"""Random networks and inputs for the tests of the kernel."""

import numpy as np

from gliner_distill.kernel.networks import (
    BYTE,
    UNIT_STEP,
    Direction,
    Network,
    pad_gates,
    pad_states,
    round_up,
    state_product,
)

SHAPES = (
    # units, layers, directions, outputs of the tower
    (160, 2, 2, 320),
    (37, 3, 1, 50),
    (16, 1, 2, 20),
)


def make_network(kind, units, n_layers, n_directions, n_out, *, seed=0, scale=0.4):
    """Return a network with random weights; without outputs it has no tower."""
    rng = np.random.default_rng(seed)
    n_units = round_up(units, UNIT_STEP)

    def draw(*shape):
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    def direction(layer):
        read = pad_states(draw(4 * units, n_directions * units), 4 * units, n_directions, n_units)
        read = pad_gates(read, n_units, n_directions * n_units)
        return Direction(
            state_product(read, kind) if layer else None,
            state_product(pad_gates(draw(4 * units, units), n_units, n_units), kind),
            pad_gates(draw(4 * units), n_units),
        )

    layers = [[direction(layer) for _ in range(n_directions)] for layer in range(n_layers)]
    if not n_out:
        return Network(kind, n_units, layers, None)
    tower = draw(n_out, n_directions * units)
    padded = pad_states(tower, round_up(n_out, 64), n_directions, n_units)
    return Network(kind, n_units, layers, state_product(padded, kind))


def make_windows(network, *, n_windows=17, longest=40, seed=0):
    """Return a table, rows and falling lengths for a network."""
    rng = np.random.default_rng(seed)
    table = (2 * rng.standard_normal((50, network.n_columns))).astype(np.float32)
    lengths = np.sort(rng.integers(1, longest + 1, n_windows))[::-1].astype(np.int32)
    rows = rng.integers(0, len(table), int(lengths.sum())).astype(np.int32)
    return table, rows, lengths


def extreme_network(*, seed=0):
    """Return an 8-bit network whose sums are as large as they can be."""
    network = make_network(BYTE, 32, 2, 2, 64, seed=seed)
    rng = np.random.default_rng(seed)
    for layer in network.layers:
        for direction in layer:
            for product in (direction.input, direction.state):
                if product is not None:
                    product.weights[:] = rng.choice([-63, 63], product.weights.shape)
    return network
