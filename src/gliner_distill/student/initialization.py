"""Create a student: its vocabulary and its initial weights.

A store of a GLiNER's soft labels also holds that GLiNER's subword vectors, and a student starts
from them. For any other teacher a vocabulary is trained on the passages, and the embeddings start
at random.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from gliner_distill.entities import LabeledPassage
from gliner_distill.errors import StudentError
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.runtime.vocabulary import Vocabulary, train_vocabulary
from gliner_distill.store.subword_vectors import SubwordVectors, read_subword_vectors
from gliner_distill.student.model import Student

EMBEDDING_SPREAD: Final = 0.5
"""The standard deviation of the piece embeddings at the start of training."""

N_PIECES: Final = 8_000
"""The size of a vocabulary that is trained on the passages."""


def load_or_train_vocabulary(
    folder: Path, passages: Sequence[LabeledPassage], *, n_pieces: int = N_PIECES
) -> tuple[Vocabulary, SubwordVectors | None]:
    """Return the vocabulary and the subword vectors in a folder, or train a vocabulary.

    Args:
        folder: The folder of a store, or any other that may hold subword vectors.
        passages: The passages to train a vocabulary on if there are no vectors.
        n_pieces: The size of that vocabulary.

    Returns:
        The vocabulary, and the vectors or None.
    """
    pieces = read_subword_vectors(folder)
    if pieces is not None:
        return pieces.vocabulary, pieces
    words = [word for labeled in passages for word in labeled.passage.words]
    labels = [label for labeled in passages for label in labeled.labels]
    return train_vocabulary(words + labels, n_pieces=n_pieces), None


def initialize_student(
    vocabulary: Vocabulary, pieces: SubwordVectors | None, config: StudentConfig, *, seed: int
) -> Student:
    """Return a student with random weights, and embeddings from a teacher if there are any.

    Args:
        vocabulary: The subword pieces.
        pieces: The subword vectors of a teacher; None for random embeddings.
        config: The architecture.
        seed: The random seed.
    """
    torch.manual_seed(seed)
    student = Student(config)
    if pieces is not None:
        initialize_embeddings(student, pieces.vectors)
    return student


def initialize_embeddings(student: Student, vectors: NDArray[np.float32]) -> None:
    """Set the piece embeddings of a student to the first columns of given vectors.

    The vectors are scaled to the spread of a random start and cut to the width of the embeddings,
    so their most informative columns should come first.

    Args:
        student: The student, changed in place.
        vectors: Shape `(pieces, columns)`.

    Raises:
        StudentError: The number of rows is not the number of pieces, or there are too few columns.
    """
    weight = student.pieces.weight
    if vectors.shape[0] != weight.shape[0] or vectors.shape[1] < weight.shape[1]:
        raise StudentError(
            f"the subword vectors have shape {vectors.shape}; the embeddings of the student need "
            f"{tuple(weight.shape)}, or more columns"
        )
    columns = torch.from_numpy(vectors[:, : weight.shape[1]].copy())
    with torch.no_grad():
        weight.copy_(columns * (EMBEDDING_SPREAD / columns.std()))
