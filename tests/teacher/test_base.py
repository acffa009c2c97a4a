"""The optional members of a teacher, and the check of its answers."""

import numpy as np
import pytest

from gliner_distill.errors import TeacherError
from gliner_distill.teacher.base import (
    check_answers,
    equal_weights,
    fault_of,
    individual_teachers,
    mean_probs,
    score_individually,
    subword_vectors,
    teacher_metadata,
)

WORDS, LABELS = [["in", "paris"], ["x"]], [["city"], ["city", "person"]]


class FullTeacher:
    """A teacher with every optional member."""

    name = "full"
    fingerprint = "f" * 64

    def __init__(self, teachers=()):
        self.metadata = {"n_parameters": 5}
        self.teachers = list(teachers)

    def score_passages(self, passages, labels):
        raise NotImplementedError

    def score_individually(self, passages, labels):
        return [[len(words), len(asked)] for words, asked in zip(passages, labels, strict=True)]

    def subword_vectors(self, texts):
        return list(texts)


def answers(value=0.5):
    return [np.full((2, 1, 3), value, np.float32), np.full((1, 2, 3), value, np.float32)]


def test_optional_members_are_absent_in_a_plain_teacher(lexicon_teacher):
    teacher = lexicon_teacher({})
    assert teacher_metadata(teacher) == {}
    assert individual_teachers(teacher) == ()
    assert subword_vectors(teacher, ["paris"]) is None
    with pytest.raises(TeacherError, match=r"^lexicon: .*TeacherEnsemble"):
        score_individually(teacher, WORDS, LABELS)


def test_optional_members_are_used_if_a_teacher_has_them(lexicon_teacher):
    teacher = FullTeacher([lexicon_teacher({})])
    assert teacher_metadata(teacher) == {"n_parameters": 5}
    assert individual_teachers(teacher) == (teacher.teachers[0],)
    assert subword_vectors(teacher, iter(["paris", "rhine"])) == ["paris", "rhine"]
    assert score_individually(teacher, WORDS, LABELS) == [[2, 1], [1, 2]]


def test_score_individually_refuses_a_teacher_without_teachers():
    with pytest.raises(TeacherError, match="full"):
        score_individually(FullTeacher(), WORDS, LABELS)


def test_mean_probs_equals_the_mean_by_hand_in_float32():
    probs = [np.array([[[0.25, 0.5, 1.0]] * 2]), np.array([[[0.75, 0.5, 0.0]] * 2])]
    mean = mean_probs(probs, np.array([[0.5, 0.75], [0.5, 0.25]]))
    assert mean.dtype == np.float32
    assert mean.tolist() == [[[0.5, 0.5, 0.5], [0.375, 0.5, 0.75]]]


def test_mean_probs_never_exceeds_1():
    thirds = np.full((3, 1), 1 / 3, np.float32)
    mean = mean_probs([np.ones((1, 1, 3))] * 3, thirds)
    assert mean.tolist() == [[[1.0, 1.0, 1.0]]]


def test_equal_weights_counts_only_teachers_that_know_a_label(lexicon_teacher):
    first, second = lexicon_teacher({}), lexicon_teacher({})
    second.knows_label = lambda label: label == "city"
    weights = equal_weights([first, second], ["city", "person"])
    assert weights.tolist() == [[0.5, 1.0], [0.5, 0.0]]
    assert equal_weights([second], ["person", "city"]).tolist() == [[0.0, 1.0]]
    assert equal_weights([first, second], []).shape == (2, 0)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"name": None}, "its name is None"),
        ({"fingerprint": 5}, "its fingerprint is 5"),
        ({"score_passages": 5}, "score_passages is not a method"),
        ({"name": "\ud800"}, "its name cannot be written as JSON"),
        ({"fingerprint": "\ud800"}, "its fingerprint cannot be written as JSON"),
        ({"metadata": 5}, "its metadata is 5; expected a mapping"),
        ({"metadata": {"a": object()}}, "its metadata cannot be written as JSON"),
        ({"metadata": {"a": 1, 2: 3}}, "its metadata cannot be written as JSON"),
        ({"metadata": {"a": np.nan}}, "its metadata cannot be written as JSON"),
    ],
)
def test_fault_of_names_what_an_object_lacks(lexicon_teacher, change, part):
    teacher = lexicon_teacher({})
    assert fault_of(teacher) is None
    for name, value in change.items():
        setattr(teacher, name, value)
    assert part in fault_of(teacher)


def test_fault_of_names_the_members_of_a_teacher():
    assert "has no fingerprint and no score_passages" in fault_of(
        type("Named", (), {"name": "x"})()
    )
    assert "it is the class FullTeacher" in fault_of(FullTeacher)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_check_answers_accepts_probabilities(value):
    check_answers("t", WORDS, LABELS, answers(value))
    check_answers("t", [], [], [])


@pytest.mark.parametrize("value", [-0.01, 1.01, np.nan, np.inf])
def test_check_answers_refuses_values_that_are_not_probabilities(value):
    wrong = answers()
    wrong[1][0, 1, 2] = value
    with pytest.raises(TeacherError, match=r"^t: .*'x'.*\(1, 2, 3\).*\[0, 1\]"):
        check_answers("t", WORDS, LABELS, wrong)


def test_check_answers_refuses_another_shape_and_number():
    with pytest.raises(TeacherError, match=r"^t: .*\(2, 1, 2\).*'in paris'.*\(2, 1, 3\)"):
        check_answers("t", WORDS, LABELS, [answers()[0][:, :, :2], answers()[1]])
    with pytest.raises(TeacherError, match=r"^t: .*1 arrays for 2 passages"):
        check_answers("t", WORDS, LABELS, answers()[:1])


@pytest.mark.parametrize("value", ["x", None, 0.5j])
def test_check_answers_refuses_arrays_of_another_type(value):
    wrong = [np.full((2, 1, 3), value), answers()[1]]
    with pytest.raises(TeacherError, match=r"^t: returned an array of the type .*float32"):
        check_answers("t", WORDS, LABELS, wrong)


@pytest.mark.parametrize("wrong", [None, 3, (a for a in answers()), [[[0.5]], [[0.5]]]])
def test_check_answers_refuses_what_is_not_a_list_of_arrays(wrong):
    with pytest.raises(TeacherError, match=r"^t: .*numpy arrays"):
        check_answers("t", WORDS, LABELS, wrong)
