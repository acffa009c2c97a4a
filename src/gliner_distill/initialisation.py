"""Where a student starts: its vocabulary and embeddings, from the soft-label store.

A store of a GLiNER's soft labels holds its piece vectors; a store of another teacher's does not,
and then a vocabulary is trained on the passages and the embeddings start at random.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from gliner_distill.features import Vocabulary, train_vocabulary
from gliner_distill.piece_vectors import PieceVectors, read_piece_vectors
from gliner_distill.shards import LabelledPassage
from gliner_distill.student import Student, start_embeddings
from gliner_distill.student_config import StudentConfig

_N_PIECES = 8_000


def find_vocabulary(
    folder: Path, passages: Sequence[LabelledPassage]
) -> tuple[Vocabulary, PieceVectors | None]:
    """Return a folder's vocabulary and piece vectors, or one of 8,000 pieces and none.

    Args:
        folder: Of the store, or wherever its piece vectors are.
        passages: What to train the vocabulary on, if need be.
    """
    pieces = read_piece_vectors(folder)
    if pieces is not None:
        return pieces.vocabulary, pieces
    words = [word for item in passages for word in item.passage.words]
    labels = [label for item in passages for label in item.labels]
    return train_vocabulary(words + labels, n_pieces=_N_PIECES), None


def start_student(
    vocabulary: Vocabulary, pieces: PieceVectors | None, config: StudentConfig, *, seed: int
) -> Student:
    """Return a student as it starts: drawn from the seed, its embeddings from the teacher's."""
    torch.manual_seed(seed)
    student = Student(config)
    if pieces is not None:
        start_embeddings(student, pieces.vectors)
    return student
