"""Warn about labels that a student is not likely to learn well."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from gliner_distill.entities import END, INSIDE, START, LabeledPassage
from gliner_distill.labeling.synonyms import labels_overlap


def warn_about_synonyms(labels: Sequence[str]) -> list[str]:
    """Return a warning for each two labels that mean the same.

    >>> warn_about_synonyms(["company", "city", "firm"])
    ["labels 'company' and 'firm' mean the same; keep one of them, or entities of one may be found \
as the other"]
    """
    return [
        f"labels {first!r} and {second!r} mean the same; keep one of them, or entities of one may "
        "be found as the other"
        for first, second in combinations(labels, 2)
        if labels_overlap(first, second)
    ]


def warn_about_unseen_labels(
    passages: Sequence[LabeledPassage], labels: Sequence[str]
) -> list[str]:
    """Return a warning, with the best score, for each label that the teacher never finds.

    A label that the passages are annotated with is learned from the annotation, so there is no
    warning about it.

    Args:
        passages: The training passages; each was asked for `labels`, in that order.
        labels: The labels.
    """
    best = np.zeros(len(labels))
    for passage in passages:
        missing = np.flatnonzero(best <= 0.5)
        if not len(missing):
            break
        best[missing] = np.maximum(best[missing], best_span_probs(passage.probs[:, missing]))
    annotated = {entity.label for passage in passages for entity in passage.passage.entities}
    return [
        f"the teacher finds no {label!r} in the training text (its best score is {score:.2f}, not "
        "above 0.5), so the student learns to find none; choose another word for it, or leave it "
        "out"
        for label, score in zip(labels, best.tolist(), strict=True)
        if score <= 0.5 and label not in annotated
    ]


def best_span_probs(probs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the score of each label's best span, shape `(labels,)`; 0 if there is no word.

    A span's score is that of `decode_entities`: the smallest of the start probability of its first
    word, the end probability of its last word, and the inside probabilities of all its words.

    Args:
        probs: Shape `(words, labels, 3)`.
    """
    # The best span that is open at a word either starts there or was open at the word before.
    is_open = best = np.zeros(probs.shape[1], dtype=np.float32)
    for word in probs:
        is_open = np.minimum(word[:, INSIDE], np.maximum(word[:, START], is_open))
        best = np.maximum(best, np.minimum(is_open, word[:, END]))
    return best
