"""The part of a student's computation that differs between the two heads, in numpy.

The input is the word vectors of the graph and their products with the labels. The output is all
logits, or only the (word, label) pairs whose probabilities are high enough to matter. The classes
of both heads implement one protocol, so the scorer works with either head.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gliner_distill.decoding import sigmoid
from gliner_distill.entities import END, INSIDE, START
from gliner_distill.runtime.heads import BOUNDARY, NONE
from gliner_distill.runtime.labels import EncodedLabels
from gliner_distill.spans import TagScores, join_words

Array = NDArray[np.float32]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

# Up to this many pairs, one einsum is faster than a matrix product per label.
_FEW_PAIRS = 64


@dataclass(frozen=True, slots=True)
class LabelColumns:
    """Labels in the form that the graph and the head need.

    Attributes:
        names: The labels, as in an entity's `label`.
        matrix: The graph's input `labels`, shape `(states, columns)`: for a `boundary` head the
            inside vectors of the labels, for a `softmax` head "none" and the labels.
        edges: The start and end vectors, shape `(labels, 2, states)`; empty for a `softmax` head.
        shifts: Shape `(labels,)`: the logits of the thresholds that are reported as 0.5.
    """

    names: tuple[str, ...]
    matrix: Array
    edges: Array
    shifts: Array


@dataclass(frozen=True, slots=True)
class Hits:
    """The (word, label) pairs of a batch whose scores are high enough; arrays of equal length.

    Attributes:
        row: The position of the passage in the batch.
        word: The position of the word.
        label: The number of the label.
        start: The probability that the word starts an entity of the label.
        end: The probability that it ends one.
        inside: The probability that it lies in one.
    """

    row: Ints
    word: Ints
    label: Ints
    start: Array
    end: Array
    inside: Array


class HeadScoring(Protocol):
    """The computations of one head; the weights belong to one student."""

    def columns(self, labels: EncodedLabels, shifts: Array) -> LabelColumns:
        """Return labels in the form that the graph and this head need; there must be a label."""
        ...

    def find_hits(
        self,
        vectors: Array,
        scores: Array,
        word_mask: Mask,
        columns: LabelColumns,
        thresholds: Array,
        label_mask: Mask | None,
    ) -> Hits:
        """Return the (word, label) pairs whose inside probability reaches the threshold.

        Args:
            vectors: The word vectors, shape `(batch, words, states)`.
            scores: Their products with the labels, shape `(batch, words, columns)`.
            word_mask: Shape `(batch, words)`, true at words that count.
            columns: The labels.
            thresholds: Shape `(labels,)`.
            label_mask: Shape `(batch, labels)`, true at labels that are asked; None for all.
        """
        ...

    def logits(self, states: Array, labels: EncodedLabels) -> Array:
        """Return the logits of words, in the shape that `Head.logits_shape` gives.

        Args:
            states: The word vectors, shape `(words, states)`.
            labels: The labels.
        """
        ...

    def span_logits(self, logits: Array) -> Array:
        """Return one logit per label for the span of all words, shape `(labels,)`.

        It is the logit whose probability `decode` gives the span as its score.
        """
        ...

    def group_words(self, scores: TagScores) -> TagScores:
        """Return scores in which the starts and ends of entities are marked."""
        ...


class BoundaryScoring:
    """A `boundary` head: start, end and inside probabilities of each label on its own."""

    def __init__(self, weights: Mapping[str, NDArray[Any]]) -> None:
        self._bias = weights["bias"].astype(np.float32)

    def columns(self, labels: EncodedLabels, shifts: Array) -> LabelColumns:
        """Return the inside vectors for the graph, and the start and end vectors."""
        matrix = np.ascontiguousarray(labels.vectors[:, INSIDE].T)
        edges = labels.vectors[:, [START, END]]
        return LabelColumns(labels.names, matrix, edges, shifts)

    def find_hits(
        self,
        vectors: Array,
        scores: Array,
        word_mask: Mask,
        columns: LabelColumns,
        thresholds: Array,
        label_mask: Mask | None,
    ) -> Hits:
        """Return the pairs, with start and end computed only where a word lies inside."""
        # Logits are compared with a value slightly below the threshold, because a logit and its
        # probability are rounded differently. The probabilities decide in the end, as in GLiNER.
        cuts = logit(thresholds) + columns.shifts - self._bias[INSIDE] - np.float32(1e-3)
        is_hit = scores >= cuts
        is_hit &= word_mask[:, :, None]
        if label_mask is not None:
            is_hit &= label_mask[:, None, :]
        flat = np.flatnonzero(is_hit)
        place, label = np.divmod(flat, scores.shape[2])
        row, word = np.divmod(place, scores.shape[1])
        shifts = columns.shifts[label]
        edges = _edge_products(vectors.reshape(-1, vectors.shape[2]), place, label, columns)
        start = sigmoid(edges[:, 0] + self._bias[START] - shifts)
        end = sigmoid(edges[:, 1] + self._bias[END] - shifts)
        inside = sigmoid(scores.reshape(-1)[flat] + self._bias[INSIDE] - shifts)
        # This removes the few pairs that only the lower cut admitted.
        keep = inside >= thresholds[label]
        return Hits(row[keep], word[keep], label[keep], start[keep], end[keep], inside[keep])

    def logits(self, states: Array, labels: EncodedLabels) -> Array:
        """Return logits, shape `(words, labels, 3)`."""
        flat = labels.vectors.reshape(-1, states.shape[1])
        products: Array = (states @ flat.T).reshape(len(states), len(labels.names), 3)
        return products + self._bias

    def span_logits(self, logits: Array) -> Array:
        """Return the smallest of the first start, the last end and all insides."""
        inside = logits[:, :, INSIDE].min(axis=0)
        smallest: Array = np.minimum(np.minimum(logits[0, :, START], logits[-1, :, END]), inside)
        return smallest

    def group_words(self, scores: TagScores) -> TagScores:
        """Return the scores as they are, since this head scores starts and ends itself."""
        return scores


class SoftmaxScoring:
    """A `softmax` head: each word has its likeliest label, or none."""

    def __init__(self, weights: Mapping[str, NDArray[Any]]) -> None:
        # The graph divides word vectors by the square root of their width; "none" must undo that.
        width = weights["none.weight"].shape[1]
        self._none = weights["none.weight"].astype(np.float32).T * np.float32(width**0.5)
        self._bias = weights["none.bias"].astype(np.float32)

    def columns(self, labels: EncodedLabels, shifts: Array) -> LabelColumns:
        """Return the vector of "none" and those of the labels."""
        matrix = np.concatenate([self._none, labels.vectors[:, 0].T], axis=1)
        # This head has no vectors for starts and ends.
        edges = np.zeros((0, 2, 0), dtype=np.float32)
        matrix = np.ascontiguousarray(matrix)
        return LabelColumns(labels.names, matrix, edges, shifts)

    def find_hits(
        self,
        vectors: Array,
        scores: Array,
        word_mask: Mask,
        columns: LabelColumns,
        thresholds: Array,
        label_mask: Mask | None,
    ) -> Hits:
        """Return each word with its likeliest label, where that is likely enough against "none"."""
        label_scores = scores[:, :, NONE + 1 :]
        if label_mask is not None:
            label_scores = np.where(label_mask[:, None, :], label_scores, -np.inf)
        best = label_scores.argmax(axis=2)
        margins: Array = label_scores.max(axis=2) - scores[:, :, NONE] - self._bias
        probs = sigmoid(margins - columns.shifts[best])
        # In a passage without labels the margins are -inf, but `sigmoid` clips them and returns
        # more than 0.
        row, word = np.nonzero((probs > thresholds[best]) & word_mask & np.isfinite(margins))
        prob = probs[row, word]
        return Hits(row, word, best[row, word], prob, prob, prob)

    def logits(self, states: Array, labels: EncodedLabels) -> Array:
        """Return logits, shape `(words, 1 + labels)`, "none" first."""
        none = states @ self._none + self._bias
        return np.concatenate([none, states @ labels.vectors[:, 0].T], axis=1)

    def span_logits(self, logits: Array) -> Array:
        """Return the smallest margin of a word against "none"."""
        smallest: Array = (logits[:, 1:] - logits[:, :1]).min(axis=0)
        return smallest

    def group_words(self, scores: TagScores) -> TagScores:
        """Return scores by which neighboring words of one label are one entity."""
        return join_words(scores)


def scoring_for(head: str, weights: Mapping[str, NDArray[Any]]) -> HeadScoring:
    """Return the computations of a head.

    Args:
        head: The name of the head.
        weights: The weights of the student by name.
    """
    return BoundaryScoring(weights) if head == BOUNDARY else SoftmaxScoring(weights)


def logit(probs: NDArray[np.floating]) -> Array:
    """Return the logits of probabilities; 0 and 1 give minus and plus infinity."""
    # The thresholds 0 and 1 are allowed, and their logits are infinite.
    with np.errstate(divide="ignore"):
        logits: Array = np.log(probs / (1 - probs.astype(np.float64))).astype(np.float32)
    return logits


def _edge_products(states: Array, place: Ints, label: Ints, columns: LabelColumns) -> Array:
    """Return the start and end products of words with labels, shape `(pairs, 2)`.

    Args:
        states: The word vectors, shape `(words, states)`.
        place: Shape `(pairs,)`, the row in `states` of each pair's word.
        label: Shape `(pairs,)`, the number of each pair's label.
        columns: The labels.
    """
    if len(place) <= _FEW_PAIRS:
        edges: Array = np.einsum("pks,ps->pk", columns.edges[label], states[place])
        return edges
    products = np.empty((len(place), 2), dtype=np.float32)
    # The numbers take as few bytes as possible, because numpy sorts narrow integers by radix.
    by_label = np.argsort(label.astype(np.min_scalar_type(len(columns.names))), kind="stable")
    bounds = np.flatnonzero(np.diff(label[by_label], prepend=-1)).tolist()
    for first, end in pairwise([*bounds, len(place)]):
        rows = by_label[first:end]
        products[rows] = states[place[rows]] @ columns.edges[label[rows[0]]].T
    return products
