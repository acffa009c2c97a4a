"""Altered text: each word in its place, drawn from the seed, and the targets left alone."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.entities import LabeledPassage, Passage
from gliner_distill.training.data import (
    augment_example,
    augment_words,
    make_example,
    mistype,
    mistype_some,
)

TEXT = ("Mary", "SAW", "the", "old", "Bank", "of", "Globex", "in", "Paris", "-", "2", "straße")
some_words = st.lists(st.text(min_size=1, max_size=8), max_size=6)


def all_mistyped(word):
    """Return whatever may become of a word: what has no next letter, or one alike, stays."""
    found = {word}
    for at in range(len(word)):
        found.add(word[:at] + word[at] * 2 + word[at + 1 :])
        if len(word) > 1:
            found.add(word[:at] + word[at + 1 :])
        if at + 1 < len(word):
            found.add(word[:at] + word[at + 1] + word[at] + word[at + 2 :])
    return found


def kind_of(words, altered):
    """Return which alteration it was; of words that tell them apart."""
    if altered == [word.upper() for word in words]:
        return "upper"
    return "lower" if altered == [word.lower() for word in words] else "mistyped"


class TestMistype:
    @given(st.text(min_size=1, max_size=12), st.integers(0, 100))
    def test_makes_one_edit_and_leaves_something(self, word, seed):
        found = mistype(word, random.Random(seed))
        assert found
        assert found in all_mistyped(word)

    @pytest.mark.parametrize("word", ["city", "aab", "né", "東京都", "🙂x", "e\u0301a", "I", "ß"])
    def test_can_make_each_edit(self, word):
        found = {mistype(word, random.Random(seed)) for seed in range(500)}
        assert found == all_mistyped(word)

    def test_changes_nearly_every_word(self):
        changed = [mistype("abcdef", random.Random(seed)) != "abcdef" for seed in range(4000)]
        # The last of six letters has no next to change with: one in eighteen.
        assert np.mean(changed) == pytest.approx(17 / 18, abs=0.015)

    def test_doubles_leaves_out_and_swaps_alike_often(self):
        lengths = [len(mistype("abcdef", random.Random(seed))) for seed in range(4000)]
        for length in (5, 6, 7):
            assert np.mean([found == length for found in lengths]) == pytest.approx(1 / 3, abs=0.03)


class TestMistypeSome:
    def test_spares_words_under_four_letters(self):
        words = ["a", "of", "the", "-", "né", "🙂", "Rhine"]
        rows = [mistype_some(words, random.Random(seed)) for seed in range(300)]
        assert all(row[:-1] == words[:-1] for row in rows)
        assert any(row[-1] != "Rhine" for row in rows)

    @pytest.mark.parametrize("word", ["lima", "zürich"])
    def test_mistypes_about_one_word_in_seven(self, word):
        altered = mistype_some([word] * 20_000, random.Random(0))
        expected = 0.15 * (1 - 1 / (3 * len(word)))
        assert np.mean([found != word for found in altered]) == pytest.approx(expected, abs=0.008)

    @given(some_words, st.integers(0, 100))
    def test_keeps_each_word_in_its_place(self, words, seed):
        altered = mistype_some(words, random.Random(seed))
        assert len(altered) == len(words)
        assert all(found in all_mistyped(word) for found, word in zip(altered, words, strict=True))


class TestAlterWords:
    @given(some_words, st.integers(0, 100))
    def test_keeps_the_number_of_words_and_none_is_empty(self, words, seed):
        altered = augment_words(words, random.Random(seed))
        assert len(altered) == len(words)
        assert all(altered)

    def test_depends_on_the_seed_alone(self):
        rows = [augment_words(TEXT, random.Random(seed)) for seed in range(30)]
        assert rows == [augment_words(TEXT, random.Random(seed)) for seed in range(30)]
        assert len({tuple(row) for row in rows}) > 3

    def test_is_upper_case_lower_case_or_mistyped_in_the_shares_meant(self):
        kinds = [
            kind_of(TEXT, augment_words(TEXT, random.Random(seed))) for seed in range(1000, 6000)
        ]
        for kind, share in (("upper", 0.2), ("lower", 0.4), ("mistyped", 0.4)):
            assert kinds.count(kind) / len(kinds) == pytest.approx(share, abs=0.025)

    def test_mistypes_what_is_in_neither_case_as_it_was_written(self):
        rows = [augment_words(TEXT, random.Random(seed)) for seed in range(200)]
        mistyped = [row for row in rows if kind_of(TEXT, row) == "mistyped"]
        for row in mistyped:
            assert all(found in all_mistyped(word) for found, word in zip(row, TEXT, strict=True))
        assert any(row != list(TEXT) for row in mistyped)


class TestAlterExample:
    @pytest.fixture
    def example(self, small_vocabulary):
        probs = np.random.default_rng(0).random((len(TEXT), 2, 3)).astype(np.float32)
        return make_example(
            LabeledPassage(Passage(TEXT), ("city", "person"), probs), small_vocabulary
        )

    def alter(self, example, vocabulary, seed, share):
        return augment_example(example, vocabulary, share=share, draw=random.Random(seed))

    def test_of_share_0_is_the_same_object(self, example, small_vocabulary):
        for seed in range(200):
            assert self.alter(example, small_vocabulary, seed, 0.0) is example

    def test_of_share_1_always_holds_altered_words(self, example, small_vocabulary):
        for seed in range(50):
            altered = self.alter(example, small_vocabulary, seed, 1.0)
            draw = random.Random(seed)
            draw.random()  # whether, before how
            expected = small_vocabulary.encode_words(augment_words(TEXT, draw))
            assert altered is not example
            for name in ("piece_ids", "word_starts", "word_shapes"):
                np.testing.assert_array_equal(getattr(altered.words, name), getattr(expected, name))

    def test_of_a_share_between_alters_so_many(self, example, small_vocabulary):
        altered = [
            self.alter(example, small_vocabulary, seed, 0.3) is not example for seed in range(3000)
        ]
        assert np.mean(altered) == pytest.approx(0.3, abs=0.03)

    def test_leaves_the_targets_and_what_was_given(self, example, small_vocabulary):
        probs, words = example.item.probs.copy(), example.words
        starts = words.word_starts.copy()
        for seed in range(20):
            altered = self.alter(example, small_vocabulary, seed, 1.0)
            assert altered.item is example.item
            assert len(altered.words.word_starts) == len(TEXT)
        assert example.words is words
        assert example.item.passage.words == TEXT
        np.testing.assert_array_equal(example.item.probs, probs)
        np.testing.assert_array_equal(example.words.word_starts, starts)
