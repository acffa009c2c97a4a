"""The map from a student's own scores to the scores that it reports.

A student is trained on words, and its scores of entities need not be as frequent as people expect
them to be. A monotone map of logits, fitted when the student was made, corrects this. It leaves 0.5
where it is, and thus the entities that are found by default.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gliner_distill.errors import StudentError, shorten
from gliner_distill.kernel.arithmetic import exponential, logit

MAX_KNOTS: Final = 64
_MAX_LOGIT: Final = 1_000.0
_MIN_STEP = 1e-6
_MOST_MAPPED = 700.0  # the probability of a larger logit is 1 in double precision
_FIELDS = ("logits", "reported")

Floats = NDArray[np.floating]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ScoreMap:
    """A monotone, piecewise linear map of logits through (0, 0).

    Between two knots and beyond the first and the last one it is a straight line.

    Attributes:
        logits: The logits of the student at the knots, increasing.
        reported: The logits that are reported in their place, increasing.

    Raises:
        ValueError: The knots are not such a map; the message says why.

    >>> halving = ScoreMap((-2.0, 2.0), (-1.0, 1.0))
    >>> halving.report(np.array([0.5, 0.8])).astype(float).round(3).tolist()  # odds 4 become 2
    [0.5, 0.667]
    >>> halving.restore(np.array([2 / 3])).astype(float).round(3).tolist()
    [0.8]
    """

    logits: tuple[float, ...]
    reported: tuple[float, ...]

    def __post_init__(self) -> None:
        for name in _FIELDS:
            _check_knots(name, getattr(self, name))
        if len(self.logits) != len(self.reported):
            raise ValueError(
                f"there are {len(self.logits)} logits and {len(self.reported)} reported ones; "
                "expected as many"
            )
        at_zero = float(_follow(np.zeros(1), self.logits, self.reported)[0])
        if abs(at_zero) > _MIN_STEP:
            raise ValueError(f"the logit 0 is reported as {at_zero:g}; expected 0")

    def report(self, probs: Floats) -> NDArray[np.float32]:
        """Return the probabilities that are reported in place of the student's own."""
        return _map_probs(probs, self.logits, self.reported)

    def restore(self, probs: Floats) -> NDArray[np.float32]:
        """Return the probabilities of the student that are reported as these, such as thresholds.

        The probabilities 0, 0.5 and 1 stay the same.
        """
        return _map_probs(probs, self.reported, self.logits)

    def lines(self) -> tuple[Doubles, Doubles, Doubles]:
        """Return the logits, the reported logits, and the slopes between two knots each."""
        return _lines(self.logits, self.reported)

    def as_json(self) -> dict[str, list[float]]:
        """Return the map in the form of the configuration file."""
        return {"logits": list(self.logits), "reported": list(self.reported)}


def parse_score_map(path: Path, value: object) -> ScoreMap | None:
    """Return the map in the field `score_map` of a configuration file; None without one.

    Args:
        path: The file, for messages.
        value: The content of the field, or None if it is missing.

    Raises:
        StudentError: It is not a score map.
    """
    if value is None:
        return None
    where = f"{path}: field 'score_map'"
    if not isinstance(value, dict) or set(value) != set(_FIELDS):
        raise StudentError(
            f"{where} is {shorten(value)}; expected an object of logits and reported"
        )
    for name in _FIELDS:
        knots = value[name]
        if not isinstance(knots, list) or not all(_is_number(knot) for knot in knots):
            raise StudentError(f"{where}: {name} is {shorten(knots)}; expected a list of numbers")
    try:
        return ScoreMap(*(tuple(map(float, value[name])) for name in _FIELDS))
    except ValueError as error:
        raise StudentError(f"{where}: {error}") from error


def _is_number(value: Any) -> bool:
    # A bool is an int in Python. Whole numbers may be too large to become floats.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) <= _MAX_LOGIT


def _check_knots(name: str, knots: Sequence[float]) -> None:
    if not 2 <= len(knots) <= MAX_KNOTS:
        raise ValueError(f"{name} has {len(knots)} knots; expected 2 to {MAX_KNOTS}")
    if not all(abs(knot) <= _MAX_LOGIT for knot in knots):
        raise ValueError(f"{name} exceeds {_MAX_LOGIT:g}")
    if not (np.diff(knots) >= _MIN_STEP).all():
        raise ValueError(f"{name} does not increase by at least {_MIN_STEP:g} at each knot")


def _map_probs(probs: Floats, source: Sequence[float], target: Sequence[float]) -> NDArray[Any]:
    # The probabilities 0 and 1 have infinite logits, which stay infinite.
    logits = _follow(logit(probs), source, target)
    mapped = 1 / (1 + exponential(-np.clip(logits, -_MOST_MAPPED, _MOST_MAPPED)))
    # The knots may be rounded, but what is found at 0.5 must not depend on them.
    return np.where(probs == 0.5, 0.5, mapped).astype(np.float32)


def _follow(values: Doubles, source: Sequence[float], target: Sequence[float]) -> Doubles:
    """Return the values of the piecewise linear function through some points."""
    # `np.interp` may round in another way on another processor.
    knots, targets, slopes = _lines(source, target)
    place = np.clip(np.searchsorted(knots, values, side="right") - 1, 0, len(slopes) - 1)
    followed: Doubles = targets[place] + (values - knots[place]) * slopes[place]
    return followed


def _lines(source: Sequence[float], target: Sequence[float]) -> tuple[Doubles, Doubles, Doubles]:
    knots, targets = np.array(source, np.float64), np.array(target, np.float64)
    return knots, targets, np.diff(targets) / np.diff(knots)
