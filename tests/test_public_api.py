"""The promises to users: the public names, and commands that need no heavy packages."""

import json
import subprocess
import sys

import pytest

import gliner_distill
from gliner_distill import errors
from gliner_distill.corpus.reader import sample_path
from test_layout import WITHOUT_HEAVY_PACKAGES

COMMANDS = (
    *("distill", "predict", "label", "train", "evaluate", "export", "bench", "inspect"),
    *("redact", "reproduce", "label-studio"),
)
LIGHT_NAMES = (
    *("CorpusFile", "DistillError", "EncodedLabels", "Entity", "LabelPolicy", "LabeledPassage"),
    *(
        "NERModel",
        "PERSONAL_LABELS",
        "Passage",
        "Redaction",
        "Redactor",
        "SpanTeacher",
        "StudentConfig",
        "StudentNER",
        "Teacher",
        "TrainingSettings",
    ),
    *("entities_to_probs", "evaluate", "load_model", "read_mapping", "read_passages"),
    *("restore", "write_mapping"),
)
# Runs the command line and prints its exit code last.
RUN_COMMAND = """
import contextlib, io
from gliner_distill.cli.main import main

def run(*arguments):
    sys.argv = ["gliner-distill", *arguments]
    try:
        main()
    except SystemExit as end:
        return end.code
"""


def run_without_heavy_packages(script):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_HEAVY_PACKAGES + RUN_COMMAND + script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", gliner_distill.__all__)
def test_public_name_resolves(name):
    assert getattr(gliner_distill, name) is not None


def test_dir_lists_the_public_names_only():
    assert dir(gliner_distill) == gliner_distill.__all__


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Distiller"):
        gliner_distill.Distiller  # noqa: B018


def test_every_error_class_is_public():
    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.DistillError)
    }
    assert classes <= set(gliner_distill.__all__)


@pytest.mark.slow
def test_light_names_import_without_torch_and_pyarrow():
    run_without_heavy_packages(f"from gliner_distill import {', '.join(LIGHT_NAMES)}")


def test_heavy_name_without_torch_says_what_to_install():
    message = run_without_heavy_packages(
        "import gliner_distill\n"
        "try:\n    gliner_distill.Student\n"
        "except gliner_distill.MissingExtraError as error:\n    print(error)\n"
    )
    assert "torch" in message
    assert "pip install 'gliner-distill[train]'" in message


def test_version_and_every_help_page_print_without_torch():
    pages = run_without_heavy_packages(
        f"""
for arguments in (["--version"], ["--help"], *([name, "--help"] for name in {COMMANDS})):
    assert run(*arguments) == 0, arguments
"""
    )
    assert pages.startswith(f"{gliner_distill.__version__}\nUsage: gliner-distill [OPTIONS]")
    for name in COMMANDS:
        assert f"Usage: gliner-distill {name} [OPTIONS]" in pages


@pytest.mark.slow
def test_train_without_torch_exits_1_and_says_what_to_install():
    printed = run_without_heavy_packages(
        """
with contextlib.redirect_stderr(io.StringIO()) as messages:
    code = run("train", "store", "--out", "run")
print(code, messages.getvalue())
"""
    )
    assert printed.startswith("1 gliner-distill: ")
    assert "pip install 'gliner-distill[train]'" in printed


@pytest.mark.slow
def test_inspect_of_a_corpus_runs_without_torch():
    script = f"assert run('inspect', {str(sample_path('test'))!r}) == 0"
    assert "passages: " in run_without_heavy_packages(script)


@pytest.mark.slow
def test_predict_runs_without_torch():
    script = "assert run('predict', 'Marie Curie was born in Warsaw.', '-l', 'person') == 0"
    answer = json.loads(run_without_heavy_packages(script))
    assert [entity["text"] for entity in answer["entities"]] == ["Marie Curie"]


@pytest.mark.slow
def test_bench_of_a_student_runs_without_torch():
    printed = run_without_heavy_packages("assert run('bench', '--rounds', '1') == 0")
    assert "words/s" in printed


@pytest.mark.slow
def test_evaluate_of_a_student_runs_without_torch():
    script = f"assert run('evaluate', 'bundled', {str(sample_path('dev'))!r}) == 0"
    script = script.replace("'bundled'", repr(str(bundled_folder())))
    assert "with a wrong label" in " ".join(run_without_heavy_packages(script).split())


def test_module_runs_the_command_line():
    done = subprocess.run(
        [sys.executable, "-m", "gliner_distill", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == f"{gliner_distill.__version__}\n"


def bundled_folder():
    from gliner_distill.runtime.locate import bundled_student_path

    return bundled_student_path()
