"""Passages ready for the loss: pieces and targets, and the batches of an epoch.

In: labelled passages. Out: `Example`s, the batches that a training step takes, and
`EvaluationSplit`s to measure a student on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gliner_distill.entities import Entity, Passage, decode_entities
from gliner_distill.features import EncodedWords, Vocabulary
from gliner_distill.losses import gold_distribution, teacher_word_logits
from gliner_distill.shards import LabelledPassage
from gliner_distill.student import Batch, make_batch


@dataclass(frozen=True, slots=True)
class Example:
    """A passage ready for the loss.

    Attributes:
        words: As pieces and shapes.
        labels: The labels asked.
        teacher_logits: Shape `(words, 1 + labels)`, "none" first.
        gold: Shape `(words, 1 + labels)`, "none" first, rows sum to 1.
    """

    words: EncodedWords
    labels: tuple[str, ...]
    teacher_logits: NDArray[np.float32]
    gold: NDArray[np.float32]


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


def make_example(item: LabelledPassage, vocabulary: Vocabulary) -> Example:
    """Return a labelled passage as pieces and targets."""
    n_words = len(item.passage.words)
    return Example(
        words=vocabulary.encode_words(item.passage.words),
        labels=item.labels,
        teacher_logits=teacher_word_logits(item.probs),
        gold=gold_distribution(item.passage.entities, item.labels, n_words),
    )


def make_split(
    name: str, items: Sequence[LabelledPassage], vocabulary: Vocabulary
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


def collate_examples(examples: Sequence[Example], vocabulary: Vocabulary) -> Batch:
    """Return what `make_batch` returns and the targets, padded.

    `teacher_logits` and `gold` have shape `(batch, words, 1 + labels)`; masked classes hold `-inf`
    and 0.
    """
    batch = make_batch(
        [example.words for example in examples],
        [example.labels for example in examples],
        vocabulary,
    )
    shape = (*batch["word_mask"].shape, 1 + batch["label_mask"].shape[1])
    batch["teacher_logits"] = torch.full(shape, -torch.inf)
    batch["gold"] = torch.zeros(shape)
    for row, example in enumerate(examples):
        n_words, n_classes = example.gold.shape
        batch["teacher_logits"][row, :n_words, :n_classes] = torch.from_numpy(
            example.teacher_logits
        )
        batch["gold"][row, :n_words, :n_classes] = torch.from_numpy(example.gold)
    return batch
