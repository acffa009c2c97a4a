"""The JavaScript modules in Node, against Python. The tests are skipped where node is missing."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import web_cases
from gliner_distill.runtime.bundle import quantize_weights, read_bundle
from gliner_distill.runtime.locate import bundled_student_path
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.runtime.vocabulary import Vocabulary
from gliner_distill.web.site import write_site
from gliner_distill.web.student_files import make_student_files
from script_texts import make_texts

FOLDER = Path(__file__).parent
NODE = shutil.which("node")
SURE_AND_UNSURE = {"threshold": 0.3}, {"threshold": 0.01, "flat_ner": False}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(NODE is None, reason="node is not installed"),
]


@pytest.fixture(scope="module")
def bundle():
    return quantize_weights(read_bundle(bundled_student_path()))


@pytest.fixture(scope="module")
def site(bundle, tmp_path_factory):
    folder = tmp_path_factory.mktemp("web") / "site"
    write_site(folder, bundle, [], name="bundled")
    return folder


@pytest.fixture
def answer(site, tmp_path):
    """A function that returns the answers of Node to cases."""

    def run(cases, student=site / "student"):
        asked, answers = tmp_path / "cases.json", tmp_path / "answers.json"
        asked.write_text(json.dumps(cases), encoding="utf-8")
        modules = site / "gliner-distill"
        command = [NODE, FOLDER / "answer.mjs", modules, student, asked, answers]
        done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(answers.read_text(encoding="utf-8"))

    return run


def test_words_pieces_and_labels_equal_those_of_python(answer, bundle):
    splits = web_cases.make_splits()
    labels = splits[: web_cases.N_TEXTS // 2]
    found = answer(web_cases.as_json(splits=splits, labels=labels))
    expected = web_cases.expected_splits(bundle.vocabulary, splits)
    assert web_cases.first_difference(expected, found["splits"]) is None
    expected = web_cases.expected_labels(bundle.vocabulary, labels)
    assert web_cases.first_difference(expected, found["labels"]) is None


@pytest.mark.parametrize("lowercase", [True, False], ids=["accents", "upper case"])
def test_pieces_of_other_tokenizers_equal_those_of_python(answer, bundle, tmp_path, lowercase):
    tokenizer = json.loads(bundle.vocabulary.to_json())
    tokenizer["normalizer"].update(lowercase=lowercase, strip_accents=False)
    vocabulary = Vocabulary.from_json(json.dumps(tokenizer))
    other = replace(bundle, vocabulary=vocabulary)
    for name, content in make_student_files(other, name="other").items():
        (tmp_path / name).write_bytes(content)
    splits = make_texts(2_000)
    found = answer(web_cases.as_json(splits=splits), tmp_path)["splits"]
    expected = web_cases.expected_splits(vocabulary, splits)
    assert web_cases.first_difference(expected, found) is None


def test_entities_and_scores_equal_those_of_python_to_the_last_bit(answer, bundle):
    calls = web_cases.make_calls()
    found = answer(web_cases.as_json(calls=calls))["calls"]
    expected = web_cases.expected_calls(StudentNER(bundle), calls)
    assert sum(len(entities) for answers in expected for entities in answers) > 10_000
    for number, (ours, theirs) in enumerate(zip(expected, found, strict=True)):
        assert web_cases.first_difference(ours, theirs) is None, number


@pytest.mark.parametrize(
    "shape",
    [
        {"n_layers": 2, "label_hidden_width": 12, "label_lstm_width": 4, "relation_width": 3},
        {"bidirectional": False, "hidden_width": 20, "label_hidden_width": 70},
        {"embedding_width": 24, "n_layers": 1, "label_lstm_width": 20},
        {"head": "softmax", "label_hidden_width": 6},
    ],
    ids=["relations", "one direction", "one label layer", "softmax"],
)
def test_students_of_other_shapes_give_the_answers_of_python(
    answer, build_finder, small_vocabulary, tmp_path, shape
):
    from gliner_distill.student.bundling import make_bundle

    student = build_finder(**{"head": "boundary"} | shape)
    bundle = quantize_weights(make_bundle(student, small_vocabulary))
    for name, content in make_student_files(bundle, name="small").items():
        (tmp_path / name).write_bytes(content)
    texts = ["Mary saw the old bank of Paris", "new London on the Thames in the north " * 60]
    calls = [(texts, ["city", "person", "river"], options) for options in SURE_AND_UNSURE]
    found = answer(web_cases.as_json(calls=calls), tmp_path)["calls"]
    expected = web_cases.expected_calls(StudentNER(bundle), calls)
    assert any(entities for answers in expected for entities in answers)
    assert found == expected


def test_wrong_arguments_are_refused_as_in_python(answer):
    text = ["Ada"]
    calls = [
        (text, ["city", "CITY"], {}),
        (text, [" "], {}),
        (text, 3, {}),
        (text, ["city"], {"threshold": 1.5}),
        (text, ["city"], {"thresholds": {"city": "high"}}),
        (text, ["city"], {"treshold": 0.5}),
        (text, ["city"], {"on_long": "skip"}),
        ([3], ["city"], {}),
        (["word " * 400], ["city"], {"on_long": "error"}),
        (text, [["city"], ["person"]], {}),
    ]
    found = answer(web_cases.as_json(calls=calls))["calls"]
    assert found == [{"error": "InputError"}] * len(calls)


def test_npm_package_passes_its_own_tests(site, tmp_path):
    modules = tmp_path / "node_modules"
    modules.mkdir()
    shutil.copytree(site / "gliner-distill", modules / "gliner-distill")
    tests = FOLDER.parent / "npm" / "student.test.mjs"
    copied = shutil.copy(tests, tmp_path)
    environment = {"STUDENT": str(site / "student"), "PATH": str(Path(NODE).parent)}
    done = subprocess.run(
        [NODE, "--test", copied],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
