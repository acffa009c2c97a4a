"""Labeled passages of hand-written entities, for several test modules."""

import numpy as np

from gliner_distill.entities import END, INSIDE, START, Entity, LabeledPassage, Passage


def labeled(text, labels, teacher=(), gold=()):
    """Return a passage whose teacher says each entity of `teacher` with its score, else 0.02."""
    words = tuple(text.split())
    probs = np.full((len(words), len(labels), 3), 0.02, dtype=np.float32)
    for start, end, label, score in teacher:
        column = labels.index(label)
        probs[start:end, column, INSIDE] = score
        probs[start, column, START] = probs[end - 1, column, END] = score
    entities = tuple(Entity(*entity) for entity in gold)
    return LabeledPassage(Passage(words, entities), tuple(labels), probs)
