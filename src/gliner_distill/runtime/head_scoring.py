"""The part of a student's computation that differs between the two heads.

The input is word vectors, which the kernel compares with labels. The output is all logits, or only
the (word, label) pairs whose probabilities are high enough to matter. The classes of both heads
implement one protocol, so the scorer works with either head.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gliner_distill.entities import END, INSIDE, START
from gliner_distill.kernel.arithmetic import logit
from gliner_distill.kernel.kernels import Kernel, LoadedSearch
from gliner_distill.kernel.networks import OUTPUT_STEP, SpanSearch, pad, round_up
from gliner_distill.runtime.heads import BOUNDARY, NONE
from gliner_distill.runtime.labels import EncodedLabels
from gliner_distill.runtime.score_map import ScoreMap
from gliner_distill.spans import TagScores, join_words
from gliner_distill.specificity import LabelKinds

Array = NDArray[np.float32]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LabelColumns:
    """Labels in the form that the kernel and the head need; vectors are padded with zeros.

    Attributes:
        names: The labels, as in an entity's `label`.
        vectors: What all words are compared with, shape `(columns, width)`: for a `boundary` head
            the inside vectors of the labels, for a `softmax` head "none" and the labels.
        edges: The start and end vectors, shape `(2 * labels, width)`; empty for a `softmax` head.
        shifts: Shape `(labels,)`: the logits of the thresholds that are reported as 0.5.
    """

    names: tuple[str, ...]
    vectors: Array
    edges: Array
    shifts: Array


@dataclass(frozen=True, slots=True)
class Hits:
    """The (word, label) pairs whose scores are high enough; arrays of equal length.

    Attributes:
        place: The row of the word's vector.
        label: The number of the label.
        start: The probability that the word starts an entity of the label.
        end: The probability that it ends one.
        inside: The probability that it lies in one.
    """

    place: Ints
    label: Ints
    start: Array
    end: Array
    inside: Array


@dataclass(frozen=True, slots=True)
class SearchRules:
    """The rules by which spans are found; see `decoding.decode_scores`.

    Attributes:
        thresholds: Shape `(labels,)`.
        kinds: The numbers by which labels are compared; None without.
        flat_ner: Whether entities may not overlap.
        multi_label: Whether a span may have several labels.
        score_map: The map from the student's own scores to those that are reported; None without.
    """

    thresholds: Array
    kinds: LabelKinds | None
    flat_ner: bool
    multi_label: bool
    score_map: ScoreMap | None = None


class HeadScoring(Protocol):
    """The computations of one head; the weights belong to one student."""

    def columns(self, labels: EncodedLabels, shifts: Array) -> LabelColumns:
        """Return labels in the form that the kernel and this head need; there must be a label."""
        ...

    def find_hits(
        self, vectors: Array, columns: LabelColumns, thresholds: Array, labels: Ints | None
    ) -> Hits:
        """Return the (word, label) pairs whose inside probability reaches the threshold.

        Args:
            vectors: The word vectors, shape `(words, width)`.
            columns: The labels.
            thresholds: Shape `(labels,)`.
            labels: The numbers of the labels that are asked; None for all.
        """
        ...

    def search(self, columns: LabelColumns, rules: SearchRules) -> LoadedSearch | None:
        """Return the search for spans in whole passages; None where `decoding` must do it."""
        ...

    def logits(self, states: Array, labels: EncodedLabels) -> Array:
        """Return the logits of words, in the shape that `Head.logits_shape` gives.

        Args:
            states: The word vectors, shape `(words, width)`.
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

    def __init__(self, weights: Mapping[str, NDArray[Any]], kernel: Kernel) -> None:
        self._bias = weights["bias"].astype(np.float32)
        self._kernel = kernel

    def columns(self, labels: EncodedLabels, shifts: Array) -> LabelColumns:
        """Return the inside vectors, and the start and end vectors."""
        width = labels.vectors.shape[-1]
        edges = labels.vectors[:, [START, END]].reshape(2 * len(labels.names), width)
        inside = _pad_width(labels.vectors[:, INSIDE])
        return LabelColumns(labels.names, inside, _pad_width(edges), shifts)

    def find_hits(
        self, vectors: Array, columns: LabelColumns, thresholds: Array, labels: Ints | None
    ) -> Hits:
        """Return the pairs, with start and end computed only where a word lies inside."""
        asked = slice(None) if labels is None else labels
        scores = self._kernel.compare(vectors, columns.vectors[asked])
        cuts = self.cuts(columns, thresholds)
        flat = np.flatnonzero(scores >= cuts[asked, None])
        label, place = np.divmod(flat, len(vectors))
        label = label if labels is None else labels[label]
        shifts = columns.shifts[label]
        pairs = np.concatenate([place, place]), np.concatenate([2 * label, 2 * label + 1])
        edges = self._kernel.compare_pairs(vectors, columns.edges, *pairs)
        products = np.concatenate([edges, scores.reshape(-1)[flat]]).reshape(3, len(flat))
        logits = products + self._bias[[START, END, INSIDE], None] - shifts
        start, end, inside = self._kernel.logistic(logits)
        # This removes the few pairs that only the lower cut admitted.
        keep = inside >= thresholds[label]
        return Hits(place[keep], label[keep], start[keep], end[keep], inside[keep])

    def cuts(self, columns: LabelColumns, thresholds: Array) -> Array:
        """Return the product below which a word does not lie inside, shape `(labels,)`."""
        # Logits are compared with a value slightly below the threshold, because a logit and its
        # probability are rounded differently. The probabilities decide in the end, as in GLiNER.
        logits = logit(thresholds).astype(np.float32)
        cuts: Array = logits + columns.shifts - self._bias[INSIDE] - np.float32(1e-3)
        return cuts

    def search(self, columns: LabelColumns, rules: SearchRules) -> LoadedSearch | None:
        """Return the search, which compares labels where neither overlaps nor several may be."""
        kinds = None
        if rules.kinds is not None and rules.flat_ner and not rules.multi_label:
            narrow, broad, breadth = rules.kinds.in_steps()
            kinds = narrow.astype(np.int32), broad.astype(np.int32), breadth.astype(np.int64)
        search = SpanSearch(
            inside=columns.vectors,
            edges=columns.edges,
            none=None,
            cuts=self.cuts(columns, rules.thresholds),
            shifts=columns.shifts,
            thresholds=rules.thresholds,
            bias=self._bias[[START, END, INSIDE]],
            kinds=kinds,
            score_map=rules.score_map.lines() if rules.score_map else None,
            is_flat=rules.flat_ner,
            is_multi=rules.multi_label,
        )
        return self._kernel.load_search(search)

    def logits(self, states: Array, labels: EncodedLabels) -> Array:
        """Return logits, shape `(words, labels, 3)`."""
        width = labels.vectors.shape[-1]
        flat = _pad_width(labels.vectors.reshape(3 * len(labels.names), width))
        products = self._kernel.compare(states, flat).T
        return products.reshape(len(states), len(labels.names), 3) + self._bias

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

    def __init__(self, weights: Mapping[str, NDArray[Any]], kernel: Kernel) -> None:
        # The word vectors are divided by the square root of their width; "none" must undo that.
        width = weights["none.weight"].shape[1]
        self._none = weights["none.weight"].astype(np.float32) * np.float32(width**0.5)
        self._bias = weights["none.bias"].astype(np.float32)
        self._kernel = kernel

    def columns(self, labels: EncodedLabels, shifts: Array) -> LabelColumns:
        """Return the vector of "none" and those of the labels."""
        vectors = _pad_width(np.concatenate([self._none, labels.vectors[:, 0]]))
        # This head has no vectors for starts and ends.
        return LabelColumns(labels.names, vectors, np.zeros((0, 0), np.float32), shifts)

    def find_hits(
        self, vectors: Array, columns: LabelColumns, thresholds: Array, labels: Ints | None
    ) -> Hits:
        """Return each word with its likeliest label, where that is likely enough against "none"."""
        numbers = np.arange(len(columns.names)) if labels is None else labels
        if not len(numbers):
            nothing, no_score = np.zeros(0, np.int64), np.zeros(0, np.float32)
            return Hits(nothing, nothing, no_score, no_score, no_score)
        asked = columns.vectors[np.append(NONE, numbers + 1)]
        scores = self._kernel.compare(vectors, asked)
        best = numbers[scores[1:].argmax(axis=0)]
        margins: Array = scores[1:].max(axis=0) - scores[NONE] - self._bias
        probs = self._kernel.logistic(margins - columns.shifts[best])
        place = np.flatnonzero(probs > thresholds[best])
        prob = probs[place]
        return Hits(place, best[place], prob, prob, prob)

    def search(self, columns: LabelColumns, rules: SearchRules) -> LoadedSearch | None:
        """Return the search; words have one label each, so labels are not compared."""
        search = SpanSearch(
            inside=columns.vectors[NONE + 1 :],
            edges=None,
            none=columns.vectors[NONE],
            cuts=np.zeros(len(columns.names), np.float32),
            shifts=columns.shifts,
            thresholds=rules.thresholds,
            bias=np.append(self._bias, np.zeros(2, np.float32)),
            kinds=None,
            score_map=None,  # this head has none
            is_flat=rules.flat_ner,
            is_multi=rules.multi_label,
        )
        return self._kernel.load_search(search)

    def logits(self, states: Array, labels: EncodedLabels) -> Array:
        """Return logits, shape `(words, 1 + labels)`, "none" first."""
        vectors = _pad_width(np.concatenate([self._none, labels.vectors[:, 0]]))
        logits = np.ascontiguousarray(self._kernel.compare(states, vectors).T)
        logits[:, NONE] += self._bias
        return logits

    def span_logits(self, logits: Array) -> Array:
        """Return the smallest margin of a word against "none"."""
        smallest: Array = (logits[:, 1:] - logits[:, :1]).min(axis=0)
        return smallest

    def group_words(self, scores: TagScores) -> TagScores:
        """Return scores by which neighboring words of one label are one entity."""
        return join_words(scores)


def scoring_for(head: str, weights: Mapping[str, NDArray[Any]], kernel: Kernel) -> HeadScoring:
    """Return the computations of a head.

    Args:
        head: The name of the head.
        weights: The weights of the student by name.
        kernel: The kernel.
    """
    scoring = BoundaryScoring if head == BOUNDARY else SoftmaxScoring
    return scoring(weights, kernel)


def _pad_width(vectors: Array) -> Array:
    """Return vectors as wide as the word vectors of the kernel."""
    return pad(vectors, len(vectors), round_up(vectors.shape[1], OUTPUT_STEP))
