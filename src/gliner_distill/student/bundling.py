"""Turn a torch student into the bundle that the runtime reads."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliner_distill.runtime.bundle import Bundle
from gliner_distill.runtime.score_map import ScoreMap
from gliner_distill.runtime.vocabulary import Vocabulary
from gliner_distill.runtime.weights import weight_shapes
from gliner_distill.student.model import Student


def student_weights(student: Student, *, half: bool = False) -> dict[str, NDArray[Any]]:
    """Return all weights of a student by name, without the projections to a teacher's features.

    Args:
        student: The student, on any device.
        half: Whether to round them to half precision (float16); else they are float32.
    """
    weights = {
        name: value.detach().float().cpu().numpy()
        for name, value in student.weights_without_projections().items()
    }
    return {name: _as_half(value) for name, value in weights.items()} if half else weights


def make_bundle(
    student: Student,
    vocabulary: Vocabulary,
    *,
    half: bool = False,
    score_map: ScoreMap | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Bundle:
    """Return a student as a bundle in single precision.

    A weight that half precision represents exactly is stored in half precision; computations still
    use single precision.

    Args:
        student: The student, on any device.
        vocabulary: Its subword pieces.
        half: Whether to round all weights to half precision first.
        score_map: The map of its scores; None to report them as they are.
        metadata: Other fields for the configuration file, plain JSON values.
    """
    weights = {
        name: value.astype(np.float32)
        for name, value in student_weights(student, half=half).items()
    }
    kept = {}
    for name in weight_shapes(student.config):
        # Weights that were saved in half precision stay small without any loss.
        rounded = _as_half(weights[name])
        kept[name] = rounded if np.array_equal(rounded, weights[name]) else weights[name]
    return Bundle(
        config=replace(student.config, feature_width=0),
        vocabulary=vocabulary,
        weights=kept,
        threshold=student.config.threshold,
        score_map=score_map,
        metadata=metadata or {},
    )


def _as_half(values: NDArray[np.float32]) -> NDArray[np.float16]:
    with np.errstate(over="ignore"):  # a number that is too large becomes infinite, as in torch
        return values.astype(np.float16)
