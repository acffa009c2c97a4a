"""Requests, the parts of a corpus that a teacher scores in one pass, and their subword pieces."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliner_distill.teacher.base import Probabilities
from gliner_distill.windows import Window


class PieceCounter:
    """Counts the subword pieces of words; every word is tokenized once and remembered."""

    def __init__(self, tokenizer: Any, *, max_remembered: int = 200_000) -> None:
        """Start with no words.

        Args:
            tokenizer: A tokenizer of transformers. Its special pieces are not counted.
            max_remembered: The most words to remember, which bounds the memory: some tens of
                megabytes by default, however long the corpus is.
        """
        self._tokenizer = tokenizer
        self._max_remembered = max_remembered
        self._counts: dict[str, int] = {}

    def count(self, words: Sequence[str]) -> NDArray[np.int64]:
        """Return the pieces of each word, shape `(words,)`; 0 if the tokenizer drops a word."""
        self.learn(words)
        return np.fromiter((self._counts[word] for word in words), np.int64, len(words))

    def learn(self, words: Iterable[str]) -> None:
        """Count the pieces of words in advance, which is faster for many words at once."""
        distinct = dict.fromkeys(words)
        # Emptying the cache is simpler than removing the oldest words, and rarely happens.
        if len(self._counts) + len(distinct) > self._max_remembered:
            self._counts.clear()
        new = [word for word in distinct if word not in self._counts]
        if not new:
            return
        encoding = self._tokenizer(
            new, is_split_into_words=True, add_special_tokens=False, verbose=False
        )
        word_ids = [word for word in encoding.word_ids() if word is not None]
        # `minlength` covers words at the end that have no pieces.
        counts = np.bincount(np.array(word_ids, dtype=np.int64), minlength=len(new))
        self._counts.update(zip(new, counts.tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class Request:
    """The part of a passage that one forward pass scores: some of its words and labels.

    Attributes:
        passage: The index of the passage.
        window: The words of the passage that the request holds, and those whose scores it keeps.
        words: The words of the window.
        first_label: The index of the first label among the labels of the passage.
        labels: The labels to ask about.
        n_pieces: The length of the model's input.
    """

    passage: int
    window: Window
    words: list[str]
    first_label: int
    labels: list[str]
    n_pieces: int


def keep_scores(request: Request, probs: Probabilities, scores: Probabilities) -> None:
    """Copy the answer to a request into the scores of its passage.

    Args:
        request: The request.
        probs: The answer, shape `(words, labels, 3)` for the words and labels of the request.
        scores: The scores of the whole passage, changed in place. Words of an overlap that belong
            to another window are left alone.
    """
    window = request.window
    last_label = request.first_label + len(request.labels)
    scores[window.keep_start : window.keep_end, request.first_label : last_label] = probs[
        window.keep_start - window.start : window.keep_end - window.start
    ]
