"""What users may rely on: the public names, and what is imported when."""

import json
import subprocess
import sys

import pytest

import gliner_distill
from gliner_distill.errors import MissingExtraError

# Runs in a process of its own, where importing any of the heavy packages fails.
WITHOUT_HEAVY_PACKAGES = """
import contextlib, importlib, io, sys

HEAVY = {
    *("torch", "gliner", "pyarrow", "matplotlib", "transformers", "accelerate", "jinja2"),
    *("filelock", "onnx", "ray"),
}

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in HEAVY:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
"""
COMMANDS = (
    *("reproduce", "label", "train", "evaluate", "predict", "export", "distill", "bench"),
    "inspect",
)
LIGHT_MODULES = (
    *("bundle", "calibration", "cli", "cli_labeling", "cli_options", "cli_prediction"),
    *("cli_terminal", "cli_training", "corpus", "corpus_columns", "corpus_formats"),
    *("corpus_records", "corpus_statistics", "documents", "domain_corpus"),
    *("entities", "errors", "features", "files", "hub", "label_policy", "label_sets", "metrics"),
    *("near_synonyms", "prediction", "progress", "runtime", "quantization", "scoring", "settings"),
    *("span_decoding", "speed", "student_config", "word_vectors"),
)
LIGHT_NAMES = (
    *("CorpusFile", "DistillError", "EncodedLabels", "Entity", "LabelPolicy", "Passage"),
    *("StudentNER", "TrainingSettings", "entities_to_probs", "read_passages"),
)


def run_without_heavy_packages(script):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_HEAVY_PACKAGES + script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class TestPublicNames:
    @pytest.mark.parametrize("name", gliner_distill.__all__)
    def test_resolve(self, name):
        assert getattr(gliner_distill, name) is not None
        assert name in dir(gliner_distill)

    def test_are_sorted_and_all_have_a_module(self):
        assert list(gliner_distill.__all__) == sorted(gliner_distill.__all__)
        assert {*gliner_distill._MODULES, "__version__"} == set(gliner_distill.__all__)

    def test_others_do_not_exist(self):
        with pytest.raises(AttributeError, match="has no attribute 'Distiller'"):
            gliner_distill.Distiller  # noqa: B018


class TestImports:
    def test_light_modules_and_names_do_without_torch(self):
        imports = "\n".join(f"importlib.import_module('gliner_distill.{m}')" for m in LIGHT_MODULES)
        names = ", ".join(LIGHT_NAMES)
        run_without_heavy_packages(f"{imports}\nfrom gliner_distill import {names}")

    def test_a_heavy_name_says_what_to_install(self):
        message = run_without_heavy_packages(
            "import gliner_distill\n"
            "try:\n    gliner_distill.Student\n"
            "except gliner_distill.DistillError as error:\n    print(error)\n"
        )
        assert message == f"{MissingExtraError('torch', 'train')}\n"

    def test_help_and_version_do_without_torch(self):
        pages = run_without_heavy_packages(
            f"""
from gliner_distill.cli.main import main
for args in (["--version"], ["--help"], *([name, "--help"] for name in {COMMANDS})):
    sys.argv = ["gliner-distill", *args]
    try:
        main()
    except SystemExit as end:
        assert end.code == 0, args
"""
        )
        assert pages.startswith(f"{gliner_distill.__version__}\nUsage: gliner-distill [OPTIONS]")
        for name in COMMANDS:
            assert f"Usage: gliner-distill {name} [OPTIONS]" in pages

    def test_a_command_says_what_to_install(self):
        script = """
from gliner_distill.cli.main import main
sys.argv = ["gliner-distill", "train", "store", "--out", "run"]
with contextlib.redirect_stderr(io.StringIO()) as errors:
    try:
        main()
    except SystemExit as end:
        print(end.code, errors.getvalue(), end="")
"""
        assert run_without_heavy_packages(script).startswith("1 gliner-distill: ")
        assert "pip install 'gliner-distill[train]'" in run_without_heavy_packages(script)

    def test_inspecting_a_corpus_does_without_torch(self):
        script = """
from gliner_distill.cli.main import main
from gliner_distill.corpus.reader import sample_path
sys.argv = ["gliner-distill", "inspect", str(sample_path("test"))]
try:
    main()
except SystemExit as end:
    assert end.code == 0
"""
        assert "passages: " in run_without_heavy_packages(script)

    def test_predicting_does_without_torch(self):
        script = """
from gliner_distill.cli.main import main
sys.argv = ["gliner-distill", "predict", "Marie Curie was born in Warsaw.", "-l", "person"]
try:
    main()
except SystemExit as end:
    assert end.code == 0
"""
        answer = json.loads(run_without_heavy_packages(script))
        assert [one["text"] for one in answer["entities"]] == ["Marie Curie"]
