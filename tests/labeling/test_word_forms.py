"""The words of a label, in the form that its spellings share."""

import pytest

from gliner_distill.labeling.word_forms import (
    joined_words,
    ordered_words,
    split_alternatives,
    word_form,
)


@pytest.mark.parametrize(
    ("words", "form"),
    [
        (("company", "companies"), "company"),
        (("analysis", "analyses"), "analys"),
        (("colour", "color", "colours"), "color"),
        (("traveller", "traveler"), "traveler"),
        (("child", "children"), "child"),
        (("lens", "lenses"), "lens"),
        (("name\N{LATIN SMALL LETTER E WITH ACUTE}",), "name\N{LATIN SMALL LETTER E WITH ACUTE}"),
        (("名前",), "名前"),
    ],
)
def test_word_form_is_shared_by_plurals_and_spellings(words, form):
    assert {word_form(word) for word in words} == {form}


@pytest.mark.parametrize(
    ("phrase", "words"),
    [
        ("city in france", ["france", "city"]),
        ("the name of a person", ["person", "name"]),
        ("named person", ["person"]),
        ("of", ["of"]),
        ("?!", []),
        ("", []),
    ],
)
def test_ordered_words_puts_the_head_last(phrase, words):
    assert ordered_words(phrase) == words


def test_joined_words_is_equal_for_one_word_and_two():
    assert joined_words("smart cards") == joined_words("smartcard") == "smartcard"


def test_split_alternatives_splits_at_slashes_and_conjunctions():
    alternatives = [text.strip() for text in split_alternatives("Album or Song/work_of_art")]
    assert alternatives == ["album", "song", "work of art"]
