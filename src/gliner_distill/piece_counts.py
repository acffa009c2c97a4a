"""How many subword pieces words and labels have: each is tokenized once and remembered."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Some tens of megabytes at most, however long the corpus.
_MAX_REMEMBERED = 200_000


class PieceCounter:
    """Counts pieces with a tokenizer, without its special pieces."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._counts: dict[str, int] = {}

    def count(self, words: Sequence[str]) -> NDArray[np.int64]:
        """Return the pieces of each word, shape `(words,)`; 0 where a tokenizer drops a word."""
        self.learn(words)
        return np.fromiter((self._counts[word] for word in words), np.int64, len(words))

    def learn(self, words: Iterable[str]) -> None:
        """Count words that will be asked for; many at once take less time than a few at a time."""
        distinct = dict.fromkeys(words)
        if len(self._counts) + len(distinct) > _MAX_REMEMBERED:
            self._counts.clear()
        new = [word for word in distinct if word not in self._counts]
        if not new:
            return
        encoding = self._tokenizer(
            new, is_split_into_words=True, add_special_tokens=False, verbose=False
        )
        word_ids = [word for word in encoding.word_ids() if word is not None]
        counts = np.bincount(np.array(word_ids, dtype=np.int64), minlength=len(new))
        self._counts.update(zip(new, counts.tolist(), strict=True))
