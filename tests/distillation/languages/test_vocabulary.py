"""Pieces that are trained on text in another language."""

import subprocess
import sys

import pytest

from gliner_distill.distillation.languages.vocabulary import train_text_vocabulary
from gliner_distill.runtime.vocabulary import UNKNOWN_PIECE, Vocabulary, train_vocabulary

HINDI = ["हिन्दी", "दिल्ली", "दिल्लीवाले", "हिन्दुस्तान"]


@pytest.fixture(scope="module")
def known():
    return train_vocabulary(["paris", "person", "city"] * 4, n_pieces=40)


def pieces_of(vocabulary, word):
    names = vocabulary.pieces()
    return [names[piece] for piece in vocabulary.encode_words([word]).piece_ids]


def test_train_text_vocabulary_keeps_vowel_signs_and_umlauts(known):
    vocabulary = train_text_vocabulary([*HINDI, "für", "Größe"] * 8, known, max_pieces=5_000)
    assert "##ि" in vocabulary.pieces()
    for word in (*HINDI, "für", "größe"):
        spelled = "".join(piece.removeprefix("##") for piece in pieces_of(vocabulary, word))
        assert spelled == word
    assert pieces_of(vocabulary, "fur") != pieces_of(vocabulary, "für")


def test_train_text_vocabulary_reads_words_that_the_text_lacks(known):
    vocabulary = train_text_vocabulary(HINDI, known, max_pieces=5_000)
    for word in ("न्दील्ली", "london", "O'Neill", "42"):
        assert UNKNOWN_PIECE not in pieces_of(vocabulary, word)
    assert pieces_of(vocabulary, "中") == [UNKNOWN_PIECE]


def test_train_text_vocabulary_has_pieces_of_three_words_and_frequent_words(known):
    vocabulary = train_text_vocabulary(
        ["umgehen", "vorgehen", "begehen", *["trotz"] * 8], known, max_pieces=5_000
    )
    pieces = vocabulary.pieces()
    assert "##gehen" in pieces
    assert "trotz" in pieces
    assert "umgehen" not in pieces
    fewer = train_text_vocabulary(["umgehen", "vorgehen"] * 4, known, max_pieces=5_000)
    assert "##gehen" not in fewer.pieces()


def test_train_text_vocabulary_keeps_known_pieces_of_the_text(known):
    pieces = train_text_vocabulary(["paris"], known, max_pieces=5_000).pieces()
    assert "paris" in pieces
    assert "person" not in pieces


def test_train_text_vocabulary_keeps_to_its_size(known):
    vocabulary = train_text_vocabulary(HINDI, known, max_pieces=30)
    assert len(vocabulary) == 30
    assert vocabulary.pieces()[0] == UNKNOWN_PIECE
    assert Vocabulary.from_json(vocabulary.to_json()).pieces() == vocabulary.pieces()


@pytest.mark.slow
def test_train_text_vocabulary_is_the_same_in_every_process(known):
    code = (
        "from gliner_distill.runtime.vocabulary import train_vocabulary\n"
        "from gliner_distill.distillation.languages.vocabulary import train_text_vocabulary\n"
        "known = train_vocabulary(['paris', 'person', 'city'] * 4, n_pieces=40)\n"
        f"print(train_text_vocabulary({HINDI!r} * 3, known, max_pieces=5000).to_json())\n"
    )
    printed = {
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout
        for _ in range(2)
    }
    assert len(printed) == 1
