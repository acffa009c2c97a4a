"""Windows of passages, and the scores of long passages in sections."""

from itertools import chain

import numpy as np
import pytest

from gliner_distill.runtime.sections import (
    SECTION_WINDOWS,
    WINDOW_WORDS,
    cut_windows,
    score_in_parts,
)
from gliner_distill.spans import TagScores

N_LABELS = 2
LONG = SECTION_WINDOWS * WINDOW_WORDS * 2


class Scorer:
    """A function that reads the labels of a word from the word itself, and counts its batches."""

    def __init__(self):
        self.batches = []

    def __call__(self, batch):
        self.batches.append([(window.passage, window.first_word) for window in batch])
        rows = [
            (window.passage, label, window.first_word + place)
            for window in batch
            for place in range(window.keep_start, window.keep_end)
            for label in range(N_LABELS)
            if str(label) in window.words[place]
        ]
        columns = np.array(rows, dtype=np.int64).reshape(-1, 3).T
        ones = np.ones(len(rows), np.float32)
        return TagScores(*columns, ones, ones, ones)


def draw_passages(*lengths, share=0.5):
    draws = np.random.default_rng(0)
    return [
        [
            "".join(str(x) for x in range(N_LABELS) if draws.random() < share) or "-"
            for _ in range(n)
        ]
        for n in lengths
    ]


def triples(parts):
    return [
        row
        for part in parts
        for row in zip(part.passage.tolist(), part.label.tolist(), part.word.tolist(), strict=True)
    ]


def expected_triples(passages):
    return sorted(
        (number, label, place)
        for number, words in enumerate(passages)
        for place, word in enumerate(words)
        for label in range(N_LABELS)
        if str(label) in word
    )


def score(passages, max_scores=10**6, batch_size=64):
    scorer = Scorer()
    options = {"batch_size": batch_size, "max_scores": max_scores}
    return list(score_in_parts(passages, scorer, **options)), scorer.batches


@pytest.mark.parametrize("max_scores", [1, 500, 10**6])
def test_score_in_parts_gives_every_score_once(max_scores):
    passages = draw_passages(30, 0, 5, 900, 384, 2, 60)
    parts, _ = score(passages, max_scores, batch_size=2)
    assert sorted(triples(parts)) == expected_triples(passages)
    assert all(triples([part]) == sorted(triples([part])) for part in parts)
    numbers = [set(part.passage.tolist()) for part in parts]
    assert sum(map(len, numbers)) == len(set(chain.from_iterable(numbers)))  # never divided
    assert (len(parts) > 3) == (max_scores == 1)


def test_score_in_parts_has_the_same_batches_for_every_limit():
    passages = draw_passages(30, 0, 5, 900, 384, 2, 60)
    assert score(passages, 1)[1] == score(passages, 10**6)[1]


def test_score_in_parts_cuts_a_long_passage_where_no_label_goes_on():
    passages = draw_passages(20, LONG, 7)
    parts, batches = score(passages)
    assert sorted(triples(parts)) == expected_triples(passages)
    sections = [part for part in parts if 1 in part.passage]
    assert len(sections) == 3
    words = passages[1]
    for part in sections[1:]:
        cut = int(part.word.min())
        assert not any(str(x) in words[cut] and str(x) in words[cut - 1] for x in range(N_LABELS))
    # The others stand in batches without it.
    assert all(len({number == 1 for number, _ in batch}) == 1 for batch in batches)


def test_score_in_parts_cuts_a_long_passage_without_a_gap_at_the_end_of_a_section():
    passage = ["01"] * LONG
    parts, _ = score([passage])
    assert sorted(triples(parts)) == expected_triples([passage])
    assert len(parts) == 3


def test_cut_windows_covers_each_word_once():
    passages = draw_passages(1000, 0, 3)
    kept = [
        (window.passage, window.first_word + place)
        for window in cut_windows(enumerate(passages))
        for place in range(window.keep_start, window.keep_end)
    ]
    assert kept == [(n, place) for n, words in enumerate(passages) for place in range(len(words))]
