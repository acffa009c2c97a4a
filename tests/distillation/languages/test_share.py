"""The share of words that the bundled vocabulary spells letter by letter, or not at all."""

import json
from pathlib import Path

import pytest

from gliner_distill.distillation.languages.share import SpelledShare, measure_share
from gliner_distill.entities import word_texts
from gliner_distill.runtime.locate import bundled_student_path
from gliner_distill.runtime.vocabulary import TOKENIZER_FILE, Vocabulary, choose_vocabulary

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"

PIECES = ("[UNK]", "the", "old", "c", "##a", "##t", "##b", "bank", "ab", "##ba")


@pytest.fixture(scope="module")
def bundled():
    return Vocabulary.from_file(bundled_student_path() / TOKENIZER_FILE)


def share_of(words):
    return measure_share(choose_vocabulary(PIECES, lowercase=True), words)


def test_measure_share_counts_words_with_unknown_or_single_letter_pieces():
    # "cat" is spelled with letters, "dog" is unknown, and "abba" has two pieces of two letters.
    found = share_of(["the", "the", "old", "cat", "dog", "abba"])
    assert found == SpelledShare(n_words=6, spelled=2 / 6, unknown=1 / 6)
    assert found.is_high


@pytest.mark.parametrize("word", ["Dog", "DOG", "do", "d0g", "--d", "7", ""])
def test_measure_share_leaves_out_names_short_words_and_numbers(word):
    assert share_of([word]) == SpelledShare(0, 0.0, 0.0)
    assert not share_of([word]).is_high


def test_measure_share_says_what_it_counted():
    assert share_of(["the", "the", "dog", "dog"]).describe() == (
        "50% of 4 words in lower case have an unknown or a single-letter piece"
    )


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the examples are in the repository alone")
@pytest.mark.parametrize(
    ("language", "spelled", "unknown"),
    [("german", 0.27, 0.0), ("spanish", 0.21, 0.0), ("hindi", 1.0, 1.0)],
)
def test_measure_share_is_high_for_other_languages(bundled, language, spelled, unknown):
    lines = (EXAMPLES / "languages" / f"{language}.jsonl").read_text("utf-8").splitlines()
    found = measure_share(
        bundled, [w for line in lines for w in word_texts(json.loads(line)["text"])]
    )
    assert found.is_high
    assert found.spelled == pytest.approx(spelled, abs=0.02)
    assert found.unknown == pytest.approx(unknown, abs=0.01)


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the examples are in the repository alone")
def test_measure_share_is_low_for_english(bundled):
    text = (EXAMPLES / "workshop" / "letters.txt").read_text("utf-8")
    found = measure_share(bundled, word_texts(text))
    assert found.spelled < 0.1
    assert not found.is_high
