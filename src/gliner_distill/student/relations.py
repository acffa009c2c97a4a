"""The comparison of labels in torch: which of two labels is the more specific.

`specificity` describes the comparison and the rule that uses it.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from gliner_distill.runtime.vocabulary import Vocabulary
from gliner_distill.student.model import Student


def kind_outputs(student: Student, piece_ids: Tensor, starts: Tensor) -> Tensor:
    """Return the numbers by which labels are compared, without dropout.

    A gradient reaches the layers that the comparison shares with the rest of the label tower. None
    reaches its own layer, which has nothing to learn from passages, nor the vectors of the pieces,
    because the backward pass would fill a whole table for them.

    Args:
        student: A student with a `relation_width`.
        piece_ids: The pieces of all labels, shape `(pieces,)`, int64.
        starts: The position of each label's first piece, shape `(labels,)`.

    Returns:
        Shape `(labels, 2 * relation_width + 1)`; see `LabelKinds.from_rows`.
    """
    pieces = student.pieces.weight.detach()[piece_ids]
    read = student.read_labels(pieces, starts, with_dropout=False)
    layer = student.label_kind
    outputs: Tensor = functional.linear(read, layer.weight.detach(), layer.bias.detach())
    return outputs


@torch.inference_mode()
def kind_rows(
    student: Student, vocabulary: Vocabulary, labels: Sequence[str]
) -> NDArray[np.float32]:
    """Return the numbers by which a student compares labels, as the runtime computes them.

    Args:
        student: A student with a `relation_width`, on any device.
        vocabulary: Its subword pieces.
        labels: The labels.

    Returns:
        Shape `(labels, 2 * relation_width + 1)`; see `LabelKinds.from_rows`.
    """
    if not labels:
        return np.zeros((0, 2 * student.config.relation_width + 1), dtype=np.float32)
    encoded = [vocabulary.encode_label(label) for label in labels]
    lengths = np.array([len(pieces) for pieces in encoded], dtype=np.int64)
    device = student.pieces.weight.device
    piece_ids = torch.tensor([piece for pieces in encoded for piece in pieces], device=device)
    starts = torch.from_numpy(np.cumsum(lengths) - lengths).to(device)
    rows: NDArray[np.float32] = kind_outputs(student, piece_ids, starts).float().cpu().numpy()
    return rows
