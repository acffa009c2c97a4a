"""Texts that are None or NaN: no entities, one warning per call, and an error for those who ask."""

from decimal import Decimal

import numpy as np
import pytest

from gliner_distill.errors import InputError
from gliner_distill.runtime.gliner_api.missing_texts import is_missing
from gliner_distill.runtime.ner import StudentNER

LABELS = ["person", "city"]
TEXT = "Ada Lovelace lived in London."


@pytest.fixture(scope="module")
def student():
    return StudentNER.from_pretrained(num_threads=1)


@pytest.mark.parametrize(
    "value",
    [
        None,
        float("nan"),
        np.nan,
        np.float32("nan"),
        np.float16("nan"),
        np.datetime64("NaT"),
    ],
)
def test_is_missing_recognizes_what_stands_for_no_value(value):
    assert is_missing(value)


@pytest.mark.parametrize(
    "value", ["", "nan", "None", b"", 0, 0.0, False, [], {}, np.str_("x"), np.zeros(2), Decimal(1)]
)
def test_is_missing_is_false_for_other_values(value):
    assert not is_missing(value)


def test_is_missing_recognizes_missing_values_of_pandas():
    pandas = pytest.importorskip("pandas")
    column = pandas.Series(["a", None], dtype="string")
    assert [is_missing(value) for value in column] == [False, True]
    assert is_missing(pandas.NaT)


def test_inference_answers_nothing_for_missing_texts_and_warns_once(student, caplog):
    answers = student.inference([None, TEXT, float("nan"), "", None], LABELS)
    assert answers == [[], student.predict_entities(TEXT, LABELS), [], [], []]
    (record,) = caplog.records
    assert record.getMessage().startswith("3 of 5 texts are missing")
    assert "texts[0], which is None" in record.getMessage()


def test_inference_warns_once_for_a_stream_that_spans_several_chunks(student, caplog):
    texts = (None if number % 10 == 3 else TEXT for number in range(40))
    answers = list(student.inference(texts, LABELS, batch_size=1))
    assert [number for number, found in enumerate(answers) if not found] == [3, 13, 23, 33]
    (record,) = caplog.records
    assert record.getMessage().startswith("4 of 40 texts are missing")
    assert "texts[3]" in record.getMessage()


def test_inference_warns_when_a_stream_is_left_early(student, caplog):
    answers = student.inference(iter([None, *[TEXT] * 20]), LABELS, batch_size=1)
    assert next(answers) == []
    answers.close()
    assert len(caplog.records) == 1


def test_inference_keeps_the_labels_of_each_text_in_place(student):
    alone = student.inference([TEXT], [["city"]])
    assert alone[0]
    assert student.inference([None, TEXT], [["person"], ["city"]]) == [[], *alone]


def test_inference_is_silent_without_missing_texts(student, caplog):
    student.inference([TEXT, "", " "], LABELS)
    assert caplog.records == []


def test_predict_entities_answers_nothing_for_a_missing_text(student, caplog):
    assert student.predict_entities(None, LABELS) == []
    assert len(caplog.records) == 1


def test_on_bad_error_names_the_first_missing_text(student):
    with pytest.raises(InputError, match=r"texts\[1\] is nan; expected a string"):
        student.inference([TEXT, float("nan")], LABELS, on_bad="error")
    with pytest.raises(InputError, match=r"texts\[0\] is None; expected a string"):
        student.predict_entities(None, LABELS, on_bad="error")


def test_on_bad_refuses_another_value(student):
    with pytest.raises(InputError, match="on_bad is 'drop'; expected 'skip' or 'error'"):
        student.inference([TEXT], LABELS, on_bad="drop")
