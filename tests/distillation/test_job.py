"""The request of a user: the labels, the job, the settings and the source of the teacher."""

import math

import pytest

from gliner_distill.distillation.job import (
    DistillJob,
    DistillSettings,
    describe_labels,
)
from gliner_distill.errors import InputError, SettingsError


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["Person", "bicycle_part"], {"Person": "", "bicycle_part": ""}),
        ({" Person": " a  human ", "city": ""}, {"Person": "a human", "city": ""}),
        ((label for label in ("a", "b")), {"a": "", "b": ""}),
        ({"city": None}, {"city": ""}),
    ],
)
def test_describe_labels_takes_names_and_descriptions(labels, expected):
    assert describe_labels(labels) == expected


@pytest.mark.parametrize(
    ("labels", "part"),
    [
        ("person", "'person'"),
        (b"person", "b'person'"),
        (7, "7"),
        ([], "empty"),
        ({}, "empty"),
        (["person", " "], "item 2 is blank"),
        (["person", "city", "Person"], "item 3, 'Person'.*'person'"),
        (["bicycle part", "bicycle_part"], "item 2, 'bicycle_part'"),
        (["person", 3], "item 2"),
        ({"person": 3}, "item 1"),
        (["city", "half \ud800"], "item 2, .*surrogate"),
        ({"city": "half \ud800"}, "item 1, 'city'.*surrogate"),
    ],
)
def test_describe_labels_refuses_what_is_not_a_list_of_labels(labels, part):
    with pytest.raises(InputError, match=part):
        describe_labels(labels)


@pytest.mark.parametrize("minutes", [0, -1, math.inf, math.nan, "3"])
def test_job_refuses_minutes_that_are_not_above_zero(minutes):
    with pytest.raises(SettingsError, match="minutes"):
        DistillJob("texts.txt", {"person": ""}, minutes=minutes)


def test_job_refuses_a_column_of_texts_that_are_not_in_a_file():
    with pytest.raises(SettingsError, match="column: 'body'"):
        DistillJob(["a text"], {"person": ""}, column="body")


@pytest.mark.parametrize("labels", [["person"], "person", None])
def test_job_refuses_labels_that_are_not_a_mapping(labels):
    with pytest.raises(InputError, match="labels: "):
        DistillJob("texts.txt", labels)


def test_job_tells_the_teacher_alone_of_descriptions():
    policy = DistillJob("texts.txt", {"Person": "a human", "city": ""}).policy
    assert policy.fixed == ("person", "city")
    assert tuple(policy.prompts(policy.fixed)) == ("person: a human", "city")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("patience", -1),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("precision", "int8"),
        ("gold_weight", 1.5),
        ("gold_share", -0.1),
        ("n_folds", 1),
        ("ensemble_shares", (0.5,)),
        ("ensemble_shares", (0.0, 1.0)),
        ("ensemble_thresholds", ()),
        ("ensemble_thresholds", (0.0,)),
        ("timed_rounds", 0),
    ],
)
def test_settings_refuse_a_value_outside_its_range(name, value):
    with pytest.raises(SettingsError, match=f"^{name} must be .* got "):
        DistillSettings(**{name: value})


def test_settings_start_from_the_bundled_student_by_default(start_folder):
    assert (DistillSettings().start_folder / "student_config.json").is_file()
    assert DistillSettings(start=start_folder).start_folder == start_folder
