"""Vectors for the student's subword pieces, taken from the teacher's text encoder.

The student's embeddings start from what the teacher's encoder makes of each piece on its own,
reduced to the student's width by principal components (as model2vec does for sentences). They are
kept in the soft-label store, so that training needs no teacher.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from gliner_distill.errors import StoreError, StudentError
from gliner_distill.features import TOKENIZER_FILE, Vocabulary, train_vocabulary

VECTORS_FILE = "piece_vectors.safetensors"
VECTOR_WIDTH = 128
MAX_PIECES = 40_000
_TRAINED_PIECES = 16_000
_BATCH_PIECES = 512

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PieceVectors:
    """A vocabulary and a vector for each of its pieces.

    Attributes:
        vocabulary: The pieces.
        vectors: Shape `(pieces, 128)`, float32, principal components, the widest first.
    """

    vocabulary: Vocabulary
    vectors: NDArray[np.float32]


def encode_pieces(model: Any, texts: Iterable[str]) -> PieceVectors:
    """Return a vocabulary with the teacher's vectors.

    The vocabulary is the teacher's own where it has at most 40,000 pieces; a larger one would not
    leave a student of 6M parameters room for anything else, so then 16,000 pieces are trained on
    the texts, and the teacher reads each piece as text.

    Args:
        model: A GLiNER.
        texts: Words and labels of the corpus, as often as they occur.
    """
    tokenizer = model.data_processor.transformer_tokenizer
    own = tokenizer.backend_tokenizer
    if own.get_vocab_size() <= MAX_PIECES:
        vocabulary = Vocabulary.from_json(own.to_str())
        inputs = [[piece] for piece in range(len(vocabulary))]
    else:
        vocabulary = train_vocabulary(texts, n_pieces=_TRAINED_PIECES)
        pieces = [piece.removeprefix("##") for piece in vocabulary.pieces()]
        inputs = tokenizer(pieces, add_special_tokens=False)["input_ids"]
    first = [i for i in (tokenizer.cls_token_id,) if i is not None]
    last = [i for i in (tokenizer.sep_token_id,) if i is not None]
    encoder = model.model.token_rep_layer.bert_layer.model
    n_known = encoder.get_input_embeddings().num_embeddings
    unknown = tokenizer.unk_token_id or 0
    # GLiNER's own marks have a number but, in a bi-encoder, no row in the encoder's table.
    inputs = [[piece if piece < n_known else unknown for piece in ids] for ids in inputs]
    rows = [first + ids + last for ids in inputs]
    states = _mean_states(encoder, rows, skip=(len(first), len(last)), device=model.device)
    return PieceVectors(vocabulary, principal_components(states, VECTOR_WIDTH))


def principal_components(vectors: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Return vectors in the basis of their `width` widest directions, centred.

    Where they have fewer columns than `width`, columns of zeros follow.
    """
    centred = torch.from_numpy(vectors - vectors.mean(axis=0))
    covariance = centred.T.double() @ centred.double()
    directions = torch.linalg.eigh(covariance).eigenvectors.flip(1)[:, :width].float()
    # An eigenvector's sign is arbitrary; fix it, so that every machine gives the same vectors.
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
    components = (centred @ (directions * largest.sign())).numpy()
    missing = width - components.shape[1]
    return np.pad(components, ((0, 0), (0, max(0, missing))))


def piece_vector_files(piece_vectors: PieceVectors) -> dict[str, bytes]:
    """Return a store's files of vocabulary and vectors, eight bits a number: name to content."""
    scale = np.abs(piece_vectors.vectors).max(axis=0) / 127 + 1e-12
    codes = np.rint(piece_vectors.vectors / scale).astype(np.int8)
    return {
        TOKENIZER_FILE: piece_vectors.vocabulary.to_json().encode(),
        VECTORS_FILE: safetensors.numpy.save({"codes": codes, "scale": scale.astype(np.float32)}),
    }


def read_piece_vectors(folder: Path) -> PieceVectors | None:
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
    return PieceVectors(vocabulary, vectors)


@torch.inference_mode()
def _mean_states(
    encoder: Any, rows: Sequence[list[int]], *, skip: tuple[int, int], device: torch.device
) -> NDArray[np.float32]:
    """Return each row's mean last state without its special pieces, shape `(rows, hidden)`."""
    states = []
    for start in range(0, len(rows), _BATCH_PIECES):
        part = rows[start : start + _BATCH_PIECES]
        longest = max(map(len, part))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in part], device=device)
        lengths = torch.tensor([len(row) for row in part], device=device)[:, None]
        positions = torch.arange(longest, device=device)[None, :]
        attention = (positions < lengths).long()
        hidden: Tensor = encoder(input_ids=ids, attention_mask=attention).last_hidden_state
        counted = ((positions >= skip[0]) & (positions < lengths - skip[1])).float()[..., None]
        states.append((hidden.float() * counted).sum(1) / counted.sum(1).clamp(min=1))
    return torch.cat(states).cpu().numpy()
