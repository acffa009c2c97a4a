"""What a student's vectors are drawn to: a GLiNER's representations of words and labels.

In: a GLiNER, and passages with the labels asked of them. Out: its word and label vectors, just
before it scores one against the other, padded as a batch is. This module does not know the student;
`losses.feature_loss` measures how far its vectors are off.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gliner_distill.runtime.vocabulary import Vocabulary, train_vocabulary
from gliner_distill.store.subword_vectors import PieceVectors
from gliner_distill.teacher.gliner import GLiNERTeacher


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


VECTOR_WIDTH = 128


MAX_PIECES = 40_000


_TRAINED_PIECES = 16_000


_BATCH_PIECES = 512


_logger = logging.getLogger(__name__)


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
    """Return vectors in the basis of their `width` widest directions, centered.

    Where they have fewer columns than `width`, columns of zeros follow.
    """
    centered = torch.from_numpy(vectors - vectors.mean(axis=0))
    covariance = centered.T.double() @ centered.double()
    directions = torch.linalg.eigh(covariance).eigenvectors.flip(1)[:, :width].float()
    # An eigenvector's sign is arbitrary; fix it, so that every machine gives the same vectors.
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
    components = (centered @ (directions * largest.sign())).numpy()
    missing = width - components.shape[1]
    return np.pad(components, ((0, 0), (0, max(0, missing))))


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
