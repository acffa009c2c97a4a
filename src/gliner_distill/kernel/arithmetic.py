"""Exponential and logarithm with the same bits on every machine.

numpy's own functions differ in the last bit between instruction sets. These consist of additions,
multiplications and divisions, whose results IEEE 754 defines, and of changes of the exponent.
"""

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

# The natural logarithm of 2 in two parts; the first one has few bits, so its multiples are exact.
_LOG_2 = 0.6931471803691238, 1.9082149292705877e-10


def exponential(x: Doubles) -> Doubles:
    """Return e to the power of x, between -700 and 700."""
    k = np.rint(x * 1.4426950408889634)
    y = (x - k * _LOG_2[0]) - k * _LOG_2[1]
    power = np.ones_like(x)
    for n_terms in range(13, 0, -1):
        power = power * y / n_terms + 1
    return np.ldexp(power, k.astype(np.int32))


def logarithm(x: Doubles) -> Doubles:
    """Return the natural logarithm of numbers from 0; that of 0 is minus infinity.

    >>> logarithm(np.array([0, 0.5, 1, 10.0])).round(6).tolist()
    [-inf, -0.693147, 0.0, 2.302585]
    """
    part, k = np.frexp(x)
    is_small = part < 0.7071067811865476
    part, k = np.where(is_small, 2 * part, part), k - is_small
    # log(part) is twice the series y + y^3 / 3 + y^5 / 5 + ...
    y = (part - 1) / (part + 1)
    square, series = y * y, np.zeros_like(y)
    for n in range(23, 0, -2):
        series = series * square + 1 / n
    return np.where(x > 0, k * _LOG_2[0] + (k * _LOG_2[1] + 2 * y * series), -np.inf)


def logit(probs: NDArray[np.floating]) -> Doubles:
    """Return the logits of probabilities; 0 and 1 give minus and plus infinity.

    >>> logit(np.array([0, 0.5, 1])).tolist()
    [-inf, 0.0, inf]
    """
    exact = probs.astype(np.float64)
    return logarithm(exact) - logarithm(1 - exact)
