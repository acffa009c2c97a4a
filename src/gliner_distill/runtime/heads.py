"""The two heads of a student, without torch: the meaning of its logits and how they are decoded.

A `softmax` head gives each word one distribution over its labels and "none"; it is the head of
Xu et al. A `boundary` head gives, for each label on its own, the probabilities that a word starts,
ends or lies inside an entity. `student.heads` adds the parts that training needs.
"""

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from gliner_distill.decoding import decode_entities, decode_words, sigmoid
from gliner_distill.entities import Entity
from gliner_distill.errors import SettingsError
from gliner_distill.specificity import LabelKinds

Array = NDArray[np.float32]

NONE: Final = 0
"""Index of "none" on the last axis of a softmax head's logits; label `i` has index `i + 1`."""


class Head(Protocol):
    """The properties in which the two heads differ.

    Attributes:
        name: The name in a configuration file.
        n_vectors: The number of vectors per label.
        has_independent_labels: Whether the scores of a label do not depend on the other labels, so
            that each label can have a threshold of its own.
    """

    name: str
    n_vectors: int
    has_independent_labels: bool

    def logits_shape(self, n_words: int, n_labels: int) -> tuple[int, ...]:
        """Return the shape of the logits of one passage."""
        ...

    def weight_shapes(self, state_width: int) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of each weight that only this head has.

        Args:
            state_width: The width of the word vectors.
        """
        ...

    def decode(
        self,
        logits: Array,
        labels: Sequence[str],
        *,
        threshold: float,
        kinds: LabelKinds | None = None,
    ) -> list[Entity]:
        """Return the entities of one passage, without overlaps, in order of position, with scores.

        Args:
            logits: Shape as in `logits_shape`.
            labels: The labels that are asked, each once.
            threshold: The probability that an entity must exceed.
            kinds: See `decoding.pick_entities`. The words of a softmax head have one label each, so
                its labels never compete.
        """
        ...


class SoftmaxHead:
    """One distribution per word over its labels and "none"; logits `(words, 1 + labels)`."""

    name = "softmax"
    n_vectors = 1
    has_independent_labels = False

    def logits_shape(self, n_words: int, n_labels: int) -> tuple[int, ...]:
        """Return the shape of the logits of one passage."""
        return n_words, 1 + n_labels

    def weight_shapes(self, state_width: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the layer that gives "none" its logit."""
        return {"none.weight": (1, state_width), "none.bias": (1,)}

    def decode(
        self,
        logits: Array,
        labels: Sequence[str],
        *,
        threshold: float,
        kinds: LabelKinds | None = None,
    ) -> list[Entity]:
        """Return the entities of one passage.

        A word has its likeliest label if that label's odds against "none" exceed those of the
        threshold: `p_c / (p_c + p_none) > threshold`. Neighboring words of one label are one
        entity, whose score is the smallest of its words' scores.
        """
        if not len(logits) or not labels:
            return []
        best = logits[:, 1:].argmax(axis=1)
        scores = sigmoid(logits[:, 1:].max(axis=1) - logits[:, NONE])
        return decode_words(best, scores, labels, threshold=threshold)


class BoundaryHead:
    """Start, end and inside probabilities per word and label; logits `(words, labels, 3)`."""

    name = "boundary"
    n_vectors = 3
    has_independent_labels = True

    def logits_shape(self, n_words: int, n_labels: int) -> tuple[int, ...]:
        """Return the shape of the logits of one passage."""
        return n_words, n_labels, 3

    def weight_shapes(self, state_width: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of the bias, one number each for start, end and inside."""
        return {"bias": (self.n_vectors,)}

    def decode(
        self,
        logits: Array,
        labels: Sequence[str],
        *,
        threshold: float,
        kinds: LabelKinds | None = None,
    ) -> list[Entity]:
        """Return the entities of one passage; see `decode_entities`."""
        if not len(logits) or not labels:
            return []
        return decode_entities(sigmoid(logits), labels, threshold=threshold, kinds=kinds)


SOFTMAX: Final = SoftmaxHead.name
BOUNDARY: Final = BoundaryHead.name
HEAD_NAMES: Final = (SOFTMAX, BOUNDARY)


def head_named(name: str) -> Head:
    """Return the head with a name.

    Raises:
        SettingsError: No head has this name.
    """
    if name == BOUNDARY:
        return BoundaryHead()
    if name == SOFTMAX:
        return SoftmaxHead()
    raise SettingsError(f"head is {name!r}; expected one of {', '.join(HEAD_NAMES)}")
