"""The targets of the feature-matching loss: a GLiNER's representations of words and labels.

The module takes a GLiNER and passages with the labels asked about them. It returns the vectors that
the GLiNER computes just before it scores words against labels, padded like a batch. Training reads
each passage once per epoch, so `TeacherFeatures` remembers the vectors of a passage. It does not
use the student; `losses.feature_loss` measures the distance of the student's vectors.
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from gliner_distill.teacher.gliner import GLiNERTeacher

MAX_REMEMBERED_BYTES: Final = 2**30
"""The memory for remembered vectors: enough for a million words if a vector has 256 numbers."""


class TeacherFeatures:
    """A teacher's representations of passages, which are remembered from epoch to epoch.

    The teacher reads each passage on its own, so that a representation does not depend on the rest
    of a batch and is the same whether it was remembered or not. When the memory is full, the
    passages that are already in it stay, and all others are read again each time: passages are
    asked for in rounds, so those that were used last are not needed sooner than others.

    Args:
        teacher: The GLiNER.
        max_bytes: The memory for remembered representations; 0 to remember none.
    """

    def __init__(self, teacher: GLiNERTeacher, *, max_bytes: int = MAX_REMEMBERED_BYTES) -> None:
        self._teacher = teacher
        self._bytes_left = max_bytes
        self._known: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[Tensor, Tensor]] = {}

    def of_batch(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> tuple[Tensor, Tensor]:
        """Return representations as `teacher_features` does; there must be a passage.

        Raises:
            TeacherError: See `teacher_features`.
        """
        rows = [
            self._of_passage(tuple(words), tuple(asked))
            for words, asked in zip(passages, labels, strict=True)
        ]
        words, prompts = (
            pad_sequence(side, batch_first=True, padding_value=torch.nan)
            for side in map(list, zip(*rows, strict=True))
        )
        return words, prompts

    def _of_passage(self, words: tuple[str, ...], labels: tuple[str, ...]) -> tuple[Tensor, Tensor]:
        if (words, labels) in self._known:
            return self._known[words, labels]
        word_rows, label_rows = teacher_features(self._teacher, [words], [labels])
        found = word_rows[0], label_rows[0]
        n_bytes = sum(rows.nbytes for rows in found)
        if n_bytes <= self._bytes_left:
            self._bytes_left -= n_bytes
            self._known[words, labels] = found
        return found


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
