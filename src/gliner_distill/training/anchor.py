"""Keep the comparison of labels of a student while it learns something else.

A student that compares labels has learned it from pairs of broad and specific labels. Passages do
not teach it, and the layers that it shares with the rest of the label tower change. The anchor
keeps its own layer as it is, and holds its outputs for the labels of the passages near those of the
start.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from gliner_distill.entities import LabeledPassage
from gliner_distill.runtime.vocabulary import Vocabulary
from gliner_distill.student.batch import Batch
from gliner_distill.student.model import Student
from gliner_distill.student.relations import kind_outputs, kind_rows

ANCHOR_WEIGHT: Final = 3.0
"""The weight of the squared distance from the start, relative to the loss of the passages."""


class RelationAnchor:
    """The outputs of `label_kind` at the start of training, for all labels of the passages.

    Args:
        student: A student with a `relation_width`, with the weights of the start.
        vocabulary: Its subword pieces.
        passages: The passages that it will learn from.
    """

    def __init__(
        self, student: Student, vocabulary: Vocabulary, passages: Iterable[LabeledPassage]
    ) -> None:
        labels = list(dict.fromkeys(label for passage in passages for label in passage.labels))
        self._row_of = {label: row for row, label in enumerate(labels)}
        self._outputs = torch.from_numpy(kind_rows(student, vocabulary, labels))

    def outputs(self, labels: Iterable[Sequence[str]]) -> Tensor:
        """Return the outputs for the distinct labels of a batch, in the order of `make_batch`.

        Args:
            labels: The labels of each passage of the batch.
        """
        distinct = dict.fromkeys(label for asked in labels for label in asked)
        return self._outputs[[self._row_of[label] for label in distinct]]


def make_anchor(
    student: Student, vocabulary: Vocabulary, passages: Iterable[LabeledPassage]
) -> RelationAnchor | None:
    """Return the anchor of a student; None if it does not compare labels."""
    if not student.config.relation_width:
        return None
    return RelationAnchor(student, vocabulary, passages)


def anchor_loss(student: Student, batch: Batch, outputs: Tensor) -> Tensor:
    """Return the weighted mean squared distance from the outputs of the start, a scalar.

    Args:
        student: The student in training.
        batch: The batch.
        outputs: The outputs of the start for its distinct labels, from `RelationAnchor.outputs`.
    """
    if not len(outputs):
        return outputs.new_zeros(())
    now = kind_outputs(student, batch.label_piece_ids, batch.label_starts)
    return ANCHOR_WEIGHT * functional.mse_loss(now.float(), outputs)
