"""The weights of a student: their names and shapes, their number, their file."""

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from gliner_distill.errors import SettingsError, StudentError
from gliner_distill.files import check_readable, reason_of
from gliner_distill.runtime.config import MAX_PARAMETERS, StudentConfig
from gliner_distill.runtime.embeddings import PIECE_SCALES, PIECES, SHAPES
from gliner_distill.runtime.heads import head_named
from gliner_distill.runtime.label_tower import KINDS, LSTMS
from gliner_distill.runtime.vocabulary import N_SHAPES

MAX_LAYERS: Final = 32


def weight_shapes(config: StudentConfig) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of each weight of a student."""
    head = head_named(config.head)
    width, n_states = config.embedding_width, count_states(config)
    label_width, hidden = n_states * head.n_vectors, config.label_hidden_width
    units = config.label_lstm_width
    label_in = width + 2 * units
    layers = [("label_tower", label_in, label_width)]
    if hidden:
        layers = [("label_tower.0", label_in, hidden), ("label_tower.2", hidden, label_width)]
    if config.relation_width:
        layers.append((KINDS, hidden, 2 * config.relation_width + 1))
    shapes: dict[str, tuple[int, ...]] = {
        PIECES: (config.n_pieces, width),
        SHAPES: (width, N_SHAPES),
    }
    for name, n_in, n_out in layers:
        shapes |= {f"{name}.weight": (n_out, n_in), f"{name}.bias": (n_out,)}
    for name in LSTMS if units else ():
        shapes |= {f"{name}.weight_ih_l0": (4 * units, width)}
        shapes |= {f"{name}.weight_hh_l0": (4 * units, units)}
        shapes |= {f"{name}.bias_{part}_l0": (4 * units,) for part in ("ih", "hh")}
    return shapes | head.weight_shapes(n_states) | _network_shapes(config)


def count_states(config: StudentConfig) -> int:
    """Return the width of a student's word vectors."""
    return config.hidden_width * (2 if config.bidirectional else 1)


def count_parameters(config: StudentConfig) -> int:
    """Return the number of a student's parameters."""
    return sum(map(prod, weight_shapes(config).values()))


def check_size(config: StudentConfig) -> None:
    """Check that an architecture can be built, before anything is allocated for it.

    Raises:
        SettingsError: A width is 0, there are too few or too many layers, or the student would have
            more than 6,000,000 parameters.
    """
    for name in ("embedding_width", "hidden_width"):
        if getattr(config, name) < 1:
            raise SettingsError(f"{name} is {getattr(config, name)}; expected at least 1")
    if not 1 <= config.n_layers <= MAX_LAYERS:
        raise SettingsError(f"n_layers is {config.n_layers}; expected 1 to {MAX_LAYERS}")
    n_parameters = count_parameters(config)
    if n_parameters > MAX_PARAMETERS:
        raise SettingsError(
            f"this student has {n_parameters:,} parameters "
            f"({config.n_pieces * config.embedding_width:,} of them embeddings); at most "
            f"{MAX_PARAMETERS:,} are allowed, so use fewer units, layers or pieces"
        )


def read_weights(path: Path, expected: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[Any]]:
    """Read weights from a safetensors file; others in the file are left out.

    Args:
        path: The file.
        expected: The names and shapes of the weights. The table of pieces may be in 8 bits, with a
            scale for each piece.

    Raises:
        StudentError: The file cannot be read, or a weight is missing, has another shape or type, or
            holds a number that is not finite.
    """
    try:
        check_readable(path)
        with safe_open(path, framework="numpy") as stored:
            names = {*expected, PIECE_SCALES} & set(stored.keys())
            # Shapes are compared first, so that a file of another student is not read into memory.
            shapes = {name: tuple(stored.get_slice(name).get_shape()) for name in names}
            _check_shapes(path, shapes, expected)
            weights = {name: stored.get_tensor(name) for name in names}
    except (OSError, SafetensorError, TypeError, AttributeError) as error:
        # The last two where numpy lacks the type, such as bfloat16.
        raise StudentError(f"{path}: cannot be loaded: {reason_of(error)}") from error
    _check_numbers(path, weights)
    return weights


def _check_numbers(path: Path, weights: Mapping[str, NDArray[Any]]) -> None:
    is_scaled = PIECE_SCALES in weights
    for name, weight in weights.items():
        # Only the table of pieces may hold integers, and only together with its scales.
        allowed = "i" if is_scaled and name == PIECES else "f"
        if weight.dtype.kind not in allowed:
            raise StudentError(
                f"{path}: {name} is of type {weight.dtype}; expected "
                f"{'integers' if allowed == 'i' else 'floating-point numbers'}"
            )
        if allowed == "f" and not _is_finite(weight):
            raise StudentError(
                f"{path}: {name} holds a number that is not finite; train the student again with "
                "a lower learning rate, or copy it again"
            )


def _is_finite(weight: NDArray[Any]) -> bool:
    if weight.dtype != np.float16:
        return bool(np.isfinite(weight).all())
    # Infinity and NaN have all five bits of the exponent set; numpy takes twenty times as long.
    exponents = weight.view(np.uint16) & np.uint16(0x7C00)
    return bool((exponents != 0x7C00).all())


def _check_shapes(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]],
    expected: Mapping[str, tuple[int, ...]],
) -> None:
    for name, shape in expected.items():
        if name not in shapes:
            raise StudentError(f"{path}: {name} is missing; expected shape {shape}")
        if shapes[name] != shape:
            raise StudentError(f"{path}: {name} has shape {shapes[name]}; expected {shape}")
    n_pieces = expected[PIECES][0]
    if shapes.get(PIECE_SCALES, (n_pieces, 1)) != (n_pieces, 1):
        raise StudentError(
            f"{path}: {PIECE_SCALES} has shape {shapes[PIECE_SCALES]}; expected one number per "
            f"piece, shape {(n_pieces, 1)}"
        )


def _network_shapes(config: StudentConfig) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of each weight of a student's LSTM and word tower."""
    n_states, units, width = count_states(config), config.hidden_width, config.embedding_width
    shapes: dict[str, tuple[int, ...]] = {
        "word_tower.weight": (n_states, n_states + width),
        "word_tower.bias": (n_states,),
    }
    for layer in range(config.n_layers):
        for name in (
            ("forward_lstm", "backward_lstm") if config.bidirectional else ("forward_lstm",)
        ):
            shapes |= {
                f"{name}.{layer}.weight_ih_l0": (4 * units, n_states if layer else width),
                f"{name}.{layer}.weight_hh_l0": (4 * units, units),
                f"{name}.{layer}.bias_ih_l0": (4 * units,),
                f"{name}.{layer}.bias_hh_l0": (4 * units,),
            }
    return shapes
