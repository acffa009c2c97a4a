"""`gliner-distill export`: what is written, and what is refused."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from command_line import assert_fails, make_passages, write_corpus
from gliner_distill.entities import Entity, Passage
from gliner_distill.files import exclusive_lock
from gliner_distill.runtime.bundle import EXPORT_FILES, read_bundle
from gliner_distill.runtime.score_map import ScoreMap
from gliner_distill.student.files import save_student


def test_export_writes_a_student_that_predict_and_evaluate_take(run_cli, world):
    corpus = write_corpus("corpus.json", make_passages(10))
    answers = {}
    for precision in ("fp32", "int8"):
        args = ("export", world / "run", "--check", corpus, "--precision", precision)
        finished = run_cli(*args, "--out", precision)
        assert (finished.code, finished.err) == (0, "")
        names = {path.name for path in Path(precision).iterdir()}
        assert names == {*EXPORT_FILES, "README.md", "config.json"}
        n_bytes = sum((Path(precision) / name).stat().st_size for name in EXPORT_FILES)
        card = Path(precision, "README.md").read_text()
        assert f"was exported from `student` in {precision}" in card
        assert "model-index" not in card
        assert finished.out.startswith(f"{precision}: {n_bytes:,} bytes, {precision}; on 10 ")
        assert finished.out.count("\n") == 1
        asked = ("in mary saw the paris on 7", "-l", "person", "-l", "city")
        found = json.loads(run_cli("predict", "-m", precision, *asked).out)["entities"]
        answers[precision] = [(entity["text"], entity["label"]) for entity in found]
        assert run_cli("evaluate", precision, corpus, "--json", "f.json").code == 0
        assert json.loads(Path("f.json").read_text())["span_f1_vs_gold"] > 0.9
    assert answers["fp32"] == answers["int8"] == [("mary", "person"), ("paris", "city")]


def test_export_writes_a_graph_for_other_runtimes(run_cli, world):
    runtime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    corpus = write_corpus("corpus.json", make_passages(10))
    args = ("export", world / "run", "--check", corpus, "--out", "graph")
    finished = run_cli(*args, "--format", "onnx")
    assert (finished.code, finished.err) == (0, "")
    names = {*EXPORT_FILES, "words.onnx"}
    assert {path.name for path in Path("graph").iterdir()} == {*names, "README.md", "config.json"}
    n_bytes = sum((Path("graph") / name).stat().st_size for name in names)
    assert finished.out.startswith(f"graph: {n_bytes:,} bytes, fp32; on 10 ")
    session = runtime.InferenceSession("graph/words.onnx", providers=["CPUExecutionProvider"])
    config = read_bundle(Path("graph")).config
    words, scores = session.run(
        ["words", "scores"],
        {
            "embedded": np.ones((1, 2, config.embedding_width), np.float32),
            "n_words": np.array([2], np.int32),
            "labels": np.ones((2 * config.hidden_width, 3), np.float32),
        },
    )
    assert words.shape == (1, 2, 2 * config.hidden_width)
    np.testing.assert_allclose(scores, words.sum(axis=2, keepdims=True).repeat(3, 2), atol=1e-4)
    assert run_cli(*args).code == 0  # an export without a graph leaves none behind
    assert not Path("graph/words.onnx").exists()


def test_export_refuses_a_graph_in_8_bits(run_cli, world):
    args = ("export", world / "run", "--format", "onnx", "--precision", "int8", "--out", "made")
    assert_fails(run_cli(*args), "--format onnx", "--precision int8")
    assert not Path("made").exists()


def test_export_of_a_graph_names_the_missing_extra(run_cli, world, monkeypatch):
    corpus = write_corpus("corpus.json", make_passages(4))
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "gliner_distill.student.onnx_graph", raising=False)
    args = ("export", world / "run", "--check", corpus, "--format", "onnx", "--out", "made")
    assert_fails(run_cli(*args), "onnx", "pip install 'gliner-distill[train,onnx]'")
    assert not Path("made/student_config.json").exists()


@pytest.mark.parametrize("is_bundled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_export_says_that_a_student_finds_nothing(run_cli, world, is_bundled):
    passages = [Passage(passage.words, (Entity(6, 7, "planet"),)) for passage in make_passages(10)]
    corpus = write_corpus("planets.json", passages)
    student = () if is_bundled else (world / "run",)
    args = ("export", *student, "--check", corpus, "--precision", "fp32", "--out", "made")
    finished = run_cli(*args)
    assert finished.code == 0
    assert "F1 0.0" in finished.out
    name = "the bundled student: " if is_bundled else str(world / "run")
    for fact in (name, "none", "F1 0", "--check"):
        assert fact in finished.err


def test_export_keeps_the_map_of_scores(run_cli, build_finder, small_vocabulary):
    corpus = write_corpus("corpus.json", make_passages(10))
    score_map = ScoreMap((-2.0, 0.0, 1.0), (-1.0, 0.0, 3.0))
    student = build_finder(head="boundary")
    save_student(Path("trained"), student, small_vocabulary, score_map=score_map)
    finished = run_cli(
        *("export", "trained", "--check", corpus, "--precision", "fp32", "--out", "small")
    )
    assert finished.code == 0
    assert read_bundle(Path("small")).score_map == score_map


def test_export_refuses_a_folder_that_another_process_exports_into(run_cli, world):
    corpus = write_corpus("corpus.json", make_passages(4))
    args = ("export", world / "run", "--check", corpus, "--precision", "fp32", "--out", "made")
    with exclusive_lock(Path("made/.lock"), busy="busy"):
        assert_fails(run_cli(*args), "made: another process exports into it", "--out")
    assert [path.name for path in Path("made").iterdir()] == [".lock"]
    assert run_cli(*args).code == 0
    assert not Path("made/.lock").exists()


def test_export_writes_a_site_without_torch_in_8_bits(run_cli, world):
    corpus = write_corpus("corpus.json", make_passages(10))
    args = ("export", world / "run", "--check", corpus, "--format", "web", "--out", "site")
    finished = run_cli(*args)
    assert (finished.code, finished.err) == (0, "")
    assert finished.out.startswith("site: a site of ")
    assert "on 10 passages" in finished.out
    assert "python -m http.server -d site" in finished.out
    names = {path.name for path in Path("site").iterdir()}
    assert {"index.html", "service_worker.js", "student", "gliner-distill"} <= names
    assert json.loads(Path("site/student/student.json").read_text())["name"] == "run"
    assert run_cli(*args).code == 0  # a later export replaces the files


def test_export_refuses_a_site_in_single_precision_or_over_a_student(run_cli, world):
    corpus = write_corpus("corpus.json", make_passages(4))
    args = ("export", world / "run", "--check", corpus, "--format", "web", "--out")
    assert_fails(run_cli(*args, "site", "--precision", "fp32"), "--precision fp32")
    assert not Path("site").exists()
    small = ("export", world / "run", "--check", corpus, "--precision", "int8", "--out", "small")
    assert run_cli(*small).code == 0
    assert_fails(run_cli(*args, "small"), "small: ", "choose another --out")


def test_export_says_what_is_wrong(run_cli, world):
    corpus = write_corpus("corpus.json", make_passages(4))
    args = ("export", world / "run", "--check", corpus, "--precision", "fp32", "--out")
    assert run_cli(*args, "made").code == 0
    Path("file").touch()
    Path("empty").mkdir()
    plain = write_corpus("plain.json", [Passage(("nothing", "here"))])
    student = world / "run" / "student"
    cases = [
        (
            ("empty", "--out", "x"),
            ("empty: ", "student_config.json"),
        ),
        (
            ("made", "--out", "x"),
            ("made: ", "student.safetensors"),
        ),
        ((world / "run", "--out", "file"), ("file: ", "--out")),
        (
            (world / "run", "--out", student),
            (student, "--out"),
        ),
        (
            (student, "--out", world / "run"),
            (world / "run", "--out"),
        ),
        (
            (world / "run", "--out", "x", "--check", plain),
            ("plain.json", "gold entity"),
        ),
    ]
    for wrong, facts in cases:
        assert_fails(run_cli("export", *wrong), *facts)
    assert not Path("x").exists()
