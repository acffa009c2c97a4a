"""Where a student starts: its vocabulary and embeddings, from the soft-label store.

A store of a GLiNER's soft labels holds its piece vectors; a store of another teacher's does not,
and then a vocabulary is trained on the passages and the embeddings start at random.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gliner_distill.entities import LabeledPassage
from gliner_distill.errors import StudentError
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.runtime.vocabulary import Vocabulary, train_vocabulary
from gliner_distill.store.subword_vectors import SubwordVectors, read_subword_vectors
from gliner_distill.student.model import Student

_N_PIECES = 8_000


def load_or_train_vocabulary(
    folder: Path, passages: Sequence[LabeledPassage]
) -> tuple[Vocabulary, SubwordVectors | None]:
    """Return a folder's vocabulary and piece vectors, or one of 8,000 pieces and none.

    Args:
        folder: Of the store, or wherever its piece vectors are.
        passages: What to train the vocabulary on, if need be.
    """
    pieces = read_subword_vectors(folder)
    if pieces is not None:
        return pieces.vocabulary, pieces
    words = [word for item in passages for word in item.passage.words]
    labels = [label for item in passages for label in item.labels]
    return train_vocabulary(words + labels, n_pieces=_N_PIECES), None


def initialize_student(
    vocabulary: Vocabulary, pieces: SubwordVectors | None, config: StudentConfig, *, seed: int
) -> Student:
    """Return a student as it starts: drawn from the seed, its embeddings from the teacher's."""
    torch.manual_seed(seed)
    student = Student(config)
    if pieces is not None:
        initialize_embeddings(student, pieces.vectors)
    return student


def initialize_embeddings(student: Student, vectors: NDArray[np.float32]) -> None:
    """Start a student's piece embeddings from given vectors.

    They are scaled to the spread that the random start has, and cut to the embedding's width, so
    vectors should have their most telling columns first.

    Args:
        student: Changed in place.
        vectors: Shape `(pieces, columns)`.

    Raises:
        StudentError: The rows are not the student's pieces, or there are too few columns.
    """
    weight = student.pieces.weight
    if vectors.shape[0] != weight.shape[0] or vectors.shape[1] < weight.shape[1]:
        raise StudentError(
            f"piece vectors have shape {vectors.shape}; the student's embeddings need "
            f"{tuple(weight.shape)}"
        )
    columns = torch.from_numpy(vectors[:, : weight.shape[1]].copy())
    with torch.no_grad():
        weight.copy_(columns * (EMBEDDING_SPREAD / columns.std()))


EMBEDDING_SPREAD = 0.5
"""Standard deviation of the piece embeddings at the start of training."""
