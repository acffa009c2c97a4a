"""`label` and `distill` with a language model as the teacher, and a student that learns from it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import stand_in_endpoint as stand_in
from command_line import MAIN, SMALL, assert_fails
from distillation_world import LABELS, make_texts, write_texts

PRICES = ("--price-per-million", "1,2")


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_texts(make_texts(40))
    Path("labels.txt").write_text("person\ncity: a large town\nriver\n", encoding="utf-8")


def label_args(*more, model=stand_in.MODEL, out="store"):
    teacher = ("--teacher", f"llm:{model}", "--out", out)
    return "label", "texts.txt", "--labels", "labels.txt", *teacher, *more


@pytest.mark.slow
def test_label_makes_a_store_from_which_a_student_is_trained(endpoint, run_cli):
    done = run_cli(*label_args(*PRICES))
    assert done.code == 0
    estimate, *_, summary = [
        line for line in done.err.splitlines() if line.startswith(("llm", "st"))
    ]
    assert f"text of 40 passages is sent to {endpoint.url}" in estimate
    assert "which cost about" in estimate
    assert "40 passages with 80 entities" in summary
    assert done.out.startswith("store: 40 passages, 200 words, ")
    assert run_cli(*label_args()).out == done.out
    assert len(endpoint.asked) == 40

    trained = run_cli("train", "store", "--out", "run", "--epochs", 2, "--alpha", 1, *SMALL)
    assert trained.code == 0
    found = run_cli("predict", "mary left paris", "-l", "person", "-m", "run")
    assert found.code == 0


@pytest.mark.slow
def test_label_says_in_one_line_why_it_stopped(endpoint, run_cli, monkeypatch):
    # The last line is the error; the lines before it say what is sent where.
    assert_fails(run_cli(*label_args(model="mistyped")), "'mistyped'", "404")
    limit = ("--price-per-million", "1000,1000", "--max-cost", 6)
    stopped = run_cli(*label_args(*limit))
    assert_fails(stopped, "6.00", "--max-cost", "same command")
    endpoint.faults = [stand_in.fails(401)] * 9
    assert_fails(run_cli(*label_args()), "OPENAI_API_KEY", "kept")
    endpoint.faults = []
    assert run_cli(*label_args()).code == 0
    assert len(endpoint.asked) == 40
    monkeypatch.delenv("OPENAI_API_KEY")
    assert_fails(run_cli(*label_args(out="other")), "OPENAI_API_KEY", "is not set")
    assert not Path("other").exists()


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_label_pays_nothing_twice_after_it_was_stopped(endpoint, run_cli, stop):
    def wait_for_the_signal(handler):
        os.kill(process.pid, stop)
        return False

    endpoint.faults = [lambda handler: False] * 20 + [wait_for_the_signal]
    args = label_args("--llm-requests", "1")
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, *args], stderr=subprocess.PIPE, text=True, env=os.environ
    )
    said = process.communicate(timeout=120)[1]
    if stop == signal.SIGINT:
        assert process.returncode == 1
        assert said.splitlines()[-1].startswith("gliner-distill: stopped; store keeps")
    assert not any(path.suffix == ".parquet" for path in Path("store").rglob("*"))
    n_asked = len(endpoint.asked)
    assert 20 <= n_asked < 40
    assert run_cli(*args).code == 0
    # Ctrl-C waits for the answer under way; at a kill, it is lost.
    assert len(endpoint.asked) <= 40 + (stop == signal.SIGKILL)


@pytest.mark.slow
def test_distill_makes_a_student_and_asks_about_each_passage_once(
    endpoint, open_teacher, build_student, small_vocabulary, caplog
):
    from gliner_distill.distillation.job import DistillJob, DistillSettings
    from gliner_distill.distillation.pipeline import distill_from
    from gliner_distill.runtime.ner import StudentNER
    from gliner_distill.student.files import save_student

    start = Path("tiny_start")
    save_student(
        start, build_student(head="boundary", label_hidden_width=12), small_vocabulary, metadata={}
    )
    settings = DistillSettings(
        epochs=2,
        learning_rate=0.02,
        precision="fp32",
        start=start,
        timed_words=20,
        timed_seconds=0.01,
    )
    job = DistillJob("texts.txt", LABELS)
    distilled = distill_from(job, open_teacher(), "out", settings=settings)
    assert len(endpoint.asked) == 40
    assert "text of 40 passages" in caplog.messages[0]
    assert sum("is sent to" in line for line in caplog.messages) == 1
    assert "teacher" not in distilled.measurements.speed
    assert "words per second, in" in distilled.measurements.verdict[2]
    assert distilled.measurements.agreement.n_reference > 0
    student = StudentNER.from_pretrained("out")
    student.predict_entities("mary saw paris", ["person"])

    distill_from(job, open_teacher(), "out", settings=settings)
    assert len(endpoint.asked) == 40


@pytest.mark.slow
def test_distill_accepts_a_corrected_name_after_a_mistyped_one(endpoint, run_cli):
    def args(model):
        teacher = ("--teacher", f"llm:{model}", "--out", "out")
        return "distill", "texts.txt", "--labels", "labels.txt", *teacher

    assert_fails(run_cli(*args("mistyped")), "'mistyped'", "404")
    endpoint.faults = [lambda handler: False] * 5 + [stand_in.fails(401)] * 9
    assert_fails(run_cli(*args(stand_in.MODEL)), "OPENAI_API_KEY")
    assert len(endpoint.asked) == 5


@pytest.mark.slow
def test_distill_with_a_time_limit_pays_nothing_twice(
    endpoint, open_teacher, build_student, small_vocabulary, caplog
):
    from gliner_distill.distillation.job import DistillJob, DistillSettings
    from gliner_distill.distillation.pipeline import distill_from
    from gliner_distill.errors import TeacherError
    from gliner_distill.student.files import save_student

    start = Path("tiny_start")
    student = build_student(head="boundary", label_hidden_width=12)
    save_student(start, student, small_vocabulary, metadata={})
    settings = DistillSettings(epochs=2, precision="fp32", start=start)
    job = DistillJob("texts.txt", LABELS, minutes=10)
    # The speed is measured on 32 passages; all but two of the rest are answered, too.
    endpoint.faults = [lambda handler: False] * 38 + [stand_in.fails(401)] * 9
    with pytest.raises(TeacherError, match="OPENAI_API_KEY"):
        distill_from(job, open_teacher(n_requests=1), "out", settings=settings)
    assert "text of 32 passages" in caplog.messages[0]
    assert "text of 8 passages" in caplog.messages[1]
    assert "32 more are answered already" in caplog.messages[1]
    endpoint.faults = []
    distill_from(DistillJob("texts.txt", LABELS), open_teacher(), "out", settings=settings)
    assert len(endpoint.asked) == 40
