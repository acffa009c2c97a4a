"""Passages and words: the labels of a passage, and the words of a text."""

import sys
import unicodedata

import numpy as np
import pytest
from gliner.data_processing.tokenizer import WhitespaceTokenSplitter
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.entities import (
    Entity,
    LabeledPassage,
    Passage,
    count_words,
    split_words,
    word_bounds,
    word_texts,
)


def test_passage_own_labels_are_those_of_entities_then_of_the_list_each_once() -> None:
    entities = (Entity(0, 1, "person"), Entity(1, 2, "city"), Entity(2, 3, "person"))
    passage = Passage(("Ann", "Rome", "Bo"), entities, ("river", "city"))
    assert passage.own_labels == ("person", "city", "river")


def test_entity_equality_and_order_ignore_the_score() -> None:
    assert Entity(0, 1, "city", 0.5) == Entity(0, 1, "city", 0.9)
    assert sorted([Entity(1, 2, "a"), Entity(0, 2, "b"), Entity(0, 1, "c")]) == [
        Entity(0, 1, "c"),
        Entity(0, 2, "b"),
        Entity(1, 2, "a"),
    ]


@given(st.text())
def test_split_words_gives_the_words_at_their_positions(text: str) -> None:
    words = split_words(text)
    assert [text[word.start_char : word.end_char] for word in words] == word_texts(text)
    assert [(word.start_char, word.end_char) for word in words] == word_bounds(text)
    assert [word.text for word in words] == word_texts(text)


@given(st.text())
def test_split_words_leaves_out_only_white_space(text: str) -> None:
    assert "".join(word_texts(text)) == "".join(text.split())


def test_count_words_counts_plain_and_labeled_passages() -> None:
    passage = Passage(("Ann", "left"))
    labeled = LabeledPassage(passage, ("person",), np.zeros((2, 1, 3), np.float32))
    assert count_words([]) == 0
    assert count_words([passage, labeled]) == 4


class TestSplitWords:
    # Marks are the only characters that are split in another way; see below.
    @given(st.text(st.characters(exclude_categories=["Mn", "Mc", "Cf", "Cs"]), max_size=60))
    def test_split_words_equals_gliner_on_any_text(self, text: str) -> None:
        expected = list(WhitespaceTokenSplitter()(text))
        assert [
            (word.text, word.start_char, word.end_char) for word in split_words(text)
        ] == expected

    @given(st.text(alphabet="aB1-_ .,'é漢\u200b\t\n", max_size=30))
    def test_split_words_equals_gliner_around_hyphens_and_underscores(self, text: str) -> None:
        expected = list(WhitespaceTokenSplitter()(text))
        assert [
            (word.text, word.start_char, word.end_char) for word in split_words(text)
        ] == expected

    @pytest.mark.parametrize("text", ["", " ", "\n\t\u00a0"])
    def test_split_words_of_blank_text_is_empty(self, text: str) -> None:
        assert split_words(text) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("क्\u200dया-क्या है।", ["क्\u200dया-क्या", "है", "।"]),
        ("Stra\u00dfe fu\u0308r", ["Stra\u00dfe", "fu\u0308r"]),
        ("คนที่", ["คนที่"]),
        ("❤\ufe0f 1\ufe0f\u20e3", ["❤", "\ufe0f", "1", "\ufe0f", "\u20e3"]),
        ("\u0301a", ["\u0301", "a"]),
    ],
)
def test_split_words_keeps_marks_with_their_letters(text, words):
    assert word_texts(text) == words
    assert [word.text for word in split_words(text)] == words
    assert [text[start:end] for start, end in word_bounds(text)] == words


def test_split_words_treats_every_mark_alike_whatever_else_the_text_holds() -> None:
    codes = range(0x300, sys.maxunicode + 1)
    marks = [chr(code) for code in codes if unicodedata.category(chr(code)) in ("Mn", "Mc")]
    for mark in marks:
        alone = word_texts(f"a{mark}b")
        assert word_texts(f"a{mark}b e\u0301")[: len(alone)] == alone, hex(ord(mark))
