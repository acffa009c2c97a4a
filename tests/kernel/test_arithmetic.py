"""Our exponential and logarithm against those of the C library, and where they are infinite."""

import math

import numpy as np

from gliner_distill.kernel.arithmetic import exponential, logarithm, logit


def test_exponential_is_within_two_units_of_the_last_place():
    x = np.linspace(-700, 700, 5_001)
    expected = np.array([math.exp(value) for value in x.tolist()])
    np.testing.assert_array_less(np.abs(exponential(x) - expected), 2.5 * np.spacing(expected))


def test_logarithm_is_within_two_units_of_the_last_place():
    x = np.concatenate([np.linspace(0, 2, 5_001)[1:], 2.0 ** np.arange(-1022, 1023), [1e-40, 0.7]])
    expected = np.array([math.log(value) for value in x.tolist()])
    # Near 1, where the logarithm is 0, the error is relative to 1.
    units = np.spacing(np.maximum(np.abs(expected), 1))
    np.testing.assert_array_less(np.abs(logarithm(x) - expected), 2.5 * units)


def test_logit_is_infinite_at_0_and_1_and_the_inverse_of_the_probability():
    assert logit(np.array([0, 0.5, 1], np.float32)).tolist() == [-np.inf, 0, np.inf]
    probs = np.linspace(0.001, 0.999, 999).astype(np.float32)
    again = 1 / (1 + exponential(-logit(probs)))
    np.testing.assert_array_equal(again.astype(np.float32), probs)
