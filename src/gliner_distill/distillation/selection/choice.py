"""Choose the passages that a student learns most from.

The first choice is a spread sample. Later ones prefer words at which a quick student is in doubt,
and words about which the teacher has not been asked yet. What counts is the worth per word, since a
teacher's time is spent on words.
"""

import heapq
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from gliner_distill.entities import Entity

LEAST_SCORE: Final = 0.1
"""The threshold at which a quick student finds the entities that it is in doubt about."""

# Passages of a few words would otherwise be preferred for a single doubtful word.
_FEWEST_WORDS = 5

Words = Sequence[str]


def spread_sample(n_words: Sequence[int], max_words: float, *, seed: int = 0) -> list[int]:
    """Return the positions of random passages, as many as fit.

    Args:
        n_words: The number of words of each passage.
        max_words: The largest number of words.
        seed: The seed of the random order.
    """
    order = list(range(len(n_words)))
    random.Random(seed).shuffle(order)
    chosen: list[int] = []
    for position in order:
        if n_words[position] <= max_words:
            chosen.append(position)
            max_words -= n_words[position]
    return chosen


def choose_next(
    passages: Sequence[Words],
    found: Sequence[Sequence[Entity]],
    asked: Iterable[Words],
    max_words: float,
) -> list[int]:
    """Return the positions of the passages to ask about next, the most valuable first.

    The worth of a word is the student's doubt at it and the mean doubt at any word, both divided by
    one more than the number of times that the word was asked about, also in passages chosen before.
    A word that occurs nowhere else gets no share of the mean doubt, as nothing follows from it for
    other passages. The worth of a passage is that of its words, divided by their number.

    Args:
        passages: The words of the passages to choose from.
        found: The entities that a quick student finds in each at `LEAST_SCORE`.
        asked: The words of the passages that the teacher was asked about.
        max_words: The largest number of words.
    """
    doubts = [
        word_doubts(entities, len(words)) for entities, words in zip(found, passages, strict=True)
    ]
    n_words = [len(words) for words in passages]
    mean_doubt = sum(map(sum, doubts)) / max(sum(n_words), 1)
    forms = [[word.lower() for word in words] for words in passages]
    occurring = Counter(form for each in forms for form in each)
    n_asked = Counter(word.lower() for words in asked for word in words)

    def worth(position: int) -> float:
        total = sum(
            (doubt + mean_doubt * (occurring[form] > 1)) / (1 + n_asked[form])
            for form, doubt in zip(forms[position], doubts[position], strict=True)
        )
        return total / max(n_words[position], _FEWEST_WORDS)

    order, n_chosen = [], 0
    # A passage's worth only falls as others are chosen, so an old worth is never too low.
    heap = [(-worth(position), position) for position in range(len(passages))]
    heapq.heapify(heap)
    while heap:
        _, position = heapq.heappop(heap)
        now = worth(position)
        if heap and now < -heap[0][0]:
            heapq.heappush(heap, (-now, position))
            continue
        n_chosen += n_words[position]
        if n_chosen > max_words:
            break
        order.append(position)
        n_asked.update(forms[position])
    return order


def word_doubts(entities: Sequence[Entity], n_words: int) -> list[float]:
    """Return the doubt at each word: the chance of an error, shared by the words of an entity.

    >>> word_doubts([Entity(1, 3, "city", 0.75)], 4)
    [0.0, 0.125, 0.125, 0.0]
    """
    doubts = [0.0] * n_words
    for entity in entities:
        # If kept, it is wrong with the chance 1 - score; if left out, it is missed with its score.
        chance = min(entity.score, 1 - entity.score)
        for word in range(entity.start_word, entity.end_word):
            doubts[word] = max(doubts[word], chance / (entity.end_word - entity.start_word))
    return doubts
