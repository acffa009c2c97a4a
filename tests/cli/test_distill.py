"""`gliner-distill distill`: its output, a stop and a second run, one-line errors."""

import json
import shutil
from itertools import count
from pathlib import Path

import pytest

from command_line import assert_fails
from gliner_distill.distillation.job import DistillSettings
from gliner_distill.distillation.pipeline import distill_from
from gliner_distill.teacher.gliner import GLiNERTeacher
from ray_clusters import stop_cluster

ARGS = ("distill", "texts.txt", "--labels", "labels.txt", "--out", "my student")
NAMES = ("paris", "london", "mary", "john", "ann")


def make_texts(n_documents):
    return [f"{NAMES[n % 5]} left {NAMES[n * 3 % 5]} in {n}" for n in range(n_documents)]


@pytest.fixture(autouse=True)
def quick_runs(build_student, small_vocabulary, monkeypatch, tmp_path):
    """Texts, labels, and settings with two epochs from an 8-wide student."""
    from gliner_distill.student.files import save_student

    start = tmp_path / "tiny_start"
    student = build_student(head="boundary", label_hidden_width=12)
    save_student(start, student, small_vocabulary, metadata={})
    quick = DistillSettings(
        epochs=2, precision="fp32", start=start, timed_words=20, timed_seconds=0.01
    )
    Path("texts.txt").write_text("\n".join(make_texts(40)))
    Path("labels.txt").write_text("person\ncity\n")
    monkeypatch.setitem(distill_from.__kwdefaults__, "settings", quick)


@pytest.fixture
def gliner(gliner_folder):
    """A tiny random GLiNER in a folder with a space in its name."""
    shutil.copytree(gliner_folder, "my teacher")
    return "my teacher"


@pytest.mark.slow
def test_distill_prints_a_verdict_and_the_report_and_continues_later(run_cli, gliner, monkeypatch):
    args = (*ARGS, "--teacher", gliner)
    score, calls = GLiNERTeacher.score_passages, count()

    def stop(self, passages, labels):
        if next(calls) == 1:
            raise KeyboardInterrupt
        return score(self, passages, labels)

    with monkeypatch.context() as patch:
        patch.setattr(GLiNERTeacher, "score_passages", stop)
        stopped = run_cli(*args)
    assert stopped.code == 1
    assert "my student keeps the finished work" in stopped.err.splitlines()[-1]
    finished = run_cli(*args)
    assert finished.code == 0
    results = json.loads(Path("my student/results.json").read_text())
    assert len(results["verdict"]) == 5
    assert results["verdict"][3].startswith("Labels not asked for: F1 ")
    assert finished.out.splitlines() == [*results["verdict"], "report: my student/report.html"]
    progress = [line.partition(":")[0] for line in finished.err.splitlines()]
    stages = ["labeling text-0 dev", "labeling text-0 test", "training", "exporting"]
    assert progress[:5] == [*stages, "measuring"]
    assert results["teacher"] == "my teacher"
    n_bytes = sum(path.stat().st_size for path in Path(gliner).iterdir())
    assert results["size_bytes"]["teacher"] == n_bytes
    assert run_cli("predict", "-m", "my student", "mary left", "-l", "person").code == 0


@pytest.mark.ray
@pytest.mark.filterwarnings(r"ignore::DeprecationWarning:ray\.data\.context")
def test_distill_with_ray_continues_a_run_and_makes_the_same_student(run_cli, gliner, monkeypatch):
    ray = pytest.importorskip("ray", reason="ray is not installed")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    args = ("distill", "texts.txt", "--labels", "labels.txt", "--teacher", gliner)
    assert run_cli(*args, "--out", "alone").code == 0
    score, calls = GLiNERTeacher.score_passages, count()

    def stop(self, passages, labels):
        if next(calls) == 1:
            raise KeyboardInterrupt
        return score(self, passages, labels)

    with monkeypatch.context() as patch:
        patch.setattr(GLiNERTeacher, "score_passages", stop)
        assert run_cli(*args, "--out", "together").code == 1
    try:
        done = run_cli(*args, "--out", "together", "--ray", "--workers", "1")
    finally:
        stop_cluster(ray)
    assert done.code == 0, done.err
    made = [*sorted(Path("alone").rglob("*.parquet")), Path("alone", "weights.safetensors")]
    assert len(made) > 3
    for path in made:
        same = Path("together") / path.relative_to("alone")
        assert same.read_bytes() == path.read_bytes(), path


@pytest.mark.slow
def test_distill_shows_no_path_of_the_teacher_in_card_and_report(run_cli, gliner, tmp_path):
    assert run_cli(*ARGS, "--teacher", tmp_path / gliner).code == 0
    for name in ("README.md", "report.html", "results.json"):
        content = Path("my student", name).read_text()
        assert "my teacher" in content
        assert str(tmp_path) not in content


@pytest.mark.slow
def test_distill_warns_about_what_is_doubtful(run_cli, gliner):
    Path("labels.txt").write_text("company: a firm\nfirm\n")
    Path("texts.txt").write_text("\n".join([*make_texts(40), *make_texts(2)]))
    finished = run_cli(*ARGS, "--teacher", gliner)
    assert finished.code == 0
    lines = finished.err.splitlines()
    assert any("repeated" in line and line.endswith(" 2") for line in lines)
    assert any(line.startswith("labels 'company' and 'firm'") for line in lines)


@pytest.mark.parametrize(
    ("content", "args", "parts"),
    [
        ("", (), ("texts.txt", "empty")),
        ("one\ntwo\n", (), ("texts.txt", "2 passages", "20")),
        (
            '{"body": "one"}\n{"id": 1}\n',
            ("--column", "body"),
            ("texts.txt", "line 2", "'body'", "'id'", "--skip-bad"),
        ),
        ("one\n" * 40, ("--gold", "none.json"), ("none.json", "does not exist")),
    ],
)
def test_distill_names_a_bad_input_on_one_line(run_cli, content, args, parts):
    Path("texts.txt").write_text(content)
    assert_fails(run_cli(*ARGS, "--teacher", "none", *args), *parts)
    assert not Path("my student").exists()


def test_distill_names_a_missing_teacher_on_one_line(run_cli):
    finished = run_cli(*ARGS, "--teacher", "none")
    assert finished.code == 1
    assert finished.err.startswith("gliner-distill: none: ")
    assert finished.err.count("\n") == 1
    # The texts are not kept for another job in the same folder.
    assert not list(Path("my student").glob("work/text-*"))


@pytest.mark.slow
def test_distill_refuses_other_labels_on_one_line(run_cli, gliner):
    assert run_cli(*ARGS, "--teacher", gliner).code == 0
    Path("labels.txt").write_text("ship\n")
    assert_fails(run_cli(*ARGS, "--teacher", gliner), "my student", "other labels", "--out")


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (("distill",), "Missing argument 'TEXTS'"),
        (("distill", "a", "--teacher", "t", "--out", "o"), "Missing option '--labels'"),
        (("distill", "a", "--labels", "l", "--out", "o"), "Missing option '--teacher'"),
        (("distill", "a", "--labels", "l", "--teacher", "t"), "Missing option '--out'"),
        ((*ARGS, "--teacher", "t", "--minutes", "0"), "'--minutes'"),
        ((*ARGS, "--teacher", "t", "--minutes", "5", "--ray"), "--minutes"),
        ((*ARGS, "--teacher", "t", "--workers", "5"), "without --ray"),
        ((*ARGS, "--teacher", "t", "--teacher-budget", "soon"), "such as 30min"),
        ((*ARGS, "--teacher", "t", "--teacher-budget", "5USD"), "'5USD'"),
    ],
)
def test_distill_names_wrong_usage_on_one_line(run_cli, args, part):
    finished = run_cli(*args)
    assert (finished.code, finished.out) == (2, "")
    assert part in finished.err
    assert finished.err.count("\n") == 1
