"""Turn passages and their labels into the tensors that a student reads."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from gliner_distill.runtime.vocabulary import EncodedWords, Vocabulary


@dataclass(frozen=True, slots=True)
class Batch:
    """The passages that a student reads at once.

    Words and labels are bags of subword pieces. The pieces of all bags are concatenated without
    padding, and the start of each bag is listed separately, as `torch.nn.EmbeddingBag` expects. A
    label that several passages are asked for is encoded once.

    Attributes:
        piece_ids: The pieces of all words, shape `(pieces,)`, int64.
        word_starts: The position of the first piece of each word, shape `(words,)`, int64.
        word_shapes: The shape features of each word, shape `(words, 8)`, float32.
        n_words: The number of words in each passage, shape `(batch,)`, int64.
        word_mask: True at words, false at padding, shape `(batch, words)`.
        label_piece_ids: The pieces of all distinct labels, shape `(pieces,)`, int64.
        label_starts: The position of the first piece of each distinct label, shape `(labels,)`.
        label_index: The distinct label of each label asked, shape `(batch, labels)`, int64.
        label_mask: True at labels asked, false at padding, shape `(batch, labels)`.
    """

    piece_ids: Tensor
    word_starts: Tensor
    word_shapes: Tensor
    n_words: Tensor
    word_mask: Tensor
    label_piece_ids: Tensor
    label_starts: Tensor
    label_index: Tensor
    label_mask: Tensor

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """Return the batch on a device; Accelerate calls this, too."""
        moved = (
            getattr(self, field.name).to(device, non_blocking=non_blocking)
            for field in fields(self)
        )
        return Batch(*moved)


def make_batch(
    words: Sequence[EncodedWords], labels: Sequence[Sequence[str]], vocabulary: Vocabulary
) -> Batch:
    """Return passages and the labels asked of each as a batch, padded to the longest.

    Args:
        words: The encoded words of each passage.
        labels: The labels asked of each passage.
        vocabulary: The pieces, to encode the labels with.
    """
    n_words = torch.tensor([len(passage.word_starts) for passage in words], dtype=torch.int64)
    # The starts of each passage count from 0; shift them by the pieces of all passages before it.
    first_pieces = np.cumsum([0] + [len(passage.piece_ids) for passage in words])
    starts = [
        passage.word_starts + first for passage, first in zip(words, first_pieces, strict=False)
    ]
    # Passages of one batch often share labels, and each is encoded once.
    distinct = list(dict.fromkeys(label for asked in labels for label in asked))
    label_pieces = [vocabulary.encode_label(label) for label in distinct]
    lengths = np.array([len(pieces) for pieces in label_pieces], dtype=np.int64)
    label_index, label_mask = _index_labels(labels, distinct)
    return Batch(
        piece_ids=torch.from_numpy(np.concatenate([passage.piece_ids for passage in words])),
        word_starts=torch.from_numpy(np.concatenate(starts)),
        word_shapes=torch.from_numpy(np.concatenate([passage.word_shapes for passage in words])),
        n_words=n_words,
        word_mask=torch.arange(int(n_words.max()))[None, :] < n_words[:, None],
        label_piece_ids=torch.tensor(
            [piece for pieces in label_pieces for piece in pieces], dtype=torch.int64
        ),
        label_starts=torch.from_numpy(np.cumsum(lengths) - lengths),
        label_index=label_index,
        label_mask=label_mask,
    )


def _index_labels(
    labels: Sequence[Sequence[str]], distinct: Sequence[str]
) -> tuple[Tensor, Tensor]:
    row_of = {label: row for row, label in enumerate(distinct)}
    index = torch.zeros(len(labels), max(map(len, labels), default=0), dtype=torch.int64)
    mask = torch.zeros_like(index, dtype=torch.bool)
    for passage, asked in enumerate(labels):
        index[passage, : len(asked)] = torch.tensor([row_of[label] for label in asked])
        mask[passage, : len(asked)] = True
    return index, mask
