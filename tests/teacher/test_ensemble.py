"""Several teachers as one, against numbers computed by hand and each teacher alone."""

import hashlib

import numpy as np
import pytest

from gliner_distill.errors import TeacherError
from gliner_distill.teacher.base import Teacher
from gliner_distill.teacher.ensemble import TeacherEnsemble
from gliner_distill.teacher.gliner import GLiNERTeacher

PASSAGES = [["mary", "left", "paris"], [], ["acme"], ["nothing"]]
LABELS = [["city", "person"], ["city"], ["company", "city", "river"], []]


class ConstantTeacher:
    """Answers with one number everywhere."""

    def __init__(self, name, value, *, dtype=np.float32, n_kinds=3, n_dropped=0):
        self.name = name
        self.fingerprint = f"fingerprint of {name}"
        self._value, self._dtype, self._n_kinds = value, dtype, n_kinds
        self._n_dropped = n_dropped

    def score_passages(self, passages, labels):
        arrays = [
            np.full((len(words), len(asked), self._n_kinds), self._value, dtype=self._dtype)
            for words, asked in zip(passages, labels, strict=True)
        ]
        return arrays[: len(arrays) - self._n_dropped]


@pytest.fixture
def two_lexicons(lexicon_teacher):
    """Teachers that agree on "paris" alone."""
    first = lexicon_teacher({"paris": "city", "mary": "person"}, name="A", fingerprint="a" * 64)
    second = lexicon_teacher({"paris": "city", "acme": "company"}, name="B", fingerprint="b" * 64)
    return first, second


class TestScorePassages:
    def test_ensemble_returns_the_mean_computed_by_hand(self, two_lexicons):
        probs = TeacherEnsemble(two_lexicons).score_passages(PASSAGES, LABELS)[0]
        expected = np.full((3, 2, 3), 0.03)
        # Of "mary" (4 letters) one teacher knows the label, of "paris" (5 letters) both do.
        expected[0, 1] = (np.array([0.9, 0.8, 0.95]) + 4 / 256 + 0.03) / 2
        expected[2, 0] = np.array([0.9, 0.8, 0.95]) + 5 / 256
        np.testing.assert_allclose(probs, expected, atol=1e-6)

    def test_ensemble_keeps_shapes_type_and_range(self, two_lexicons):
        for teachers in (two_lexicons, [ConstantTeacher(name, 1.0) for name in "ABC"]):
            scores = TeacherEnsemble(teachers).score_passages(PASSAGES, LABELS)
            assert [probs.shape for probs in scores] == [(3, 2, 3), (0, 1, 3), (1, 3, 3), (1, 0, 3)]
            assert all(probs.dtype == np.float32 for probs in scores)
            assert all((probs >= 0).all() and (probs <= 1).all() for probs in scores)

    def test_ensemble_weighs_three_teachers_equally(self):
        teachers = [ConstantTeacher("A", 0.1), ConstantTeacher("B", 0.2), ConstantTeacher("C", 0.9)]
        probs = TeacherEnsemble(teachers).score_passages([["paris"]], [["city"]])[0]
        np.testing.assert_allclose(probs, 0.4, atol=1e-7)

    def test_ensemble_returns_nothing_for_no_passages(self, two_lexicons):
        assert TeacherEnsemble(two_lexicons).score_passages([], []) == []

    def test_ensemble_of_two_gliners_is_the_mean_of_both(self, build_gliner):
        models = build_gliner("UniEncoderSpan"), build_gliner("BiEncoderToken", seed=1)
        teachers = [
            GLiNERTeacher(model, name=name) for model, name in zip(models, "AB", strict=True)
        ]
        mean = TeacherEnsemble(teachers)
        passages = [["mary", "saw", "the", "old", "bank"], ["paris"], []]
        labels = [["person", "city", "place name"], ["city", "river"], ["city"]]
        each = [teacher.score_passages(passages, labels) for teacher in teachers]
        for probs, first, second in zip(mean.score_passages(passages, labels), *each, strict=True):
            np.testing.assert_allclose(probs, (first.astype(np.float64) + second) / 2, atol=1e-6)
        assert np.abs(each[0][0] - each[1][0]).max() > 0.01


class TestScoreIndividually:
    def test_score_individually_returns_an_array_per_passage_and_teacher(self, two_lexicons):
        scores = TeacherEnsemble(two_lexicons).score_individually(PASSAGES, LABELS)
        assert [len(probs_of_each) for probs_of_each in scores] == [2, 2, 2, 2]
        alone = [teacher.score_passages(PASSAGES, LABELS) for teacher in two_lexicons]
        for probs_of_each, *expected in zip(scores, *alone, strict=True):
            for probs, of_teacher in zip(probs_of_each, expected, strict=True):
                np.testing.assert_array_equal(probs, of_teacher)

    def test_score_individually_returns_float32(self):
        wide = ConstantTeacher("A", 0.25, dtype=np.float64), ConstantTeacher("B", 0.75)
        scores = TeacherEnsemble(wide).score_individually([["paris"]], [["city"]])
        assert [probs.dtype for probs in scores[0]] == [np.float32, np.float32]

    def test_score_individually_asks_every_teacher_once(self, two_lexicons):
        TeacherEnsemble(two_lexicons).score_individually(PASSAGES, LABELS)
        expected = list(zip(map(tuple, PASSAGES), map(tuple, LABELS), strict=True))
        assert [teacher.asked for teacher in two_lexicons] == [expected, expected]


class TestIdentity:
    def test_ensemble_is_a_teacher_named_after_its_teachers(self, two_lexicons):
        mean: Teacher = TeacherEnsemble(list(two_lexicons))
        assert mean.name == "A + B"
        assert mean.teachers == two_lexicons

    def test_ensemble_fingerprint_depends_on_the_teachers_and_their_order(self, two_lexicons):
        first, second = two_lexicons
        expected = hashlib.sha256(f"{'a' * 64}\n{'b' * 64}".encode()).hexdigest()
        assert TeacherEnsemble([first, second]).fingerprint == expected
        assert TeacherEnsemble([second, first]).fingerprint != expected
        third = ConstantTeacher("C", 0.5)
        assert TeacherEnsemble([first, second, third]).fingerprint != expected


class TestRefuses:
    def test_ensemble_refuses_fewer_than_two_teachers(self, two_lexicons):
        with pytest.raises(TeacherError, match=r"at least two teachers; got A$"):
            TeacherEnsemble(two_lexicons[:1])
        with pytest.raises(TeacherError, match=r"at least two teachers; got none$"):
            TeacherEnsemble([])

    def test_ensemble_refuses_the_same_teacher_twice(self, two_lexicons, lexicon_teacher):
        again = lexicon_teacher({}, name="copy of A", fingerprint="a" * 64)
        with pytest.raises(TeacherError, match=r"^A and copy of A are the same teacher"):
            TeacherEnsemble([*two_lexicons, again])

    def test_ensemble_names_the_teacher_of_an_answer_of_another_shape(self):
        mean = TeacherEnsemble([ConstantTeacher("A", 0.5), ConstantTeacher("B", 0.5, n_kinds=2)])
        message = r"^B: .* shape \(3, 2, 2\) .*'mary left paris'; expected shape \(3, 2, 3\)"
        with pytest.raises(TeacherError, match=message):
            mean.score_passages(PASSAGES, LABELS)

    def test_ensemble_names_the_teacher_that_answers_too_few_passages(self):
        mean = TeacherEnsemble([ConstantTeacher("A", 0.5, n_dropped=1), ConstantTeacher("B", 0.5)])
        with pytest.raises(TeacherError, match=r"^A: returned 3 arrays for 4 passages"):
            mean.score_passages(PASSAGES, LABELS)

    @pytest.mark.parametrize("value", [1.5, -0.5, np.nan])
    def test_ensemble_refuses_values_that_only_the_mean_would_hide(self, value):
        mean = TeacherEnsemble([ConstantTeacher("A", 0.5), ConstantTeacher("B", value)])
        with pytest.raises(TeacherError, match=r"^B: .* every value in \[0, 1\]"):
            mean.score_passages(PASSAGES, LABELS)


class KnowingTeacher(ConstantTeacher):
    """A teacher that knows one label, and must not be asked for others."""

    def knows_label(self, label):
        return label == "city"

    def score_passages(self, passages, labels):
        assert {label for asked in labels for label in asked} <= {"city"}
        return super().score_passages(passages, labels)


class TestLabelsThatATeacherDoesNotKnow:
    def test_the_mean_leaves_out_teachers_that_do_not_know_a_label(self):
        mean = TeacherEnsemble([ConstantTeacher("A", 0.5), KnowingTeacher("B", 1.0)])
        probs = mean.score_passages([["paris"]], [["person", "city", "river"]])[0]
        assert probs[0, :, 0].tolist() == [0.5, 0.75, 0.5]
        individual = mean.score_individually([["paris"]], [["person", "city"]])[0]
        assert [probs[0, :, 0].tolist() for probs in individual] == [[0.5, 0.5], [0.0, 1.0]]

    def test_a_label_that_no_teacher_knows_is_never_found(self):
        mean = TeacherEnsemble([KnowingTeacher("A", 0.5), KnowingTeacher("B", 1.0)])
        assert not mean.knows_label("person")
        assert mean.knows_label("city")
        assert not mean.score_passages([["paris"]], [["person"]])[0].any()
