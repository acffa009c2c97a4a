"""TODO-DOC."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from gliner_distill.errors import StoreError, StudentError
from gliner_distill.runtime.vocabulary import TOKENIZER_FILE, Vocabulary

VECTORS_FILE = "subword_vectors.safetensors"


@dataclass(frozen=True, slots=True)
class SubwordVectors:
    """A vocabulary and a vector for each of its pieces.

    Attributes:
        vocabulary: The pieces.
        vectors: Shape `(pieces, 128)`, float32, principal components, the widest first.
    """

    vocabulary: Vocabulary
    vectors: NDArray[np.float32]


def subword_vector_files(piece_vectors: SubwordVectors) -> dict[str, bytes]:
    """Return a store's files of vocabulary and vectors, eight bits a number: name to content."""
    scale = np.abs(piece_vectors.vectors).max(axis=0) / 127 + 1e-12
    codes = np.rint(piece_vectors.vectors / scale).astype(np.int8)
    return {
        TOKENIZER_FILE: piece_vectors.vocabulary.to_json().encode(),
        VECTORS_FILE: safetensors.numpy.save({"codes": codes, "scale": scale.astype(np.float32)}),
    }


def read_subword_vectors(folder: Path) -> SubwordVectors | None:
    """Read a store's vocabulary and vectors; None where its teacher had none.

    Raises:
        StoreError: They are there and cannot be read.
    """
    path = folder / VECTORS_FILE
    if not path.exists():
        return None
    try:
        vocabulary = Vocabulary.from_file(folder / TOKENIZER_FILE)
        arrays = safetensors.numpy.load_file(path)
        vectors = arrays["codes"].astype(np.float32) * arrays["scale"]
    except StudentError as error:
        raise StoreError(str(error)) from error
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read: {error}") from error
    if len(vectors) != len(vocabulary):
        raise StoreError(
            f"{path}: has {len(vectors)} rows, {TOKENIZER_FILE} has {len(vocabulary)} pieces; "
            f"remove both and label again"
        )
    return SubwordVectors(vocabulary, vectors)
