"""The benchmark of domains: splits, runs, scores and the table."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmark_results import table_rows
from gliner_distill.corpus.reader import CorpusFile, write_passages
from gliner_distill.entities import Entity, LabeledPassage, Passage

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def domain(benchmarks):
    return benchmarks("domain")


@pytest.fixture
def two_sets(data_folder):
    """Two sets of 60 passages and 2 labels; one has test passages of its own."""
    names = ("mary", "paris", "john", "london", "ann")
    for name, shift in (("one", 1), ("two", 2)):
        passages = []
        for place in range(60):
            first, second = names[place % 5], names[place * shift % 5]
            entities = (Entity(0, 1, "person"), Entity(2, 3, "city"))
            passages.append(Passage((first, "left", second, str(place)), entities))
        write_passages(data_folder / f"{name}.jsonl", passages)
        (data_folder / f"{name}.labels.json").write_text('["Person", "city", "CITY"]')
    own = data_folder.parent / "own"
    own.mkdir()
    write_passages(own / "two.jsonl", [*passages[:3], Passage(("unseen",))])
    return data_folder.parent


def test_read_set_keeps_splits_apart_and_the_same_each_time(
    domain, two_sets, gliner_folder, monkeypatch
):
    from gliner_distill.teacher.gliner import GLiNERTeacher

    def arguments(*args):
        monkeypatch.setattr(sys, "argv", ["domain.py", *args])
        return domain.parse_arguments()

    teacher = GLiNERTeacher.from_pretrained(gliner_folder)
    options = arguments("data", "t", "out", "--test", "own")
    one = domain.read_set(options, "one", teacher)
    assert [len(split) for split in (one.train, one.dev, one.test)] == [42, 6, 12]
    splits = [{item.passage.words for item in s} for s in (one.train, one.dev, one.test)]
    assert len(set.union(*splits)) == 60
    assert {item.labels for item in one.train} == {("person", "city")}
    again = domain.read_set(options, "one", teacher)
    assert [item.passage for item in again.train] == [item.passage for item in one.train]
    two = domain.read_set(options, "two", teacher)
    assert [len(split) for split in (two.train, two.dev, two.test)] == [51, 6, 4]
    assert ("unseen",) in {item.passage.words for item in two.test}
    options = arguments("data", "t", "few", "--most", "20")
    few = domain.read_set(options, "one", teacher)
    assert [len(split) for split in (few.train, few.dev, few.test)] == [14, 2, 4]


@pytest.mark.slow
def test_domain_runs_once_and_prints_a_row_per_set(
    domain, two_sets, quick_settings, run, gliner_folder, monkeypatch
):
    args = ("data", gliner_folder, "out", "--sets", "one", "--amounts", "10,all", "--gold", 12)
    printed = run(domain, *args, settings=quick_settings)
    rows = table_rows(printed.partition("\n\n")[0])
    kept = json.loads((two_sets / "out/domain.json").read_text())
    runs = kept["one"]["runs"]
    assert rows["set"] == ["passages", "teacher", "bundled", "10", "all", "gold 12"]
    assert list(runs) == ["10", "all", "gold 12"]
    assert [row["n_train"] for row in runs.values()] == [10, 42, 42]
    assert [row["tuned_share"] for row in runs.values()] == [0.0, 0.0, 0.5]
    weight = json.loads((two_sets / "out/one/run-42-12/gold/weight.json").read_text())
    assert (weight["share"], weight["n_passages"]) == (0.5, 12)
    assert rows["one"][0] == "42"
    assert rows["one"][3] == domain.cell(kept["one"], runs["10"])
    assert all(len(row["by threshold"]) == len(domain.THRESHOLDS) for row in runs.values())
    out = two_sets / "out"
    export, copied = out / "one/run-42-0/export", out / "students/one"
    contents = [
        {path.name: path.read_bytes() for path in folder.iterdir()} for folder in (export, copied)
    ]
    assert contents[0] == contents[1]
    assert len(list(CorpusFile(out / "test/one.jsonl"))) == kept["one"]["n_test"] == 12
    monkeypatch.setattr(domain, "train_on_targets", None)  # nothing is done again
    assert run(domain, *args, settings=quick_settings).endswith(printed[-200:])


def test_score_compares_with_teacher_and_gold(domain):
    passage = Passage(("a", "b"), (Entity(1, 2, "x"), Entity(0, 2, "not asked")))
    probs = np.zeros((2, 1, 3), np.float32)
    probs[0] = 1.0
    items = [LabeledPassage(passage, ("x",), probs)]
    assert domain.score([[Entity(0, 1, "x")]], items) == {"agreement": 1.0, "gold": 0.0}
    assert domain.score([[Entity(1, 2, "x")]], items) == {"agreement": 0.0, "gold": 1.0}
    assert domain.as_reference(items[0]) == Passage(("a", "b"), (Entity(0, 1, "x"),), ("x",))


def test_table_has_means_over_the_sets_that_have_a_run(domain):
    def scores(value):
        return {"agreement": value, "gold": value / 2}

    rows = {
        "one": {"n_train": 1000, "teacher": 0.5, "bundled": scores(0.2), "runs": {}},
        "two": {"n_train": 9, "teacher": 0.8, "bundled": scores(0.4), "runs": {}},
    }
    rows["one"]["runs"] = {"10": scores(0.6)}
    rows["two"]["runs"] = {"10": scores(1.0), "all": scores(0.8)}
    assert domain.table(rows) == [
        "| set | passages | teacher | bundled | 10 | all |",
        "|---|---:|---:|---:|---:|---:|",
        "| one | 1,000 | 50.0 | 20.0 / 10.0 (20.0%) | 60.0 / 30.0 (60.0%) |  |",
        "| two | 9 | 80.0 | 40.0 / 20.0 (25.0%) | 100.0 / 50.0 (62.5%) | 80.0 / 40.0 (50.0%) |",
        "| mean | | 65.0 | 30.0 / 15.0 (23.1%) | 80.0 / 40.0 (61.5%) | 80.0 / 40.0 (50.0%) |",
    ]


def test_threshold_table_divides_by_the_teachers_entities(domain):
    n = len(domain.THRESHOLDS)
    found = [{"found": 3 * step, "agreement": step / 100} for step in range(1, n + 1)]
    row = {"teacher by threshold": [6] * (n - 1) + [0], "runs": {"all": {"by threshold": found}}}
    assert domain.threshold_table({"one": row})[2:] == [
        "| one | all | 0.50 | 1.00 | 1.50 | 2.00 | 2.50 | 3.00 | 3.50 | 4.00 | 27.00 | 4.0 |"
    ]


def test_cell_of_a_teacher_that_finds_nothing_divides_by_nothing(domain):
    assert domain.cell({"teacher": 0.0}, {"agreement": 1.0, "gold": 0.0}) == "100.0 / 0.0 (0.0%)"


def test_pages_have_the_committed_figures(domain):
    rows = json.loads((ROOT / "benchmarks/results/domain/domain.json").read_text())
    pages = {
        name: (ROOT / name).read_text(encoding="utf-8")
        for name in ("docs/distillation.md", "docs/results.md", "README.md")
    }
    table = domain.table(rows)
    assert "\n".join(table) in pages["docs/distillation.md"]
    *_, few, all_passages, annotated = table_rows("\n".join(table))["mean"]
    for cell in (few, all_passages, annotated):
        share = cell.partition("(")[2].rstrip(")")
        assert f"| {share} |" in pages["docs/results.md"]
        assert share in pages["README.md"] or cell == few
    assert list(rows) == list(domain.SETS)
