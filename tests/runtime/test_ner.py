"""`StudentNER`: GLiNER's methods, torch's answers, and independence of everything else."""

import copy
import hashlib
import inspect
import json
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
import weakref
from bisect import bisect
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from itertools import chain, islice, pairwise

import numpy as np
import pytest
import torch
from gliner.data_processing.tokenizer import WhitespaceTokenSplitter
from gliner.model import BaseEncoderGLiNER
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.corpus.reader import read_passages, sample_path
from gliner_distill.entities import Entity, split_words
from gliner_distill.errors import InputError, StudentError
from gliner_distill.redaction.placeholders import restore
from gliner_distill.redaction.redactor import Redactor
from gliner_distill.runtime import sections
from gliner_distill.runtime.config import CONFIG_FILE, RUNTIME_WEIGHTS_FILE, TORCH_WEIGHTS_FILE
from gliner_distill.runtime.labels import EncodedLabels
from gliner_distill.runtime.locate import bundled_student_path
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.runtime.sections import WINDOW_WORDS
from gliner_distill.student.bundling import make_bundle
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.windows import plan_windows
from stand_in_hub import Client, running_hub
from student_folders import write_signed

LABELS = ("person", "city", "river")
NOUNS = (
    *("person", "city", "river", "company", "date", "event", "language", "product", "animal"),
    *("plant", "book", "song", "law", "disease", "vehicle", "country"),
)
TEXT = "Marie Curie was born in Warsaw in 1867 and won the Nobel Prize in Physics in 1903."


def spans(entities):
    return [(e["start"], e["end"], e["text"], e["label"]) for e in entities]


def nearly(entities):
    """Return dictionaries that equal the same entities with scores that differ by rounding."""
    return [entity | {"score": pytest.approx(entity["score"], abs=1e-5)} for entity in entities]


def all_nearly(found):
    return [nearly(of_text) for of_text in found]


@pytest.fixture(scope="module", params=["boundary", "softmax"])
def student(request, build_finder):
    return build_finder(head=request.param, n_layers=2)


@pytest.fixture(scope="module")
def bundle(student, small_vocabulary):
    return make_bundle(student, small_vocabulary)


@pytest.fixture(scope="module")
def ner(bundle):
    return StudentNER(bundle, num_threads=1)


@pytest.fixture(scope="module")
def texts(draw_words):
    return [" ".join(words) for words in draw_words(0, 40)]


@pytest.fixture(scope="module")
def bundled():
    return StudentNER.from_pretrained(num_threads=1)


@pytest.fixture(scope="module")
def ner_of_any_text(build_finder, small_vocabulary):
    """A student that finds nearly every word."""
    student = build_finder(seed=2, head="softmax", context_free=True)
    with torch.no_grad():
        student.none.bias.fill_(-2.0)
    return StudentNER(make_bundle(student, small_vocabulary), num_threads=1)


@pytest.fixture(scope="module", params=["boundary", "softmax"])
def forgetful(request, build_finder, small_vocabulary):
    """A student to whom a word is the same wherever it stands."""
    student = build_finder(seed=1, head=request.param, context_free=True, bidirectional=False)
    return StudentNER(make_bundle(student, small_vocabulary), num_threads=1)


class TestSignature:
    @pytest.mark.parametrize("name", ["predict_entities", "inference"])
    def test_methods_have_gliners_parameters(self, name):
        theirs = inspect.signature(getattr(BaseEncoderGLiNER, name)).parameters
        ours = inspect.signature(getattr(StudentNER, name)).parameters
        both = [parameter for parameter in theirs if parameter in ours]
        assert both == [parameter for parameter in ours if parameter in theirs]
        assert {"labels", "flat_ner", "threshold", "multi_label", "return_class_probs"} < set(both)
        for parameter in both:
            if parameter != "batch_size":  # a student's passages are many times cheaper
                assert ours[parameter].default == theirs[parameter].default
            assert ours[parameter].kind == theirs[parameter].kind
        positional = [item for item in theirs.values() if item.kind is item.POSITIONAL_OR_KEYWORD]
        assert list(ours)[: len(positional)] == [parameter.name for parameter in positional]

    def test_methods_have_gliners_defaults(self):
        for name in ("predict_entities", "inference"):
            parameters = inspect.signature(getattr(StudentNER, name)).parameters
            assert parameters["flat_ner"].default is True
            assert parameters["threshold"].default == 0.5
            assert parameters["multi_label"].default is False


class TestInference:
    def test_inference_equals_torch(self, student, ner, small_vocabulary, texts):
        passages = [[word.text for word in split_words(text)] for text in texts]
        expected = StudentPredictor(student, small_vocabulary).predict_words(
            passages, [LABELS] * len(texts)
        )
        assert sum(map(len, expected)) > 20
        for text, found, entities in zip(
            texts, ner.inference(texts, LABELS), expected, strict=True
        ):
            words = split_words(text)
            assert found == [
                {
                    "start": words[e.start_word].start_char,
                    "end": words[e.end_word - 1].end_char,
                    "text": text[words[e.start_word].start_char : words[e.end_word - 1].end_char],
                    "label": e.label,
                    "score": pytest.approx(e.score, abs=1e-5),
                }
                for e in entities
            ]
            assert all(
                type(entity["start"]) is int and type(entity["score"]) is float for entity in found
            )

    def test_predict_words_moves_a_softmax_students_threshold_to_one_half(
        self, build_finder, small_vocabulary, texts
    ):
        student = build_finder(head="softmax", threshold=0.6)
        ner = StudentNER(make_bundle(student, small_vocabulary), num_threads=1)
        words = [text.split() for text in texts]
        labels = [LABELS] * len(texts)
        own, at_a_half = (
            StudentPredictor(student, small_vocabulary, threshold=threshold).predict_words(
                words, labels
            )
            for threshold in (None, 0.5)
        )
        assert ner.predict_words(words, labels) == own
        assert own != at_a_half
        assert ner.predict_words(words, labels, threshold=0.4) == at_a_half

    def test_inference_returns_plain_json(self, ner, texts):
        found = ner.inference(texts, LABELS, return_class_probs=True)
        assert json.loads(json.dumps(found)) == found

    def test_predict_entities_of_the_bundled_student_answers_gliners_readme(self, bundled):
        found = bundled.predict_entities(TEXT, ["person", "city", "year", "award", "disease"])
        got = {(entity["text"], entity["label"]) for entity in found}
        assert {("Marie Curie", "person"), ("Warsaw", "city"), ("1867", "year")} <= got
        assert not any(label == "disease" for _, label in got)

    @pytest.mark.parametrize("threshold", [0, 0.3, 0.7, 1])
    def test_inference_covers_less_at_a_higher_threshold(self, ner, texts, threshold):
        def covered(found):
            return sum(entity["end"] - entity["start"] for entity in chain(*found))

        found = ner.inference(texts, LABELS, threshold=threshold)
        assert all(entity["score"] > threshold for entity in chain(*found))
        at_a_half = ner.inference(texts, LABELS)
        if threshold == 1:
            assert not any(found)
        elif threshold < 0.5:
            assert covered(found) > covered(at_a_half)
        else:
            assert 0 < covered(found) < covered(at_a_half)

    def test_inference_uses_thresholds_per_label(self, ner, texts):
        plain = ner.inference(texts, LABELS)
        assert ner.inference(texts, LABELS, thresholds={}) == plain
        assert ner.inference(texts, LABELS, thresholds={"not asked": 0.99}) == plain
        assert ner.inference(texts, LABELS, thresholds=dict.fromkeys(LABELS, 0.5)) == plain
        cut = ner.inference(texts, LABELS, thresholds={"city": 0.9})
        assert cut != plain
        assert ner.inference(texts, LABELS, thresholds={"CITY": 0.9}) == cut
        label = max(LABELS, key=lambda label: sum(e["label"] == label for e in chain(*plain)))
        without = ner.inference(texts, LABELS, thresholds={label: 1.0})
        assert any(entity["label"] == label for entity in chain(*plain))
        assert not any(entity["label"] == label for entity in chain(*without))
        assert any(chain(*without))
        all_same = ner.inference(texts, LABELS, threshold=0.7)
        assert ner.inference(texts, LABELS, thresholds=dict.fromkeys(LABELS, 0.7)) == all_same
        assert ner.inference(texts, LABELS, 1, 0.9, thresholds=dict.fromkeys(LABELS, 0.7)) == (
            all_same
        )

    def test_inference_nests_or_shares_spans_on_demand(self, build_finder, small_vocabulary, texts):
        ner = StudentNER(make_bundle(build_finder(head="boundary"), small_vocabulary))

        def pairs(**rules):
            found = ner.inference(texts, LABELS, threshold=0.2, **rules)
            return [
                (entity, other)
                for of_text in found
                for place, entity in enumerate(of_text)
                for other in of_text[place + 1 :]
                if entity["start"] < other["end"] and other["start"] < entity["end"]
            ]

        def same(entity, other):
            return (entity["start"], entity["end"]) == (other["start"], other["end"])

        assert pairs() == []
        nested = pairs(flat_ner=False)
        assert nested
        assert not any(same(*pair) for pair in nested)
        shared = pairs(multi_label=True)
        assert shared
        assert all(same(*pair) for pair in shared)

    def test_inference_of_no_text_or_labels_is_empty(self, ner):
        assert ner.predict_entities("", LABELS) == []
        assert ner.predict_entities(" \n\t  ", LABELS) == []
        assert ner.predict_entities("mary left london", []) == []
        assert ner.inference([], LABELS) == []
        assert ner.inference(["", "mary", ""], []) == [[], [], []]
        assert ner.inference([" ", "mary"], [[], []]) == [[], []]
        assert ner.inference([], []) == []
        assert list(ner.inference(iter([]), LABELS)) == []
        assert ner.predict_words([[], ["mary"]], [LABELS, ()])[0] == []

    def test_inference_keeps_the_position_of_empty_texts(self, ner, texts):
        expected = ner.inference(texts, LABELS)
        mixed = ner.inference(
            [mixed_text for text in texts for mixed_text in ("", text, " ")], LABELS
        )
        assert mixed[1::3] == expected
        assert not any(mixed[0::3] + mixed[2::3])


class TestForms:
    def test_inference_takes_texts_in_any_form(self, ner, texts):
        expected = [ner.predict_entities(text, LABELS) for text in texts]
        assert any(expected)
        for found in (
            ner.inference(texts, LABELS),
            ner.inference(tuple(texts), LABELS),
            list(ner.inference(iter(texts), LABELS)),
            list(ner.inference((text for text in texts), LABELS)),
            list(ner.inference(np.array(texts), LABELS)),
        ):
            assert all_nearly(found) == expected
        assert ner.inference(texts[0], LABELS) == [expected[0]]

    def test_inference_takes_labels_in_any_form(self, ner, texts):
        expected = ner.inference(texts, LABELS)
        same = {label: label for label in LABELS}
        for labels in (list(LABELS), [*LABELS, *LABELS], same, same.keys(), np.array(LABELS)):
            assert ner.inference(texts, labels) == expected
        city_only = ner.inference(texts, ["city"])
        assert ner.inference(texts, "city") == city_only != expected

    def test_inference_of_encoded_labels_equals_plain_labels(self, ner, texts):
        encoded = ner.encode_labels(LABELS)
        assert isinstance(encoded, EncodedLabels)
        assert encoded.names == LABELS
        assert encoded.vectors.dtype == np.float32
        assert len(encoded.vectors) == 3
        assert ner.inference(texts, encoded) == ner.inference(texts, LABELS)
        described = {"person": "river", "city": "city"}
        assert ner.inference(texts, ner.encode_labels(described)) == ner.inference(texts, described)
        assert ner.encode_labels([]).names == ()

    def test_inference_reads_descriptions_in_place_of_labels(self, ner, texts):
        described = ner.inference(texts, {"A": "river", "B": "person", "C": "city"})
        plain = ner.inference(texts, ["river", "person", "city"])
        back = {"A": "river", "B": "person", "C": "city"}
        assert [
            [entity | {"label": back[entity["label"]]} for entity in x] for x in described
        ] == plain
        assert {entity["label"] for entity in chain(*described)} <= set("ABC")

    def test_inference_with_labels_per_text_equals_each_text_alone(self, ner, texts):
        sets = [list(LABELS), ["city"], [], ["river", "person"], {"A": "river"}, {"city": "person"}]
        sets = [sets[number % len(sets)] for number in range(len(texts))]
        expected = [ner.predict_entities(*pair) for pair in zip(texts, sets, strict=True)]
        assert sum(map(bool, expected)) > 10
        for found in (
            ner.inference(texts, sets),
            ner.inference(texts, tuple(sets), batch_size=3),
            list(ner.inference(iter(texts), sets, batch_size=1)),
        ):
            assert all_nearly(found) == expected

    @pytest.mark.parametrize("threshold", [0, 0.2])
    def test_inference_gives_no_text_labels_of_another(self, ner, texts, threshold):
        sets = [[LABELS[number % 3]] if number % 4 else [] for number in range(len(texts))]
        found = ner.inference(texts, sets, threshold=threshold)
        for of_text, asked in zip(found, sets, strict=True):
            assert {entity["label"] for entity in of_text} <= set(asked)

    def test_predict_entities_takes_a_list_with_one_list_of_labels(self, ner, texts):
        for text in texts[:5]:
            assert ner.predict_entities(text, [["city"]]) == ner.predict_entities(text, ["city"])


class TestPatterns:
    TEXT = "mary wrote to jo@x.org from 203.0.113.7"
    PERSON_AND_MAIL = ("person", "e-mail")

    def test_pattern_finds_what_a_label_asks_for_and_says_so(self, ner):
        found = ner.predict_entities(self.TEXT, self.PERSON_AND_MAIL)
        (mail,) = [entity for entity in found if "source" in entity]
        span = {"start": 14, "end": 22, "text": "jo@x.org"}
        assert mail == span | {"label": "e-mail", "score": 1.0, "source": "pattern"}
        for entity in found:
            assert entity is mail or entity["end"] <= 14 or entity["start"] >= 22

    def test_pattern_is_off_without_a_label_or_by_switch(self, ner):
        plain = ner.predict_entities(self.TEXT, self.PERSON_AND_MAIL, patterns=False)
        assert not any("source" in entity for entity in plain)
        without = ner.predict_entities(self.TEXT, LABELS)
        assert without == ner.predict_entities(self.TEXT, LABELS, patterns=False)

    def test_pattern_finds_nothing_at_a_threshold_of_one(self, ner):
        assert ner.predict_entities(self.TEXT, ["e-mail"], threshold=1) == []
        assert ner.predict_entities(self.TEXT, ["e-mail"], thresholds={"e-mail": 1}) == []

    def test_pattern_follows_the_labels_of_each_text(self, ner):
        sets = [["e-mail"], ["ip address"], [], {"A": "email address"}]
        answers = ner.inference([self.TEXT] * 4, sets, return_class_probs=True)
        found = [
            [(e["text"], e["label"], e["class_probs"]) for e in answer if "source" in e]
            for answer in answers
        ]
        assert found == [
            [("jo@x.org", "e-mail", {"e-mail": 1.0})],
            [("203.0.113.7", "ip address", {"ip address": 1.0})],
            [],
            [("jo@x.org", "A", {"A": 1.0})],
        ]

    def test_pattern_reads_a_long_text_as_the_model_does(self, ner):
        text = "the " * 383 + "jo@x.org jo@x.org " + "the " * 500 + "jo@x.org"

        def count(**options):
            found = ner.predict_entities(text, ["e-mail"], **options)
            return sum("source" in entity for entity in found)

        assert count() == 3
        assert count(on_long="truncate") == 0
        assert ner.predict_entities("", ["e-mail"], on_long="truncate") == []

    @given(text=st.text("a@b.co 1\n\ud800🙂", max_size=60))
    def test_entities_with_patterns_never_overlap(self, ner_of_any_text, text):
        found = ner_of_any_text.predict_entities(text, ["person", "email", "link", "ip"])
        for entity, following in pairwise(found):
            assert entity["end"] <= following["start"]
        for entity in found:
            assert entity["text"] == text[entity["start"] : entity["end"]] != ""


class TestRedact:
    def test_redact_replaces_what_the_student_finds(self, ner, texts):
        for text in texts[:10]:
            redaction = ner.redact(text, LABELS, "mask", threshold=0.3)
            found = ner.predict_entities(text, LABELS, threshold=0.3)
            assert [(e["start"], e["end"], e["label"]) for e in redaction.entities] == [
                (e["start"], e["end"], e["label"]) for e in found
            ]
            assert redaction.text == Redactor("mask").redact(text, found).text

    def test_redact_looks_for_personal_data_by_default(self, ner):
        redaction = ner.redact("at jo@x.org, 203.0.113.7", thresholds=dict.fromkeys(LABELS, 1))
        assert "[EMAIL_ADDRESS]" in redaction.text
        assert "[IP_ADDRESS]" in redaction.text
        assert "jo@x.org" in ner.redact("at jo@x.org", patterns=False, threshold=1).text

    def test_redact_shares_a_mapping_and_takes_a_key(self, ner):
        mapping = {}
        for text in ("jo@x.org", "[PERSON_1] jo@x.org bo@x.org"):
            redaction = ner.redact(text, ["email"], "mapping", mapping=mapping, threshold=0.99)
            assert restore(redaction.text, mapping) == text
        assert mapping == {
            **{"[EMAIL_1]": "jo@x.org", "[EMAIL_2]": "bo@x.org", "[LITERAL_1]": "[PERSON_1]"}
        }
        hashed = ner.redact("jo@x.org", ["email"], "hash", key="0123456789abcdef").text
        assert hashed.startswith("[EMAIL:")

    def test_redact_reads_a_long_text_to_its_end(self, ner):
        text = "the " * 5000 + "jo@x.org"
        assert ner.redact(text, ["email"], threshold=0.99).text == text[:-8] + "[EMAIL]"
        assert ner.redact("").text == ""

    def test_redact_refuses_wrong_arguments(self, ner):
        with pytest.raises(InputError, match="'blur'"):
            ner.redact("mary", mode="blur")
        with pytest.raises(InputError, match="None"):
            ner.redact(None)


class TestClassProbs:
    def test_class_probs_start_with_the_entitys_label_and_hold_at_most_five(self, ner, texts):
        labels = [*LABELS, "company", "place name", "bank", "old"]
        plain = ner.inference(texts, labels)
        found = ner.inference(texts, labels, return_class_probs=True)
        assert [[{**entity, "class_probs": 0} for entity in x] for x in plain] == [
            [{**entity, "class_probs": 0} for entity in x] for x in found
        ]
        entities = list(chain(*found))
        assert len(entities) > 10
        for entity in entities:
            probs = entity["class_probs"]
            assert len(probs) == 5
            assert probs[entity["label"]] == pytest.approx(entity["score"], abs=1e-5)
            assert list(probs.values()) == sorted(probs.values(), reverse=True)
            assert max(probs, key=probs.get) == entity["label"]

    def test_class_probs_hold_only_labels_asked_of_the_text(self, ner, texts):
        sets = [["city", "river"] if number % 2 else ["person"] for number in range(len(texts))]
        found = ner.inference(texts, sets, return_class_probs=True, batch_size=7)
        assert any(found)
        for of_text, asked in zip(found, sets, strict=True):
            for entity in of_text:
                assert set(entity["class_probs"]) == set(asked)

    def test_class_probs_equal_the_scores_of_labels_asked_alone(
        self, build_finder, small_vocabulary, texts
    ):
        ner = StudentNER(make_bundle(build_finder(head="boundary"), small_vocabulary))
        n_compared = 0
        for text in texts:
            for entity in ner.predict_entities(text, LABELS, return_class_probs=True):
                for label, prob in entity["class_probs"].items():
                    alone = ner.predict_entities(text, [label], False, 0.05, True)
                    score = {(x["start"], x["end"]): x["score"] for x in alone}
                    if (entity["start"], entity["end"]) in score:
                        assert prob == pytest.approx(
                            score[entity["start"], entity["end"]], abs=1e-5
                        )
                        n_compared += label != entity["label"]
        assert n_compared > 5


class TestStreams:
    def test_inference_reads_an_iterator_some_texts_ahead_and_no_further(self, ner, texts):
        n_read = 0

        def read():
            nonlocal n_read
            for number in range(1000):
                n_read += 1
                yield texts[number % len(texts)]

        answers = ner.inference(read(), LABELS, batch_size=4)
        assert n_read == 0
        next(answers)
        assert n_read == 32
        assert len(list(islice(answers, 31))) == 31
        assert n_read == 32
        next(answers)
        assert n_read == 64
        assert len(list(answers)) == 1000 - 33

    def test_inference_answers_an_endless_iterator(self, ner, texts):
        def forever():
            while True:
                yield from texts

        found = islice(ner.inference(forever(), LABELS, batch_size=2), 2 * len(texts))
        assert all_nearly(found) == ner.inference(texts * 2, LABELS)

    def test_inference_keeps_no_texts_of_an_iterator(self, ner):
        class Text(str):
            __slots__ = ("__weakref__",)

        alive = weakref.WeakSet()
        most = 0

        def read():
            for number in range(400):
                text = Text(f"mary saw london {number}")
                alive.add(text)
                yield text

        for _ in ner.inference(read(), LABELS, batch_size=2):
            most = max(most, len(alive))
        assert 0 < most <= 2 * 16 + 1

    def test_inference_names_the_position_of_a_wrong_value_in_an_iterator(self, ner):
        answers = ner.inference(iter(["mary"] * 9 + [9]), LABELS, batch_size=1)
        assert len(list(islice(answers, 8))) == 8
        with pytest.raises(InputError, match=r"texts\[9\] is 9; expected a string"):
            next(answers)

    def test_inference_refuses_an_iterator_longer_or_shorter_than_its_labels(self, ner):
        with pytest.raises(InputError, match="labels holds 2 lists; there are more texts"):
            list(ner.inference(iter(["mary"] * 3), [["city"]] * 2))
        with pytest.raises(InputError, match="labels holds 4 lists for 3 texts"):
            list(ner.inference(iter(["mary"] * 3), [["city"]] * 4))


class TestRefusals:
    @pytest.mark.parametrize(
        ("texts", "said"),
        [
            (None, r"texts is None; expected a string"),
            (b"mary", r"texts is b'mary'; expected a string"),
            (5, r"texts is 5; expected a string"),
            ({"mary": "saw"}, r"texts is {'mary': 'saw'}; expected a string"),
            (["mary", None, 5], r"texts\[2\] is 5; expected a string"),
            (["mary", b"saw"], r"texts\[1\] is b'saw'"),
            (("mary", 3), r"texts\[1\] is 3"),
            ([["mary"]], r"texts\[0\] is \['mary'\]"),
        ],
    )
    def test_inference_refuses_and_names_wrong_texts(self, ner, texts, said):
        with pytest.raises(InputError, match=said):
            ner.inference(texts, LABELS)

    @pytest.mark.parametrize("text", [b"mary", 3, ["mary"]])
    def test_predict_entities_refuses_a_wrong_text(self, ner, text):
        with pytest.raises(InputError, match="expected a string"):
            ner.predict_entities(text, LABELS)

    @pytest.mark.parametrize(
        ("labels", "said"),
        [
            (None, "labels is None"),
            (b"city", "labels is b'city'"),
            (3, "labels is 3"),
            (["city", None], "labels holds None"),
            (["city", b"x"], "labels holds b'x'"),
            (["city", 3], "labels holds 3"),
            (["city", " "], "blank label"),
            ([["city"], None], r"labels\[1\] is None"),
            ([["city"], [3]], r"labels\[1\] holds 3"),
            ([["city"]], "labels holds 1 lists for 2 texts"),
            ([["city"]] * 3, "labels holds 3 lists for 2 texts"),
            ([f"label {number}" for number in range(10_001)], "more than 10,000 labels"),
        ],
    )
    def test_inference_refuses_and_names_wrong_labels(self, ner, labels, said):
        with pytest.raises(InputError, match=said):
            ner.inference(["mary", "saw"], labels)

    def test_predict_entities_refuses_several_lists_of_labels(self, ner):
        with pytest.raises(InputError, match="labels holds 2 lists for one text"):
            ner.predict_entities("mary", [["city"], ["river"]])

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"threshold": -0.1}, r"threshold is -0\.1; expected a number from 0 to 1"),
            ({"threshold": 1.1}, r"threshold is 1\.1"),
            ({"threshold": "0.5"}, "threshold is '0.5'"),
            ({"threshold": None}, "threshold is None"),
            ({"flat_ner": ["knows"]}, r"flat_ner is \['knows'\]; expected True or False"),
            ({"multi_label": "no"}, "multi_label is 'no'; expected True or False"),
            ({"patterns": "no"}, "patterns is 'no'; expected True or False"),
            ({"threshold": True}, "threshold is True"),
            ({"threshold": float("nan")}, "threshold is nan"),
            ({"thresholds": {7: 0.5}}, r"thresholds holds the label 7"),
            ({"thresholds": {"a_b": 0.5, "A b": 0.6}}, r"thresholds: 'a_b' and 'A b' are"),
            ({"thresholds": {"city": 2}}, r"thresholds\['city'\] is 2"),
            ({"thresholds": [0.5]}, r"thresholds is \[0\.5\]; expected"),
            ({"thresholds": 0.5}, r"thresholds is 0\.5; expected"),
            ({"on_long": "cut"}, "on_long is 'cut'; expected 'window'"),
        ],
    )
    def test_inference_refuses_and_names_wrong_options(self, ner, options, said):
        for ask in (ner.inference, ner.predict_entities):
            with pytest.raises(InputError, match=said):
                ask("mary", LABELS, **options)

    @pytest.mark.parametrize("batch_size", [0, -1, 1.5, "8", None, True])
    def test_inference_refuses_a_wrong_batch_size(self, ner, batch_size):
        with pytest.raises(InputError, match="batch_size is "):
            ner.inference(["mary"], LABELS, batch_size=batch_size)

    def test_inference_checks_options_before_the_first_text(self, ner):
        with pytest.raises(InputError, match="threshold is 2"):
            ner.inference(iter(["mary"]), LABELS, threshold=2)
        with pytest.raises(InputError, match="labels holds 3"):
            ner.inference(iter(["mary"]), [3])

    def test_inference_takes_numbers_of_numpy(self, ner, texts):
        expected = ner.inference(texts, LABELS, threshold=0.75)
        options = {"threshold": np.float32(0.75), "batch_size": np.int64(8)}
        assert all_nearly(ner.inference(texts, LABELS, **options)) == expected

        flags = {"flat_ner": np.bool_(False), "multi_label": None}
        expected = ner.inference(texts, LABELS, flat_ner=False)
        assert ner.inference(texts, LABELS, **flags) == expected

    @pytest.mark.parametrize("num_threads", [0, -1, "2", 1.5, True])
    def test_student_ner_refuses_a_wrong_number_of_threads(
        self, student, small_vocabulary, num_threads
    ):
        with pytest.raises(InputError, match="num_threads is "):
            StudentNER(make_bundle(student, small_vocabulary), num_threads=num_threads)


class TestAnyText:
    @given(st.text(st.characters(exclude_categories=()), max_size=60), st.integers(0, 3))
    def test_predict_entities_returns_whole_words_of_any_text(self, ner_of_any_text, text, n_known):
        text += " mary left-london, paris" * n_known
        found = ner_of_any_text.predict_entities(text, LABELS, threshold=0.2)
        words = list(WhitespaceTokenSplitter()(text))
        starts, ends = {start for _, start, _ in words}, {end for *_, end in words}
        last_end = 0
        for entity in found:
            assert entity["text"] == text[entity["start"] : entity["end"]] != ""
            assert entity["start"] in starts
            assert entity["end"] in ends
            assert last_end <= entity["start"]
            last_end = entity["end"]
        assert len(found) >= n_known

    @pytest.mark.parametrize(
        "text",
        [
            "mary \ud800 saw \udfff\ud83d london",
            "زارت ماري لندن في 1990",
            "\u202eנסעה מרי ללונדון\u202c",
            "Z\u0075\u0308rich e\u0301te\u0301 \u0301 \u0301",
            "👩\u200d👩\u200d👧 in 東京 🇫🇷",
            "a\x00b \x00 \x1f mary\u2028london\u00a0paris\ufeff",
        ],
    )
    def test_predict_entities_reads_any_script(self, ner_of_any_text, text):
        found = ner_of_any_text.predict_entities(text, LABELS)
        assert found
        for entity in found:
            assert entity["text"] == text[entity["start"] : entity["end"]]
        assert ner_of_any_text.predict_entities("mary " + text, [text])[0]["label"] == text

    def test_predict_entities_reads_a_word_of_five_megabytes(self, ner):
        # A word's first 100 characters are read.
        short, long = "x" * 100, "x" * 5_000_000
        expected = ner.predict_entities(f"mary {short} left paris", LABELS, threshold=0.01)
        found = ner.predict_entities(f"mary {long} left paris", LABELS, threshold=0.01)
        assert any("x" in entity["text"] for entity in found)
        assert [
            (
                entity["text"].replace(long, short),
                entity["label"],
                pytest.approx(entity["score"], abs=1e-5),
            )
            for entity in found
        ] == [(entity["text"], entity["label"], entity["score"]) for entity in expected]

    @pytest.mark.slow
    def test_predict_entities_reads_many_words_of_one_character(self, bundled):
        text = "x . " * 20_000
        found = bundled.predict_entities(text, ["person"])
        assert all(entity["text"] == text[entity["start"] : entity["end"]] for entity in found)

    def test_inference_skips_a_megabyte_of_white_space(self, ner):
        (plain,), (spaced,) = (
            ner.inference([gap.join(["mary", "left", "london", "paris"])], LABELS, threshold=0.1)
            for gap in (" ", " " * 1_000_000)
        )
        assert len(plain) == len(spaced) > 0
        for entity, other in zip(plain, spaced, strict=True):
            assert entity["label"] == other["label"]
            assert entity["text"] == " ".join(other["text"].split())


def border_words(n_words):
    """Return the first word of each window that counts in it, but the first window's."""
    ones = np.ones(n_words, dtype=np.int64)
    windows = plan_windows(ones, max_pieces=WINDOW_WORDS, max_words=WINDOW_WORDS)
    return [window.keep_start for window in windows[1:]]


def laid_across_borders(found, text):
    """Return the entities that begin in one window and end in the next one."""
    words = split_words(text)
    borders = [words[word].start_char for word in border_words(len(words))]
    return [
        entity for entity in found if any(entity["start"] < at < entity["end"] for at in borders)
    ]


class TestLongTexts:
    @pytest.mark.slow
    def test_long_text_equals_its_parts_across_windows(self, forgetful, draw_words):
        words = list(chain.from_iterable(draw_words(0, 2000)))[:20_000]
        assert len(words) == 20_000
        known = sorted(set(words))
        is_found = [bool(forgetful.predict_entities(word, LABELS, threshold=0.3)) for word in known]
        # Words that nothing can lie across: those that no label holds inside.
        logits = forgetful.word_logits([[word] for word in known], LABELS)
        inside = [
            array[0, :, 2].max() if array.ndim == 3 else (array[0, 1:] - array[0, 0]).max()
            for array in logits
        ]
        separators = {word for word, logit in zip(known, inside, strict=True) if logit < -1}
        assert any(is_found)
        assert separators
        parts, part = [], []
        for word in words:
            part.append(word)
            if word in separators and len(part) > 50:
                parts.append(" ".join(part))
                part = []
        parts.append(" ".join(part))
        assert max(len(part.split()) for part in parts) < WINDOW_WORDS
        offsets = np.cumsum([0] + [len(part) + 1 for part in parts]).tolist()
        expected = [
            entity | {"start": entity["start"] + offset, "end": entity["end"] + offset}
            for offset, found in zip(
                offsets, forgetful.inference(parts, LABELS, threshold=0.3), strict=False
            )
            for entity in found
        ]
        text = " ".join(parts)
        found = forgetful.predict_entities(text, LABELS, threshold=0.3)
        assert spans(found) == spans(expected)
        np.testing.assert_allclose(
            [entity["score"] for entity in found],
            [entity["score"] for entity in expected],
            rtol=0,
            atol=1e-6,
        )
        assert len(found) > 1000
        assert len(laid_across_borders(found, text)) > 3

    @pytest.mark.slow
    def test_long_text_keeps_entities_across_window_borders(self, bundled, monkeypatch):
        # The answers differ a little, since an LSTM that was trained on short passages becomes
        # less certain in one pass over 20,000 words.
        passages = (passage.words for passage in read_passages(sample_path("train")))
        text = " ".join(islice(chain.from_iterable(passages), 20_000))
        labels = ["person", "location", "organization", "date", "event"]
        found = bundled.predict_entities(text, labels)
        monkeypatch.setattr(sections, "WINDOW_WORDS", 10**9)
        expected = bundled.predict_entities(text, labels)
        across = laid_across_borders(expected, text)
        assert len(across) > 2
        assert set(spans(across)) <= set(spans(found))
        same = set(spans(found)) & set(spans(expected))
        assert len(same) >= 0.97 * len(expected)
        assert len(found) >= len(expected)

    @pytest.mark.parametrize("n_words", [384, 385, 736, 737, 1000])
    def test_long_text_of_any_length_has_every_word_once(self, ner_of_any_text, n_words):
        words = ["paris", "mary"] * (n_words // 2) + ["paris"] * (n_words % 2)
        label, other = (
            ner_of_any_text.predict_entities(word, LABELS)[0]["label"] for word in words[:2]
        )
        assert label != other
        found = ner_of_any_text.predict_entities(" ".join(words), LABELS)
        assert [(x["text"], x["label"]) for x in found] == [
            (word, label if word == "paris" else other) for word in words
        ]

    def test_long_text_is_refused_on_demand(self, ner):
        fitting, long = "mary " * 384, "mary " * 385
        assert ner.inference([fitting], LABELS, on_long="error") == ner.inference([fitting], LABELS)
        with pytest.raises(InputError, match=r"texts\[1\] has 385 words, more than 384"):
            ner.inference([fitting, long], LABELS, on_long="error")

    def test_long_text_is_truncated_on_demand(self, ner, draw_words):
        words = list(chain.from_iterable(draw_words(4, 100)))[:800]
        text, first = " ".join(words), " ".join(words[:384])
        cut = ner.predict_entities(text, LABELS, on_long="truncate")
        assert cut == ner.predict_entities(first, LABELS)
        assert ner.predict_entities(text, LABELS)[-1]["start"] > len(first)


class TestIndependence:
    def test_inference_is_deterministic(self, ner, texts):
        first = ner.inference(texts, LABELS, return_class_probs=True)
        assert ner.inference(texts, LABELS, return_class_probs=True) == first

    def test_inference_does_not_depend_on_the_threads_of_the_graph(
        self, student, small_vocabulary, texts, ner
    ):
        two = StudentNER(make_bundle(student, small_vocabulary), num_threads=2)
        long = [*texts, " ".join(texts * 3)]
        expected = ner.inference(long, LABELS)
        assert all_nearly(two.inference(long, LABELS)) == expected

    def test_student_ner_counts_processors_without_affinity(self, bundle, monkeypatch):
        monkeypatch.delattr(os, "sched_getaffinity", raising=False)
        assert StudentNER(bundle).precision == "fp32"

    @pytest.mark.parametrize("batch_size", [1, 3, 1000])
    def test_inference_does_not_depend_on_batch_size(self, ner, texts, batch_size):
        expected = ner.inference(texts, LABELS)
        found = ner.inference(texts, LABELS, batch_size=batch_size)
        assert all_nearly(found) == expected

    def test_inference_does_not_depend_on_other_texts(self, ner, texts):
        expected = ner.inference(texts[:10], LABELS)
        for others in (texts[10:], ["x" * 1000], [" ".join(texts)], ["", "\ud800"]):
            found = ner.inference([*others, *texts[:10], *others], LABELS)
            assert [nearly(x) for x in found[len(others) : len(others) + 10]] == expected

    def test_boundary_student_does_not_depend_on_other_labels(
        self, build_finder, small_vocabulary, texts
    ):
        ner = StudentNER(make_bundle(build_finder(head="boundary"), small_vocabulary))
        alone = [
            {(entity["start"], entity["end"]) for entity in of_text}
            for of_text in ner.inference(texts, ["city"], False, 0.5, True)
        ]
        among = [
            {(entity["start"], entity["end"]) for entity in of_text if entity["label"] == "city"}
            for of_text in ner.inference(texts, LABELS, False, 0.5, True)
        ]
        assert any(alone)
        # An entity of another label may take its place, nothing may be new.
        assert all(
            spans_alone >= spans_among
            for spans_alone, spans_among in zip(alone, among, strict=True)
        )

    def test_predict_entities_from_eight_threads_equals_one_thread(
        self, student, small_vocabulary, ner, texts
    ):
        labels = [LABELS, ("city",), ("river", "person"), {"A": "city"}]
        asked = [(text, label_set) for text in texts for label_set in labels]
        expected = [ner.predict_entities(*pair) for pair in asked]
        shared = StudentNER(make_bundle(student, small_vocabulary), num_threads=1)
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            with ThreadPoolExecutor(8) as threads:
                found = list(threads.map(lambda pair: shared.predict_entities(*pair), asked))
        finally:
            sys.setswitchinterval(interval)
        assert all_nearly(found) == expected


class TestTuneThresholds:
    @pytest.fixture
    def fresh(self, build_finder, small_vocabulary):
        student = build_finder(head="boundary", n_layers=2)
        return StudentNER(make_bundle(student, small_vocabulary), num_threads=1)

    def test_tune_thresholds_needs_a_boundary_head(self, build_finder, small_vocabulary):
        bundle = make_bundle(build_finder(head="softmax"), small_vocabulary)
        gold = [[{"start": 0, "end": 4, "label": "person"}]]
        with pytest.raises(StudentError, match=r"boundary head.* softmax head"):
            StudentNER(bundle, num_threads=1).tune_thresholds(["mary"], gold)

    @staticmethod
    def gold(ner, texts, cuts):
        """Return what a student finds at a threshold of each label, one label at a time."""
        by_label = [ner.inference(texts, [label], threshold=cut) for label, cut in cuts.items()]
        return [list(chain(*of_text)) for of_text in zip(*by_label, strict=True)]

    @pytest.mark.parametrize("shift", [-4, 2])
    def test_tune_thresholds_moves_one_half_to_the_best_threshold(self, fresh, draw_words, shift):
        words = sorted({word for passage in draw_words(0, 20) for word in passage})
        above = fresh.inference(words, ["person"], threshold=0.1)
        scores = sorted({entity["score"] for entity in chain(*above)})
        place = bisect(scores, 0.5) + shift
        assert 4 < place < len(scores) - 5
        cut = (scores[place - 1] + scores[place]) / 2
        gold = fresh.inference(words, ["person"], threshold=cut)
        assert [spans(x) for x in fresh.inference(words, ["person"])] != [spans(x) for x in gold]
        fitted = fresh.tune_thresholds(words, gold)
        assert fitted == {"person": pytest.approx(cut, abs=1e-4)}
        assert [spans(x) for x in fresh.inference(words, ["person"])] == [spans(x) for x in gold]

    def test_tune_thresholds_gives_rare_labels_one_shared_threshold(self, fresh, texts):
        gold = self.gold(fresh, texts, dict.fromkeys(LABELS, 0.7))
        kept = dict.fromkeys(LABELS, 0)
        few = []
        for of_text in gold:
            few.append([])
            for entity in of_text:
                if kept[entity["label"]] < 4:
                    kept[entity["label"]] += 1
                    few[-1].append(entity)
        fitted = fresh.tune_thresholds(texts, few, list(LABELS))
        assert list(fitted) == list(LABELS)
        assert len(set(fitted.values())) == 1

    def test_tune_thresholds_moves_only_labels_that_are_asked(self, fresh, texts):
        gold = self.gold(fresh, texts, {"city": 0.8})
        expected = all_nearly(fresh.inference(texts, ["river"]))
        fresh.tune_thresholds(texts, gold)
        assert all_nearly(fresh.inference(texts, ["river"])) == expected

    def test_tune_thresholds_twice_gives_the_same_thresholds(self, fresh, texts):
        gold = self.gold(fresh, texts, dict.fromkeys(LABELS, 0.65))
        first = fresh.tune_thresholds(texts, gold)
        assert any(value != 0.5 for value in first.values())
        assert fresh.tune_thresholds(texts, gold) == first

    def test_tune_thresholds_does_not_depend_on_the_spelling(self, fresh, texts, tmp_path):
        spelled = {"person": "PERSON", "city": "City"}
        fresh.save_pretrained(tmp_path)
        first, second = fresh, StudentNER.from_pretrained(tmp_path, num_threads=1)
        gold = self.gold(first, texts, {"person": 0.6, "city": 0.7, "river": 0.5})
        fitted = first.tune_thresholds(texts, gold, ["person", "city"])
        respelled = [
            [entity | {"label": spelled.get(entity["label"], "river")} for entity in entities]
            for entities in gold
        ]
        assert second.tune_thresholds(texts, respelled, ["person", "CITY"]) == {
            "person": fitted["person"],
            "CITY": fitted["city"],
        }
        second.save_pretrained(tmp_path)
        loaded = StudentNER.from_pretrained(tmp_path, num_threads=1)
        answers = first.inference(texts, ["person", "city"])
        for labels in (["PERSON", "City"], ["Person", "CITY"]):
            names = dict(zip(("person", "city"), labels, strict=True))
            respelled = [[e | {"label": names[e["label"]]} for e in found] for found in answers]
            assert loaded.inference(texts, labels) == all_nearly(respelled)

    def test_tune_thresholds_takes_two_spellings_in_the_annotation_for_one_label(
        self, fresh, texts
    ):
        gold = self.gold(fresh, texts, dict.fromkeys(LABELS, 0.6))
        mixed = [
            [e | {"label": e["label"].upper()} if row % 2 else e for e in entities]
            for row, entities in enumerate(gold)
        ]
        assert fresh.tune_thresholds(texts, mixed).keys() == {"PERSON", "CITY", "RIVER"}

    def test_tune_thresholds_reaches_a_recall(self, fresh, texts):
        gold = self.gold(fresh, texts, {"city": 0.2})
        n_gold = sum(map(len, gold))

        def recall():
            found = fresh.inference(texts, ["city"])
            pairs = zip(found, gold, strict=True)
            return sum(len({*spans(x)} & {*spans(y)}) for x, y in pairs) / n_gold

        before = recall()
        fitted = [fresh.tune_thresholds(texts, gold, min_recall=r)["city"] for r in (0.5, 0.8)]
        assert n_gold > 20
        assert before < 0.8 <= recall()
        assert fitted[1] < fitted[0]

    def test_tune_thresholds_counts_what_patterns_find_as_found(self, fresh, caplog):
        texts = [f"mary at jo{number}@x.org the" for number in range(6)]
        gold = [[{"start": 8, "end": len(text) - 4, "label": "email"}] for text in texts]
        fresh.tune_thresholds(texts, gold, min_recall=1.0)
        assert caplog.records == []
        assert [spans(x) for x in fresh.inference(texts, ["email"])] == [
            [(8, len(text) - 4, text[8:-4], "email")] for text in texts
        ]

    @pytest.mark.parametrize("min_recall", [0, -1, 1.5, float("nan")])
    def test_tune_thresholds_refuses_a_recall_out_of_range(self, fresh, min_recall):
        gold = [[{"start": 0, "end": 4, "label": "person"}]]
        with pytest.raises(InputError, match="min_recall"):
            fresh.tune_thresholds(["mary"], gold, min_recall=min_recall)

    def test_save_pretrained_keeps_tuned_thresholds(self, fresh, texts, tmp_path):
        fresh.tune_thresholds(texts, self.gold(fresh, texts, dict.fromkeys(LABELS, 0.7)))
        fresh.save_pretrained(tmp_path / "a folder")
        again = StudentNER.from_pretrained(tmp_path / "a folder", num_threads=1)
        expected = fresh.inference(texts, LABELS)
        assert any(expected)
        assert all_nearly(again.inference(texts, LABELS)) == expected

    @pytest.mark.parametrize(
        ("texts", "entities", "said"),
        [
            ("mary", [[]], "texts is 'mary'; expected a list"),
            (None, [[]], "texts is None; expected a list"),
            (["mary"], None, "entities is None; expected a list"),
            (["mary"], [], "there are 1 texts, but 0 lists of entities"),
            ([None], [[]], r"texts\[0\] is None; expected a string"),
            (["mary"], [None], r"entities\[0\] is None"),
            (["mary"], [[{"start": 0, "label": "city"}]], r"entities\[0\] .* must have start, end"),
            (["mary"], [[(0, 4, "city")]], r"entities\[0\] .* must have start, end and label"),
            (["mary"], [[{"start": 0, "end": 4, "label": None}]], r"entities\[0\] has the label"),
            (["mary"], [[{"start": 0, "end": 4, "label": " "}]], "blank label"),
            (["mary"], [[]], "no annotated entities"),
            ([], [], "no annotated entities"),
        ],
    )
    def test_tune_thresholds_refuses_wrong_annotation(self, fresh, texts, entities, said):
        with pytest.raises(InputError, match=said):
            fresh.tune_thresholds(texts, entities)

    @pytest.mark.slow
    def test_tune_thresholds_takes_many_labels_on_long_passages(self, bundled, tmp_path):
        # At the score from which candidates are gathered, the labels of one passage together have
        # more candidate spans than `inference` allows.
        bundled.save_pretrained(tmp_path)
        ner = StudentNER.from_pretrained(tmp_path, num_threads=1)
        words = [word for passage in read_passages(sample_path("train")) for word in passage.words]
        passages = [tuple(words[start : start + 119]) for start in range(0, 6 * 119, 119)]
        labels = [f"{kind} {noun}" for kind in ("old", "new", "any", "other") for noun in NOUNS]
        assert len(labels) >= 60
        gold = [[Entity(0, 1, labels[0])], [Entity(2, 3, labels[1])], [], [], [], []]
        fitted = ner.tune_word_thresholds(passages, gold, labels)
        assert list(fitted) == labels
        assert all(0 < threshold < 1 for threshold in fitted.values())

    def test_tune_word_thresholds_refuses_other_numbers_of_passages(self, fresh):
        with pytest.raises(InputError, match="2 passages, but 1 lists"):
            fresh.tune_word_thresholds([["mary"], ["london"]], [[Entity(0, 1, "person")]])

    def test_tune_thresholds_counts_entities_inside_words_as_missed(self, fresh, texts, caplog):
        gold = self.gold(fresh, texts, {"city": 0.7})
        inside_words = [
            {"start": 1, "end": 2, "label": "city"} for text in texts if len(text.split()[0]) > 2
        ]
        assert inside_words
        fitted = fresh.tune_thresholds(texts, gold)
        assert caplog.text == ""
        broken = [
            [*entities, {"start": 1, "end": 2, "label": "city"}]
            if len(text.split()[0]) > 2
            else entities
            for text, entities in zip(texts, gold, strict=True)
        ]
        # Missed entities lower F1 everywhere, and a lower threshold costs less.
        assert fresh.tune_thresholds(texts, broken)["city"] <= fitted["city"]
        n_entities = sum(map(len, broken))
        assert f"{len(inside_words)} of {n_entities} annotated entities" in caplog.text
        assert "'city' from character 1 to 2" in caplog.text

    def test_tune_thresholds_refuses_annotation_that_never_fits_words(self, fresh):
        gold = [[], [{"start": 0, "end": 3, "label": "person"}] * 2]
        said = r"none of the 1 annotated .* entities\[1\]: 'person' from character 0 to 3"
        for min_recall in (None, 0.9):
            with pytest.raises(InputError, match=said):
                fresh.tune_thresholds(["mary", "mary left"], gold, min_recall=min_recall)

    def test_tune_thresholds_refuses_no_labels(self, fresh):
        gold = [[{"start": 0, "end": 4, "label": "person"}]]
        with pytest.raises(InputError, match="no annotated entities"):
            fresh.tune_thresholds(["mary"], gold, [])


class TestFromPretrained:
    @pytest.fixture
    def folder(self, ner, tmp_path):
        ner.save_pretrained(tmp_path / "a student's folder (1)")
        return tmp_path / "a student's folder (1)"

    def test_from_pretrained_reads_a_folder_by_path_or_text(self, ner, folder, texts):
        expected = ner.inference(texts, LABELS)
        for model in (folder, str(folder), f"{folder}/"):
            found = StudentNER.from_pretrained(model, num_threads=1).inference(texts, LABELS)
            assert all_nearly(found) == expected

    def test_from_pretrained_reads_a_run_folder(self, ner, folder, texts, tmp_path):
        shutil.copytree(folder, tmp_path / "run" / "student")
        found = StudentNER.from_pretrained(tmp_path / "run", num_threads=1)
        assert all_nearly(found.inference(texts, LABELS)) == ner.inference(texts, LABELS)

    def test_from_pretrained_reads_the_bundled_student_without_a_name(self, bundled):
        assert bundled.precision == "int8"
        assert bundled.predict_entities(TEXT, ["city"])[0]["text"] == "Warsaw"

    def test_save_pretrained_keeps_the_bundled_student(self, bundled, tmp_path):
        bundled.save_pretrained(tmp_path)
        assert not (tmp_path / TORCH_WEIGHTS_FILE).exists()
        again = StudentNER.from_pretrained(tmp_path, num_threads=1)
        labels = ["person", "city", "award"]
        expected = bundled.predict_entities(TEXT, labels)
        assert nearly(again.predict_entities(TEXT, labels)) == expected
        assert "calibration" in json.loads((tmp_path / CONFIG_FILE).read_text("utf-8"))

    def test_from_pretrained_refuses_a_gliner(self, gliner_folder):
        with pytest.raises(StudentError, match="gliner: this is a GLiNER"):
            StudentNER.from_pretrained(gliner_folder)

    @pytest.mark.parametrize(
        "name", ["nothing", "/nothing/at/all", "no\0thing", "x" * 5000, "..", "a b/c", "a/b.json"]
    )
    def test_from_pretrained_refuses_a_name_of_nothing(self, name, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(StudentError):
            StudentNER.from_pretrained(name)

    def test_from_pretrained_names_a_broken_file(self, folder):
        write_signed(folder, RUNTIME_WEIGHTS_FILE, b"no weights")
        with pytest.raises(
            StudentError, match=f"{RUNTIME_WEIGHTS_FILE}: cannot be loaded"
        ) as caught:
            StudentNER.from_pretrained(folder)
        assert str(folder) in str(caught.value)
        (folder / CONFIG_FILE).write_text("[]")
        with pytest.raises(StudentError, match=CONFIG_FILE):
            StudentNER.from_pretrained(folder)

    def test_from_pretrained_refuses_a_file(self, folder):
        with pytest.raises(StudentError, match="this is a file"):
            StudentNER.from_pretrained(folder / CONFIG_FILE)

    def test_repr_tells_name_head_parameters_and_precision(self, bundled, folder, bundle, student):
        assert repr(bundled) == (
            "StudentNER('bundled_student', boundary head, 5,711,172 parameters, int8)"
        )
        facts = f"{student.config.head} head, {student.n_parameters:,} parameters, fp32)"
        assert repr(StudentNER(bundle, num_threads=1)) == f"StudentNER({facts}"
        named = StudentNER.from_pretrained(str(folder), num_threads=1)
        assert repr(named) == f"StudentNER({str(folder)!r}, {facts}"

    def test_report_is_none_for_a_student_that_was_loaded(self, bundled):
        assert bundled.report is None

    def test_from_pretrained_refuses_no_threads(self, folder):
        with pytest.raises(InputError, match="num_threads is 0; expected"):
            StudentNER.from_pretrained(folder, num_threads=0)


@pytest.mark.slow
def test_from_pretrained_downloads_a_hub_id_then_reads_the_cache(ner, texts, tmp_path):
    ner.save_pretrained(tmp_path / "student")
    files = {path.name: path.read_bytes() for path in (tmp_path / "student").iterdir()}
    damaged = bytearray(files[RUNTIME_WEIGHTS_FILE])
    damaged[-5] ^= 1
    repos = {
        "models/me/student": files,
        "models/me/damaged": files | {RUNTIME_WEIGHTS_FILE: bytes(damaged)},
        "models/me/other": {"config.json": b"{}", "model.safetensors": b"weights"},
    }
    imports = (
        "import sys\nfrom gliner_distill import DistillError, StudentNER\n"
        "def refused(name):\n"
        "    try: StudentNER.from_pretrained(name)\n"
        "    except DistillError as error: return str(error)"
    )
    call = (
        "[(e['start'], e['label']) for found in StudentNER.from_pretrained({!r}, num_threads=1)"
        f".inference({texts[:3]!r}, {LABELS!r}) for e in found], 'torch' in sys.modules"
    )
    with running_hub(repos) as hub:
        client = Client(tmp_path / "home", hub.endpoint, imports)
        found = chain(*ner.inference(texts[:3], LABELS))
        expected = f"{[(entity['start'], entity['label']) for entity in found]} False"
        assert client.call(call.format("me/student")) == expected
        offline = client.unreachable().with_settings(HF_HUB_OFFLINE="1")
        assert offline.call(call.format("me/student")) == expected
        message = client.call("refused('me/damaged')")
        assert (
            f"{RUNTIME_WEIGHTS_FILE}: is not the file that the student was written with" in message
        )
        assert client.call(call.format("me/nothing")).startswith("HubError: me/nothing: ")
        message = offline.call(call.format("me/unseen"))
        assert message.startswith("HubError: me/unseen: ")
        assert "HF_HUB_OFFLINE forbids" in message


def test_student_ner_moves_the_thresholds_of_its_bundle_to_one_half(bundle, ner, texts):
    moved = StudentNER(replace(bundle, threshold=0.7), num_threads=1)
    expected = ner.inference(texts, LABELS, threshold=0.7)
    assert [spans(entities) for entities in moved.inference(texts, LABELS)] == [
        spans(x) for x in expected
    ]
    one_label = StudentNER(replace(bundle, label_thresholds={"city": 0.7}), num_threads=1)
    expected = ner.inference(texts, ["city"], threshold=0.7)
    assert [spans(entities) for entities in one_label.inference(texts, "city")] == [
        spans(entities) for entities in expected
    ]
    expected = ner.inference(texts, "river")
    assert all_nearly(one_label.inference(texts, "river")) == expected


class TestPickle:
    @pytest.fixture
    def own(self, bundle):
        return StudentNER(bundle, num_threads=1, name="own", max_memory="1GB")

    def test_pickle_gives_the_same_student_without_its_folder(self, own, texts, tmp_path):
        own.save_pretrained(tmp_path / "student")
        loaded = StudentNER.from_pretrained(tmp_path / "student", num_threads=1)
        content = pickle.dumps(loaded)
        shutil.rmtree(tmp_path / "student")
        restored = pickle.loads(content)
        assert restored.inference(texts, LABELS) == own.inference(texts, LABELS)
        assert repr(restored) == repr(loaded)

    def test_pickle_keeps_tuned_thresholds_and_the_path_of_the_report(
        self, build_finder, small_vocabulary, texts, tmp_path
    ):
        bundle = make_bundle(build_finder(head="boundary"), small_vocabulary)
        tuned = StudentNER(bundle, num_threads=1)
        tuned.tune_thresholds(texts, tuned.inference(texts, LABELS, threshold=0.7))
        tuned.report = tmp_path / "report.html"
        restored = pickle.loads(pickle.dumps(tuned))
        restored.save_pretrained(tmp_path / "restored" / "student")
        tuned.save_pretrained(tmp_path / "tuned" / "student")
        for path in (tmp_path / "tuned" / "student").iterdir():
            restored_path = tmp_path / "restored" / "student" / path.name
            assert restored_path.read_bytes() == path.read_bytes()
        assert restored.report == tmp_path / "report.html"
        assert b"label_thresholds" in pickle.dumps(tuned)
        assert pickle.dumps(tuned) != pickle.dumps(StudentNER(bundle, num_threads=1))

    def test_pickle_holds_no_caches(self, own, texts):
        before = pickle.dumps(own)
        assert own.config.max_len
        assert own.data_processor
        own.inference(texts, LABELS)
        assert own.n_cached_bytes > 0
        assert pickle.dumps(own) == before

    def test_pickle_of_the_bundled_student_is_little_larger_than_its_files(self, bundled):
        n_bytes = sum(path.stat().st_size for path in bundled_student_path().iterdir())
        assert len(pickle.dumps(bundled)) < n_bytes + 10_000

    @pytest.mark.slow
    def test_pickle_is_the_same_in_every_process(self):
        script = (
            "import hashlib, pickle; from gliner_distill import StudentNER; "
            "content = pickle.dumps(StudentNER.from_pretrained()); "
            "print(hashlib.sha256(content).hexdigest())"
        )
        digests = [
            subprocess.run(
                [sys.executable, "-c", script],
                env=os.environ | {"PYTHONHASHSEED": seed},
                capture_output=True,
                text=True,
                timeout=120,
                check=True,
            ).stdout.strip()
            for seed in ("1", "2")
        ]
        own = hashlib.sha256(pickle.dumps(StudentNER.from_pretrained())).hexdigest()
        assert digests == [own, own]

    def test_deep_copy_has_thresholds_of_its_own(self, build_finder, small_vocabulary, texts):
        bundle = make_bundle(build_finder(head="boundary"), small_vocabulary)
        original = StudentNER(bundle, num_threads=1)
        found = original.inference(texts, LABELS)
        copied = copy.deepcopy(original)
        assert copied.inference(texts, LABELS) == found
        copied.tune_thresholds(texts, original.inference(texts, LABELS, threshold=0.9))
        assert copied.inference(texts, LABELS) != found
        assert original.inference(texts, LABELS) == found

    def test_pickle_of_a_subclass_keeps_the_class(self, bundle):
        assert type(pickle.loads(pickle.dumps(LoudNER(bundle, num_threads=1)))) is LoudNER

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
    @pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
    def test_process_pool_of_every_start_method_gives_the_same_answers(self, bundled, method):
        texts = [TEXT, "Ada Lovelace lived in London.", "Bo left Rome in 1990."]
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            answers = list(pool.map(bundled.predict_entities, texts, [NOUNS] * len(texts)))
        assert any(answers)
        assert answers == [bundled.predict_entities(text, NOUNS) for text in texts]


class LoudNER(StudentNER):
    """A subclass, as the stand-in for gliner has one."""
