"""The calibration of a student: 0.5 is the best threshold, others find as much as the teacher."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from gliner_distill.decoding import decode_entities
from gliner_distill.entities import END, INSIDE, START, Entity
from gliner_distill.errors import StudentError
from gliner_distill.metrics import score_spans
from gliner_distill.runtime.score_map import ScoreMap
from gliner_distill.specificity import LabelKinds
from gliner_distill.student.batch import make_batch
from gliner_distill.student.files import load_student, save_student

pytestmark = pytest.mark.slow

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
if not RECIPES.is_dir():
    reason = "the recipes are in the repository, not in the package"
    pytest.skip(reason, allow_module_level=True)
with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(RECIPES))
    from calibration import (
        Calibration,
        ScoredGroup,
        calibrate_student,
        calibration_error,
        check_score_map,
        count_entities,
        fit_calibration,
        fit_score_map,
        match_count,
        mean_f1,
    )

PASSAGES = [
    (["mary", "saw", "Paris", "-", "unheard", "2"], ("person", "city")),
    (["Rhine"], ("river", "place name", "city", "company")),
    (["the", "bank", "of", "the", "old", "Thames", "in", "London", "left", "acme", "."], ("city",)),
    (["north", "of", "globex"], ("company", "person", "river")),
]
NOTHING = -6.0
UNCHANGED = Calibration((0.0, 0.0, 0.0))
LABELS = ("city", "person")


def group_of(logits, labels, gold):
    """Return a group of a student that does not compare labels."""
    return ScoredGroup(list(logits), list(labels), list(gold), [None] * len(gold))


def one_word_group(answers):
    """Return a group with a passage for each `(logit, right)`: one word that is found or not."""
    logits = [np.full((1, 1, 3), logit, np.float32) for logit, _ in answers]
    gold = [[Entity(0, 1, "city")] if right else [] for _, right in answers]
    return group_of(logits, [("city",)] * len(answers), gold)


def one_passage_group(answers):
    """Return a group of one passage: a word for each `(logit, right)`, and others between them."""
    logits = np.full((2 * len(answers), 1, 3), 10 * NOTHING, np.float32)
    logits[::2, 0] = np.array([[logit] for logit, _ in answers])
    gold = [Entity(2 * n, 2 * n + 1, "city") for n, (_, right) in enumerate(answers) if right]
    return group_of([logits], [("city",)], [gold])


def noisy_group(seed, too_low, n_passages=60):
    """Return a group of a student with noise, each tag of whose logits is so much too low.

    Without that, an entity's logits lie around 2 and all others around -2.
    """
    rng = np.random.default_rng(seed)
    logits, gold = [], []
    for _ in range(n_passages):
        n_words = int(rng.integers(4, 12))
        array = rng.normal(-2.0, 0.9, (n_words, len(LABELS), 3))
        start = int(rng.integers(0, n_words - 2))
        end = start + int(rng.integers(1, 4))
        label = int(rng.integers(len(LABELS)))
        array[start, label, START] += 4
        array[min(end, n_words) - 1, label, END] += 4
        array[start:end, label, INSIDE] += 4
        logits.append((array - np.array(too_low)).astype(np.float32))
        gold.append([Entity(start, min(end, n_words), LABELS[label])])
    return group_of(logits, [LABELS] * n_passages, gold)


def f1_at(group, threshold_logit):
    """Return the F1 of unchanged logits at a threshold of the same probability for all tags."""
    threshold = 1 / (1 + math.exp(-threshold_logit))
    found = [
        decode_entities(1 / (1 + np.exp(-logits.astype(np.float64))), labels, threshold=threshold)
        for logits, labels in zip(group.logits, group.labels, strict=True)
    ]
    return score_spans(found, group.gold).f1


def best_single_threshold(groups):
    """Return the best mean F1 there is at one threshold, looked for one by one."""
    steps = np.arange(-4, 4, 0.1) + 0.003  # beside the steps of what is tested
    return max(float(np.mean([f1_at(group, step) for group in groups])) for step in steps)


class TestApply:
    def test_apply_subtracts_the_shift(self):
        logits = np.array([[[1.0, 2.0, 3.0]], [[-1.0, 0.0, 0.5]]], np.float32)
        found = Calibration((1.0, -1.0, 0.5)).apply(logits)
        assert found.tolist() == [[[0.0, 3.0, 2.5]], [[-2.0, 1.0, 0.0]]]
        assert found.dtype == np.float32
        assert logits[0, 0, 0] == 1.0  # what was given stays


class TestShift:
    def test_fit_calibration_makes_one_half_the_best_threshold_of_a_cautious_student(self):
        groups = [noisy_group(seed, (1.5, 1.5, 1.5)) for seed in (0, 10)]
        calibration = fit_calibration(groups)
        assert max(calibration.shift) < -0.9
        best = best_single_threshold(groups)
        assert mean_f1(groups, calibration) >= best - 0.005
        assert mean_f1(groups, calibration) > mean_f1(groups, UNCHANGED) + 0.1
        # A half is best now: what is calibrated has no better threshold elsewhere.
        calibrated = [
            group_of(map(calibration.apply, group.logits), group.labels, group.gold)
            for group in groups
        ]
        assert best_single_threshold(calibrated) <= mean_f1(groups, calibration) + 0.005

    def test_fit_calibration_finds_a_shift_of_inside_alone(self):
        groups = [noisy_group(seed, (0.0, 0.0, 2.0)) for seed in (1, 2)]
        calibration = fit_calibration(groups)
        assert calibration.shift[INSIDE] < min(calibration.shift[:INSIDE]) - 1
        assert mean_f1(groups, calibration) > best_single_threshold(groups) + 0.1

    @pytest.mark.parametrize("tag", [START, END, INSIDE])
    def test_fit_calibration_moves_each_tag_by_itself(self, tag):
        # One word is right and low in `tag`, the other wrong and low in the next: no shift of all
        # three tells them apart.
        logits = np.full((2, 1, 1, 3), 3.0, np.float32)
        logits[0, ..., tag] = -1.75
        logits[1, ..., (tag + 1) % 3] = -1.15
        group = group_of(logits, [("city",)] * 2, [[Entity(0, 1, "city")], []])
        calibration = fit_calibration([group])
        expected = [-1.8, -1.8, -1.8]
        expected[(tag + 1) % 3] = -1.0
        assert calibration.shift == tuple(expected)
        assert mean_f1([group], calibration) == 1.0
        assert best_single_threshold([group]) == pytest.approx(2 / 3)

    def test_fit_calibration_shifts_up_for_an_overconfident_student(self):
        group = one_word_group([(2.0, True)] * 5 + [(0.75, False)] * 5)
        calibration = fit_calibration([group])
        assert calibration.shift == (0.8, 0.8, 0.8)
        assert mean_f1([group], calibration) == 1.0

    def test_fit_calibration_takes_the_smallest_of_equally_good_shifts(self):
        # From -2.9 to 1.5 any shift is right for the first, from -3 to -1.5 for the second.
        assert fit_calibration([one_word_group([(3.0, True), (-3.0, False)])]).shift == (0, 0, 0)
        cautious = one_word_group([(-1.25, True), (-3.5, False)])
        assert fit_calibration([cautious]).shift == (-1.3, -1.3, -1.3)

    def test_fit_calibration_weighs_groups_alike_whatever_their_size(self):
        # For the many passages alone 0 would be best, and for all passages in one group.
        large = one_word_group([(3.0, True), (-0.5, False)] * 50)
        small = one_word_group([(-1.75, True)])
        together = group_of(
            large.logits + small.logits, large.labels + small.labels, large.gold + small.gold
        )
        assert fit_calibration([large, small]).shift == (-1.8, -1.8, -1.8)
        assert fit_calibration([large]).shift == fit_calibration([together]).shift == (0, 0, 0)


class TestMatchCount:
    # From 0.05 downward a right entity and a wrong one take turns, so F1 hardly changes.
    ANSWERS = tuple((-0.05 - 0.1 * row, row % 2 == 0) for row in range(12))

    @pytest.fixture
    def groups(self):
        return [one_passage_group([*self.ANSWERS, *[(2.0, True)] * 300, *[(1.5, False)] * 300])]

    def test_match_count_finds_as_many_entities_as_the_teacher(self, groups):
        found = match_count(groups, UNCHANGED, 607)
        assert found.shift == pytest.approx((-0.7, -0.7, -0.7))
        assert count_entities(groups, found, 0.5) == 607

    def test_match_count_takes_the_smallest_of_equally_close_shifts(self, groups):
        assert match_count(groups, UNCHANGED, 600) == UNCHANGED

    def test_match_count_gives_up_little_f1(self):
        groups = [one_word_group([(1.0, True)] * 20 + [(-0.55, False)] * 20)]
        assert match_count(groups, UNCHANGED, 40) == UNCHANGED

    def test_match_count_keeps_the_differences_between_tags(self, groups):
        found = match_count(groups, Calibration((0.5, -0.25, 0.0)), 600)
        assert np.ptp(np.array(found.shift) - (0.5, -0.25, 0.0)) < 1e-9


class TestMeanF1:
    def test_mean_f1_averages_over_groups_and_not_over_passages(self):
        right, wrong = one_word_group([(2.0, True)] * 30), one_word_group([(2.0, False)])
        half = one_word_group([(2.0, True), (-2.0, True), (2.0, False)])
        assert mean_f1([right, wrong], UNCHANGED) == 0.5
        assert mean_f1([right, wrong, half], UNCHANGED) == pytest.approx((1 + 0 + 0.5) / 3)

    def test_mean_f1_uses_calibrated_logits(self):
        group = one_word_group([(-1.0, True)])
        assert mean_f1([group], UNCHANGED) == 0.0
        assert mean_f1([group], Calibration((-1.5, -1.5, -1.5))) == 1.0
        assert mean_f1([group], Calibration((-1.5, -1.5, -0.5))) == 0.0

    def test_mean_f1_keeps_the_specific_label_where_labels_are_compared(self):
        # The first label has the better score, but the second one is more specific.
        logits = np.array([[[2.0] * 3, [1.0] * 3]], np.float32)
        kinds = LabelKinds.from_rows(np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]))
        gold = [[Entity(0, 1, "mayor")]]
        labels = [("person", "mayor")]
        assert mean_f1([ScoredGroup([logits], labels, gold, [None])], UNCHANGED) == 0.0
        assert mean_f1([ScoredGroup([logits], labels, gold, [kinds])], UNCHANGED) == 1.0


class TestCalibrationError:
    def test_calibration_error_counts_the_predicted_entities_of_all_groups(self):
        # Of 4 found with a score of 0.9, 2 are right; the two below a half do not count.
        score = math.log(9)
        groups = [
            one_word_group([(score, True), (-0.5, False)]),
            one_word_group([(score, True), (score, False), (score, False), (-0.5, True)]),
        ]
        assert calibration_error(groups, UNCHANGED) == pytest.approx(0.4, abs=1e-6)

    def test_calibration_error_uses_calibrated_scores(self):
        groups = [one_word_group([(math.log(9), True), (math.log(9), False)])]
        calibration = Calibration((math.log(3),) * 3)
        assert calibration_error(groups, calibration) == pytest.approx(0.25, abs=1e-6)  # odds of 3

    def test_calibration_error_uses_reported_scores(self):
        groups = [one_word_group([(math.log(9), True), (math.log(9), False)])]
        halving = ScoreMap((-2.0, 2.0), (-1.0, 1.0))
        found = calibration_error(groups, UNCHANGED, halving)
        assert found == pytest.approx(0.25, abs=1e-6)  # odds of sqrt(9)

    def test_calibration_error_is_0_if_nothing_is_predicted(self):
        assert calibration_error([one_word_group([(-1.0, True)])], UNCHANGED) == 0.0


class TestEdges:
    def test_fit_calibration_refuses_no_groups(self):
        with pytest.raises(ValueError, match="no groups"):
            fit_calibration([])

    def test_fit_calibration_ignores_passages_without_words_labels_or_entities(self):
        empty = group_of(
            logits=[np.zeros((0, 1, 3), np.float32), np.zeros((2, 0, 3), np.float32)],
            labels=[("city",), ()],
            gold=[[], []],
        )
        without = group_of([np.full((3, 1, 3), NOTHING, np.float32)], [("city",)], [[]])
        assert fit_calibration([empty]) == fit_calibration([empty, without]) == UNCHANGED
        assert mean_f1([empty, without], UNCHANGED) == 1.0
        assert calibration_error([empty, without], UNCHANGED) == 0.0
        # Beside others they do not move what is found.
        full = one_word_group([(-1.25, True), (-3.5, False)])
        beside = group_of(
            full.logits + empty.logits, full.labels + empty.labels, full.gold + empty.gold
        )
        assert fit_calibration([beside]) == fit_calibration([full])

    def test_fit_calibration_survives_huge_logits(self):
        answers = [(1e4, True), (1e4, False), (-1e4, False)]
        calibration = fit_calibration([one_word_group(answers)])
        assert calibration.shift == (0, 0, 0)


def group_at(*logits):
    """Return a group with a word per logit, none of which is an entity in gold."""
    return one_passage_group([(logit, False) for logit in logits])


def threshold_at(logit):
    return 1 / (1 + math.exp(-logit))


class TestCountEntities:
    def test_count_entities_counts_what_exceeds_the_threshold(self):
        groups = [group_at(-1.0, 0.5), group_at(2.0, -3.0)]
        counts = [count_entities(groups, UNCHANGED, threshold_at(at)) for at in (-4, -2, 0, 1, 3)]
        assert counts == [4, 3, 2, 1, 0]
        assert count_entities(groups, Calibration((-1.5,) * 3), 0.5) == 3


class TestFitScoreMap:
    # The student's logits are twice the teacher's above one half, and three times below.
    TEACHER = tuple(np.arange(-2.975, 3, 0.05).round(3).tolist())
    THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)

    @pytest.fixture
    def groups(self):
        own = [logit * (2 if logit > 0 else 3) for logit in self.TEACHER]
        return [group_at(*own[::2]), group_at(*own[1::2])]

    @pytest.fixture
    def wanted(self):
        logits = {each: math.log(each / (1 - each)) for each in self.THRESHOLDS}
        return {each: sum(x > logit for x in self.TEACHER) for each, logit in logits.items()}

    def test_fit_score_map_finds_as_many_entities_as_the_teacher(self, groups, wanted):
        score_map = fit_score_map(groups, UNCHANGED, wanted)
        for threshold, n in wanted.items():
            [own] = score_map.restore(np.array([threshold]))
            found = count_entities(groups, UNCHANGED, float(own))
            assert found == pytest.approx(n, rel=0.05)

    def test_fit_score_map_has_a_slope_on_each_side(self, groups, wanted):
        score_map = fit_score_map(groups, UNCHANGED, wanted)
        assert score_map.reported == (-1.0, 0.0, 1.0)
        assert score_map.logits == pytest.approx((-3.0, 0.0, 2.0), rel=0.1)

    def test_fit_score_map_does_not_depend_on_the_order(self, groups, wanted):
        turned = dict(reversed(wanted.items()))
        assert fit_score_map(groups, UNCHANGED, turned) == fit_score_map(groups, UNCHANGED, wanted)

    def test_fit_score_map_uses_calibrated_logits(self, groups, wanted):
        shifted = [
            group_of([logits + 1.5 for logits in group.logits], group.labels, group.gold)
            for group in groups
        ]
        found = fit_score_map(shifted, Calibration((1.5,) * 3), wanted)
        assert found == fit_score_map(groups, UNCHANGED, wanted)

    def test_fit_score_map_is_steep_where_the_teacher_finds_more_above_one_half(self, groups):
        score_map = fit_score_map(groups, UNCHANGED, {0.3: 80, 0.6: 90, 0.8: 80})
        assert score_map.logits[2] == pytest.approx(0.05)

    def test_fit_score_map_keeps_what_is_found_at_one_half(self, groups, wanted):
        score_map = fit_score_map(groups, UNCHANGED, wanted)
        assert score_map.report(np.array([0.5])).tolist() == [0.5]


class TestCheckScoreMap:
    def test_check_score_map_measures_each_half_with_the_map_of_the_other(self):
        # The first and third group are one half. The other half is twice as sure of itself.
        careful = [group_at(-1.05, -0.55, 0.55, 1.05) for _ in range(2)]
        bold = [group_at(-2.05, -1.25, 1.25, 2.05) for _ in range(2)]
        groups = [careful[0], bold[0], careful[1], bold[1]]
        wanted = [{0.2: 4, 0.3: 3, 0.5: 2, 0.7: 1, 0.8: 1}] * 4
        first, second = check_score_map(groups, UNCHANGED, wanted)
        assert list(first["entities by threshold"]) == ["0.2", "0.3", "0.5", "0.7", "0.8"]
        # The map of the bold half asks too much of the careful one, and the other way round.
        assert first["entities by threshold"]["0.5"] == 1.0
        assert first["entities by threshold"]["0.8"] < 1.0 < second["entities by threshold"]["0.8"]
        own = fit_score_map(bold, UNCHANGED, {key: 2 * n for key, n in wanted[0].items()})
        assert first["calibration error"] == calibration_error(careful, UNCHANGED, own)
        assert first["calibration error"] != second["calibration error"]

    def test_check_score_map_survives_a_teacher_that_finds_nothing(self):
        groups = [group_at(1.0), group_at(2.0)]
        rows = check_score_map(groups, UNCHANGED, [{0.3: 0, 0.5: 0, 0.7: 0}] * 2)
        assert [row["entities by threshold"]["0.5"] for row in rows] == [1.0, 1.0]


def score_boundaries(student, vocabulary, passages):
    """Return each passage's logits, shape `(words, labels, 3)`."""
    words = [vocabulary.encode_words(words) for words, _ in passages]
    batch = make_batch(words, [labels for _, labels in passages], vocabulary)
    with torch.inference_mode():
        logits = student(batch)
    assert logits.shape == (*batch.word_mask.shape, batch.label_mask.shape[1], 3)
    is_masked = ~batch.label_mask[:, None, :, None].expand_as(logits)
    assert logits[is_masked].eq(-torch.inf).all()
    return [
        logits[row, : len(words), : len(labels)].numpy()
        for row, (words, labels) in enumerate(passages)
    ]


@pytest.fixture(params=[0, 12], ids=["one layer for labels", "two layers for labels"])
def label_hidden_width(request):
    return request.param


@pytest.fixture
def boundary_student(build_student, label_hidden_width):
    return build_student(head="boundary", label_hidden_width=label_hidden_width)


class TestCalibrateStudent:
    SHIFT = (-1.25, 0.5, 2.0)

    def test_calibrate_student_shifts_the_logits(self, boundary_student, small_vocabulary):
        before = score_boundaries(boundary_student, small_vocabulary, PASSAGES)
        calibrate_student(boundary_student, shift=self.SHIFT)
        after = score_boundaries(boundary_student, small_vocabulary, PASSAGES)
        for raw, calibrated in zip(before, after, strict=True):
            expected = raw - np.array(self.SHIFT, np.float32)
            np.testing.assert_allclose(calibrated, expected, rtol=0, atol=1e-6)

    def test_calibrate_student_adds_up_when_called_twice(self, boundary_student, small_vocabulary):
        before = score_boundaries(boundary_student, small_vocabulary, PASSAGES)
        for shift in ((1.0, 1.0, 1.0), self.SHIFT):
            calibrate_student(boundary_student, shift=shift)
        after = score_boundaries(boundary_student, small_vocabulary, PASSAGES)
        for raw, calibrated in zip(before, after, strict=True):
            expected = raw - 1 - np.array(self.SHIFT, np.float32)
            np.testing.assert_allclose(calibrated, expected, rtol=0, atol=1e-5)

    def test_calibrate_student_without_a_shift_changes_nothing(
        self, boundary_student, build_student
    ):
        calibrate_student(boundary_student, shift=(0.0, 0.0, 0.0))
        width = boundary_student.config.label_hidden_width
        as_built = build_student(head="boundary", label_hidden_width=width).state_dict()
        found = boundary_student.state_dict()
        assert all(torch.equal(found[name], values) for name, values in as_built.items())

    def test_calibrate_student_is_saved_with_the_student(
        self, boundary_student, small_vocabulary, tmp_path
    ):
        calibrate_student(boundary_student, shift=self.SHIFT)
        save_student(tmp_path, boundary_student, small_vocabulary, metadata={})
        loaded, _ = load_student(tmp_path)
        found = score_boundaries(loaded, small_vocabulary, PASSAGES)
        expected = score_boundaries(boundary_student, small_vocabulary, PASSAGES)
        assert all(map(np.array_equal, found, expected))

    def test_calibrate_student_refuses_a_softmax_student(self, build_student):
        student = build_student()
        with pytest.raises(StudentError, match="only a student with a boundary head"):
            calibrate_student(student, shift=self.SHIFT)
        as_built = build_student().state_dict()
        found = student.state_dict()
        assert all(torch.equal(found[name], values) for name, values in as_built.items())
