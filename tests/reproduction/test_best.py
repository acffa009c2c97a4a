"""The best student at a tiny scale, through the command line."""

import json
from pathlib import Path

import pytest

from gliner_distill.corpus.reader import read_passages, sample_path, write_passages
from gliner_distill.entities import Entity, Passage
from gliner_distill.training.settings import TrainingSettings

pytestmark = pytest.mark.slow

TINY = ("--best", "--train", 10, "--test", 5, "--minutes", 0.01, "--out", "out")


@pytest.fixture(autouse=True)
def in_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def read_results():
    return json.loads(Path("out/best/results.json").read_text(encoding="utf-8"))


def make_text(folder):
    """Write a folder with two files, whose second one has a copy of a test passage."""
    Path(folder).mkdir()
    passages = [
        Passage(("mary", "left", "paris", "on", f"day{place}"), (Entity(0, 1, "person"),))
        for place in range(12)
    ]
    write_passages(Path(folder, "a.json"), passages)
    write_passages(Path(folder, "b.json"), [*list(read_passages(sample_path("test")))[-1:]])
    Path(folder, "README.md").write_text("not text to learn from", encoding="utf-8")


def assert_refused(finished, *facts, code=1):
    assert finished.code == code
    for fact in facts:
        assert fact in finished.err


def test_best_without_data_learns_from_the_package_says_so_and_resumes(run_cli):
    first = run_cli("reproduce", *TINY)
    assert first.code == 0, first.err
    assert first.err.startswith("without --data, the student learns only from the training")
    results = read_results()
    assert [row["model"] for row in results["rows"]] == ["bundled", "best"]
    assert results["settings"]["work"]["text_words"] == 0
    assert "No further text was given" in results["source"]
    assert "No further text was given" in Path("out/best/report.md").read_text(encoding="utf-8")
    assert first.out.splitlines()[-2:] == [
        "report: out/best/report.md",
        "student: out/best/student",
    ]
    weights = Path("out/best/student/student.safetensors").read_bytes()

    again = run_cli("reproduce", *TINY)
    assert again.code == 0
    assert "training" not in again.err.partition("\n")[2]
    assert Path("out/best/student/student.safetensors").read_bytes() == weights
    assert read_results()["rows"] == results["rows"]

    assert_refused(run_cli("reproduce", *TINY, "--train", 11), "out/best", "--out")


def test_best_labels_the_text_of_a_folder_without_copies_of_the_sample(run_cli, gliner_folder):
    make_text("texts")
    options = ("--data", "texts", "--teacher", gliner_folder, "--minutes", 10)
    finished = run_cli("reproduce", *TINY, *options)
    assert finished.code == 0, finished.err
    results = read_results()
    assert results["settings"]["exact copies left out"] == 1
    assert results["settings"]["work"]["text_words"] == 60
    assert results["n_test"] == 5
    assert "60 words of texts" in results["source"]
    stages = {line.partition(":")[0] for line in finished.err.splitlines()}
    assert {"labeling text", "training the best student"} <= stages


def test_best_needs_a_teacher_for_text_and_text_that_is_not_the_sample(run_cli, gliner_folder):
    make_text("texts")
    assert_refused(run_cli("reproduce", *TINY, "--data", "texts"), "--teacher", "--data")
    Path("empty").mkdir()
    options = ("--teacher", gliner_folder)
    assert_refused(run_cli("reproduce", *TINY, "--data", "empty", *options), "empty: ")
    copies = run_cli("reproduce", *TINY, "--data", sample_path("test"), *options)
    assert_refused(copies, "test.json: ", "copy")


def test_best_refuses_the_options_of_the_published_experiment(run_cli):
    # Also the values that the options have by default are refused.
    for n_seeds in (2, 3):
        assert_refused(run_cli("reproduce", *TINY, "--seeds", n_seeds), "--best", code=2)
    for n_epochs in (2, TrainingSettings().epochs):
        assert_refused(run_cli("reproduce", *TINY, "--epochs", n_epochs), "--best", code=2)
    for minutes in (2, 30):
        assert_refused(run_cli("reproduce", "--minutes", minutes), "--minutes", code=2)
    assert_refused(run_cli("reproduce", "--best", "--minutes", 0), "minutes is 0")
    assert_refused(run_cli("reproduce", *TINY, "--train", 2000), "n_train is 2000")


def test_best_says_that_there_was_no_time_for_the_text(run_cli, gliner_folder):
    make_text("texts")
    finished = run_cli("reproduce", *TINY, "--data", "texts", "--teacher", gliner_folder)
    assert finished.code == 0, finished.err
    assert read_results()["settings"]["work"]["text_words"] == 0
    assert "no time to label text of texts" in read_results()["source"]
