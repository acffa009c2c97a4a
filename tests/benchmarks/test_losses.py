"""The benchmark of TextBrewer's items: each loss against numbers by hand, and a tiny run."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gliner_distill.student.heads import Targets, TorchSoftmaxHead
from gliner_distill.student.losses import feature_loss, soft_loss
from gliner_distill.training.data import collate_examples, make_example

MINUS = -math.inf


@pytest.fixture(scope="module")
def heads(benchmarks):
    return benchmarks("loss_heads")


@pytest.fixture(scope="module")
def losses(benchmarks):
    return benchmarks("losses")


@pytest.fixture
def batch(five_passages, small_vocabulary):
    """A function that returns the five passages as a batch with a head's targets."""

    def collate(head):
        examples = [make_example(item, small_vocabulary) for item in five_passages]
        return collate_examples(examples, small_vocabulary, head)

    return collate


@pytest.fixture(scope="module")
def teacher(build_gliner):
    from gliner_distill.teacher.gliner import GLiNERTeacher

    return GLiNERTeacher(build_gliner("UniEncoderSpan"))


def logits_like(targets):
    """Return random logits that are masked as the targets are."""
    logits = torch.randn(targets.teacher.shape, generator=torch.Generator().manual_seed(0))
    return logits.masked_fill(targets.teacher == MINUS, MINUS)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_cross_entropy_has_the_gradient_of_the_divergence(temperature):
    student = torch.randn(7, 5, generator=torch.Generator().manual_seed(1), requires_grad=True)
    teacher = torch.randn(7, 5, generator=torch.Generator().manual_seed(2)) * 3
    soft_loss(student, teacher, temperature=temperature).mean().backward()
    divergence, student.grad = student.grad, None
    probs = F.softmax(teacher / temperature, dim=-1)
    entropies = -(probs * F.log_softmax(student / temperature, dim=-1)).sum(-1)
    (temperature**2 * entropies).mean().backward()
    assert divergence.abs().max() > 0.01
    torch.testing.assert_close(student.grad, divergence, rtol=0, atol=1e-6)


class TestPieces:
    def test_softened_loss_is_the_loss_of_the_package_at_each_temperature(self, heads):
        student = torch.tensor([[0.0, 1.0, MINUS], [2.0, 0.0, 1.0]])
        teacher = torch.tensor([[1.0, -1.0, MINUS], [0.0, 3.0, 1.0]])
        found = heads.softened_loss(student, teacher, torch.tensor([1.0, 4.0]))
        expected = [soft_loss(student, teacher, temperature=t)[row] for row, t in ((0, 1), (1, 4))]
        torch.testing.assert_close(found, torch.stack(expected))
        same = heads.softened_loss(student, teacher, torch.tensor(2.0))
        torch.testing.assert_close(same, soft_loss(student, teacher, temperature=2.0))

    def test_logit_error_is_the_mean_over_classes_that_are_not_masked(self, heads):
        student = torch.tensor([[1.0, 2.0, MINUS], [1.0, 1.0, 4.0]])
        teacher = torch.tensor([[0.0, 4.0, MINUS], [1.0, 1.0, 1.0]])
        # (1 + 4) / 2 and 9 / 3.
        assert heads.logit_error(student, teacher).tolist() == [2.5, 3.0]

    def test_logit_error_has_a_finite_gradient(self, heads):
        student = torch.tensor([[1.0, 2.0, MINUS]], requires_grad=True)
        heads.logit_error(student, torch.tensor([[0.0, 4.0, MINUS]])).sum().backward()
        assert student.grad.tolist() == [[1.0, -2.0, 0.0]]

    def test_word_temperatures_are_lower_for_words_that_are_far_off(self, heads):
        student = torch.tensor([[1.0, 1.0, MINUS], [1.0, 1.0, MINUS]])
        teacher = torch.tensor([[2.0, 2.0, MINUS], [-2.0, -2.0, MINUS]])
        # The cosines are 1 and -1, the weights 0 and 4, and their mean is 2.
        for base, expected in ((4.0, [6.0, 2.0]), (1.0, [3.0, 0.5])):
            found = heads.word_temperatures(student, teacher, base=base)
            torch.testing.assert_close(found, torch.tensor(expected))

    @pytest.mark.parametrize(
        ("teacher", "gold", "expected"),
        [
            ([1.0, 3.0, 2.0], [0.0, 0.0, 1.0], [1.0, 2.0, 3.0]),
            ([1.0, 3.0, 2.0], [0.0, 1.0, 0.0], [1.0, 3.0, 2.0]),
            ([5.0, 3.0, 2.0], [0.0, 0.5, 0.5], [3.0, 5.0, 2.0]),
            ([5.0, 3.0, 6.0], [0.5, 0.0, 0.5], [5.0, 3.0, 6.0]),
            ([0.0, 3.0, MINUS], [1.0, 0.0, 0.0], [3.0, 0.0, MINUS]),
            ([MINUS, MINUS, MINUS], [0.0, 0.0, 0.0], [MINUS, MINUS, MINUS]),
        ],
        ids=["swapped", "right", "two labels", "one of two", "masked", "padding"],
    )
    def test_shift_to_gold(self, heads, teacher, gold, expected):
        found = heads.shift_to_gold(torch.tensor([[teacher]]), torch.tensor([[gold]]))
        assert found.tolist() == [[expected]]

    def test_vector_error_leaves_out_rows_without_a_vector(self, heads):
        student = torch.tensor([[[1.0, 2.0], [0.0, 0.0], [3.0, 3.0]]])
        teacher = torch.tensor([[[0.0, 0.0], [math.nan, 1.0], [3.0, 0.0]]])
        # (1 + 4 + 0 + 9) / 4.
        assert heads.vector_error(student, teacher).item() == 3.5
        assert heads.vector_error(student, torch.full((1, 3, 2), math.nan)).item() == 0.0


class TestPassageVectors:
    @pytest.fixture
    def vectors(self, heads, five_passages, teacher):
        return heads.PassageVectors.of(teacher, five_passages)

    def test_vectors_are_those_of_the_teacher(self, vectors, five_passages, teacher):
        from gliner_distill.teacher.representations import teacher_features

        words = [item.passage.words for item in five_passages]
        labels = [item.labels for item in five_passages]
        expected = teacher_features(teacher, words, labels)
        found = vectors.pad(five_passages, expected[0].shape[1], expected[1].shape[1])
        for pair in zip(found, expected, strict=True):
            torch.testing.assert_close(*pair, rtol=0, atol=1e-5, equal_nan=True)

    def test_vectors_are_read_as_they_were_written(
        self, heads, vectors, five_passages, tmp_path, teacher
    ):
        vectors.write(tmp_path / "vectors.safetensors", five_passages)
        assert [path.name for path in tmp_path.iterdir()] == ["vectors.safetensors"]
        again = heads.PassageVectors.read(tmp_path / "vectors.safetensors", five_passages)
        assert again.origin == vectors.origin
        assert again.origin["teacher"] == teacher.fingerprint
        sides = (item.pad(five_passages, 40, 10) for item in (again, vectors))
        for pair in zip(*sides, strict=True):
            torch.testing.assert_close(*pair, rtol=0, atol=0, equal_nan=True)

    def test_standardized_vectors_have_mean_0_and_deviation_1(self, vectors, five_passages):
        for rows in vectors.standardized().pad(five_passages, 40, 10):
            known = rows[~rows.isnan().any(-1)]
            torch.testing.assert_close(known.mean(0), torch.zeros(32), rtol=0, atol=1e-4)
            torch.testing.assert_close(known.std(0), torch.ones(32), rtol=0, atol=1e-4)

    @pytest.mark.parametrize("layers", [0, 12])
    def test_distance_of_the_cosine_is_that_of_the_package(
        self, heads, vectors, batch, build_student, layers
    ):
        student = build_student(feature_width=32, label_hidden_width=layers)
        head = heads.StudyHead(heads.Variant(distance="cosine", vector_weight=0.5), 10, vectors)
        item = batch(head)
        _, *features = student.eval()(item.inputs, with_features=True)
        targets = item.targets
        sides = zip(features, (targets.words, targets.labels), strict=True)
        expected = 0.5 * sum(feature_loss(*pair) for pair in sides)
        student.head = head
        head.watch(student)
        logits = student(item.inputs)
        plain = Targets(targets.teacher, targets.gold)
        whole = head.loss(logits, targets, item.inputs, alpha=1.0)
        torch.testing.assert_close(
            whole - head.loss(logits, plain, item.inputs, alpha=1.0), expected
        )


class TestStudyHead:
    def loss(self, head, item, logits, alpha=0.4):
        return head.loss(logits, item.targets, item.inputs, alpha=alpha).item()

    @pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0])
    def test_the_base_is_the_head_of_the_package(self, heads, batch, alpha):
        item = batch(TorchSoftmaxHead())
        logits = logits_like(item.targets)
        expected = TorchSoftmaxHead().loss(
            logits, item.targets, item.inputs, alpha=alpha, temperature=1.0, positive_weight=1.0
        )
        found = self.loss(heads.StudyHead(heads.Variant(), 3, None), item, logits, alpha)
        assert found == pytest.approx(expected.item(), rel=1e-6)

    def test_alpha_falls_from_the_first_step_to_the_last(self, heads, batch):
        head = heads.StudyHead(heads.Variant(alphas=(1.0, 0.0)), 3, None)
        item = batch(head)
        logits = logits_like(item.targets)
        found = [self.loss(head, item, logits) for _ in range(3)]
        soft, hard = (
            self.loss(heads.StudyHead(heads.Variant(), 3, None), item, logits, alpha)
            for alpha in (1.0, 0.0)
        )
        assert found == pytest.approx([soft, (soft + hard) / 2, hard], rel=1e-5)

    def test_the_temperature_falls_to_1(self, heads, batch):
        falling = heads.Variant(temperature=4.0, schedule="linear")
        head = heads.StudyHead(falling, 3, None)
        item = batch(head)
        logits = logits_like(item.targets)
        found = [self.loss(head, item, logits, 1.0) for _ in range(3)]
        expected = [
            self.loss(heads.StudyHead(heads.Variant(temperature=t), 3, None), item, logits, 1.0)
            for t in (4.0, 2.5, 1.0)
        ]
        assert found == pytest.approx(expected, rel=1e-5)

    def test_probability_shift_leaves_no_word_where_gold_is_not_the_likeliest(self, heads, batch):
        before = batch(heads.StudyHead(heads.Variant(), 3, None))
        after = batch(heads.StudyHead(heads.Variant(is_shifted=True), 3, None))
        mask, gold = before.inputs.word_mask, before.targets.gold

        def n_right(targets):
            best = targets.teacher.argmax(-1, keepdim=True)
            return int((gold.gather(-1, best)[mask] > 0).sum())

        assert n_right(before.targets) < n_right(after.targets) == int(mask.sum())
        changed = after.targets.teacher.sort(-1).values
        assert torch.equal(changed, before.targets.teacher.sort(-1).values)


def test_plan_starts_with_the_bases_and_leaves_out_what_needs_a_teacher(losses):
    jobs = losses.plan(2)
    assert [(job.name, job.seed) for job in jobs[:2]] == [("mixed, base", 0), ("soft, base", 0)]
    assert not any("vectors" in job.name or "two teachers" in job.name for job in jobs)
    assert not {job.name for job in jobs} & {*losses.TIMINGS}
    assert {job.seed for job in jobs} == {0, 1}
    all_jobs = losses.plan(3, teacher="one", second_store="two")
    assert len({(job.name, job.seed) for job in all_jobs}) == len(all_jobs)
    assert {job.condition.variant for job in all_jobs} == {*losses.VARIANTS, *losses.TIMINGS}
    # The bases are also trained twice as long, with all seeds.
    longer = [(job.name, job.seed) for job in all_jobs if "14 epochs" in job.name]
    assert sorted(longer) == [
        (f"{base}, base, 14 epochs", seed) for base in ("mixed", "soft") for seed in range(3)
    ]


def test_average_answers_is_the_mean_of_both_teachers(losses, five_passages):
    answers = {(item.passage.words, item.labels): 0 * item.probs + 0.5 for item in five_passages}
    for found, item in zip(
        losses.average_answers(five_passages, answers), five_passages, strict=True
    ):
        assert found.passage is item.passage
        np.testing.assert_allclose(found.probs, item.probs / 2 + 0.25)


def test_tables_give_differences_of_the_same_seeds_and_the_time_of_a_step(losses):
    def row(agreement, gold, step):
        return {"f1_vs_teacher": agreement, "span_f1_vs_gold": gold, "step_cpu_ms": step}

    runs = {
        "soft, base": {"0": row(0.60, 0.40, 100.0), "1": row(0.62, 0.44, 104.0)},
        "soft, base, 14 epochs": {"0": row(0.60, 0.40, 100.0)},
        "soft, T = 4": {"0": row(0.59, 0.42, 100.0), "1": row(0.60, 0.44, 110.0)},
    }
    table = list(losses.tables(runs))[1]
    # The gaps are -1 and -2, and +2 and 0; with two seeds, t is 12.7.
    assert "| T = 4 | 59.5 ± 0.7 | -1.5 [-7.9, +4.9] | 43.0 ± 1.4 | +1.0 [-11.7, +13.7] |" in table
    assert "| 105 ± 7 | 2 |" in table
    assert "| base, 14 epochs | 60.0 | +0.0 (one seed) |" in table


def test_time_teacher_measures_three_ways(benchmarks, five_passages, teacher):
    row = benchmarks("loss_times").time_teacher(five_passages, teacher)
    assert row.pop("teacher") == teacher.fingerprint
    assert row.keys() == {"batch_cpu_ms", "alone_cpu_ms", "remembered_cpu_ms"}


def test_time_steps_measures_each_loss(benchmarks, heads, losses, five_passages, teacher):
    passages = [*five_passages, *five_passages]
    vectors = heads.PassageVectors.of(teacher, passages)
    two = {name: losses.VARIANTS[name] for name in ("base", "vectors, cosine")}
    start = losses.make_start
    row = benchmarks("loss_times").time_steps(passages, two, vectors, start=start)
    assert row.keys() == two.keys()


@pytest.mark.slow
def test_run_trains_a_student_with_a_change_and_measures_it(losses):
    row = losses.run(losses.Condition("soft", "probability shift", epochs=1, n_train=8), 0)
    assert row["n_steps"] == 1
    for key in ("dev_f1_vs_teacher", *losses.READINGS):
        assert 0 <= row[key] <= 1
