"""Cut passages into windows for the network, and join the scores of the windows again.

The input is passages of any length and a function that scores a batch of windows. The output is the
scores in parts that can be decoded one after the other, so that memory holds only a part of them:
whole passages, or sections of a very long passage that end where no label continues.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from gliner_distill.spans import TagScores
from gliner_distill.windows import batches_by_length, plan_windows

WINDOW_WORDS: Final = 384
"""The most words that a student reads in one pass; longer passages are read in windows."""

SECTION_WINDOWS: Final = 40
"""The windows of a section, about 14,000 words. A passage with more is read by itself."""

_BATCH_WORDS = 4_096


@dataclass(frozen=True, slots=True)
class PassageWindow:
    """Words of a passage that go through the network; the words `keep_start:keep_end` count.

    Attributes:
        passage: The number of the passage.
        first_word: The position in the passage of the window's first word.
        words: The words of the window.
        keep_start: The position in the window of the first word that counts.
        keep_end: The position after the last one.
    """

    passage: int
    first_word: int
    words: Sequence[str]
    keep_start: int
    keep_end: int


ScoreBatch = Callable[[Sequence[PassageWindow]], TagScores]
"""A function that scores windows that go through the network together."""


def cut_windows(passages: Iterable[tuple[int, Sequence[str]]]) -> Iterator[PassageWindow]:
    """Yield the windows of passages that are given with their numbers."""
    for number, words in passages:
        # Most passages fit, and planning windows for each would take time.
        if 0 < len(words) <= WINDOW_WORDS:
            yield PassageWindow(number, 0, words, 0, len(words))
        elif words:
            ones = np.ones(len(words), dtype=np.int64)
            for cut in plan_windows(ones, max_pieces=WINDOW_WORDS, max_words=WINDOW_WORDS):
                yield PassageWindow(
                    number,
                    cut.start,
                    words[cut.start : cut.end],
                    cut.keep_start - cut.start,
                    cut.keep_end - cut.start,
                )


def batch_windows(
    windows: Iterable[PassageWindow], batch_size: int
) -> Iterator[list[PassageWindow]]:
    """Yield windows of similar length in batches for the network."""
    return batches_by_length(
        windows,
        lambda window: len(window.words),
        max_padded=_BATCH_WORDS,
        max_items=batch_size,
    )


def score_in_parts(
    passages: Sequence[Sequence[str]], score: ScoreBatch, *, batch_size: int, max_scores: int
) -> Iterator[TagScores]:
    """Yield the scores of passages in parts, each in reading order.

    A part holds whole passages. Only a passage of more than 40 windows has several parts, which
    follow the order of its words. The batches do not depend on `max_scores`.

    Args:
        passages: The words of each passage.
        score: The function that scores a batch.
        batch_size: The most windows of a batch.
        max_scores: The number of triples above which whole passages are yielded.
    """
    most_words = SECTION_WINDOWS * (WINDOW_WORDS - 32)
    numbered = list(enumerate(passages))
    usual = cut_windows(item for item in numbered if len(item[1]) <= most_words)
    yield from _join_passages(usual, score, batch_size, max_scores)
    for item in numbered:
        if len(item[1]) > most_words:
            yield from _join_sections(list(cut_windows([item])), score, batch_size)


def _join_passages(
    windows: Iterable[PassageWindow], score: ScoreBatch, batch_size: int, max_scores: int
) -> Iterator[TagScores]:
    """Yield scores of passages all of whose windows are scored, as soon as there are enough."""
    windows = list(windows)
    n_left = Counter(window.passage for window in windows)
    waiting: list[TagScores] = []
    for batch in batch_windows(windows, batch_size):
        waiting.append(score(batch))
        n_left.subtract(window.passage for window in batch)
        if sum(len(part.word) for part in waiting) > max_scores:
            scores = TagScores.concatenate(waiting)
            is_open = np.array([n_left[number] > 0 for number in scores.passage.tolist()])
            yield scores.take(~is_open).in_reading_order()
            waiting = [scores.take(is_open)]
    if waiting:
        yield TagScores.concatenate(waiting).in_reading_order()


def _join_sections(
    windows: Sequence[PassageWindow], score: ScoreBatch, batch_size: int
) -> Iterator[TagScores]:
    """Yield scores of one passage, section by section.

    What follows the last gap of a section waits for the next section, so an entity at the border
    stays whole. A section without any gap is cut at its end.
    """
    waiting: list[TagScores] = []
    first_word = 0
    for first in range(0, len(windows), SECTION_WINDOWS):
        section = windows[first : first + SECTION_WINDOWS]
        waiting += map(score, batch_windows(section, batch_size))
        scores = TagScores.concatenate(waiting).in_reading_order()
        end_word = section[-1].first_word + section[-1].keep_end
        is_last = first + SECTION_WINDOWS >= len(windows)
        cut = end_word if is_last else scores.last_gap(first_word, end_word)
        is_before = scores.word < cut
        yield scores.take(is_before)
        waiting, first_word = [scores.take(~is_before)], cut
