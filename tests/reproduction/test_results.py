"""The results of a reproduction as the content of `results.json`."""

import json

import pytest

from gliner_distill.reproduction.results import (
    MODEL_NAMES,
    PUBLISHED,
    DataSummary,
    ModelRow,
    Results,
)

DATA = DataSummary("the sample", 20, 5, 1800, 450, "a teacher", "abc123", "its own", 1.5)
TEACHER = ModelRow("gliner", {"f1_vs_teacher": 1.0}, {}, n_parameters=100)
STUDENT = ModelRow(
    "student_hard",
    {"f1_vs_teacher": 0.5, "f1_vs_gold": 0.4},
    {"f1_vs_teacher": 0.1, "f1_vs_gold": None},
    ms_per_passage=2.0,
)


def make_results():
    return Results(
        table1=[TEACHER, STUDENT],
        published=PUBLISHED,
        seeds=range(2),
        gap={"student_hard": {"f1_vs_teacher": 0.2}},
        probe="The first 5 passages.",
        data=DATA,
        settings={"seeds": 2},
        environment={"seconds": 3.0},
    )


def test_model_row_as_json_puts_each_spread_behind_its_share():
    assert list(STUDENT.as_json().items())[:5] == [
        ("model", "student_hard"),
        ("f1_vs_teacher", 0.5),
        ("f1_vs_teacher_sd", 0.1),
        ("f1_vs_gold", 0.4),
        ("f1_vs_gold_sd", None),
    ]


def test_model_row_as_json_has_no_spread_for_the_teacher_and_null_for_unmeasured_costs():
    assert TEACHER.as_json() == {
        "model": "gliner",
        "f1_vs_teacher": 1.0,
        "n_parameters": 100,
        "n_parameters_without_embeddings": None,
        "size_bytes": None,
        "ms_per_passage": None,
        "words_per_second": None,
    }


def test_results_as_json_is_plain_json_under_the_documented_keys():
    content = make_results().as_json()
    assert json.loads(json.dumps(content)) == content
    assert list(content) == [
        *("table1", "reported", "seeds", "gap", "probe", "data", "settings", "environment"),
    ]
    assert content["seeds"] == [0, 1]
    assert content["data"]["n_words_train"] == 1800
    assert [row["model"] for row in content["reported"]] == list(MODEL_NAMES)


def test_results_row_finds_a_model_by_its_name():
    assert make_results().row("student_hard") is STUDENT
    with pytest.raises(KeyError, match="student_distilled"):
        make_results().row("student_distilled")
