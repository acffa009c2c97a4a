"""How many subword pieces words and labels have: each is tokenized once and remembered."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliner_distill.teacher.base import Probabilities
from gliner_distill.windows import Window

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


@dataclass(frozen=True, slots=True)
class _Request:
    """One forward pass's share of a passage: some of its words with some of its labels."""

    passage: int
    window: Window
    words: list[str]
    first_label: int
    labels: list[str]
    n_pieces: int


def _copy_kept(request: _Request, probs: Probabilities, scores: Probabilities) -> None:
    """Copy what counts of a request's answer to its place in its passage's scores."""
    window = request.window
    last_label = request.first_label + len(request.labels)
    scores[window.keep_start : window.keep_end, request.first_label : last_label] = probs[
        window.keep_start - window.start : window.keep_end - window.start
    ]


def _batches_by_length(requests: list[_Request], batch_pieces: int) -> Iterator[list[_Request]]:
    """Yield batches of like length, the longest first, so that too little memory shows at once."""
    batch: list[_Request] = []
    for request in sorted(requests, key=lambda request: -request.n_pieces):
        if batch and (len(batch) + 1) * batch[0].n_pieces > batch_pieces:
            yield batch
            batch = []
        batch.append(request)
    if batch:
        yield batch
