"""The targets of the feature-matching loss: a GLiNER's representations of words and labels.

The module takes a GLiNER and passages with the labels asked about them. It returns the vectors that
the GLiNER computes just before it scores words against labels, padded like a batch. It does not use
the student; `losses.feature_loss` measures the distance of the student's vectors.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from gliner_distill.teacher.gliner import GLiNERTeacher


def teacher_feature_width(teacher: GLiNERTeacher) -> int:
    """Return the width of a teacher's representations, which is the same for words and labels."""
    return teacher.representation_width


def teacher_features(
    teacher: GLiNERTeacher,
    passages: Sequence[Sequence[str]],
    labels: Sequence[Sequence[str]],
) -> tuple[Tensor, Tensor]:
    """Return a teacher's representations of the words and labels of passages.

    A passage without words or labels has no representations. In a passage that is longer than the
    teacher's window, or that has more labels than the teacher takes at once, only the first window
    and the first group of labels have representations.

    Returns:
        Two tensors of shapes `(batch, words, width)` and `(batch, labels, width)`, float32, on the
        CPU and without a gradient. A row that has no representation, or is padding, is NaN.

    Raises:
        TeacherError: The model does not return its representations, or cannot read a label.
    """
    words = _rows_of_nan(passages, teacher.representation_width)
    prompts = _rows_of_nan(labels, teacher.representation_width)
    # The vectors are copied, because tensors made in GLiNER's inference mode may not take part in
    # the student's loss.
    for passage, word_vectors, label_vectors in teacher.represent_passages(passages, labels):
        words[passage, : len(word_vectors)] = word_vectors
        prompts[passage, : len(label_vectors)] = label_vectors
    return words, prompts


def _rows_of_nan(items: Sequence[Sequence[str]], width: int) -> Tensor:
    return torch.full((len(items), max(map(len, items), default=0), width), torch.nan)
