"""Choose the subword pieces that the bundled student starts with out of those of its teacher.

The vocabulary of a teacher also has reserved places and pieces of other scripts, which cost
parameters and are never read. Without them, the student can afford an LSTM that reads labels.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from gliner_distill.files import replace_file
from gliner_distill.runtime.vocabulary import Vocabulary
from gliner_distill.store.subword_vectors import (
    SubwordVectors,
    read_subword_vectors,
    subword_vector_files,
)
from gliner_distill.teacher.gliner import GLiNERTeacher

_SPECIAL = ("[PAD]", "[UNK]")


def load_pieces(teacher: GLiNERTeacher, texts: Iterable[str], folder: Path) -> SubwordVectors:
    """Return the pieces of a teacher that a student may need, from their files if possible.

    Args:
        teacher: The teacher, whose encoder gives the vectors. Its vocabulary must be WordPiece
            with at most 40,000 pieces.
        texts: Words and labels.
        folder: The folder of the files; it is made if it does not exist.

    Returns:
        The pieces that `drop_unused` keeps, with rounded vectors.
    """
    kept = read_subword_vectors(folder)
    if kept is not None:
        return kept
    kept = drop_unused(teacher.subword_vectors(()), texts)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in subword_vector_files(kept).items():
        replace_file(folder / name, content)
    # The files hold rounded vectors, and a run that continues must start from the same ones.
    rounded = read_subword_vectors(folder)
    assert rounded is not None
    return rounded


def drop_unused(pieces: SubwordVectors, texts: Iterable[str]) -> SubwordVectors:
    """Return pieces without reserved places and without those of other scripts that no text uses.

    Args:
        pieces: The pieces of a WordPiece vocabulary, with their vectors.
        texts: Words and labels.

    Returns:
        The other pieces in the same order, with new ids from 0 on and the vectors that they had.
    """
    vocabulary = pieces.vocabulary
    used = {
        piece for text in set(texts) for piece in vocabulary.encode_words([text]).piece_ids.tolist()
    }
    rows = [
        row
        for row, piece in enumerate(vocabulary.pieces())
        if piece in _SPECIAL or (_is_text(piece) and (piece.isascii() or row in used))
    ]
    names = vocabulary.pieces()
    settings = json.loads(vocabulary.to_json())
    settings["model"]["vocab"] = {names[row]: place for place, row in enumerate(rows)}
    settings["added_tokens"] = []
    settings["post_processor"] = None
    return SubwordVectors(
        Vocabulary.from_json(json.dumps(settings)), pieces.vectors[np.array(rows)]
    )


def _is_text(piece: str) -> bool:
    """Return whether a piece is text, and not a mark of the teacher or a reserved place."""
    is_mark = len(piece) > 2 and piece.startswith(("[", "<")) and piece.endswith(("]", ">"))
    return not is_mark
