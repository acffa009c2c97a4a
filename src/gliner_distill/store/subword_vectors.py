"""Vectors of subword pieces in a store, which initialize the embeddings of a student.

A store has two files of them: `tokenizer.json` with the vocabulary and
`subword_vectors.safetensors` with one byte per number. This module does not compute vectors;
`teacher.subwords` does. It needs neither torch nor pyarrow.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from gliner_distill.errors import StoreError, StudentError
from gliner_distill.files import check_readable, reason_of
from gliner_distill.runtime.vocabulary import TOKENIZER_FILE, Vocabulary

VECTORS_FILE = "subword_vectors.safetensors"

_MAX_CODE = 127


@dataclass(frozen=True, slots=True)
class SubwordVectors:
    """A vocabulary with a vector for each of its pieces.

    Attributes:
        vocabulary: The pieces.
        vectors: Shape `(pieces, 128)`, float32: principal components, by decreasing variance.
    """

    vocabulary: Vocabulary
    vectors: NDArray[np.float32]


def subword_vector_files(subword_vectors: SubwordVectors) -> dict[str, bytes]:
    """Return the content of a store's two files of subword vectors, by file name."""
    # The small number keeps a column of zeros from dividing by zero.
    scale = np.abs(subword_vectors.vectors).max(axis=0) / _MAX_CODE + 1e-12
    codes = np.rint(subword_vectors.vectors / scale).astype(np.int8)
    return {
        TOKENIZER_FILE: subword_vectors.vocabulary.to_json().encode(),
        VECTORS_FILE: safetensors.numpy.save({"codes": codes, "scale": scale.astype(np.float32)}),
    }


def read_subword_vectors(folder: Path) -> SubwordVectors | None:
    """Read the subword vectors in a folder; None if there are none.

    Args:
        folder: A store, or another folder with the two files.

    Raises:
        StoreError: The files are there but cannot be read, or do not fit each other.
    """
    path = folder / VECTORS_FILE
    if not path.exists():
        return None
    try:
        vocabulary = Vocabulary.from_file(folder / TOKENIZER_FILE)
        check_readable(path)
        arrays = safetensors.numpy.load_file(path)
        vectors = arrays["codes"].astype(np.float32) * arrays["scale"]
    except StudentError as error:
        raise StoreError(
            f"{folder / TOKENIZER_FILE}: the vocabulary of {VECTORS_FILE} cannot be read: {error}; "
            f"remove both files and label again"
        ) from error
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise StoreError(
            f"{path}: cannot be read: {reason_of(error)}; remove it and {TOKENIZER_FILE}, and "
            f"label again"
        ) from error
    if len(vectors) != len(vocabulary):
        raise StoreError(
            f"{path}: has {len(vectors)} rows, but {TOKENIZER_FILE} has {len(vocabulary)} pieces; "
            f"remove both files and label again"
        )
    return SubwordVectors(vocabulary, vectors)
