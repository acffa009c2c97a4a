"""What a student's vectors are drawn to: a GLiNER's representations of words and labels.

In: a GLiNER, and passages with the labels asked of them. Out: its word and label vectors, just
before it scores one against the other, padded as a batch is. This module does not know the student;
`losses.feature_loss` measures how far its vectors are off.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from gliner_distill.teacher import GLiNERTeacher


def teacher_feature_width(teacher: GLiNERTeacher) -> int:
    """Return the width of a teacher's representations, the same for words and labels."""
    return int(teacher.model.config.hidden_size)


def teacher_features(
    teacher: GLiNERTeacher,
    passages: Sequence[Sequence[str]],
    labels: Sequence[Sequence[str]],
) -> tuple[Tensor, Tensor]:
    """Return a teacher's representations of passages' words and of the labels asked of each.

    A passage without words or labels has none. Of a passage that is longer than the teacher's
    window, or is asked more labels than it takes at once, the first window and group have.

    Returns:
        Shapes `(batch, words, width)` and `(batch, labels, width)`, float32, on the CPU and without
        a gradient; rows of NaN where there is none, as in padding.

    Raises:
        TeacherError: The model does not tell its representations, or cannot read a label.
    """
    words = _rows_of_nan(passages, teacher_feature_width(teacher))
    prompts = _rows_of_nan(labels, teacher_feature_width(teacher))
    # Copied, since tensors made in GLiNER's inference mode may not take part in a student's loss.
    for passage, of_words, of_labels in teacher.represent_passages(passages, labels):
        words[passage, : len(of_words)] = of_words
        prompts[passage, : len(of_labels)] = of_labels
    return words, prompts


def _rows_of_nan(items: Sequence[Sequence[str]], width: int) -> Tensor:
    return torch.full((len(items), max(map(len, items), default=0), width), torch.nan)
