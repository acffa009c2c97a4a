"""The targets and the loss against numbers computed by hand and by torch itself."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.entities import END, INSIDE, START, Entity
from gliner_distill.runtime.heads import NONE
from gliner_distill.student.losses import (
    boundary_loss,
    distillation_loss,
    feature_loss,
    gold_boundaries,
    gold_distribution,
    hard_loss,
    soft_loss,
    teacher_word_logits,
)


def probs_inside(rows):
    """Return score arrays with these inside probabilities, and starts and ends at random."""
    inside = np.array(rows, dtype=np.float32)
    probs = np.random.default_rng(0).random((*inside.shape, 3), dtype=np.float32)
    probs[:, :, INSIDE] = inside
    return probs


def teacher_distribution(rows):
    logits = torch.from_numpy(teacher_word_logits(probs_inside(rows)))
    return torch.softmax(logits.double(), dim=-1).numpy()


def random_logits(n_words, n_classes, seed=0, n_masked=0):
    logits = torch.randn(n_words, n_classes, generator=torch.Generator().manual_seed(seed)) * 3
    logits = logits.double()
    if n_masked:
        logits[: n_words // 2, -n_masked:] = -torch.inf
    return logits


class TestTeacherWordLogits:
    def test_teacher_word_logits_are_the_odds_of_labels_against_none(self):
        # Odds 9, 3 and 1 of "none": 13 in all.
        assert teacher_distribution([[0.9, 0.75]])[0] == pytest.approx(
            [1 / 13, 9 / 13, 3 / 13], abs=1e-6
        )

    def test_teacher_word_logits_share_a_word_of_two_labels(self):
        assert teacher_distribution([[0.9, 0.9]])[0] == pytest.approx(
            [1 / 19, 9 / 19, 9 / 19], abs=1e-6
        )

    def test_teacher_word_logits_give_a_word_of_no_label_to_none(self):
        # Odds 1/9, 1/9, 1/3: "none" has 1 of 14/9.
        found = teacher_distribution([[0.1, 0.1, 0.25]])[0]
        assert found == pytest.approx([9 / 14, 1 / 14, 1 / 14, 3 / 14], abs=1e-6)

    def test_teacher_word_logits_have_logit_0_for_none(self):
        logits = teacher_word_logits(probs_inside([[0.5, 0.8]]))
        assert logits.dtype == np.float32
        assert logits[0] == pytest.approx([0.0, 0.0, math.log(4)], abs=1e-6)

    @given(st.lists(st.integers(0, 512).map(lambda code: code / 512), min_size=1, max_size=5))
    def test_teacher_word_logits_prefer_a_label_only_above_one_half(self, row):
        best = int(teacher_word_logits(probs_inside([row]))[0].argmax())
        if max(row) > 0.5:
            # Clipping makes 511/512 and 1 equal.
            assert min(row[best - 1], 511 / 512) == min(max(row), 511 / 512)
            assert best != NONE
        else:
            assert best == NONE

    def test_teacher_word_logits_clip_probabilities_to_a_512th(self):
        logits = teacher_word_logits(probs_inside([[0.0, 1.0, 1 / 512, 511 / 512]]))
        assert logits[0] == pytest.approx(
            [0, -math.log(511), math.log(511), -math.log(511), math.log(511)], rel=1e-5
        )

    def test_teacher_word_logits_have_none_alone_without_labels(self):
        assert teacher_word_logits(np.zeros((3, 0, 3), np.float32)).tolist() == [[0.0]] * 3


class TestGoldDistribution:
    def test_gold_distribution_shares_the_words_of_nested_entities(self):
        entities = [Entity(1, 4, "company"), Entity(2, 3, "city")]
        assert gold_distribution(entities, ["city", "company"], 5).tolist() == [
            [1, 0, 0],
            [0, 0, 1],
            [0, 0.5, 0.5],
            [0, 0, 1],
            [1, 0, 0],
        ]

    def test_gold_distribution_shares_a_span_of_three_labels(self):
        entities = [Entity(0, 1, label) for label in ("a", "b", "c")]
        target = gold_distribution(entities, ["a", "b", "c", "d"], 1)
        assert target.dtype == np.float32
        assert target[0] == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3, 0])

    def test_gold_distribution_counts_overlapping_entities_of_a_label_once(self):
        entities = [Entity(0, 2, "a"), Entity(1, 3, "a"), Entity(1, 2, "b")]
        assert gold_distribution(entities, ["a", "b"], 3).tolist() == [
            [0, 1, 0],
            [0, 0.5, 0.5],
            [0, 1, 0],
        ]

    def test_gold_distribution_ignores_labels_that_are_not_asked(self):
        target = gold_distribution([Entity(0, 1, "river"), Entity(0, 2, "city")], ["city"], 3)
        assert target.tolist() == [[0, 1], [0, 1], [1, 0]]

    def test_gold_distribution_is_none_everywhere_without_labels(self):
        assert gold_distribution([Entity(0, 1, "city")], [], 2).tolist() == [[1], [1]]


class TestSoftLoss:
    def test_soft_loss_equals_a_divergence_computed_by_hand(self):
        # Teacher (3/4, 1/4), student (1/2, 1/2): KL = 3/4 log(3/2) + 1/4 log(1/2).
        teacher = torch.tensor([[math.log(3.0), 0.0]])
        found = soft_loss(torch.zeros(1, 2), teacher, temperature=1.0)
        assert found.item() == pytest.approx(0.75 * math.log(1.5) - 0.25 * math.log(2), abs=1e-6)

    def test_soft_loss_softens_both_sides_and_scales_by_temperature_squared(self):
        # At T = 2 the logits log(9) and log(4) are those of 3 : 1 and 2 : 1.
        teacher = torch.tensor([[math.log(9.0), 0.0]])
        student = torch.tensor([[0.0, math.log(4.0)]])
        found = soft_loss(student, teacher, temperature=2.0)
        by_hand = 3 / 4 * math.log((3 / 4) / (1 / 3)) + 1 / 4 * math.log((1 / 4) / (2 / 3))
        assert found.item() == pytest.approx(4 * by_hand, abs=1e-6)

    @pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
    @pytest.mark.parametrize("n_masked", [0, 2])
    def test_soft_loss_equals_the_divergence_of_torch(self, temperature, n_masked):
        student = random_logits(6, 5, seed=1, n_masked=n_masked)
        teacher = random_logits(6, 5, seed=2, n_masked=n_masked)
        found = soft_loss(student, teacher, temperature=temperature)
        for word, masked in enumerate([n_masked] * 3 + [0] * 3):
            classes = slice(5 - masked)
            expected = temperature**2 * F.kl_div(
                F.log_softmax(student[word, classes] / temperature, dim=-1),
                F.softmax(teacher[word, classes] / temperature, dim=-1),
                reduction="sum",
            )
            assert found[word].item() == pytest.approx(expected.item(), abs=1e-9)

    def test_soft_loss_is_0_for_logits_that_differ_by_a_constant(self):
        logits = random_logits(4, 6, n_masked=2)
        assert soft_loss(logits + 7, logits, temperature=2.0).tolist() == pytest.approx([0] * 4)

    def test_soft_loss_gives_masked_classes_no_gradient(self):
        student = random_logits(4, 5, seed=1, n_masked=2).requires_grad_()
        soft_loss(
            student, random_logits(4, 5, seed=2, n_masked=2), temperature=2.0
        ).sum().backward()
        assert student.grad.isfinite().all()
        assert student.grad[:2, -2:].eq(0).all()
        assert student.grad[:, :-2].ne(0).all()


class TestHardLoss:
    def test_hard_loss_equals_the_cross_entropy_of_torch(self):
        logits = random_logits(5, 4)
        labels = torch.tensor([0, 3, 1, 1, 2])
        found = hard_loss(logits, F.one_hot(labels, 4).double())
        assert torch.allclose(found, F.cross_entropy(logits, labels, reduction="none"))

    def test_hard_loss_averages_the_labels_of_a_shared_word(self):
        # Student (1/2, 1/4, 1/4) against (0, 1/2, 1/2): log 4.
        logits = torch.tensor([[math.log(2.0), 0.0, 0.0]])
        found = hard_loss(logits, torch.tensor([[0.0, 0.5, 0.5]]))
        assert found.item() == pytest.approx(math.log(4), abs=1e-6)

    def test_hard_loss_gives_masked_classes_no_gradient(self):
        student = random_logits(4, 5, n_masked=2).requires_grad_()
        gold = F.one_hot(torch.tensor([0, 1, 2, 0]), 5).double()
        loss = hard_loss(student, gold).sum()
        loss.backward()
        assert loss.isfinite()
        assert student.grad.isfinite().all()
        assert student.grad[:2, -2:].eq(0).all()


class TestDistillationLoss:
    student = random_logits(7, 4, seed=3)
    teacher = random_logits(7, 4, seed=4)
    gold = F.one_hot(torch.tensor([0, 0, 1, 2, 3, 0, 1]), 4).double()

    def loss(self, alpha, temperature=2.0):
        return distillation_loss(
            self.student, self.teacher, self.gold, alpha=alpha, temperature=temperature
        ).item()

    def test_distillation_loss_is_the_mean_of_the_mix_over_words(self):
        soft = soft_loss(self.student, self.teacher, temperature=2.0).mean().item()
        hard = hard_loss(self.student, self.gold).mean().item()
        assert self.loss(0.0) == pytest.approx(hard)
        assert self.loss(1.0) == pytest.approx(soft)
        assert self.loss(0.5) == pytest.approx((soft + hard) / 2)
        assert self.loss(0.25) == pytest.approx(0.25 * soft + 0.75 * hard)

    def test_distillation_loss_keeps_the_hard_part_at_temperature_1(self):
        assert self.loss(0.0, temperature=2.0) == self.loss(0.0, temperature=1.0)
        assert self.loss(1.0, temperature=2.0) != pytest.approx(self.loss(1.0, temperature=1.0))

    @pytest.mark.parametrize(("alpha", "temperature"), [(0.0, 1.0), (1.0, 2.0), (0.4, 0.7)])
    def test_distillation_loss_has_the_gradient_of_finite_differences(self, alpha, temperature):
        assert torch.autograd.gradcheck(
            lambda logits: distillation_loss(
                logits, self.teacher, self.gold, alpha=alpha, temperature=temperature
            ),
            self.student.clone().requires_grad_(),
        )

    def test_distillation_loss_ignores_targets_of_weight_0(self):
        unknown = torch.full_like(self.gold, torch.nan)
        settings = {"temperature": 2.0}
        assert distillation_loss(self.student, unknown, self.gold, alpha=0, **settings).isfinite()
        assert distillation_loss(
            self.student, self.teacher, unknown, alpha=1, **settings
        ).isfinite()


class TestGoldBoundaries:
    def test_gold_boundaries_mark_start_end_and_inside(self):
        entities = [Entity(1, 3, "city"), Entity(3, 4, "city")]
        gold = gold_boundaries(entities, ["river", "city"], 5)
        assert gold.shape == (5, 2, 3)
        assert gold[:, 1, START].tolist() == [0, 1, 0, 1, 0]
        assert gold[:, 1, END].tolist() == [0, 0, 1, 1, 0]
        assert gold[:, 1, INSIDE].tolist() == [0, 1, 1, 1, 0]

    def test_gold_boundaries_are_nan_for_labels_without_an_entity(self):
        gold = gold_boundaries([Entity(0, 1, "city"), Entity(1, 2, "lake")], ["river", "city"], 2)
        assert np.isnan(gold[:, 0]).all()
        assert not np.isnan(gold[:, 1]).any()

    @pytest.mark.parametrize(("n_words", "labels"), [(0, ["city"]), (2, [])])
    def test_gold_boundaries_take_no_words_and_no_labels(self, n_words, labels):
        assert gold_boundaries([], labels, n_words).shape == (n_words, len(labels), 3)


class TestBoundaryLoss:
    settings = {"alpha": 0.5, "temperature": 1.0, "positive_weight": 1.0}  # noqa: RUF012
    logits = torch.tensor([[0.0, 2.0, -1.0]], dtype=torch.float64)
    teacher = torch.tensor([[0.5, 0.8, 0.1]], dtype=torch.float64)
    nothing = torch.full((1, 3), torch.nan, dtype=torch.float64)

    def loss(self, gold=nothing, **settings):
        return boundary_loss(self.logits, self.teacher, gold, **(self.settings | settings)).item()

    def test_boundary_loss_equals_the_cross_entropy_by_hand(self):
        # -(p ln s + (1 - p) ln(1 - s)) with s = 1/2, 0.880797, 0.268941.
        by_hand = [
            math.log(2),
            -(0.8 * math.log(0.880797) + 0.2 * math.log(0.119203)),
            -(0.1 * math.log(0.268941) + 0.9 * math.log(0.731059)),
        ]
        assert self.loss() == pytest.approx(sum(by_hand) / 3, abs=1e-5)

    def test_boundary_loss_softens_both_sides_by_the_temperature(self):
        soft_teacher = torch.sigmoid(torch.logit(self.teacher) / 2)
        expected = F.binary_cross_entropy(torch.sigmoid(self.logits / 2), soft_teacher).item()
        assert self.loss(temperature=2.0) == pytest.approx(4 * expected, abs=1e-9)

    def test_boundary_loss_is_least_where_student_and_teacher_agree(self):
        logits = torch.logit(self.teacher).requires_grad_()
        boundary_loss(logits, self.teacher, self.nothing, **self.settings).backward()
        torch.testing.assert_close(logits.grad, torch.zeros_like(logits), atol=1e-12, rtol=0)

    def test_boundary_loss_mixes_gold_in_where_there_is_some(self):
        gold = torch.tensor([[1.0, torch.nan, 0.0]], dtype=torch.float64)
        hard = F.binary_cross_entropy_with_logits(
            self.logits, gold.nan_to_num(0.0), reduction="none"
        )
        soft = F.binary_cross_entropy_with_logits(self.logits, self.teacher, reduction="none")
        mixed = 0.3 * soft + 0.7 * hard
        mixed[0, 1] = soft[0, 1]
        assert self.loss(gold, alpha=0.3) == pytest.approx(mixed.mean().item(), abs=1e-9)

    def test_boundary_loss_weighs_positive_targets(self):
        soft = F.binary_cross_entropy_with_logits(self.logits, self.teacher, reduction="none")
        weighted = soft * (1 + 2 * self.teacher)
        assert self.loss(positive_weight=3.0) == pytest.approx(weighted.mean().item(), abs=1e-9)

    def test_boundary_loss_takes_a_teacher_that_is_certain(self):
        teacher = torch.tensor([[0.0, 1.0, 0.5]])
        logits = torch.zeros(1, 3, requires_grad=True)
        loss = boundary_loss(
            logits, teacher, torch.full((1, 3), torch.nan), **(self.settings | {"temperature": 2.0})
        )
        loss.backward()
        assert loss.isfinite()
        assert logits.grad.isfinite().all()


class TestFeatureLoss:
    rows = torch.tensor([[1.0, 2.0, -3.0], [0.5, 0.0, 4.0]], dtype=torch.float64)

    def test_feature_loss_is_0_for_parallel_and_2_for_opposite_vectors(self):
        assert feature_loss(self.rows, 7 * self.rows).item() == pytest.approx(0, abs=1e-12)
        assert feature_loss(self.rows, -0.1 * self.rows).item() == pytest.approx(2, abs=1e-12)
        square = torch.tensor([[2.0, -1.0, 0.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
        assert feature_loss(self.rows, square).item() == pytest.approx(1, abs=1e-12)

    def test_feature_loss_is_the_mean_over_rows_by_hand(self):
        student = torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 2.0], [3.0, 4.0]]])
        teacher = torch.tensor([[[1.0, 1.0], [-1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]]])
        by_hand = [1 - 0.5**0.5, 2, 0, 1 - 3 / 5]
        assert feature_loss(student, teacher).item() == pytest.approx(sum(by_hand) / 4, abs=1e-6)

    def test_feature_loss_ignores_rows_that_the_teacher_does_not_have(self):
        student = self.rows.clone().requires_grad_()
        teacher = torch.tensor([[1.0, torch.nan, 1.0], [-0.5, 0.0, -4.0]], dtype=torch.float64)
        loss = feature_loss(student, teacher)
        assert loss.item() == pytest.approx(2, abs=1e-12)
        feature_loss(student, teacher + torch.tensor([0.0, 1.0, 0.0])).backward()
        assert student.grad[0].tolist() == [0, 0, 0]
        assert student.grad[1].abs().sum() > 0

    @pytest.mark.slow
    @pytest.mark.parametrize("n_rows", [0, 3])
    def test_feature_loss_is_0_without_rows_to_match(self, n_rows):
        student = torch.ones(n_rows, 4, requires_grad=True)
        loss = feature_loss(student, torch.full((n_rows, 4), torch.nan))
        loss.backward()
        assert loss.item() == 0
        assert student.grad.eq(0).all()
