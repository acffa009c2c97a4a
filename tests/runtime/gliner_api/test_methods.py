"""GLiNER's methods beside `predict_entities` and `inference`."""

import inspect

import numpy as np
import pytest
import torch
from gliner.evaluation import BaseNEREvaluator
from gliner.model import BaseBiEncoderGLiNER

from gliner_distill.errors import InputError
from gliner_distill.runtime.gliner_api.keywords import warn_once
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.runtime.sections import WINDOW_WORDS

LABELS = ["person", "city"]
TEXTS = ["Ada Lovelace lived in London.", "Nothing here.", "Bo left Rome for Bern."]
PASSAGES = [
    {"tokenized_text": TEXTS[0].split(), "ner": [[0, 1, "person"], [4, 4, "city"]]},
    {"tokenized_text": ["Bo", "left", "Rome"], "ner": [[0, 0, "person"], [1, 2, "city"]]},
]


@pytest.fixture(scope="module")
def student():
    return StudentNER.from_pretrained(num_threads=1)


@pytest.fixture(scope="module")
def answers(student):
    answers = student.inference(TEXTS, LABELS)
    assert sum(map(len, answers)) >= 4
    return answers


@pytest.mark.parametrize(
    "name",
    [
        *("inference", "predict_entities", "batch_predict_entities", "encode_labels"),
        *("predict_with_embeds", "batch_predict_with_embeds", "evaluate", "quantize"),
        *("configure_inference_packing",),
    ],
)
def test_methods_have_gliners_positional_parameters(name):
    theirs = inspect.signature(getattr(BaseBiEncoderGLiNER, name)).parameters.values()
    ours = inspect.signature(getattr(StudentNER, name)).parameters
    expected = [item.name for item in theirs if item.kind is item.POSITIONAL_OR_KEYWORD]
    assert list(ours)[: len(expected)] == expected


@pytest.mark.parametrize("name", ["inference", "run", "batch_predict_entities"])
def test_methods_for_several_texts_agree(student, answers, name):
    assert getattr(student, name)(TEXTS, LABELS) == answers
    assert getattr(student, name)(TEXTS, LABELS, True, 1.0) == [[], [], []]
    assert list(getattr(student, name)(iter(TEXTS), LABELS, batch_size=3)) == answers


@pytest.mark.parametrize("name", ["inference", "run", "batch_predict_entities"])
def test_methods_for_several_texts_take_keywords_that_ask_for_nothing(student, answers, name):
    method = getattr(student, name)
    empty = {"packing_config": None, "input_spans": None, "return_class_probs": False}
    empty |= {"return_vectors": False, "return_label_vectors": False, "relations": []}
    assert method(TEXTS, LABELS, **empty) == answers
    with pytest.raises(InputError, match="packing_config is 1; "):
        method(TEXTS, LABELS, packing_config=1)
    with pytest.raises(TypeError, match="treshold; did you mean threshold"):
        method(TEXTS, LABELS, treshold=0.5)


def test_predict_entities_takes_gliners_keywords(student):
    found = student.predict_entities(
        TEXTS[0], LABELS, relations=[], packing_config=None, input_spans=None, batch_size=8
    )
    assert found == student.predict_entities(TEXTS[0], LABELS) != []
    with pytest.raises(InputError, match=r"relations is \['knows'\]; .* no relations"):
        student.predict_entities(TEXTS[0], LABELS, relations=["knows"])
    with pytest.raises(TypeError, match="lables; did you mean labels"):
        student.predict_entities(TEXTS[0], LABELS, lables=[])


def test_predict_with_embeds_answers_as_with_the_labels(student, answers):
    encoded = student.encode_labels(LABELS, batch_size=8)
    assert encoded.vectors.shape[0] == 2
    assert student.batch_predict_with_embeds(TEXTS, encoded, LABELS) == answers
    alone = student.predict_entities(TEXTS[0], LABELS)
    assert student.predict_with_embeds(TEXTS[0], encoded, LABELS, threshold=0.5) == alone
    assert student.predict_with_embeds(TEXTS[0], encoded, LABELS, threshold=1.0) == []


def test_predict_with_embeds_names_labels_as_asked(student):
    encoded = student.encode_labels(LABELS)
    found = student.predict_with_embeds(TEXTS[0], encoded, ["who", "where"])
    renamed = {"person": "who", "city": "where"}
    alone = student.predict_entities(TEXTS[0], LABELS)
    assert found == [entity | {"label": renamed[entity["label"]]} for entity in alone]


@pytest.mark.parametrize(
    ("encoded", "labels", "said"),
    [
        (np.zeros(2), LABELS, "labels_embeddings is .*; expected the result of encode_labels"),
        (None, LABELS, "labels_embeddings is None"),
        ("encoded", ["person"], "labels holds 1 labels, and labels_embeddings 2"),
        ("encoded", ["person", "person"], "labels holds a label twice"),
    ],
)
def test_predict_with_embeds_refuses_other_embeddings(student, encoded, labels, said):
    if isinstance(encoded, str):
        encoded = student.encode_labels(LABELS)
    with pytest.raises(InputError, match=said):
        student.predict_with_embeds(TEXTS[0], encoded, labels)


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.9])
def test_evaluate_equals_gliners_evaluator(student, threshold):
    words = [passage["tokenized_text"] for passage in PASSAGES]
    found = student.predict_words(words, [LABELS] * 2, threshold=threshold)
    gold = [passage["ner"] for passage in PASSAGES]
    predicted = [[(e.start_word, e.end_word - 1, e.label) for e in own] for own in found]
    line, f1 = student.evaluate(PASSAGES, flat_ner=True, threshold=threshold)
    expected_line, expected_f1 = BaseNEREvaluator(gold, predicted).evaluate()
    assert line == expected_line
    assert f1 == pytest.approx(float(expected_f1))
    assert 0 < f1 < 1


def test_evaluate_takes_labels_in_any_spelling(student):
    assert student.evaluate(PASSAGES, entity_types=["PERSON", "City"]) == student.evaluate(PASSAGES)


def test_evaluate_of_passages_without_entities_is_zero_as_in_gliner(student):
    nothing = [{"tokenized_text": ["Nothing", "here"], "ner": []}]
    assert student.evaluate(nothing) == ("P: 0.00%\tR: 0.00%\tF1: 0.00%\n", 0.0)


def test_student_is_on_the_cpu_and_stays_there(student, caplog):
    warn_once.cache_clear()
    assert student.device == "cpu"
    assert student.device.type == "cpu"
    assert student.to("cpu") is student
    assert student.to(torch.device("cpu"), non_blocking=True) is student
    assert student.to(student.device).cpu().eval() is student
    assert caplog.records == []
    for _ in range(2):
        assert student.to("cuda") is student
        assert student.to(device=torch.device("cuda:0")) is student
        assert student.cuda() is student
    messages = [record.getMessage() for record in caplog.records]
    assert [text.partition(" ")[0] for text in messages] == ["to('cuda')", "to('cuda:0')"]


@pytest.mark.parametrize("dtype", [torch.float16, np.dtype("float16"), np.float16])
def test_to_does_not_take_a_data_type_for_a_device(student, dtype, caplog):
    warn_once.cache_clear()
    assert student.to(dtype) is student.to("cpu", dtype=dtype) is student
    assert caplog.records == []


def test_cuda_with_a_number_names_the_device(student, caplog):
    warn_once.cache_clear()
    assert student.cuda(1) is student
    (record,) = caplog.records
    assert record.getMessage().startswith("to('cuda:1') has no effect")


@pytest.mark.parametrize("name", ["inference", "run", "predict_entities", "batch_predict_entities"])
def test_methods_name_themselves_when_they_refuse_a_keyword(student, name):
    with pytest.raises(TypeError, match=rf"^{name}\(\) .*on_bed; did you mean on_bad\?"):
        getattr(student, name)(TEXTS[0], LABELS, on_bed="error")


def test_methods_with_vectors_of_labels_name_themselves_when_they_refuse_a_keyword(student):
    encoded = student.encode_labels(LABELS)
    for name in ("predict_with_embeds", "batch_predict_with_embeds"):
        with pytest.raises(TypeError, match=rf"^{name}\(\) .*on_bed; did you mean on_bad\?"):
            getattr(student, name)(TEXTS[0], encoded, LABELS, on_bed="error")


def test_encode_labels_suggests_the_nearest_keyword(student):
    with pytest.raises(
        TypeError, match=r"^encode_labels\(\) .*batchsize; did you mean batch_size\?"
    ):
        student.encode_labels(LABELS, batchsize=2)


def test_calls_that_tune_a_gliner_do_nothing(student, answers):
    assert student.compile() is None
    assert student.quantize("int8") is None
    assert student.configure_inference_packing(None) is None
    assert student.inference(TEXTS, LABELS) == answers
    with pytest.raises(InputError, match="packing_config is 'x'"):
        student.configure_inference_packing("x")


def test_config_has_gliners_names_and_may_be_changed(student, answers):
    assert student.config.max_len == student.config.max_width == WINDOW_WORDS
    assert student.config.model_name == "bundled_student"
    student.config.max_len = 8192
    assert student.config.max_len == 8192
    assert student.inference(TEXTS, LABELS) == answers


def test_data_processor_splits_a_text_as_the_student_does(student):
    words = list(student.data_processor.words_splitter(TEXTS[0]))
    assert words[0] == ("Ada", 0, 3)
    assert words[-1] == (".", 28, 29)
