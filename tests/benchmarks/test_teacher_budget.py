"""The benchmark of budgets: what is chosen, runs that are not repeated, and the table."""

import json

import numpy as np
import pytest

from benchmark_results import table_rows
from gliner_distill.corpus.reader import write_passages
from gliner_distill.entities import Entity, LabeledPassage, Passage


@pytest.fixture
def budget(benchmarks):
    return benchmarks("teacher_budget")


@pytest.mark.slow
def test_budget_makes_each_student_once(
    budget, data_folder, quick_settings, run, gliner_folder, monkeypatch
):
    names = ("mary", "paris", "john", "london", "ann")
    passages = [
        Passage((names[place % 5], "left", str(place)), (Entity(0, 1, "person"),))
        for place in range(60)
    ]
    write_passages(data_folder / "one.jsonl", [*passages, passages[-1]])
    (data_folder / "one.labels.json").write_text('["person"]')
    args = ("data", gliner_folder, "out", "--sets", "one", "--shares", "0.5,0.2", "--train", 40)
    printed = run(budget, *args, settings=quick_settings)
    path = data_folder.parent / "out/teacher_budget.json"
    row = json.loads(path.read_text())["one"]
    assert (row["n_train"], row["n_words"], row["n_labels"]) == (40, 120, 1)
    assert {key: each["n_words"] for key, each in row["runs"].items()} == {
        "all": 120,
        **{"chosen 50%": 60, "random 50%": 60, "chosen 20%": 24, "random 20%": 24},
    }
    rows = table_rows(printed[printed.index("| set |") :])
    assert rows["one"][:2] == ["40", "120"]
    assert rows["one"][2:] == [
        budget.cell(row["runs"][key])
        for key in ("random 20%", "chosen 20%", "random 50%", "chosen 50%", "all")
    ]
    assert (data_folder.parent / "out/teacher_budget.png").is_file()
    monkeypatch.setattr(budget.domain, "run", None)  # nothing is done again
    assert run(budget, *args, settings=quick_settings).endswith(printed[-100:])


def test_stored_teacher_repeats_the_answers(budget):
    probs = np.random.default_rng(0).random((2, 1, 3)).astype(np.float32)
    teacher = budget.StoredTeacher([LabeledPassage(Passage(("a", "b")), ("x",), probs)])
    [answer] = teacher.score_passages([["a", "b"]], [["x"]])
    np.testing.assert_array_equal(answer, probs)


def test_table_has_means_of_the_runs_that_all_sets_have(budget):
    def scores(value):
        return {"agreement": value, "gold": value / 2}

    rows = {
        name: {"n_train": 1000, "n_words": 9000, "runs": {"all": scores(value)}}
        for name, value in (("one", 0.8), ("two", 0.6))
    }
    rows["one"]["runs"] |= {"random 30%": scores(0.5), "chosen 30%": scores(0.7)}
    rows["two"]["runs"] |= {"chosen 30%": scores(0.5)}
    assert budget.table(rows, [0.3]) == [
        "| set | passages | words | random 30% | chosen 30% | all |",
        "|---|---:|---:|---:|---:|---:|",
        "| one | 1,000 | 9,000 | 50.0 / 25.0 | 70.0 / 35.0 | 80.0 / 40.0 |",
        "| two | 1,000 | 9,000 |  | 50.0 / 25.0 | 60.0 / 30.0 |",
        "| mean | | |  | 60.0 / 30.0 | 70.0 / 35.0 |",
    ]
