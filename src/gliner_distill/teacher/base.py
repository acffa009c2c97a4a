"""TODO-DOC."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float32]
"""Shape `(words, labels, 3)`, in [0, 1]: that a word starts, ends, lies inside an entity."""


class Teacher(Protocol):
    """Whatever can say how likely each word starts, ends or lies inside an entity of a label."""

    name: str
    """For people: a path or a hub id."""

    fingerprint: str
    """For stores: changes whenever the scores may change (a hash of weights and settings)."""

    def score_passages(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[Probabilities]:
        """Return one array a passage, shape `(words, labels, 3)`, float32, in [0, 1].

        Args:
            passages: The words of each passage; a passage may be longer than the teacher's window.
            labels: The labels asked of each passage, each once; they may differ by passage.
        """
        ...
