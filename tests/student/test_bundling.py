"""The bundle of a student: its weights and their precision."""

import numpy as np
import torch

from gliner_distill.runtime.embeddings import PIECES
from gliner_distill.student.bundling import make_bundle


class TestMakeBundle:
    def test_make_bundle_uses_half_precision_only_without_loss(
        self, build_finder, small_vocabulary
    ):
        student = build_finder(head="boundary")
        with torch.no_grad():
            student.pieces.weight.copy_(student.pieces.weight.half())
            student.bias.copy_(torch.tensor([1e6, 0.5, 0.25]))  # too large for half precision
        weights = make_bundle(student, small_vocabulary).weights
        assert weights[PIECES].dtype == np.float16
        assert weights["shapes.weight"].dtype == np.float32
        assert weights["bias"].dtype == np.float32
        state = student.state_dict()
        for name, table in weights.items():
            np.testing.assert_array_equal(table.astype(np.float32), state[name].numpy())

    def test_make_bundle_ignores_projections(self, build_student, small_vocabulary):
        with_them, without = (
            make_bundle(build_student(feature_width=width), small_vocabulary) for width in (6, 0)
        )
        assert with_them.config == without.config
        assert with_them.weights.keys() == without.weights.keys()
        for name, table in without.weights.items():
            np.testing.assert_array_equal(with_them.weights[name], table)
