"""The words for a budget, and what it allows."""

import math

import pytest

from gliner_distill.distillation.selection.budget import TeacherBudget
from gliner_distill.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "kind", "amount"),
    [
        ("all", "all", math.inf),
        (" Auto ", "auto", math.inf),
        ("200000", "words", 200_000),
        (200_000, "words", 200_000),
        ("200,000 words", "words", 200_000),
        ("30min", "minutes", 30),
        ("1.5 minutes", "minutes", 1.5),
    ],
)
def test_parse_reads_each_form(text, kind, amount):
    assert TeacherBudget.parse(text) == TeacherBudget(kind, amount)


@pytest.mark.parametrize(
    "text", ["", "some", "-5", "0", "0.5", "0min", "30 hours", "30%", "1e5", "nan", "inf", "min"]
)
def test_parse_names_what_it_does_not_know(text):
    with pytest.raises(SettingsError, match=r"teacher budget: .*30min") as problem:
        TeacherBudget.parse(text)
    assert "\n" not in str(problem.value)


def test_max_words_of_a_time_follow_the_speed():
    assert TeacherBudget.parse("2min").max_words(10) == 1200
    assert TeacherBudget.parse("500").max_words(10) == 500
    assert TeacherBudget.parse("all").max_words(10) == math.inf


def test_str_is_what_a_user_would_write():
    budgets = ("all", "auto", "1,000 words", "2.5 minutes")
    assert [str(TeacherBudget.parse(text)) for text in budgets] == list(budgets)
