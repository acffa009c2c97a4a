"""The work that fits into a time, and the file that keeps this plan."""

import json
import math

import pytest

from gliner_distill.errors import SettingsError
from gliner_distill.reproduction.best_plan import (
    RECIPE,
    Best,
    WorkPlan,
    plan_work,
    rate_of_two,
    read_plan,
    write_plan,
)

RATES = {"label_rate": 10.0, "training_rate": 20.0}


def test_plan_work_chooses_as_much_text_as_can_be_labeled_and_trained_on():
    # 2 epochs on the sample take 10 s; each word of text takes 0.1 s to label and 2 x 0.05 s.
    work = plan_work(100, sample_words=100, text_words=10_000, **RATES)
    assert (work.text_words, work.epochs) == (450, RECIPE.epochs)


def test_plan_work_uses_all_text_if_the_time_allows_it():
    work = plan_work(1000, sample_words=100, text_words=100, **RATES)
    assert (work.text_words, work.epochs) == (100, RECIPE.epochs)


def test_plan_work_trains_once_on_the_sample_if_there_is_no_time_for_more():
    work = plan_work(9, sample_words=100, text_words=100, **RATES)
    assert (work.text_words, work.epochs) == (0, 1)


def test_plan_work_without_text_trains_on_the_sample():
    work = plan_work(21, sample_words=100, text_words=0, label_rate=0.0, training_rate=20.0)
    assert (work.text_words, work.epochs) == (0, RECIPE.epochs)


def test_plan_work_trains_for_at_least_an_epoch_on_the_sample():
    work = plan_work(0.1, sample_words=100, text_words=100, **RATES)
    assert (work.text_words, work.epochs) == (0, 1)


def test_plan_work_never_plans_more_than_the_time_unless_one_epoch_is_more():
    for seconds in range(10, 300, 7):
        work = plan_work(seconds, sample_words=100, text_words=700, **RATES)
        words = 100 + work.text_words
        assert work.text_words / 10 + work.epochs * words / 20 <= seconds + 0.1


def test_plan_work_counts_the_time_that_has_passed():
    late = plan_work(100, sample_words=100, text_words=900, **RATES, seconds_spent=50)
    assert late == plan_work(50, sample_words=100, text_words=900, **RATES)
    assert plan_work(9, sample_words=100, text_words=9, **RATES, seconds_spent=50).epochs == 1


def test_rate_of_two_leaves_out_what_both_runs_take_to_start():
    assert rate_of_two(100, 10 + 1, 600, 10 + 6) == pytest.approx(100)


@pytest.mark.parametrize(("words", "seconds"), [(100, 8.0), (500, 8.0), (500, 3.0)])
def test_rate_of_two_is_that_of_the_long_run_if_the_runs_hardly_differ(words, seconds):
    assert rate_of_two(100, 8.0, words, seconds) == words / seconds


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"n_train": 0}, "n_train is 0"),
        ({"n_test": 0}, "n_test is 0"),
        ({"minutes": 0.0}, "minutes is 0"),
        ({"minutes": -3.0}, "minutes is -3"),
        ({"minutes": math.nan}, "minutes is nan"),
        ({"minutes": math.inf}, "minutes is inf; .* at most 525,600"),
        ({"minutes": 1e308}, "minutes is 1e"),
        ({"data": "text.json"}, "--teacher"),
    ],
)
def test_best_refuses_settings_that_cannot_be_run(settings, named):
    with pytest.raises(SettingsError, match=named):
        Best(**settings)


def test_read_plan_returns_what_was_written_for_the_same_settings(tmp_path):
    work = WorkPlan(450, 2, 10.0, 20.0)
    write_plan(tmp_path / "plan.json", Best(), work)
    assert read_plan(tmp_path / "plan.json", Best()) == work
    with pytest.raises(SettingsError, match="other settings"):
        read_plan(tmp_path / "plan.json", Best(minutes=3))


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"settings": {}, "work": {"a": 1}}'])
def test_read_plan_names_a_file_that_is_no_plan(tmp_path, content):
    path = tmp_path / "plan.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError, match=r"plan\.json"):
        read_plan(path, Best())


def test_write_plan_writes_plain_json(tmp_path):
    write_plan(tmp_path / "plan.json", Best(), WorkPlan(0, 3, 0.0, 20.0))
    kept = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))
    assert kept["work"]["epochs"] == 3
    assert kept["settings"]["minutes"] == 30.0
