"""The files of a student for JavaScript, and the students that it does not support."""

import json
from dataclasses import replace

import pytest

from gliner_distill.errors import ExportError
from gliner_distill.runtime.bundle import quantize_weights
from gliner_distill.runtime.score_map import ScoreMap
from gliner_distill.runtime.vocabulary import Vocabulary
from gliner_distill.web.student_files import make_student_files

pytestmark = pytest.mark.slow  # torch makes the students


@pytest.fixture
def bundle(build_student, small_vocabulary):
    from gliner_distill.student.bundling import make_bundle

    return quantize_weights(make_bundle(build_student(head="boundary"), small_vocabulary))


def changed(bundle, change):
    """Return a bundle with another tokenizer."""
    settings = json.loads(bundle.vocabulary.to_json())
    change(settings)
    return replace(bundle, vocabulary=Vocabulary.from_json(json.dumps(settings)))


def test_make_student_files_keeps_pieces_thresholds_and_the_map_of_scores(bundle):
    bundle = replace(
        bundle,
        threshold=0.4,
        label_thresholds={"city": 0.3},
        score_map=ScoreMap((-1.0, 1.0), (-2.0, 2.0)),
    )
    files = make_student_files(bundle, name="mine")
    assert files["vocabulary.txt"].decode().split("\n") == bundle.vocabulary.pieces()
    settings = json.loads(files["student.json"])
    assert settings["name"] == "mine"
    assert settings["threshold"] == 0.4
    assert settings["label_thresholds"] == {"city": 0.3}
    assert settings["score_map"] == {"logits": [-1.0, 1.0], "reported": [-2.0, 2.0]}
    assert settings["vocabulary"] == {
        "unknown": "[UNK]",
        "prefix": "##",
        "mostCharacters": 100,
        "kind": "plain",
    }


def test_make_student_files_refuses_single_precision(bundle):
    with pytest.raises(ExportError, match="fp32"):
        make_student_files(replace(bundle, precision="fp32"), name="mine")


def test_make_student_files_names_the_kind_of_the_tokenizer(bundle):
    kinds = {}
    for lowers, strips in ((True, None), (True, False), (False, None)):
        flags = {"lowercase": lowers, "strip_accents": strips}
        other = changed(bundle, lambda settings, flags=flags: settings["normalizer"].update(flags))
        files = make_student_files(other, name="mine")
        kinds[lowers, strips] = json.loads(files["student.json"])["vocabulary"]["kind"]
    assert list(kinds.values()) == ["plain", "accented", "cased"]


def test_make_student_files_refuses_a_tokenizer_that_does_not_clean_texts(bundle):
    other = changed(bundle, lambda settings: settings["normalizer"].update(clean_text=False))
    with pytest.raises(ExportError, match="does not support"):
        make_student_files(other, name="mine")


@pytest.mark.parametrize(("content", "is_refused"), [("[CLS]", False), ("word", True)])
def test_make_student_files_refuses_special_pieces_within_words(bundle, content, is_refused):
    n_pieces = len(bundle.vocabulary)
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    token = {"id": n_pieces, "content": content, "special": True, **flags}

    def change(settings):
        settings["added_tokens"].append(token)

    special = changed(bundle, change)
    if is_refused:
        with pytest.raises(ExportError, match="'word'"):
            make_student_files(special, name="mine")
    else:
        files = make_student_files(special, name="mine")
        assert files["vocabulary.txt"].decode().split("\n")[n_pieces] == "[CLS]"
