"""Vectors of subword pieces from a GLiNER's encoder, which initialize a student's embeddings.

The module takes a GLiNER and the words of a corpus, and returns a vocabulary with one vector per
piece. `store.subword_vectors` keeps them on disk.
"""

import logging
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice, pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gliner_distill.errors import StudentError
from gliner_distill.runtime.vocabulary import (
    UNKNOWN_PIECE,
    Vocabulary,
    choose_vocabulary,
    list_alphabet,
    part_splitter,
    train_vocabulary,
)
from gliner_distill.store.subword_vectors import SubwordVectors

_logger = logging.getLogger(__name__)

_WORDS_AT_ONCE = 1_000

VECTOR_WIDTH = 128
"""The width of a piece's vector."""


def encode_subwords(
    tokenizer: Any,
    encoder: Any,
    texts: Iterable[str],
    *,
    max_pieces: int = 40_000,
    n_trained_pieces: int = 16_000,
    batch_rows: int = 512,
) -> SubwordVectors:
    """Return a vocabulary with vectors from the encoder of a GLiNER.

    Args:
        tokenizer: The GLiNER's tokenizer.
        encoder: Its transformer encoder.
        texts: The words and labels of the corpus, as often as they occur.
        max_pieces: The largest vocabulary of a GLiNER that is used unchanged. A larger one would
            use up the 6M parameters of a student, and one of another kind than WordPiece is not
            safe to load. In both cases a new vocabulary is trained on the texts, and the encoder
            reads each of its pieces as text.
        n_trained_pieces: The size of a vocabulary that is trained.
        batch_rows: The number of pieces that go through the encoder at once.
    """
    own = _own_vocabulary(tokenizer.backend_tokenizer, max_pieces)
    if own is not None:
        vocabulary = own
        inputs = [[piece] for piece in range(len(vocabulary))]
    else:
        vocabulary = train_vocabulary(texts, n_pieces=n_trained_pieces)
        # The encoder has its own vocabulary, so it reads a piece as plain text.
        pieces = [piece.removeprefix("##") for piece in vocabulary.pieces()]
        inputs = tokenizer(pieces, add_special_tokens=False)["input_ids"]
    states = _encode(tokenizer, encoder, inputs, batch_rows)
    return SubwordVectors(vocabulary, principal_components(states, VECTOR_WIDTH))


def encode_texts(
    tokenizer: Any, encoder: Any, texts: Sequence[str], *, batch_rows: int = 512
) -> NDArray[np.float32]:
    """Return the mean state of each text in the encoder of a GLiNER, shape `(texts, hidden)`.

    Args:
        tokenizer: The GLiNER's tokenizer.
        encoder: Its transformer encoder.
        texts: Short texts, such as pieces.
        batch_rows: The number of texts that go through the encoder at once.
    """
    inputs = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return _encode(tokenizer, encoder, inputs, batch_rows)


def prune_vocabulary(tokenizer: Any, texts: Iterable[str], *, max_pieces: int) -> Vocabulary:
    """Return the pieces that a tokenizer of any kind cuts the words of a text into, as WordPieces.

    A student takes the longest piece first, so it may cut a word at other places than a tokenizer
    of another kind. Characters are always pieces, too.

    Args:
        tokenizer: A fast tokenizer of transformers, of any size.
        texts: The words and labels of the text, as often as they occur.
        max_pieces: The largest number of pieces; the most frequent ones are kept.
    """
    counts = Counter(texts)
    lowercase = _ignores_case(tokenizer, list(counts))
    split = part_splitter(lowercase=lowercase)
    parts = Counter("" if lowercase else string.ascii_uppercase)
    for text, n in counts.items():
        for part in split(text):
            parts[part] += n
    pieces = Counter[str]()
    names = list(parts)
    for first in range(0, len(names), _WORDS_AT_ONCE):
        some = names[first : first + _WORDS_AT_ONCE]
        for part, cut in zip(some, _cut_words(tokenizer, some), strict=True):
            for piece in cut:
                pieces[piece] += parts[part]
    ranked = sorted(pieces, key=lambda piece: (-pieces[piece], piece))
    chosen = dict.fromkeys([UNKNOWN_PIECE, *list_alphabet(parts), *ranked])
    return choose_vocabulary(islice(chosen, max_pieces), lowercase=lowercase)


def _cut_words(tokenizer: Any, words: Sequence[str]) -> list[list[str]]:
    """Return the pieces of words as they are written; those within a word begin with `##`."""
    encoding = tokenizer(
        list(words),
        is_split_into_words=True,
        add_special_tokens=False,
        return_offsets_mapping=True,
        verbose=False,
    )
    cuts: list[set[int]] = [set() for _ in words]
    # A tokenizer may have pieces without characters, and several pieces for one character.
    for word, (start, _) in zip(encoding.word_ids(), encoding["offset_mapping"], strict=True):
        if word is not None and 0 < start < len(words[word]):
            cuts[word].add(start)
    return [
        [
            ("##" if start else "") + word[start:end]
            for start, end in pairwise([0, *sorted(places), len(word)])
        ]
        for word, places in zip(words, cuts, strict=True)
    ]


def _ignores_case(tokenizer: Any, words: Sequence[str]) -> bool:
    """Say whether a tokenizer reads words in upper case as those in lower case."""
    some = [word for word in words if word != word.lower()][:_WORDS_AT_ONCE] or ["A"]
    ours, theirs = (
        tokenizer(list(read), is_split_into_words=True, add_special_tokens=False)["input_ids"]
        for read in (some, map(str.lower, some))
    )
    return bool(ours == theirs)


def _encode(
    tokenizer: Any, encoder: Any, inputs: Sequence[list[int]], batch_rows: int
) -> NDArray[np.float32]:
    """Return the mean state of each row of piece ids, between the encoder's special pieces."""
    first = [i for i in (tokenizer.cls_token_id,) if i is not None]
    last = [i for i in (tokenizer.sep_token_id,) if i is not None]
    n_known = encoder.get_input_embeddings().num_embeddings
    unknown = tokenizer.unk_token_id or 0
    # GLiNER's own marks have an id but, in a bi-encoder, no row in the encoder's table.
    inputs = [[piece if piece < n_known else unknown for piece in ids] for ids in inputs]
    rows = [first + ids + last for ids in inputs]
    return mean_states(
        encoder, rows, skip=(len(first), len(last)), device=encoder.device, batch_rows=batch_rows
    )


def _own_vocabulary(tokenizer: Any, max_pieces: int) -> Vocabulary | None:
    if tokenizer.get_vocab_size() > max_pieces:
        return None
    try:
        return Vocabulary.from_json(tokenizer.to_str())
    except StudentError as error:
        _logger.info("a new vocabulary is trained: %s", error)
        return None


def principal_components(vectors: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Return vectors, centered, in the basis of their `width` directions of largest variance.

    If the vectors have fewer columns than `width`, columns of zeros follow.
    """
    centered = torch.from_numpy(vectors - vectors.mean(axis=0))
    # Double precision keeps the directions the same on different processors.
    covariance = centered.T.double() @ centered.double()
    directions = torch.linalg.eigh(covariance).eigenvectors.flip(1)[:, :width].float()
    # The sign of an eigenvector is arbitrary; fixing it gives the same vectors on every machine.
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
    components = (centered @ (directions * largest.sign())).numpy()
    missing = width - components.shape[1]
    return np.pad(components, ((0, 0), (0, max(0, missing))))


@torch.inference_mode()
def mean_states(
    encoder: Any,
    rows: Sequence[list[int]],
    *,
    skip: tuple[int, int],
    device: torch.device,
    batch_rows: int,
) -> NDArray[np.float32]:
    """Return the mean last state of each row without its special pieces, shape `(rows, hidden)`.

    Args:
        encoder: A transformer encoder.
        rows: The piece ids of each row, special pieces included.
        skip: How many special pieces each row has at its start and at its end.
        device: The device of the encoder.
        batch_rows: The number of rows that go through the encoder at once.
    """
    states = []
    for start in range(0, len(rows), batch_rows):
        part = rows[start : start + batch_rows]
        longest = max(map(len, part))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in part], device=device)
        lengths = torch.tensor([len(row) for row in part], device=device)[:, None]
        positions = torch.arange(longest, device=device)[None, :]
        attention = (positions < lengths).long()
        hidden: Tensor = encoder(input_ids=ids, attention_mask=attention).last_hidden_state
        # Special pieces and padding do not count for the mean.
        counted = ((positions >= skip[0]) & (positions < lengths - skip[1])).float()[..., None]
        states.append((hidden.float() * counted).sum(1) / counted.sum(1).clamp(min=1))
    return torch.cat(states).cpu().numpy()
