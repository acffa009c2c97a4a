"""The command line as a whole: help, wrong usage, and errors that several commands share.

Most tests run `main` in this process; a test that needs a process of its own (signals, pipes,
settings of the hub) says so.
"""

import errno
import json
import shlex
from pathlib import Path

import pytest
import typer

from command_line import (
    MAIN,
    SMALL,
    assert_fails,
    make_passages,
    start_process,
    write_corpus,
)
from gliner_distill.cli.main import COMMANDS, app
from gliner_distill.entities import Passage
from gliner_distill.training.settings import TrainingSettings

NAMES = [command.run.__name__.replace("_", "-") for command in COMMANDS]
LABEL = ("label", "corpus.json", "--teacher", "model", "--out", "store")
DISTILL = ("distill", "a", "--labels", "l", "--teacher", "t", "--out", "o")


@pytest.mark.parametrize("command", NAMES)
def test_help_of_each_command_is_a_manual_page_of_80_columns(run_cli, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    page = run_cli(command, "--help")
    assert page.code == 0
    assert page.err == ""
    assert max(map(len, page.out.splitlines())) <= 80
    assert page.out.startswith(f"Usage: gliner-distill {command} [OPTIONS]")
    for part in ("Options:", "Prints", "Writes", "Exit codes:", "Examples:"):
        assert part in page.out
    assert f"\n    gliner-distill {command}" in page.out


def test_help_says_defaults_and_keeps_line_breaks(run_cli):
    page = run_cli("train", "-h").out
    default = f"default: {TrainingSettings().alpha}; 0<=x<=1]"
    assert default in " ".join(page.split())
    assert (
        "    gliner-distill train soft_labels/train --dev soft_labels/dev \\\n"
        "      --out runs/distilled\n" in page
    )


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.run.__name__)
def test_examples_in_the_help_are_valid(command):
    name = command.run.__name__.replace("_", "-")
    parser = typer.main.get_command(app).commands[name]
    for line in command.examples.replace("\\\n", " ").splitlines():
        line = next(part for part in line.split("|") if "gliner-distill" in part)
        words = shlex.split(line.split(">")[0].split("<")[0])
        assert words[:2] == ["gliner-distill", name]
        parser.make_context(name, words[2:]).close()


@pytest.mark.parametrize("name", NAMES)
def test_help_names_every_option_of_a_command(run_cli, name):
    page = run_cli(name, "--help").out
    options = [
        parameter
        for parameter in typer.main.get_command(app).commands[name].params
        if parameter.param_type_name == "option"
    ]
    assert options or name == "inspect"
    assert [flag for option in options for flag in option.opts if f" {flag}" not in page] == []


@pytest.mark.parametrize("name", NAMES)
def test_help_of_every_option_is_a_sentence(name):
    for parameter in typer.main.get_command(app).commands[name].params:
        assert parameter.help[0].isupper()
        assert parameter.help.endswith(".")


def test_overview_is_printed_without_a_command(run_cli):
    finished = run_cli()
    assert finished.code == 2
    assert finished.err == run_cli("--help").out
    listed = finished.err.partition("Commands:\n")[2].partition("\n\n")[0]
    assert [line.split()[0] for line in listed.splitlines()] == NAMES
    assert NAMES[:2] == ["distill", "predict"]
    assert "..." not in listed
    assert max(map(len, finished.err.splitlines())) <= 80


def test_version_is_that_of_the_package(run_cli):
    import gliner_distill

    assert run_cli("--version").out == f"{gliner_distill.__version__}\n"


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (["learn"], "No such command 'learn'"),
        (["train", "store", "--out", "run", "--alfa", "1"], "No such option: --alfa"),
        (["train", "store", "--out", "run", "--alpha", "2"], "'--alpha'"),
        (["train", "store", "--out", "run", "--epochs", "0"], "'--epochs'"),
        (["train", "store", "--out", "run", "--epochs", "many"], "'--epochs'"),
        (["train", "store", "--out", "run", "--seed", "-1"], "'--seed'"),
        (["train", "store", "--out", "run", "--hidden-width", "99999"], "'--hidden-width'"),
        (["train", "store", "--out", "run", "--feature-weight", "-1"], "'--feature-weight'"),
        (
            ["train", "store", "--out", "run", "--feature-weight", "1"],
            "--teacher MODEL",
        ),
        (
            ["train", "store", "--out", "run", "--teacher", "model"],
            "--feature-weight",
        ),
        (["train", "--out", "run"], "Missing argument 'STORE'"),
        (["train", "store"], "Missing option '--out'"),
        (["label", "corpus.json", "--out", "store"], "Missing option '--teacher'"),
        ([*LABEL, "--negatives", "-1"], "'--negatives'"),
        ([*LABEL, "--quantization", "zip"], "'zip' is not one of 'compact', 'uniform'"),
        ([*LABEL, "--pool", "a", "--from-pool", "0"], "'--from-pool'"),
        ([*LABEL, "--from-pool", "2"], "--pool FILE"),
        ([*LABEL, "--workers", "2"], "without --ray"),
        ([*LABEL, "--gpus-per-worker", "0.5"], "without --ray"),
        (
            [*LABEL, "--keep-individual"],
            "give --teacher again",
        ),
        ([*LABEL, "--ray", "--workers", "0"], "'--workers'"),
        ([*LABEL, "--ray", "auto", "--gpus-per-worker", "-1"], "'--gpus-per-worker'"),
        (["evaluate", "run"], "Missing argument 'CORPUS'"),
        (["evaluate", "run", "corpus.json", "--threshold", "1.5"], "'--threshold'"),
        (["predict", "some text"], "--label LABEL or --labels FILE"),
        (["predict", "text", "-l", "x", "--output", "xml"], "'xml' is not one of 'jsonl'"),
        (["predict", "text", "-l", "x", "--input", "xml"], "'xml' is not one of 'auto'"),
        (["predict", "text", "-l", "x", "--threads", "0"], "'--threads'"),
        (["predict", "text", "-l", "x", "--threshold", "2"], "'--threshold'"),
        (["export", "run"], "Missing option '--out'"),
        (
            ["export", "run", "--out", "x", "--precision", "int4"],
            "'--precision': 'int4' is not one of 'fp32'",
        ),
        (["predict", "some text", "-l", " "], "'-l': a label must not be empty"),
        (["predict", "caf\udce9", "-l", "x"], "'INPUT': this is not UTF-8"),
        (["predict", "text", "-l", "caf\udce9"], "'-l': this is not UTF-8"),
        (["reproduce", "--train", "0"], "'--train'"),
        (["inspect", "one", "two"], "unexpected extra argument"),
        (["distill"], "Missing argument 'TEXTS'"),
        (["distill", "a", "--teacher", "t", "--out", "o"], "Missing option '--labels'"),
        (["distill", "a", "--labels", "l", "--out", "o"], "Missing option '--teacher'"),
        (["distill", "a", "--labels", "l", "--teacher", "t"], "Missing option '--out'"),
        ([*DISTILL, "--minutes", "0"], "'--minutes'"),
        (["distill", "a", "-l", "person"], "-l; this command reads labels from a file: --labels"),
        (["bench", "-l", "person"], "No such option: -l (see"),
        (["bench", "--rounds", "0"], "'--rounds'"),
        (["bench", "--threads", "0"], "'--threads'"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(run_cli, args, part):
    finished = run_cli(*args)
    assert finished.code == 2
    assert finished.out == ""
    assert part in finished.err
    assert finished.err.startswith("gliner-distill: ")
    assert finished.err.endswith(" (see --help)\n")
    assert finished.err.count("\n") == 1


def test_missing_corpus_file_is_named_by_each_command(run_cli):
    pytest.importorskip("pyarrow")  # `label` imports it before it looks for the corpus
    facts = ("none.json", "corpus", "owner/name")
    assert_fails(run_cli("inspect", "none.json"), *facts)
    assert_fails(run_cli("label", "none.json", "--teacher", "t", "--out", "s"), *facts)
    assert_fails(run_cli("evaluate", "run", "none.json"), *facts)
    Path("nine.json").touch()
    for args in (["inspect"], ["label", "--teacher", "t", "--out", "s"], ["evaluate", "run"]):
        assert_fails(run_cli(*args, "none.json"), *facts, "(did you mean nine.json?)")


def test_folder_or_file_without_a_store_is_refused(run_cli, world):
    Path("empty").mkdir()
    assert_fails(run_cli("inspect", "empty"), "empty", "manifest.json")
    assert_fails(run_cli("train", "empty", "--out", "run"), "empty", "manifest.json")
    write_corpus("corpus.json", make_passages(2))
    assert_fails(run_cli("train", "corpus.json", "--out", "run"), "corpus.json: this is a file")


def test_corpus_without_an_entity_is_refused(run_cli, world, gliner_folder):
    write_corpus("plain.json", [Passage(("nothing", "here"))] * 2)
    assert_fails(
        run_cli("label", "plain.json", "--teacher", gliner_folder, "--out", "store"),
        "--labels FILE",
    )
    assert_fails(
        run_cli("evaluate", world / "run", "plain.json"),
        "plain.json",
        "gold entity",
    )


def test_folder_that_is_neither_student_nor_gliner_is_refused(run_cli):
    Path("neither").mkdir()
    facts = ("neither: ", "student_config.json", "gliner_config.json")
    write_corpus("corpus.json", make_passages(2))
    assert_fails(run_cli("predict", "-m", "neither", "text", "-l", "city"), *facts)
    assert_fails(run_cli("evaluate", "neither", "corpus.json"), *facts)


@pytest.mark.slow
def test_hub_ids_without_network_say_what_to_do_offline(tmp_path):
    """In a process of its own: the hub's settings are read when it is imported."""
    write_corpus("corpus.json", make_passages(2))
    script = """
import contextlib, io, json, sys
from gliner_distill.cli.main import main
ends = []
for args in json.loads(sys.argv[1]):
    sys.argv = ["gliner-distill", *args]
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            main()
        except SystemExit as end:
            ends.append([end.code, errors.getvalue()])
print(json.dumps(ends))
"""
    cases = [
        ["inspect", "me/passages"],
        ["predict", "-m", "me/model", "text", "-l", "city"],
        ["label", "corpus.json", "--teacher", "me/model", "--out", "store"],
    ]
    nowhere = {"HF_HOME": str(tmp_path / "hub"), "HF_ENDPOINT": "http://127.0.0.1:9"}
    # The second one needs torch and gliner, which take their time.
    for env, chosen in ((nowhere, cases[:1]), (nowhere | {"HF_HUB_OFFLINE": "1"}, cases)):
        out, err = start_process(script, json.dumps(chosen), env=env).communicate(timeout=120)
        assert err == ""
        ends = json.loads(out)
        assert [code for code, _ in ends] == [1] * len(chosen)
        for _, message in ends:
            assert message.count("\n") == 1
            assert "local path" in message
            assert "HF_HUB_OFFLINE" in message
        assert "data set me/passages " in ends[0][1]
        is_offline = "HF_HUB_OFFLINE" in env
        assert is_offline != ("http://127.0.0.1:9" in ends[0][1])
    assert "model me/model" in ends[1][1]


def test_folder_that_cannot_be_written_is_named(run_cli, world, gliner_folder):
    Path("file").touch()
    corpus = write_corpus("corpus.json", make_passages(2))
    facts = ("file/out", "Not a directory")
    args = ("--teacher", gliner_folder, "--out", "file/out")
    assert_fails(run_cli("label", corpus, *args), *facts)
    assert_fails(run_cli("train", world / "store", "--out", "file/out", *SMALL), *facts)
    assert_fails(
        run_cli("evaluate", world / "run", corpus, "--json", "none/x.json"),
        "none/x.json",
        "folder none",
    )
    assert_fails(run_cli("bench", "--json", "none/x.json"), "none/x.json", "folder none")


def test_full_disk_is_one_line_and_leaves_no_parts(run_cli, world, gliner_folder, monkeypatch):
    def fail(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    corpus = write_corpus("corpus.json", make_passages(2))
    monkeypatch.setattr("gliner_distill.files.os.fsync", fail)
    reason = "No space left on device"
    assert_fails(
        run_cli("label", corpus, "--teacher", gliner_folder, "--out", "store"),
        "store/manifest.json",
        reason,
    )
    assert_fails(run_cli("train", world / "store", "--out", "run", *SMALL), "run", reason)
    assert_fails(run_cli("evaluate", world / "run", corpus, "--json", "x.json"), "x.json", reason)
    assert [path for path in Path().rglob("*.part") if path.is_file()] == []


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_full_standard_output_is_one_line():
    """In a process of its own, for Python's last flush of standard output."""
    write_corpus("corpus.json", make_passages(2))
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        process = start_process(MAIN, "inspect", "corpus.json", stdout=full)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err == "gliner-distill: No space left on device\n"


WITHOUT_TORCH = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "pyarrow", "gliner", "transformers"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
"""


@pytest.mark.slow
def test_missing_torch_is_reported_with_the_extra_to_install(gliner_folder):
    """In a process of its own, in which torch cannot be imported."""
    args = ("predict", "Mary left Paris.", "-l", "person", "-m", gliner_folder)
    process = start_process(WITHOUT_TORCH + MAIN, *args)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "pip install 'gliner-distill[train]'" in err
    assert err.count("\n") == 1


WITHOUT_RAY_AND_ARROW = """
import sys

sys.modules |= dict.fromkeys(["pyarrow", "ray"])
"""


@pytest.mark.slow
def test_missing_ray_is_reported_with_its_own_extra():
    """In a process of its own with neither Ray nor pyarrow, which Ray brings, as a base install."""
    args = ("predict", "Mary left Paris.", "-l", "person", "--ray", "HEAD:6379")
    process = start_process(WITHOUT_RAY_AND_ARROW + MAIN, *args)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "pip install 'gliner-distill[ray]'" in err


ESCAPE = "\x1b]0;owned\x07\x9b31m\u202e"


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", "text", "-l", "x", "-m", f"model{ESCAPE}"),
        ("predict", f"a{ESCAPE}.jsonl", "-l", "x"),
        ("predict", "text", "-l", "x", f"--{ESCAPE}"),
        ("predict", "text", "-l", "x", "--output", ESCAPE),
        ("inspect", f"a{ESCAPE}.json"),
        ("evaluate", f"model{ESCAPE}", "corpus.json"),
        ("bench", f"model{ESCAPE}"),
        ("redact", f"a{ESCAPE}.txt"),
        ("inspect", f"labels{ESCAPE}.json"),
        ("evaluate", "model", f"labels{ESCAPE}.json"),
        ("predict", "text", "-l", "x", "-m", "model"),
        (f"{ESCAPE}",),
    ],
)
def test_no_control_character_of_a_name_or_a_file_reaches_the_terminal(run_cli, arguments):
    Path("model").mkdir()
    config = json.dumps({"format_version": 2, "head": ESCAPE, ESCAPE: ESCAPE}, ensure_ascii=False)
    Path("model/student_config.json").write_text(config, encoding="utf-8")
    passage = {"tokenized_text": ["Ann", ESCAPE], "ner": [[0, 1, f"person{ESCAPE}"]]}
    Path(f"labels{ESCAPE}.json").write_text(json.dumps([passage] * 3), encoding="utf-8")
    finished = run_cli(*arguments)
    printed = finished.out + finished.err
    assert printed
    assert not set(printed) & set("\x1b\x07\x9b\u202e")
