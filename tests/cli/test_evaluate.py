"""`gliner-distill evaluate`: students, runs and GLiNERs against gold entities."""

import json
from pathlib import Path

import pytest

from command_line import make_passages, write_corpus


@pytest.mark.slow
def test_evaluate_reads_folders_of_students_runs_and_gliners(run_cli, world, gliner_folder):
    corpus = write_corpus("some passages.json", make_passages(3))
    pages = {}
    for model in (world / "run", world / "run" / "student", gliner_folder):
        finished = run_cli("evaluate", model, corpus, "--json", "figures.json")
        assert finished.code == 0
        assert finished.err == ""
        figures = json.loads(Path("figures.json").read_text(encoding="utf-8"))
        assert figures["n_passages"] == 3
        assert figures["n_words"] == 21
        assert figures["n_entities"] == 6
        assert set(figures["span_by_label_vs_gold"]) == {"city", "person", "company"}
        shown = dict(line.split(maxsplit=1) for line in finished.out.splitlines())
        assert set(figures) - set(shown) == {"span_by_label_vs_gold"}
        assert float(shown["span_f1_vs_gold"]) == round(figures["span_f1_vs_gold"], 4)
        pages[model] = figures
    student = pages[world / "run"]
    assert student["span_f1_vs_gold"] > 0.9
    assert student["span_f1_vs_gold"] == pages[world / "run" / "student"]["span_f1_vs_gold"]


@pytest.mark.slow
def test_evaluate_asks_for_a_list_of_labels(run_cli, world):
    corpus = write_corpus("corpus.json", make_passages(10))
    Path("labels.txt").write_text("CITY\n", encoding="utf-8")
    args = ("evaluate", world / "run", corpus, "--labels", "labels.txt", "--json", "f.json")
    assert run_cli(*args).code == 0
    figures = json.loads(Path("f.json").read_text(encoding="utf-8"))
    assert set(figures["span_by_label_vs_gold"]) == {"CITY"}
    assert figures["span_f1_vs_gold"] > 0.7


def test_evaluate_takes_the_threshold_that_predict_takes(run_cli, world):
    corpus = write_corpus("corpus.json", make_passages(5))
    args = ("evaluate", world / "run", corpus, "--json", "f.json", "--threshold")
    n_found = []
    for threshold in (0.5, 1):
        assert run_cli(*args, threshold).code == 0
        figures = json.loads(Path("f.json").read_text(encoding="utf-8"))
        assert figures["threshold"] == threshold
        n_found.append(figures["recall_vs_gold"])
    assert n_found[0] > 0.9
    assert n_found[1] == 0.0


@pytest.mark.slow
def test_evaluate_takes_the_answers_of_predict_for_gold(run_cli, world):
    args = ("-m", world / "run", "-l", "person", "-l", "city")
    Path("texts.txt").write_text("in mary saw the paris\nin john\n", encoding="utf-8")
    Path("gold.jsonl").write_text(run_cli("predict", "texts.txt", *args).out, encoding="utf-8")
    assert run_cli("evaluate", world / "run", "gold.jsonl", "--json", "f.json").code == 0
    figures = json.loads(Path("f.json").read_text(encoding="utf-8"))
    assert figures["n_entities"] == 3
    assert figures["span_f1_vs_gold"] == 1


def test_evaluate_shows_gold_that_does_not_fit_words(run_cli, world):
    gold = {"text": "in mary saw", "entities": [[3, 7, "person"], [3, 5, "person"]]}
    Path("gold.jsonl").write_text(json.dumps(gold), encoding="utf-8")
    finished = run_cli("evaluate", world / "run", "gold.jsonl")
    assert finished.code == 0
    assert "record 1 (line 1): characters 3 to 5, 'ma', label 'person'" in finished.err
