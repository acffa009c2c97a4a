"""Counting pieces, each word once."""

import pytest

from gliner_distill.teacher.batching import PieceCounter


class CharacterTokenizer:
    """One piece a character; drops a zero-width space; remembers what it was given."""

    def __init__(self):
        self.seen = []

    def __call__(self, words, **settings):
        assert settings["is_split_into_words"]
        assert not settings["add_special_tokens"]
        self.seen += words

        class Encoding:
            def word_ids(self):
                return [
                    number for number, word in enumerate(words) for _ in word.replace("\u200b", "")
                ]

        return Encoding()


@pytest.fixture
def tokenizer():
    return CharacterTokenizer()


def test_count_returns_the_pieces_of_each_word(tokenizer):
    assert PieceCounter(tokenizer).count(["a", "bcd", "\u200b", "a"]).tolist() == [1, 3, 0, 1]


def test_count_takes_an_empty_list(tokenizer):
    assert PieceCounter(tokenizer).count([]).tolist() == []
    assert tokenizer.seen == []


def test_count_tokenizes_each_word_once(tokenizer):
    counter = PieceCounter(tokenizer)
    counter.learn(["a", "bc", "a"])
    counter.count(["bc", "d", "d", "a"])
    assert tokenizer.seen == ["a", "bc", "d"]


def test_piece_counter_forgets_words_beyond_its_limit(tokenizer):
    counter = PieceCounter(tokenizer, max_remembered=3)
    counter.learn(["a", "b"])
    assert counter.count(["cc", "a"]).tolist() == [2, 1]
    assert tokenizer.seen == ["a", "b", "cc", "a"]
