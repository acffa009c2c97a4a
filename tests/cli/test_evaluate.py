"""`gliner-distill evaluate`: students, runs and GLiNERs against gold entities."""

import json
import os
from pathlib import Path

import pytest

from command_line import MAIN, assert_fails, make_passages, start_process, write_corpus
from gliner_distill.cli.terminal import SIGPIPE_EXIT_CODE

MISTAKES = ("n_missed", "n_invented", "n_wrong_label", "n_wrong_borders")


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
        assert set(figures["details_by_label"]) == {"city", "person", "company"}
        [total] = [line for line in finished.out.splitlines() if line.startswith("all labels")]
        assert total.split()[2] == "6"
        assert total.split()[5] == f"{100 * figures['span_f1_vs_gold']:.1f}"
        n_wrong = sum(figures["details"][key] for key in MISTAKES)
        assert len(figures["errors"]) == n_wrong
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


def test_evaluate_prints_the_most_frequent_errors_or_all_of_them(run_cli, world):
    passages = make_passages(40)
    corpus = write_corpus("corpus.json", passages)
    args = ("evaluate", world / "run", corpus, "--threshold", 1, "--json", "f.json")
    short, everything = run_cli(*args), run_cli(*args, "--all")
    n_gold = sum(len(passage.entities) for passage in passages)
    assert f"Errors: {n_gold} missed, 0 invented" in short.out
    examples = [
        [line for line in finished.out.splitlines() if line.startswith("  passage ")]
        for finished in (short, everything)
    ]
    assert [len(lines) for lines in examples] == [3, n_gold]  # one of each label
    assert len(json.loads(Path("f.json").read_text(encoding="utf-8"))["errors"]) == n_gold
    assert "\x1b" not in short.out


def test_evaluate_shows_hostile_labels_as_symbols(run_cli, world):
    record = {"tokenized_text": ["in", "pa\x1b[2Jris"], "ner": [[1, 1, "ci\x1b]0;x\x07\u202ety"]]}
    Path("corpus.json").write_text(json.dumps([record]), encoding="utf-8")
    finished = run_cli("evaluate", world / "run", "corpus.json", "--all")
    assert finished.code == 0
    assert "ci␛" in finished.out
    assert "1 with 2 words and 1 gold entity\n" in finished.out
    assert not set(finished.out) & set("\x1b\x07\u202e")


def test_evaluate_does_not_write_over_what_it_reads(run_cli, world):
    corpus = write_corpus("corpus.json", make_passages(3))
    Path("labels.txt").write_text("city\n", encoding="utf-8")
    Path("link.json").symlink_to("corpus.json")
    before = Path(corpus).read_bytes()
    for name in ("corpus.json", "./corpus.json", "link.json", "labels.txt"):
        args = (world / "run", corpus, "--labels", "labels.txt", "--json", name)
        assert_fails(run_cli("evaluate", *args), Path(name), "--json another file")
    assert Path(corpus).read_bytes() == before
    assert Path("labels.txt").read_text(encoding="utf-8") == "city\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_evaluate_refuses_a_json_file_that_cannot_be_written_before_it_reads(run_cli, world):
    Path("folder").mkdir()
    os.mkfifo("pipe")
    for name in ("folder", "pipe", "missing/file.json"):
        finished = run_cli("evaluate", world / "run", "missing.json", "--json", name)
        assert_fails(finished, f"{name}: cannot be written")
    assert Path("pipe").is_fifo()
    finished = run_cli("evaluate", world / "run", "missing.json", "--json", "-")
    assert_fails(finished, "--json cannot write to the standard output")
    assert not Path("-").exists()


def test_evaluate_writes_the_json_file_even_if_the_reader_of_the_page_leaves(world):
    write_corpus("corpus.json", make_passages(3))
    read_end, write_end = os.pipe()
    os.close(read_end)
    args = ("evaluate", world / "run", "corpus.json", "--json", "f.json")
    process = start_process(MAIN, *args, stdout=write_end)
    os.close(write_end)
    assert process.communicate()[1] == ""
    assert process.returncode == SIGPIPE_EXIT_CODE
    assert json.loads(Path("f.json").read_text(encoding="utf-8"))["n_passages"] == 3
