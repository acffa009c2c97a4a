"""Texts, options and annotation on their way in, and entities on their way out."""

import json

import numpy as np
import pytest

from gliner_distill.entities import Entity
from gliner_distill.errors import InputError
from gliner_distill.runtime.inputs import (
    check_texts,
    chunk_texts,
    describe_entities,
    merge_label_sets,
    read_words,
)

CITY, RIVER, PERSON = (("city", "city"), ("river", "river"), ("per", "a person"))


class TestChunkTexts:
    def test_chunk_texts_reads_no_further_than_a_chunk(self):
        read = []

        def texts():
            for number in range(5):
                read.append(number)
                yield str(number)

        chunks = chunk_texts(texts(), 2)
        assert read == []
        assert next(chunks) == ["0", "1"]
        assert read == [0, 1]
        assert list(chunks) == [["2", "3"], ["4"]]

    def test_chunk_texts_takes_fewer_long_texts(self):
        chunks = chunk_texts(["x" * 60] * 5, 1000, max_chars=100)
        assert [len(chunk) for chunk in chunks] == [2, 2, 1]

    def test_chunk_texts_of_nothing_is_empty(self):
        assert list(chunk_texts([], 3)) == []


class TestMergeLabelSets:
    def test_merge_label_sets_of_equal_sets_has_no_mask(self):
        assert merge_label_sets([(CITY, RIVER)] * 3) == ((CITY, RIVER), None)
        assert merge_label_sets([]) == ((), None)

    def test_merge_label_sets_masks_the_labels_that_a_set_lacks(self):
        merged, mask = merge_label_sets([(CITY,), (PERSON, CITY), ()])
        assert merged == (CITY, PERSON)
        assert mask.tolist() == [[True, False], [True, True], [False, False]]


class TestCheckTexts:
    @pytest.mark.parametrize("texts", [["a"], ("a",), {"a"}, iter("a"), np.array(["a"])])
    def test_check_texts_takes_any_iterable_of_texts(self, texts):
        check_texts(texts)

    @pytest.mark.parametrize("texts", [None, 3, b"a", {"text": ["a"]}, np.array([["a"]])])
    def test_check_texts_refuses_what_yields_no_texts(self, texts):
        with pytest.raises(InputError, match=r"^texts is "):
            check_texts(texts)


class TestReadWords:
    LONG = "mary " * 385

    def test_read_words_keeps_all_words_for_windows(self):
        assert len(read_words(self.LONG, 0, "window")) == 385

    def test_read_words_truncates_on_demand(self):
        assert len(read_words(self.LONG, 0, "truncate")) == 384

    def test_read_words_refuses_a_long_text_on_demand(self):
        with pytest.raises(InputError, match=r"texts\[7\] has 385 words, more than 384"):
            read_words(self.LONG, 7, "error")

    def test_read_words_names_the_position_of_a_wrong_value(self):
        with pytest.raises(InputError, match=r"texts\[7\] is None"):
            read_words(None, 7, "window")


class TestDescribeEntities:
    def test_describe_entities_gives_characters_as_plain_json(self):
        entities = [Entity(0, 2, "person", 0.75)]
        described = describe_entities("Mary Smith left.", entities)
        expected = {"start": 0, "end": 10, "text": "Mary Smith", "label": "person", "score": 0.75}
        assert described == [expected]
        assert json.loads(json.dumps(described)) == described

    def test_describe_entities_adds_class_probs_if_there_are_any(self):
        entities, probs = [Entity(0, 1, "person", 0.75)], [{"person": 0.75}]
        (described,) = describe_entities("Mary", entities, probs)
        assert described["class_probs"] == {"person": 0.75}
        assert "class_probs" not in describe_entities("Mary", entities)[0]
