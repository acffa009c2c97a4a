"""Passages, entities and words: the types that all other modules use.

A `Passage` is a list of words with the `Entity` spans annotated in it. Word positions are 0-based;
starts are inclusive and ends exclusive everywhere (file formats with inclusive ends are converted
where they are read). This module needs only numpy.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import islice
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from gliner_distill.errors import MissingExtraError
from gliner_distill.labels import clean_label

START, END, INSIDE = 0, 1, 2
"""The positions of the three probabilities on the last axis of every array of probabilities."""

_WORD = re.compile(r"\w+(?:[-_]\w+)*|\S")

# Texts without these characters, among which are all marks that belong to letters, take the simpler
# expression, which is faster.
_PERHAPS_MARKED = re.compile(
    "[\u0300-\u1fff\u200c\u200d\u20d0-\u20ff\u2cef-\u2cf1\u2d7f\u2de0-\u2dff\u302a-\u309a\ua66f-\uabff\ufb1e\ufe20-\ufe2f"
    "\U00010000-\U0001dfff]"
)


@dataclass(frozen=True, slots=True, order=True)
class Entity:
    """A labeled span of words: `words[start_word:end_word]`."""

    start_word: int
    end_word: int
    label: str
    score: float = field(default=1.0, compare=False)


class EntityDict(TypedDict):
    """An entity of a text as GLiNER returns it; plain JSON.

    Attributes:
        start: The first character.
        end: The character after the last one.
        text: The characters between them.
        label: The label.
        score: The probability, which exceeds the threshold; 1 for a pattern.
        class_probs: The scores of the labels that are likeliest for the span; only on demand.
        source: `pattern` if a checked pattern has found the entity. An entity that the model has
            found lacks this key, so that it has GLiNER's keys alone.
    """

    start: int
    end: int
    text: str
    label: str
    score: float
    class_probs: NotRequired[dict[str, float]]
    source: NotRequired[Literal["pattern"]]


def arrow_entities_type() -> Any:
    """Return the Arrow type of entities, `list<struct<start, end, text, label, score>>`.

    It is the type of the column `entities` in Parquet files and data frames.

    Raises:
        MissingExtraError: The package pyarrow is not installed.
    """
    try:
        import pyarrow as pa
    except ModuleNotFoundError as error:
        raise MissingExtraError("pyarrow", "parquet") from error

    fields = {"start": pa.int32(), "end": pa.int32()}
    fields |= {"text": pa.string(), "label": pa.string(), "score": pa.float64()}
    return pa.list_(pa.struct(list(fields.items())))


def table_entities(entities: Iterable[EntityDict]) -> list[dict[str, Any]]:
    """Return entities as a table has them: the five fields of all entities, and rounded scores.

    >>> table_entities([{"start": 0, "end": 3, "text": "Ada", "label": "person", "score": 0.98765}])
    [{'start': 0, 'end': 3, 'text': 'Ada', 'label': 'person', 'score': 0.9877}]
    """
    return [
        {
            "start": entity["start"],
            "end": entity["end"],
            "text": entity["text"],
            "label": entity["label"],
            "score": round(entity["score"], 4),
        }
        for entity in entities
    ]


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of text, split into words, with the entities annotated in it.

    Attributes:
        words: The words of the text, in order.
        entities: The annotated entities, without duplicates; they may nest, overlap, or share a
            span under several labels.
        labels: The labels that the annotator was asked for, present or not (`ner_labels` and
            `ner_negatives` of GLiNER's training format); empty if the file does not list any.
    """

    words: tuple[str, ...]
    entities: tuple[Entity, ...] = ()
    labels: tuple[str, ...] = ()

    def respell(self, spellings: Mapping[str, str]) -> "Passage":
        """Return the passage with its labels in other spellings.

        Args:
            spellings: The spelling of each label by its clean form; others stay as they are.
        """

        def respelled(label: str) -> str:
            return spellings.get(clean_label(label), label)

        entities = tuple(replace(entity, label=respelled(entity.label)) for entity in self.entities)
        return Passage(self.words, entities, tuple(map(respelled, self.labels)))

    @property
    def own_labels(self) -> tuple[str, ...]:
        """The labels of the entities, then the listed labels, each once."""
        return tuple(dict.fromkeys([entity.label for entity in self.entities] + list(self.labels)))


@dataclass(frozen=True, slots=True)
class LabeledPassage:
    """A passage, the labels that a teacher was asked for, and the teacher's answer.

    Attributes:
        passage: The words and the gold entities.
        labels: The labels that the teacher was asked for.
        probs: Shape `(words, labels, 3)`, float32: start, end and inside probabilities.
        individual_probs: The arrays of the individual teachers if `probs` is their mean and they
            were kept; otherwise empty.
    """

    passage: Passage
    labels: tuple[str, ...]
    probs: NDArray[np.float32]
    individual_probs: tuple[NDArray[np.float32], ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the passage."""
        return self.passage.words

    def respell(self, spellings: Mapping[str, str]) -> "LabeledPassage":
        """Return the passage with its labels in other spellings; see `Passage.respell`."""
        labels = tuple(spellings.get(clean_label(label), label) for label in self.labels)
        return replace(self, passage=self.passage.respell(spellings), labels=labels)


@dataclass(frozen=True, slots=True)
class WordSpan:
    """A word of a text and its position: `text[start_char:end_char]`."""

    text: str
    start_char: int
    end_char: int


def split_words(text: str) -> list[WordSpan]:
    r"""Return the words of a text, split as GLiNER's whitespace splitter does.

    A word consists of letters, digits and underscores, joined by single hyphens or underscores;
    any other character that is not white space is a word of its own. The regular expression is
    `\w+(?:[-_]\w+)*|\S`. Marks that belong to a letter, such as the vowel signs of Hindi, stay with
    it, although `\w` does not match them and GLiNER's splitter cuts the word there.

    >>> [word.text for word in split_words("Mary-Ann paid £3.50.")]
    ['Mary-Ann', 'paid', '£', '3', '.', '50', '.']
    >>> [word.text for word in split_words("हिन्दी में")]
    ['हिन्दी', 'में']
    """
    matches = _word_pattern(text).finditer(text)
    return [WordSpan(match[0], match.start(), match.end()) for match in matches]


def word_texts(text: str) -> list[str]:
    """Return the words of `split_words` as plain strings, which takes a third of the time."""
    return _word_pattern(text).findall(text)


def word_bounds(text: str, n_words: int | None = None) -> list[tuple[int, int]]:
    """Return the start and end character of each word of `split_words`.

    Args:
        text: The text.
        n_words: The number of words to look at, from the first one; None for all.
    """
    return [match.span() for match in islice(_word_pattern(text).finditer(text), n_words)]


def _word_pattern(text: str) -> re.Pattern[str]:
    """Return the expression that finds the words of a text."""
    if text.isascii() or _PERHAPS_MARKED.search(text) is None:
        return _WORD
    return _marked_word()


@cache
def _marked_word() -> re.Pattern[str]:
    """Return the expression for words whose letters may carry marks."""
    marks = "".join(
        character
        for character in map(chr, range(0x300, 0x1E000))
        # The marks between these numbers select the picture of a symbol, such as an emoji.
        if unicodedata.category(character) in ("Mn", "Mc") and not "\ufe00" <= character <= "\ufe0f"
    )
    # Two invisible characters join letters, or keep them apart, within a word.
    letters = rf"[\w{marks}\u200c\u200d]"
    return re.compile(rf"\w{letters}*(?:[-_]{letters}+)*|\S")


def count_words(passages: Iterable[Passage | LabeledPassage]) -> int:
    """Return the number of words in all passages together."""
    return sum(len(passage.words) for passage in passages)
