"""The benchmark of Presidio counts what it says, and runs as a user runs it."""

import json

import pytest

from benchmark_results import table_rows

pytest.importorskip("presidio_analyzer")


@pytest.fixture(scope="module")
def module(benchmarks):
    return benchmarks("presidio_recognizers")


@pytest.fixture(scope="module")
def passages(benchmarks):
    passage = benchmarks("personal_passages").PersonalPassage
    spans = ((0, 11, "person"), (15, 32, "email address"))
    return [
        passage("Maria Lopez is maria@example.com.", spans, "written", "note"),
        passage("The bus leaves at nine.", (), "none", "note"),
    ]


def test_results_are_exact_or_touched_or_false(module, passages):
    answers = [
        [(0, 5, "PERSON"), (15, 32, "EMAIL_ADDRESS")],
        [(4, 7, "PERSON"), (0, 3, "LOCATION")],
    ]
    by_entity = module.count(passages, answers)
    person, email, place = (by_entity[name] for name in ("PERSON", "EMAIL_ADDRESS", "LOCATION"))
    assert (person["exact"], person["touched"], person["false"]) == (0, 1, 1)
    assert (email["exact"], email["touched"], email["false"]) == (1, 1, 0)
    assert (place["gold"], place["exact"], place["false"]) == (0, None, None)


@pytest.mark.slow
def test_main_prints_three_tables_and_writes_all_figures(module, passages, run, tmp_path):
    out = tmp_path / "figures.json"
    printed = run(module, "--out", out, passages=passages)
    rows = table_rows(printed)
    assert rows["PERSON"] == ["1", "0.0, 0.0", "0", "100.0, 100.0", "0"]
    assert {"0.3", "0.7", "Presidio alone", "the student alone"} <= rows.keys()
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert figures["analyzers"]["with the student"]["PERSON"]["exact"] == 1
    assert figures["speed"]["the student alone"]["in batches"] > 0
