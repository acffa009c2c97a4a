"""Passages ready for the loss: pieces and targets, and the batches of an epoch.

In: labeled passages. Out: `Example`s, the batches that a training step takes, and
`EvaluationSplit`s to measure a student on.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from gliner_distill.decoding import decode_entities
from gliner_distill.entities import Entity, LabeledPassage, Passage
from gliner_distill.runtime.heads import BOUNDARY, SOFTMAX
from gliner_distill.runtime.vocabulary import EncodedWords, Vocabulary
from gliner_distill.student.batch import Batch, make_batch
from gliner_distill.training.losses import gold_boundaries, gold_distribution, teacher_word_logits

GoldTarget = Callable[[Sequence[Entity], Sequence[str], int], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Example:
    """A passage ready to be put into a batch.

    Attributes:
        words: As pieces and shapes.
        item: Labels asked, what the teacher said, and gold.
    """

    words: EncodedWords
    item: LabeledPassage


@dataclass(frozen=True, slots=True)
class EvaluationSplit:
    """Passages to measure a student on after each epoch.

    Attributes:
        name: Such as `train`, `dev`, `test`.
        passages: Words and gold entities.
        labels: The labels asked of each.
        teacher_entities: What the teacher finds, for the same labels.
        examples: The same passages, ready for the loss.
    """

    name: str
    passages: list[Passage]
    labels: list[tuple[str, ...]]
    teacher_entities: list[list[Entity]]
    examples: list[Example]


def make_example(item: LabeledPassage, vocabulary: Vocabulary) -> Example:
    """Return a labeled passage with its words as pieces."""
    return Example(vocabulary.encode_words(item.passage.words), item)


def make_split(
    name: str, items: Sequence[LabeledPassage], vocabulary: Vocabulary
) -> EvaluationSplit:
    """Return passages to evaluate on, asked for the labels that the teacher was asked for."""
    return EvaluationSplit(
        name=name,
        passages=[item.passage for item in items],
        labels=[item.labels for item in items],
        teacher_entities=[decode_entities(item.probs, item.labels) for item in items],
        examples=[make_example(item, vocabulary) for item in items],
    )


def order_batches(
    lengths: Sequence[int], batch_size: int, generator: torch.Generator
) -> list[list[int]]:
    """Return an epoch's batches of row numbers: shuffled, yet of like length within a batch.

    Rows are shuffled, sorted by length within groups of 8 batches, cut into batches, and the
    batches shuffled.
    """
    shuffled = torch.randperm(len(lengths), generator=generator).tolist()
    batches = []
    for first in range(0, len(shuffled), 8 * batch_size):
        group = sorted(shuffled[first : first + 8 * batch_size], key=lambda row: lengths[row])
        batches += [group[row : row + batch_size] for row in range(0, len(group), batch_size)]
    order = torch.randperm(len(batches), generator=generator).tolist()
    return [batches[position] for position in order]


def collate_examples(
    examples: Sequence[Example], vocabulary: Vocabulary, *, head: str = SOFTMAX
) -> Batch:
    """Return what `make_batch` returns and the targets of a head, padded.

    Of the `softmax` head: `teacher_logits` and `gold`, shape `(batch, words, 1 + labels)`; masked
    classes hold `-inf` and 0. Of the `boundary` head: `teacher_probs` and `gold`, shape `(batch,
    words, labels, 3)`; what is masked has no meaning.
    """
    batch = make_batch(
        [example.words for example in examples],
        [example.item.labels for example in examples],
        vocabulary,
    )
    items = [example.item for example in examples]
    n_words, n_labels = batch["word_mask"].shape[1], batch["label_mask"].shape[1]
    if head == BOUNDARY:
        shape = (n_words, n_labels, 3)
        batch["teacher_probs"] = _pad([item.probs for item in items], shape, 0.5)
        batch["gold"] = _pad([_gold_of(item, gold_boundaries) for item in items], shape, 0.0)
    else:
        classes = (n_words, 1 + n_labels)
        logits = [teacher_word_logits(item.probs) for item in items]
        batch["teacher_logits"] = _pad(logits, classes, -torch.inf)
        batch["gold"] = _pad([_gold_of(item, gold_distribution) for item in items], classes, 0.0)
    return batch


def _gold_of(item: LabeledPassage, target: GoldTarget) -> NDArray[np.float32]:
    return target(item.passage.entities, item.labels, len(item.passage.words))


def _pad(
    arrays: Sequence[NDArray[np.float32]], shape: tuple[int, ...], filler: float
) -> torch.Tensor:
    padded = np.full((len(arrays), *shape), filler, dtype=np.float32)
    for row, array in enumerate(arrays):
        padded[row][tuple(map(slice, array.shape))] = array
    return torch.from_numpy(padded)


_MISTYPED_SHARE = 0.15


_MIN_MISTYPED_LETTERS = 4


_UPPER_SHARE, _LOWER_SHARE = 0.2, 0.4


def augment_example(
    example: Example, vocabulary: Vocabulary, *, share: float, draw: random.Random
) -> Example:
    """Return an example as it is, or, with a probability of `share`, with its words altered."""
    if draw.random() >= share:
        return example
    words = augment_words(example.item.passage.words, draw)
    return replace(example, words=vocabulary.encode_words(words))


def augment_words(words: Sequence[str], draw: random.Random) -> list[str]:
    """Return as many words, in lower case, in upper case, or about one in seven mistyped."""
    kind = draw.random()
    if kind < _UPPER_SHARE:
        return [word.upper() for word in words]
    if kind < _UPPER_SHARE + _LOWER_SHARE:
        return [word.lower() for word in words]
    return mistype_some(words, draw)


def mistype_some(words: Sequence[str], draw: random.Random) -> list[str]:
    """Return words with about one in seven of those of four letters or more mistyped."""
    return [
        mistype(word, draw)
        if len(word) >= _MIN_MISTYPED_LETTERS and draw.random() < _MISTYPED_SHARE
        else word
        for word in words
    ]


def mistype(word: str, draw: random.Random) -> str:
    """Return a word with one letter doubled, left out, or changed with the next.

    >>> sorted({mistype("city", random.Random(seed)) for seed in range(50)})[:4]
    ['ccity', 'ciity', 'cit', 'citty']
    """
    at = draw.randrange(len(word))
    kind = draw.randrange(3)
    if kind == 0:
        return word[: at + 1] + word[at:]
    if kind == 1 and len(word) > 1:
        return word[:at] + word[at + 1 :]
    return word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :]
