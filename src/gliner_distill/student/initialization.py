"""Create a student: its vocabulary and its initial weights.

A store of a GLiNER's soft labels also holds that GLiNER's subword vectors, and a student starts
from them. For any other teacher a vocabulary is trained on the passages, and the embeddings start
at random. A finished student can also be given another vocabulary (`transfer_student`).
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from gliner_distill.entities import LabeledPassage
from gliner_distill.errors import StudentError
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.runtime.vocabulary import UNKNOWN_PIECE, Vocabulary, train_vocabulary
from gliner_distill.store.subword_vectors import SubwordVectors, read_subword_vectors
from gliner_distill.student.model import Student

_logger = logging.getLogger(__name__)

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


EncodeTexts = Callable[[Sequence[str]], NDArray[np.float32] | None]
"""A function that returns a teacher's vectors of short texts, shape `(texts, width)`, or None."""

MIN_EXPLAINED: Final = 0.2
"""The share of the variance of known pieces that a teacher's vectors must explain to be used."""

_N_FITTED: Final = 6_000
_RIDGE: Final = 0.1


def transfer_student(
    student: Student,
    old: Vocabulary,
    new: Vocabulary,
    *,
    encode_texts: EncodeTexts | None = None,
    seed: int = 0,
) -> Student:
    """Return a student with another vocabulary, and with all other weights of a finished student.

    A piece that both vocabularies have keeps its vector. Any other piece gets the vector that the
    teacher's vector of its text is mapped to, by a linear map that is fitted to the whole words of
    the old vocabulary. Without a teacher's vectors, or if the map explains too little, it gets the
    mean of the vectors of the old pieces that spell it, or a random vector if there are none.

    Args:
        student: The student.
        old: Its vocabulary.
        new: The vocabulary of the result.
        encode_texts: The teacher's vectors of texts; None if it has none.
        seed: The random seed.
    """
    vectors = student.pieces.weight.detach().numpy()
    mapped = None if encode_texts is None else _map_vectors(vectors, old, new, encode_texts)
    if mapped is None:
        mapped = _spell_vectors(vectors, old, new, seed)
    places = {piece: place for place, piece in enumerate(old.pieces())}
    for row, piece in enumerate(new.pieces()):
        if piece in places:
            mapped[row] = vectors[places[piece]]
    weights = student.state_dict() | {"pieces.weight": torch.from_numpy(mapped)}
    transferred = Student(replace(student.config, n_pieces=len(new)))
    transferred.load_state_dict(weights)
    return transferred


def _map_vectors(
    vectors: NDArray[np.float32], old: Vocabulary, new: Vocabulary, encode_texts: EncodeTexts
) -> NDArray[np.float32] | None:
    """Return the vectors of new pieces by a map from a teacher's; None if it explains too little.

    The map is a ridge regression. How much it explains is measured on every fifth word.
    """
    pieces = old.pieces()
    words = [place for place, piece in enumerate(pieces) if piece.isalpha() and len(piece) > 2]
    words = words[:: max(1, len(words) // _N_FITTED)]
    read = [piece.removeprefix("##") for piece in new.pieces()]
    if len(words) < vectors.shape[1]:
        return None
    encoded = encode_texts([pieces[place] for place in words] + read)
    if encoded is None:
        return None
    states = encoded.astype(np.float64)
    center, spread = states[: len(words)].mean(axis=0), states[: len(words)].std() + 1e-9
    states = (states - center) / spread
    targets = vectors[words].astype(np.float64)
    mean = targets.mean(axis=0)
    is_kept_apart = np.arange(len(words)) % 5 == 0
    fitted = _fit_ridge(states[: len(words)][~is_kept_apart], (targets - mean)[~is_kept_apart])
    error = states[: len(words)][is_kept_apart] @ fitted - (targets - mean)[is_kept_apart]
    explained = 1 - (error**2).sum() / ((targets - mean)[is_kept_apart] ** 2).sum()
    _logger.info("the teacher's vectors explain %.0f%% of known pieces", 100 * explained)
    if explained < MIN_EXPLAINED:
        return None
    mapped: NDArray[np.float32] = (states[len(words) :] @ fitted + mean).astype(np.float32)
    return mapped


def _fit_ridge(inputs: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    penalty = _RIDGE * len(inputs) * np.eye(inputs.shape[1])
    fitted = np.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ targets)
    return fitted.astype(np.float64)


def _spell_vectors(
    vectors: NDArray[np.float32], old: Vocabulary, new: Vocabulary, seed: int
) -> NDArray[np.float32]:
    """Return the vectors of new pieces as means of the old pieces that spell them."""
    draw = np.random.default_rng(seed)
    drawn = draw.standard_normal((len(new), vectors.shape[1])).astype(np.float32)
    spelled: NDArray[np.float32] = vectors.mean(axis=0) + vectors.std(axis=0) * drawn
    unknown = old.pieces().index(UNKNOWN_PIECE)
    encoded = old.encode_words([piece.removeprefix("##") for piece in new.pieces()])
    for row, ids in enumerate(np.split(encoded.piece_ids, encoded.word_starts[1:])):
        if unknown not in ids:
            spelled[row] = vectors[ids].mean(axis=0)
    return spelled
