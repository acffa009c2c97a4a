"""The learning rates of the steps of a run."""

import numpy as np
import pytest

from gliner_distill.training.schedule import learning_rate_factor, make_optimizer, set_rates
from gliner_distill.training.settings import TrainingSettings


class TestLearningRateFactor:
    def test_learning_rate_factor_rises_for_a_tenth_and_falls_to_0(self):
        factors = [learning_rate_factor(step, n_steps=200) for step in range(200)]
        assert factors[0] == pytest.approx(1 / 20)
        assert factors[19] == factors[20] == 1.0
        assert np.diff(factors[:20]) == pytest.approx([1 / 20] * 19)
        assert np.diff(factors[20:]) == pytest.approx([-1 / 180] * 179)
        assert factors[-1] == pytest.approx(1 / 180)

    @pytest.mark.parametrize("n_steps", [1, 2, 5, 14, 15])
    def test_learning_rate_factor_reaches_1_for_any_number_of_steps(self, n_steps):
        factors = [learning_rate_factor(step, n_steps=n_steps) for step in range(n_steps)]
        assert all(0 < factor <= 1 for factor in factors)
        assert max(factors) == 1.0

    def test_learning_rate_factor_starts_at_1_without_warm_up(self):
        assert learning_rate_factor(0, n_steps=100, warm_up=0) == 1.0


def test_set_rates_gives_the_embeddings_a_rate_of_their_own(build_student):
    settings = TrainingSettings(learning_rate=0.1, embedding_lr_factor=0.5, weight_decay=0.02)
    student = build_student()
    optimizer = make_optimizer(student, settings)
    set_rates(optimizer, settings, 54, n_steps=100)
    pieces, others = optimizer.param_groups
    factor = learning_rate_factor(54, n_steps=100)
    assert (pieces["lr"], others["lr"]) == pytest.approx((0.05 * factor, 0.1 * factor))
    assert pieces["params"] == list(student.pieces.parameters())
    assert len(others["params"]) == len(list(student.parameters())) - 1
    assert pieces["weight_decay"] == others["weight_decay"] == 0.02
