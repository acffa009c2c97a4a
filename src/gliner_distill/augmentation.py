"""Text altered in training: lower case, upper case, typing errors; the targets stay.

What people type is not what corpora print. A passage is altered as a whole, word by word, so that
each word keeps its place and the teacher's answers on the clean text still fit: the student learns
to answer as if the text were clean.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

from gliner_distill.examples import Example
from gliner_distill.features import Vocabulary

_MISTYPED_SHARE = 0.15
_MIN_MISTYPED_LETTERS = 4
_UPPER_SHARE, _LOWER_SHARE = 0.2, 0.4


def alter_example(
    example: Example, vocabulary: Vocabulary, *, share: float, draw: random.Random
) -> Example:
    """Return an example as it is, or, with a probability of `share`, with its words altered."""
    if draw.random() >= share:
        return example
    words = alter_words(example.item.passage.words, draw)
    return replace(example, words=vocabulary.encode_words(words))


def alter_words(words: Sequence[str], draw: random.Random) -> list[str]:
    """Return as many words, in lower case, in upper case, or about one in seven mistyped."""
    kind = draw.random()
    if kind < _UPPER_SHARE:
        return [word.upper() for word in words]
    if kind < _UPPER_SHARE + _LOWER_SHARE:
        return [word.lower() for word in words]
    return mistype_some(words, draw)


def mistype_some(words: Sequence[str], draw: random.Random) -> list[str]:
    """Return words with about one in seven of those of four letters or more mistyped."""
    return [
        mistype(word, draw)
        if len(word) >= _MIN_MISTYPED_LETTERS and draw.random() < _MISTYPED_SHARE
        else word
        for word in words
    ]


def mistype(word: str, draw: random.Random) -> str:
    """Return a word with one letter doubled, left out, or changed with the next.

    >>> sorted({mistype("city", random.Random(seed)) for seed in range(50)})[:4]
    ['ccity', 'ciity', 'cit', 'citty']
    """
    at = draw.randrange(len(word))
    kind = draw.randrange(3)
    if kind == 0:
        return word[: at + 1] + word[at:]
    if kind == 1 and len(word) > 1:
        return word[:at] + word[at + 1 :]
    return word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :]
