"""Errors in the labels of passages: of the annotation, or of a teacher's answers.

Each entity is hit with the same probability. It gets another label of the passage, is moved by a
word, or is dropped. In a passage with a single label, another label means that the entity is
dropped, too. The errors of a passage are drawn by its words, so all runs of a study see the same
ones.
"""

import random
from dataclasses import replace
from typing import Any, Final

import numpy as np

from gliner_distill.decoding import decode_entities
from gliner_distill.entities import Entity, LabeledPassage

KINDS: Final = ("another label", "moved", "dropped")

_ABSENT: Final = 0.02
"""The probability of an entity of the teacher that was dropped."""


def with_wrong_gold(item: LabeledPassage, kind: str, share: float) -> LabeledPassage:
    """Return a passage in whose annotation a share of the entities is wrong."""
    errors = _Errors(item, kind, share)
    entities = [new for old in item.passage.entities for new in errors.entity(old)]
    return replace(item, passage=replace(item.passage, entities=tuple(entities)))


def with_wrong_answers(item: LabeledPassage, kind: str, share: float) -> LabeledPassage:
    """Return a passage in whose soft labels a share of the teacher's entities is wrong."""
    errors = _Errors(item, kind, share)
    probs = item.probs.copy()
    for entity in decode_entities(item.probs, item.labels):
        errors.change_probs(probs, entity)
    return replace(item, probs=probs)


class _Errors:
    """The errors of one passage, drawn by its words, so that they are the same in all runs."""

    def __init__(self, item: LabeledPassage, kind: str, share: float) -> None:
        self._labels = item.labels
        self._n_words = len(item.passage.words)
        self._kind = kind
        self._share = share
        self._random = random.Random(" ".join(item.passage.words))

    def entity(self, entity: Entity) -> list[Entity]:
        """Return what becomes of an entity."""
        if self._random.random() >= self._share:
            return [entity]
        if self._kind == "another label":
            others = [label for label in self._labels if label != entity.label]
            # In a passage with a single label, another label means that there is nothing.
            return [replace(entity, label=self._random.choice(others))] if others else []
        if self._kind == "moved":
            return [self._moved(entity)]
        return []

    def _moved(self, entity: Entity) -> Entity:
        steps = [
            step
            for step in (-1, 1)
            if entity.start_word + step >= 0 and entity.end_word + step <= self._n_words
        ]
        step = self._random.choice(steps or [0])
        return replace(entity, start_word=entity.start_word + step, end_word=entity.end_word + step)

    def change_probs(self, probs: Any, entity: Entity) -> None:
        """Change a teacher's probabilities as if it had made the error."""
        [after] = self.entity(entity) or [None]
        if after == entity:
            return
        before = self._labels.index(entity.label)
        words = slice(entity.start_word, entity.end_word)
        found = probs[words, before].copy()
        if after is not None and after.label != entity.label:
            # The two labels change places, so a word's probabilities stay as sure as they were.
            other = self._labels.index(after.label)
            probs[words, before] = probs[words, other]
            probs[words, other] = found
            return
        probs[words, before] = np.minimum(found, _ABSENT)
        if after is not None:
            probs[after.start_word : after.end_word, before] = found
