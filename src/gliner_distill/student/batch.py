"""TODO-DOC."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gliner_distill.runtime.vocabulary import EncodedWords, Vocabulary

Batch = dict[str, Tensor]
"""What `Student.forward` takes; `make_batch` says what is in it."""


def make_batch(
    words: Sequence[EncodedWords], labels: Sequence[Sequence[str]], vocabulary: Vocabulary
) -> Batch:
    """Return the tensors of some passages, padded to the longest.

    Returns:
        `piece_ids` (all words' pieces, one after the other), `word_starts` and `word_shapes` (one
        row a word, without padding), `n_words` `(batch,)`, `word_mask` `(batch, words)`, true at
        words; `label_piece_ids` and `label_starts` (one row a distinct label), `label_index`
        `(batch, labels)` into those rows, `label_mask` `(batch, labels)`, true at labels.
    """
    n_words = torch.tensor([len(item.word_starts) for item in words], dtype=torch.int64)
    first_pieces = np.cumsum([0] + [len(item.piece_ids) for item in words])
    starts = [item.word_starts + first for item, first in zip(words, first_pieces, strict=False)]
    distinct = list(dict.fromkeys(label for asked in labels for label in asked))
    row_of = {label: row for row, label in enumerate(distinct)}
    label_pieces = [vocabulary.encode_label(label) for label in distinct]
    lengths = np.array([len(pieces) for pieces in label_pieces], dtype=np.int64)
    label_index = torch.zeros(len(labels), max(map(len, labels), default=0), dtype=torch.int64)
    label_mask = torch.zeros_like(label_index, dtype=torch.bool)
    for row, asked in enumerate(labels):
        label_index[row, : len(asked)] = torch.tensor([row_of[label] for label in asked])
        label_mask[row, : len(asked)] = True
    return {
        "piece_ids": torch.from_numpy(np.concatenate([item.piece_ids for item in words])),
        "word_starts": torch.from_numpy(np.concatenate(starts)),
        "word_shapes": torch.from_numpy(np.concatenate([item.word_shapes for item in words])),
        "n_words": n_words,
        "word_mask": torch.arange(int(n_words.max()))[None, :] < n_words[:, None],
        "label_piece_ids": torch.tensor(
            [piece for pieces in label_pieces for piece in pieces], dtype=torch.int64
        ),
        "label_starts": torch.from_numpy(np.cumsum(lengths) - lengths),
        "label_index": label_index,
        "label_mask": label_mask,
    }
