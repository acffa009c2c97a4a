"""`gliner-distill train`: run folders, settings, and runs that were stopped."""

import errno
import json
import signal
from pathlib import Path

import pytest

from command_line import SMALL, assert_fails, start_process
from gliner_distill.teacher import gliner as teacher
from gliner_distill.training.checkpoint import read_checkpoint


def test_train_reports_a_disk_that_is_full_at_the_first_checkpoint(run_cli, world, monkeypatch):
    def fail(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("gliner_distill.training.checkpoint.replace_file", fail)
    assert_fails(
        run_cli("train", world / "store", "--out", "run", "--epochs", 1, *SMALL),
        "run/checkpoint.safetensors",
        "No space left on device",
    )


def test_train_writes_a_run_folder_and_refuses_it_without_resume(run_cli, world):
    args = ("train", world / "store", "--out", "run", "--epochs", 2, *SMALL)
    first = run_cli(*args)
    assert first.code == 0
    assert first.out.startswith("run/student: ")
    assert first.err.splitlines()[-1].startswith("training: 280 of 280 words, epoch 2/2, loss ")
    names = {path.name for path in Path("run").iterdir()}
    assert names == {
        *("student", "metrics.jsonl", "config.json", "environment.json", "tensorboard"),
        *("checkpoint.safetensors", ".lock"),
    }
    assert_fails(run_cli(*args), "run: ", "--resume")
    assert run_cli(*args, "--resume").code == 0


def test_train_refuses_other_settings_and_leaves_the_run_as_it_was(run_cli, world):
    args = ("train", world / "store", "--out", "run", *SMALL)
    assert run_cli(*args, "--epochs", 1).code == 0
    before = Path("run/config.json").read_bytes()
    for other in (["--epochs", 2], ["--epochs", 1, "--dev", world / "store"]):
        assert_fails(run_cli(*args, *other, "--resume"), "run: ", "other settings", "--out")
        assert Path("run/config.json").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "facts"),
    [
        (["--temperature", 0], ["temperature", "above 0", "0.0"]),
        (["--embedding-lr-factor", "inf"], ["embedding_lr_factor", "0 or more", "inf"]),
        (["--learning-rate", 0], ["learning_rate", "above 0", "0.0"]),
        (["--device", "moon"], ["device", "cpu or gpu", "moon"]),
        (
            ["--learning-rate", 30, "--epochs", 3],
            ["loss rose from", "epoch 1", "--learning-rate", "30.0"],
        ),
        (["--learning-rate", 1e30, "--epochs", 3], ["nan", "epoch 1", "--learning-rate", "1e+30"]),
    ],
)
def test_train_refuses_bad_settings(run_cli, world, options, facts):
    assert_fails(run_cli("train", world / "store", "--out", "run", *SMALL, *options), *facts)


@pytest.mark.slow
def test_train_matches_the_representations_of_a_gliner(run_cli, world, gliner_folder):
    args = ("train", world / "store", "--epochs", 1, "--head", "boundary", *SMALL, "--out")
    matching = ("--feature-weight", 0.5, "--teacher", gliner_folder)
    plain, matched = run_cli(*args, "plain"), run_cli(*args, "matched", *matching)
    assert matched.code == 0
    assert matched.out == plain.out.replace("plain", "matched")  # the same parameters
    config = json.loads(Path("matched/config.json").read_text())
    assert config["training"]["feature_weight"] == 0.5
    assert config["architecture"]["feature_width"] == 32
    assert config["matched_teacher"] == teacher.fingerprint_model(
        teacher.GLiNERTeacher.from_pretrained(gliner_folder).model
    )
    weights = "student/student.safetensors"
    assert Path("plain", weights).read_bytes() != Path("matched", weights).read_bytes()
    assert run_cli("predict", "-m", "matched", "mary left", "-l", "person").code == 0


def test_train_names_a_teacher_that_is_not_a_gliner(run_cli, world):
    Path("model").mkdir()
    matching = ("--feature-weight", 1, "--teacher", "model")
    assert_fails(
        run_cli("train", world / "store", "--out", "run", *matching), "model", "gliner_config.json"
    )
    assert not Path("run").exists()


def test_train_refuses_a_student_of_too_many_parameters(run_cli, world):
    finished = run_cli("train", world / "store", "--out", "run", "--hidden-width", 1000)
    assert_fails(finished, "6,000,000")
    assert not Path("run").exists()


@pytest.mark.slow
def test_train_continues_exactly_after_ctrl_c(run_cli, world):
    """In a process of its own, which waits for the signal after its second checkpoint."""
    script = """
import signal, time
from gliner_distill.training import run

signal.signal(signal.SIGINT, signal.default_int_handler)
write = run.write_checkpoint

def write_and_wait(path, checkpoint):
    write(path, checkpoint)
    if checkpoint.epoch == 2:
        print("two epochs", flush=True)
        time.sleep(120)

run.write_checkpoint = write_and_wait
from gliner_distill.cli.main import main
main()
"""
    args = ("train", world / "store", "--out", "run", "--epochs", 4, *SMALL)
    process = start_process(script, *args)
    assert process.stdout.readline() == "two epochs\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.startswith("gliner-distill: stopped; run ")
    assert "--resume" in err
    assert err.count("\n") == 1
    assert read_checkpoint(Path("run/checkpoint.safetensors")).epoch == 2
    assert run_cli(*args, "--resume").code == 0
    uninterrupted = [*args]
    uninterrupted[3] = "other"
    assert run_cli(*uninterrupted).code == 0
    weights = "student/student.safetensors"
    assert Path("run", weights).read_bytes() == Path("other", weights).read_bytes()
