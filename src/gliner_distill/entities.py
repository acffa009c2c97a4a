"""Passages, their entities, and how probabilities become entities.

What everything else speaks of: a `Passage` is a list of words with the `Entity` spans annotated in
it. Word positions are 0-based; starts are inclusive and ends exclusive throughout the package
(file formats with inclusive ends are converted where they are read). Needs numpy alone.
"""

import re
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

START, END, INSIDE = 0, 1, 2
"""Positions of the three probabilities on the last axis of every score array."""


_WORD = re.compile(r"\w+(?:[-_]\w+)*|\S")


@dataclass(frozen=True, slots=True, order=True)
class Entity:
    """A labeled span of words: `words[start_word:end_word]`."""

    start_word: int
    end_word: int
    label: str
    score: float = field(default=1.0, compare=False)


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of text, split into words, with the entities annotated in it.

    Attributes:
        words: The text's words, in order.
        entities: The annotated entities, without duplicates; they may nest, overlap, or share a
            span under several labels.
        labels: Labels that the annotator was asked for, present or not (`ner_labels` and
            `ner_negatives` of GLiNER's training form); empty where the file does not say.
    """

    words: tuple[str, ...]
    entities: tuple[Entity, ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def own_labels(self) -> tuple[str, ...]:
        """The labels asked of this passage: its entities' and those listed, each once, in order."""
        return tuple(dict.fromkeys([entity.label for entity in self.entities] + list(self.labels)))


@dataclass(frozen=True, slots=True)
class WordSpan:
    """A word of a text and where it stands: `text[start_char:end_char]`."""

    text: str
    start_char: int
    end_char: int


def split_words(text: str) -> list[WordSpan]:
    r"""Return the words of a text as GLiNER's whitespace splitter does.

    A word is letters, digits and underscores, joined by single hyphens or underscores, or else one
    character that is not white space: the expression `\w+(?:[-_]\w+)*|\S`.

    >>> [word.text for word in split_words("Mary-Ann paid £3.50.")]
    ['Mary-Ann', 'paid', '£', '3', '.', '50', '.']
    """
    return [WordSpan(match[0], match.start(), match.end()) for match in _WORD.finditer(text)]


def word_texts(text: str) -> list[str]:
    """Return the words of `split_words` as strings alone, in a third of its time."""
    return _WORD.findall(text)


def word_bounds(text: str) -> list[tuple[int, int]]:
    """Return where the words of `split_words` begin and end, in characters."""
    return [match.span() for match in _WORD.finditer(text)]


@dataclass(frozen=True, slots=True)
class LabeledPassage:
    """A passage, the labels a teacher was asked about it, and what the teacher said.

    Attributes:
        passage: Words and gold entities.
        labels: The labels asked.
        probs: Shape `(words, labels, 3)`, float32: start, end, inside probabilities.
        each: Of several teachers whose mean `probs` is, the same of each; else empty.
    """

    passage: Passage
    labels: tuple[str, ...]
    probs: NDArray[np.float32]
    each: tuple[NDArray[np.float32], ...] = ()
