"""Passages, their entities, and how probabilities become entities.

What everything else speaks of: a `Passage` is a list of words with the `Entity` spans annotated in
it. Word positions are 0-based; starts are inclusive and ends exclusive throughout the package
(file formats with inclusive ends are converted where they are read). Needs numpy alone.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

START, END, INSIDE = 0, 1, 2
"""Positions of the three probabilities on the last axis of every score array."""

_WORD = re.compile(r"\w+(?:[-_]\w+)*|\S")


@dataclass(frozen=True, slots=True, order=True)
class Entity:
    """A labelled span of words: `words[start_word:end_word]`."""

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


def resolve_overlaps(
    candidates: Iterable[Entity], *, flat_ner: bool = True, multi_label: bool = False
) -> list[Entity]:
    """Return the candidates that a greedy reader keeps, in order of position.

    The best score wins; whatever clashes with it is dropped. Among equal scores the one that comes
    first in `candidates` wins. These are GLiNER's rules.

    Args:
        candidates: Entities with scores.
        flat_ner: Whether entities that share a word clash; if not, one may lie inside another.
        multi_label: Whether a span may have several labels.
    """
    kept: list[Entity] = []
    kept_at: dict[int, list[Entity]] = {}  # only what shares a word can clash
    for entity in sorted(candidates, key=lambda entity: -entity.score):
        words = range(entity.start_word, entity.end_word)
        others = (other for word in words for other in kept_at.get(word, ()))
        if not any(_clash(entity, other, flat_ner, multi_label) for other in others):
            kept.append(entity)
            for word in words:
                kept_at.setdefault(word, []).append(entity)
    return sorted(kept, key=lambda entity: entity.start_word)


def _clash(one: Entity, other: Entity, flat_ner: bool, multi_label: bool) -> bool:
    """Say whether two entities that share a word may not both stand."""
    if (one.start_word, one.end_word) == (other.start_word, other.end_word):
        return not multi_label
    if flat_ner:
        return True
    inner, outer = sorted((one, other), key=lambda entity: entity.end_word - entity.start_word)
    return not (outer.start_word <= inner.start_word and inner.end_word <= outer.end_word)


def decode_entities(
    probs: NDArray[np.floating],
    labels: Sequence[str],
    *,
    threshold: float = 0.5,
    flat_ner: bool = True,
    multi_label: bool = False,
) -> list[Entity]:
    """Return the entities that start/end/inside probabilities stand for.

    A span of one label is a candidate when its first word's start and its last word's end exceed
    the threshold and no inside probability between them falls below it. Its score is the smallest
    of these probabilities, as in GLiNER's token decoder. `resolve_overlaps` then picks.

    Among equal scores the one that starts first wins, then the first label, then the shorter: the
    order of GLiNER's token decoder. For probabilities taken from a span GLiNER's scores (maxima
    over the spans that start at, end at or cover a word) the result is nearly always that of the
    span decoder: a real span's score is its own, and what is made up of two spans scores no more
    than either.

    Args:
        probs: Shape `(words, labels, 3)`, probabilities in [0, 1]: start, end, inside.
        labels: The labels of the second axis.
        threshold: Probability that start and end must exceed.
        flat_ner: See `resolve_overlaps`.
        multi_label: See `resolve_overlaps`.
    """
    candidates: list[tuple[int, Entity]] = []
    for index, label in enumerate(labels):
        label_probs = probs[:, index, :]
        starts = np.flatnonzero(label_probs[:, START] > threshold)
        ends = np.flatnonzero(label_probs[:, END] > threshold)
        breaks = np.flatnonzero(label_probs[:, INSIDE] < threshold)
        for start in starts.tolist():
            next_break = np.searchsorted(breaks, start)
            limit = breaks[next_break] if next_break < len(breaks) else len(label_probs)
            for end in ends[(ends >= start) & (ends < limit)].tolist():
                start_prob, end_prob = label_probs[start, START], label_probs[end, END]
                inside = label_probs[start : end + 1, INSIDE].min()
                score = float(min(start_prob, end_prob, inside))
                candidates.append((index, Entity(start, end + 1, label, score)))
    candidates.sort(key=lambda found: (found[1].start_word, found[0], found[1].end_word))
    entities = (entity for _, entity in candidates)
    return resolve_overlaps(entities, flat_ner=flat_ner, multi_label=multi_label)


def entities_to_probs(
    entities: Iterable[Entity], labels: Sequence[str], n_words: int
) -> NDArray[np.float32]:
    """Return start/end/inside probabilities that stand for entities, shape `(words, labels, 3)`.

    For teachers that find entities rather than score words: a dictionary, spaCy, a language model.
    An entity's score is the start probability of its first word, the end probability of its last
    and the inside probability of all its words; where several of one label meet, the largest wins.
    Everything else is 0. `decode_entities` gives entities that share no word back.

    Args:
        entities: What was found; scores in [0, 1]. Those of labels not in `labels` are left out.
        labels: The labels of the second axis, each once.
        n_words: Words of the passage.

    Raises:
        ValueError: An entity lies outside the words or holds none, or its score is outside [0, 1].

    >>> probs = entities_to_probs([Entity(1, 3, "city", 0.5)], ["river", "city"], n_words=3)
    >>> probs[:, 1].tolist()  # of each word: start, end, inside
    [[0.0, 0.0, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5]]
    """
    probs = np.zeros((n_words, len(labels), 3), dtype=np.float32)
    index_of = {label: index for index, label in enumerate(labels)}
    for entity in entities:
        _check_entity(entity, n_words)
        if entity.label in index_of:
            of_label = probs[entity.start_word : entity.end_word, index_of[entity.label]]
            of_label[:, INSIDE] = np.maximum(of_label[:, INSIDE], entity.score)
            of_label[0, START] = max(of_label[0, START], entity.score)
            of_label[-1, END] = max(of_label[-1, END], entity.score)
    return probs


def _check_entity(entity: Entity, n_words: int) -> None:
    if not 0 <= entity.start_word < entity.end_word <= n_words:
        raise ValueError(f"{entity} is no span of a passage of {n_words} words")
    if not 0 <= entity.score <= 1:
        raise ValueError(f"{entity} has a score outside [0, 1]")


def entities_from_word_labels(word_labels: Sequence[str | None]) -> list[Entity]:
    """Return the entities of a passage whose every word has one label or none.

    Neighbouring words of one label form one entity, so two entities of a label that touch come
    back as one: a distribution a word cannot tell them apart.

    >>> entities_from_word_labels(["city", "city", None, "city"])
    [Entity(start_word=0, end_word=2, label='city', score=1.0), \
Entity(start_word=3, end_word=4, label='city', score=1.0)]
    """
    changes = [
        position
        for position in range(len(word_labels) + 1)
        if position in (0, len(word_labels)) or word_labels[position] != word_labels[position - 1]
    ]
    return [
        Entity(start, end, label)
        for start, end in pairwise(changes)
        if (label := word_labels[start]) is not None
    ]
