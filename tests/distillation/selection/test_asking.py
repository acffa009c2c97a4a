"""The number of words that a budget leaves, from what the stores of a folder hold."""

import math

import pytest

from gliner_distill.distillation.selection.asking import words_left
from gliner_distill.distillation.selection.budget import TeacherBudget


@pytest.fixture
def folder(tmp_path, five_passages, make_store):
    """A folder of text in which the teacher has read dev and a round, in 20 seconds."""
    make_store(tmp_path / "labels-dev", five_passages, seconds=14.0)
    make_store(tmp_path / "round-0" / "labels", five_passages, seconds=6.0)
    return tmp_path


def test_words_left_are_those_of_the_budget_without_those_read(folder, five_passages):
    n_read = 2 * sum(len(item.words) for item in five_passages)
    assert words_left(TeacherBudget.parse("100"), folder) == 100 - n_read
    assert words_left(TeacherBudget.parse("auto"), folder) == math.inf


def test_words_left_of_a_time_follow_the_speed_so_far(folder, five_passages):
    n_read = 2 * sum(len(item.words) for item in five_passages)
    # In a minute the teacher reads three times as much as in 20 seconds.
    assert words_left(TeacherBudget.parse("1min"), folder) == pytest.approx(2 * n_read)
    assert words_left(TeacherBudget.parse("0.1min"), folder) < 0
