"""Passages ready for the loss: pieces and targets, and the batches of an epoch.

In: labelled passages. Out: `Example`s, the batches that a training step takes, and
`EvaluationSplit`s to measure a student on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gliner_distill.entities import Entity, Passage, decode_entities
from gliner_distill.features import EncodedWords, Vocabulary
from gliner_distill.losses import gold_boundaries, gold_distribution, teacher_word_logits
from gliner_distill.shards import LabelledPassage
from gliner_distill.student import Batch, make_batch
from gliner_distill.student_config import BOUNDARY, SOFTMAX

GoldTarget = Callable[[Sequence[Entity], Sequence[str], int], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Example:
    """A passage ready to be put into a batch.

    Attributes:
        words: As pieces and shapes.
        item: Labels asked, what the teacher said, and gold.
    """

    words: EncodedWords
    item: LabelledPassage


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
    """Return a labelled passage with its words as pieces."""
    return Example(vocabulary.encode_words(item.passage.words), item)


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


def _gold_of(item: LabelledPassage, target: GoldTarget) -> NDArray[np.float32]:
    return target(item.passage.entities, item.labels, len(item.passage.words))


def _pad(
    arrays: Sequence[NDArray[np.float32]], shape: tuple[int, ...], filler: float
) -> torch.Tensor:
    padded = np.full((len(arrays), *shape), filler, dtype=np.float32)
    for row, array in enumerate(arrays):
        padded[row][tuple(map(slice, array.shape))] = array
    return torch.from_numpy(padded)
