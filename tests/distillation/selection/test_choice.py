"""The passages that are chosen: within the budget, doubtful before sure, new before known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.distillation.selection.choice import choose_next, spread_sample, word_doubts
from gliner_distill.entities import Entity

WORDS = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6)


def passages_of(*texts):
    return [tuple(text.split()) for text in texts]


@given(st.lists(WORDS, max_size=12), st.integers(0, 40), st.integers(0, 3))
def test_spread_sample_fits_and_is_the_same_for_a_seed(texts, max_words, seed):
    n_words = list(map(len, texts))
    chosen = spread_sample(n_words, max_words, seed=seed)
    assert chosen == spread_sample(n_words, max_words, seed=seed)
    assert len(set(chosen)) == len(chosen)
    left = max_words - sum(n_words[position] for position in chosen)
    assert left >= 0
    assert all(n_words[position] > left for position in set(range(len(texts))) - set(chosen))


@given(st.lists(WORDS, max_size=12), st.lists(WORDS, max_size=4), st.integers(0, 40), st.data())
def test_choose_next_fits_and_takes_the_best_of_what_is_left(texts, asked, max_words, data):
    scores = data.draw(st.lists(st.floats(0.1, 1), min_size=len(texts), max_size=len(texts)))
    found = [[Entity(0, 1, "x", score)] for score in scores]
    chosen = choose_next(texts, found, asked, max_words)
    assert len(set(chosen)) == len(chosen)
    assert sum(len(texts[position]) for position in chosen) <= max_words
    # The lazy search chooses what a search through all passages chooses.
    for place, position in enumerate(chosen):
        before = [*asked, *(texts[earlier] for earlier in chosen[:place])]
        worths = worths_of(texts, found, before)
        rest = set(range(len(texts))) - set(chosen[:place])
        assert worths[position] == pytest.approx(max(worths[other] for other in rest))


def worths_of(texts, found, asked):
    doubts = [
        word_doubts(entities, len(words)) for entities, words in zip(found, texts, strict=True)
    ]
    mean = sum(map(sum, doubts)) / sum(map(len, texts))
    everywhere = [word for words in texts for word in words]
    known = [word for words in asked for word in words]
    return [
        sum(
            (doubt + mean * (everywhere.count(word) > 1)) / (1 + known.count(word))
            for word, doubt in zip(words, row, strict=True)
        )
        / max(len(words), 5)
        for words, row in zip(texts, doubts, strict=True)
    ]


def test_choose_next_prefers_doubt():
    texts = passages_of("one in paris now", "two in paris now", "six in paris now")
    found = [[Entity(2, 3, "city", score)] for score in (0.99, 0.5, 0.9)]
    assert choose_next(texts, found, [], 100) == [1, 2, 0]


def test_choose_next_prefers_words_that_were_not_asked_about():
    texts = passages_of("The old town", "a new bridge", "the old town", "A new bridge")
    found = [[Entity(2, 3, "place", 0.6)]] * 4
    assert choose_next(texts, found, passages_of("the old town"), 6) == [1, 3]
    assert choose_next(texts, found, [], 6) == [0, 1]


def test_choose_next_gives_nothing_for_words_without_doubt_that_occur_once():
    texts = passages_of("x1 x2 x3 x4 x5", "to be or to be")
    assert choose_next(texts, [[Entity(0, 1, "x", 0.999)], [Entity(0, 1, "x", 0.999)]], [], 5) == [
        1
    ]


def test_word_doubts_are_shared_by_the_words_of_an_entity():
    entities = [Entity(0, 2, "x", 0.8), Entity(1, 2, "y", 0.4)]
    assert word_doubts(entities, 3) == pytest.approx([0.1, 0.4, 0.0])
