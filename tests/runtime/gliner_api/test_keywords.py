"""GLiNER's keywords: accepted, refused with advice, or unknown with a suggestion."""

import inspect
import logging

import numpy as np
import pytest
from gliner import GLiNER
from gliner.model import BaseGLiNER

from gliner_distill.errors import InputError
from gliner_distill.runtime.gliner_api.keywords import (
    CALL_REFUSED,
    check_call_keywords,
    check_loading_keywords,
    warn_once,
    warn_unless_cpu,
)
from gliner_distill.runtime.locate import bundled_student_path
from gliner_distill.runtime.ner import StudentNER


def predict(text, labels, threshold=0.5):
    """Stand in for a method of a student."""


@pytest.mark.parametrize("name", sorted(CALL_REFUSED))
@pytest.mark.parametrize("value", [None, False, np.False_, [], (), {}, np.zeros(0)])
def test_check_call_keywords_accepts_a_value_that_asks_for_nothing(name, value):
    check_call_keywords({name: value}, predict)


@pytest.mark.parametrize("name", sorted(CALL_REFUSED))
def test_check_call_keywords_refuses_a_value_that_asks_for_something(name):
    with pytest.raises(InputError, match=rf"^{name} is \['x'\]; "):
        check_call_keywords({name: ["x"]}, predict)


def test_check_call_keywords_accepts_gliners_default():
    check_call_keywords({"num_gen_sequences": 1}, predict)
    with pytest.raises(InputError, match=r"num_gen_sequences is 2; .*labels"):
        check_call_keywords({"num_gen_sequences": 2}, predict)


@pytest.mark.parametrize(
    ("name", "close"),
    [("treshold", "threshold"), ("packing", "packing_config"), ("relation", "relations")],
)
def test_check_call_keywords_suggests_the_nearest_word(name, close):
    with pytest.raises(TypeError, match=rf"predict\(\) .*{name}; did you mean {close}\?"):
        check_call_keywords({name: None}, predict)


def test_check_call_keywords_suggests_nothing_for_a_word_unlike_all_others():
    with pytest.raises(TypeError, match="zzzz; neither"):
        check_call_keywords({"zzzz": 1}, predict)


@pytest.mark.parametrize("method", [GLiNER.from_pretrained, BaseGLiNER.from_pretrained])
def test_from_pretrained_takes_all_of_gliners_keywords_with_their_defaults(method):
    parameters = inspect.signature(method).parameters.values()
    keywords = {item.name: item.default for item in parameters if item.kind is not item.VAR_KEYWORD}
    keywords["model_id"] = str(bundled_student_path())
    student = StudentNER.from_pretrained(**keywords, num_threads=1)
    assert keywords["model_id"] in repr(student)


def test_from_pretrained_takes_the_model_under_its_older_name():
    folder = str(bundled_student_path())
    student = StudentNER.from_pretrained(pretrained_model_name_or_path=folder, num_threads=1)
    assert folder in repr(student)


def test_from_pretrained_refuses_two_models():
    with pytest.raises(TypeError, match="twice, the second time as model_id"):
        StudentNER.from_pretrained("a", model_id="b")


@pytest.mark.parametrize("name", ["proxies", "model_dir", "session_options", "runtime_options"])
def test_check_loading_keywords_says_what_to_do_instead(name):
    with pytest.raises(InputError, match=rf"^{name} is \['x'\]; .* instead"):
        check_loading_keywords({name: ["x"]}, predict)


def test_from_pretrained_suggests_the_nearest_word():
    with pytest.raises(TypeError, match=r"from_pretrained\(\) .*revison; did you mean revision\?"):
        StudentNER.from_pretrained(revison="main")


@pytest.mark.parametrize("device", ["cpu", "cpu:0", None])
def test_warn_unless_cpu_is_silent_for_the_cpu(device, caplog):
    warn_unless_cpu(device, f"map_location={device}")
    assert caplog.records == []


def test_warn_unless_cpu_warns_once(caplog):
    warn_once.cache_clear()
    for _ in range(3):
        StudentNER.from_pretrained(map_location="cuda:1", num_threads=1)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("map_location='cuda:1' has no effect")
