"""The whole published experiment at a tiny scale, through the command line."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from gliner_distill.corpus.reader import sample_path, write_passages
from gliner_distill.entities import Entity, Passage
from gliner_distill.errors import CorpusError, SettingsError
from gliner_distill.reproduction.experiment import Reproduction, split_first_last
from gliner_distill.reproduction.results import PUBLISHED
from gliner_distill.training.settings import TrainingSettings

pytestmark = pytest.mark.slow

TINY = ("--train", 20, "--test", 5, "--seeds", 2, "--epochs", 1)
MODELS = ["gliner", "student_hard", "student_distilled"]
KEYS = {
    "model",
    *(
        f"{name}_vs_{reading}"
        for name in ("accuracy", "precision", "recall", "f1")
        for reading in ("teacher", "gold")
    ),
    *(
        f"span_{name}_vs_{reading}"
        for name in ("precision", "recall", "f1")
        for reading in ("teacher", "gold")
    ),
    *("n_parameters", "n_parameters_without_embeddings", "size_bytes"),
    *("ms_per_passage", "words_per_second"),
}
SPEED = {"ms_per_passage", "words_per_second"}


def make_corpus(path, n_passages, *, first_entity=0):
    passages = []
    for place in range(n_passages):
        words = ("mary", "left", "paris", "on", str(place))
        entities = (Entity(0, 1, "person"), Entity(2, 3, "city")) if place >= first_entity else ()
        passages.append(Passage(words, entities))
    write_passages(path, passages)
    return path


def read_results(folder):
    return json.loads(Path(folder, "results.json").read_text(encoding="utf-8"))


def last_line(text):
    return text.splitlines()[-1]


def assert_one_line(text, *facts):
    """Check that an error is one line and names some facts."""
    assert text.startswith("gliner-distill: ")
    assert len(text.splitlines()) == 1
    for fact in facts:
        assert fact in text


@pytest.fixture(autouse=True)
def in_temporary_folder(tmp_path, monkeypatch):
    """Use relative paths, so that the messages hold no folder of this machine."""
    monkeypatch.chdir(tmp_path)


def test_reproduce_writes_results_report_and_figures_and_resumes(run_cli):
    first = run_cli("reproduce", *TINY, "--out", "out")
    assert first.code == 0
    results = read_results("out")
    assert [row["model"] for row in results["table1"]] == MODELS
    assert all(set(row) >= KEYS for row in results["table1"])
    assert results["seeds"] == [0, 1]
    assert results["reported"] == [asdict(row) for row in PUBLISHED]
    teacher, *students = results["table1"]
    assert teacher["recall_vs_teacher"] == teacher["span_f1_vs_teacher"] == 1.0
    assert 0 < teacher["span_f1_vs_gold"] < 1
    assert {teacher[key] for key in SPEED} == {None}
    for row in students:
        assert 0 < row["n_parameters_without_embeddings"] < row["n_parameters"] <= 6_000_000
        assert row["size_bytes"] >= 4 * row["n_parameters"]
        assert min(row[key] for key in SPEED) > 0
        shares = {key for key in row if key.endswith(("_vs_gold", "_vs_teacher"))}
        assert all(0 <= row[key] <= 1 for key in shares)
        assert {f"{key}_sd" for key in shares} <= set(row)
    assert len(results["figures"]) == 4
    for figure in results["figures"].values():
        for kind in ("png", "svg"):
            assert Path("out", figure[kind]).stat().st_size > 0
    html = Path("out/report.html").read_text(encoding="utf-8")
    assert "Table 1" in html
    assert "Table 1" in Path("out/report.md").read_text(encoding="utf-8")
    assert "Table 1" in first.out
    assert last_line(first.out) == "report: out/report.html"
    stages = [line.partition(":")[0] for line in first.err.splitlines()]
    assert stages == [
        f"student {kind}, seed {seed}" for seed in (0, 1) for kind in ("hard", "distilled")
    ]

    weights = Path("out/runs/student_hard/seed-1/student/student.safetensors").read_bytes()
    second = run_cli("reproduce", *TINY, "--out", "out")
    assert second.code == 0
    assert second.err == ""
    again = read_results("out")
    for row, row_again in zip(results["table1"], again["table1"], strict=True):
        assert {key for key in row if row[key] != row_again[key]} <= SPEED
    changed = {key for key in results if results[key] != again[key]}
    assert changed <= {"table1", "environment"}
    assert Path("out/runs/student_hard/seed-1/student/student.safetensors").read_bytes() == weights

    for other in (("--epochs", 2), ("--train", 10), ("--test", 6)):
        refused = run_cli("reproduce", *TINY, *other, "--out", "out")
        assert refused.code == 1
        assert_one_line(refused.err, "out/runs/student_hard/seed-0: ", "--out")
    assert read_results("out") == again


def test_reproduce_refuses_more_passages_than_the_sample_has(run_cli):
    finished = run_cli("reproduce", "--train", 1001, "--out", "out")
    assert finished.code == 1
    assert_one_line(finished.err, "1000 passages", "--train 1001 --test 100")
    assert not Path("out").exists()


def test_reproduce_refuses_a_folder_that_cannot_be_written(run_cli):
    Path("file").touch()
    finished = run_cli("reproduce", *TINY, "--out", "file/out")
    assert finished.code == 1
    assert_one_line(finished.err, "file/out", "Not a directory")


def test_reproduce_says_how_to_continue_after_ctrl_c(run_cli, monkeypatch):
    def stop(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("gliner_distill.reproduction.experiment.train_student", stop)
    finished = run_cli("reproduce", *TINY, "--out", "out")
    assert finished.code == 1
    assert_one_line(finished.err, "stopped; out keeps", "same command")


def test_reproduce_with_a_teacher_measures_its_speed_too(run_cli, gliner_folder):
    args = ("reproduce", "--data", make_corpus("my corpus.json", 12), "--teacher")
    options = ("--train", 8, "--test", 4, "--seeds", 1, "--epochs", 1, "--out", "out")
    finished = run_cli(*args, gliner_folder, *options)
    assert finished.code == 0
    results = read_results("out")
    assert [row["model"] for row in results["table1"]] == MODELS
    for row in results["table1"]:
        assert min(row[key] for key in SPEED) > 0
    assert results["table1"][0]["n_parameters"] > 0
    assert results["seeds"] == [0]
    assert results["data"]["source"] == "my corpus.json"
    assert results["data"]["n_train"] == 8
    assert results["data"]["n_test"] == 4

    again = run_cli(*args, gliner_folder, *options)
    assert again.code == 0
    assert "student" not in again.err
    make_corpus("my corpus.json", 13)
    refused = run_cli(*args, gliner_folder, *options)
    assert refused.code == 1
    assert_one_line(last_line(refused.err), "out/soft_labels/test: ", "--out")


def test_reproduce_with_a_corpus_needs_a_teacher(run_cli):
    finished = run_cli("reproduce", "--data", make_corpus("corpus.json", 12), "--out", "out")
    assert finished.code == 1
    assert_one_line(finished.err, "--data", "--teacher")


@pytest.mark.parametrize(
    ("n_passages", "first_entity", "facts"),
    [
        (1, 0, ["1 passages", "20 to train", "5 to test"]),
        (24, 0, ["24 passages", "20 to train", "5 to test"]),
        (25, 99, ["corpus.json: ", "first 20 passages"]),
        (25, 20, ["corpus.json: ", "first 20 passages"]),
    ],
)
def test_reproduce_with_a_corpus_needs_passages_and_entities(
    run_cli, gliner_folder, n_passages, first_entity, facts
):
    corpus = make_corpus("corpus.json", n_passages, first_entity=first_entity)
    finished = run_cli("reproduce", *TINY, "--data", corpus, "--teacher", gliner_folder)
    assert finished.code == 1
    assert_one_line(finished.err, *facts)
    assert not Path("reproduction").exists()


def test_reproduce_with_a_corpus_needs_a_teacher_that_loads(run_cli):
    Path("bare").mkdir()
    finished = run_cli("reproduce", *TINY, "--data", sample_path("dev"), "--teacher", "bare")
    assert finished.code == 1
    assert_one_line(finished.err, "bare: ", "gliner_config.json")


def test_reproduction_refuses_settings_that_cannot_be_run():
    with pytest.raises(SettingsError, match="n_seeds is 0"):
        Reproduction(n_seeds=0)
    with pytest.raises(SettingsError, match="alpha is 0"):
        Reproduction(training=TrainingSettings(alpha=0))


NUMBERED = [Passage((str(number),)) for number in range(10)]


def test_split_first_last_takes_the_first_to_train_and_the_last_to_test() -> None:
    train, test = split_first_last(NUMBERED, 3, 2)
    assert [passage.words[0] for passage in train] == ["0", "1", "2"]
    assert [passage.words[0] for passage in test] == ["8", "9"]


def test_split_first_last_may_use_up_the_corpus_or_return_an_empty_part() -> None:
    assert [len(half) for half in split_first_last(NUMBERED, 7, 3)] == [7, 3]
    assert [len(half) for half in split_first_last(NUMBERED, 7, 0)] == [7, 0]


def test_split_first_last_names_the_three_numbers_if_there_are_too_few_passages() -> None:
    with pytest.raises(CorpusError) as caught:
        split_first_last(NUMBERED, 8, 3)
    for count in ("10 passages", "8 to train", "3 to test"):
        assert count in str(caught.value)
