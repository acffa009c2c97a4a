"""The training data: passages with their pieces and targets, the batches of an epoch, augmentation.

Before training, each labeled passage is converted to an `Example`. Each epoch orders the examples
into batches, augments some of them, and collates each batch with its targets. An `EvaluationSplit`
holds passages on which the student is measured after each epoch.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from gliner_distill.decoding import decode_entities
from gliner_distill.entities import Entity, LabeledPassage, Passage
from gliner_distill.runtime.vocabulary import EncodedWords, Vocabulary
from gliner_distill.student.batch import Batch, make_batch
from gliner_distill.student.heads import Targets, TorchHead
from gliner_distill.windows import batches_by_length

# The shares of augmented passages in upper case and in lower case; the others are mistyped.
_UPPER_SHARE, _LOWER_SHARE = 0.2, 0.4
_MISTYPED_SHARE: Final = 0.15
_MIN_MISTYPED_LETTERS: Final = 4

# The number of batches that are sorted by length together: enough to avoid padding, and few enough
# to keep the order random.
_SORTED_BATCHES: Final = 8


@dataclass(frozen=True, slots=True)
class Example:
    """A passage that is ready to be put into a batch.

    Attributes:
        words: The words as pieces and shapes.
        labeled: The passage with its labels, the teacher's probabilities, and gold.
    """

    words: EncodedWords
    labeled: LabeledPassage


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """A batch with its targets.

    Attributes:
        inputs: The passages, as the student reads them.
        targets: The answers that the student should give.
        teacher_words: The teacher's representations of the words, shape `(batch, words, width)`,
            NaN at padding; None without feature matching.
        teacher_labels: The teacher's representations of the labels, shape `(batch, labels, width)`,
            NaN at padding; None without feature matching.
        kinds: The numbers by which the distinct labels were compared at the start of training,
            shape `(labels, 2 * relation_width + 1)`; None without an anchor.
    """

    inputs: Batch
    targets: Targets
    teacher_words: Tensor | None = None
    teacher_labels: Tensor | None = None
    kinds: Tensor | None = None

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "TrainingBatch":
        """Return the batch on a device; Accelerate calls this."""

        def move(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device, non_blocking=non_blocking)

        return TrainingBatch(
            self.inputs.to(device, non_blocking),
            self.targets.to(device, non_blocking),
            move(self.teacher_words),
            move(self.teacher_labels),
            move(self.kinds),
        )


@dataclass(frozen=True, slots=True)
class EvaluationSplit:
    """Passages on which a student is measured after each epoch.

    Attributes:
        name: The name of the split, such as `train`, `dev` or `test`.
        passages: The words and gold entities.
        labels: The labels asked of each passage.
        teacher_entities: The entities that the teacher finds for the same labels.
        examples: The same passages, ready for the loss.
    """

    name: str
    passages: list[Passage]
    labels: list[tuple[str, ...]]
    teacher_entities: list[list[Entity]]
    examples: list[Example]


def make_example(labeled: LabeledPassage, vocabulary: Vocabulary) -> Example:
    """Return a labeled passage with its words encoded."""
    return Example(vocabulary.encode_words(labeled.passage.words), labeled)


def make_split(
    name: str, passages: Sequence[LabeledPassage], vocabulary: Vocabulary
) -> EvaluationSplit:
    """Return an evaluation split that asks for the labels that the teacher was asked for."""
    return EvaluationSplit(
        name=name,
        passages=[labeled.passage for labeled in passages],
        labels=[labeled.labels for labeled in passages],
        teacher_entities=[decode_entities(labeled.probs, labeled.labels) for labeled in passages],
        examples=[make_example(labeled, vocabulary) for labeled in passages],
    )


def order_batches(
    lengths: Sequence[int], batch_size: int, generator: torch.Generator
) -> list[list[int]]:
    """Return the batches of an epoch as row numbers, with similar lengths in each batch.

    The rows are shuffled, sorted by length within groups of 8 batches and cut into batches, and the
    batches are shuffled.
    """
    shuffled = torch.randperm(len(lengths), generator=generator).tolist()
    group_size = _SORTED_BATCHES * batch_size
    batches = [
        batch
        for first in range(0, len(shuffled), group_size)
        for batch in batches_by_length(
            shuffled[first : first + group_size], lambda row: lengths[row], max_items=batch_size
        )
    ]
    order = torch.randperm(len(batches), generator=generator).tolist()
    return [batches[position] for position in order]


def collate_examples(
    examples: Sequence[Example], vocabulary: Vocabulary, head: TorchHead
) -> TrainingBatch:
    """Return some examples as one batch, with the targets of a head."""
    passages = [example.labeled for example in examples]
    inputs = make_batch(
        [example.words for example in examples],
        [labeled.labels for labeled in passages],
        vocabulary,
    )
    n_words, n_labels = inputs.word_mask.shape[1], inputs.label_mask.shape[1]
    return TrainingBatch(inputs, head.targets(passages, n_words, n_labels))


def augment_example(
    example: Example, vocabulary: Vocabulary, *, prob: float, rng: random.Random
) -> Example:
    """Return an example with changed words, with a probability of `prob`, or unchanged."""
    if rng.random() >= prob:
        return example
    words = augment_words(example.labeled.passage.words, rng)
    return replace(example, words=vocabulary.encode_words(words))


def augment_words(words: Sequence[str], rng: random.Random) -> list[str]:
    """Return the words in upper case, in lower case, or with some of them mistyped."""
    choice = rng.random()
    if choice < _UPPER_SHARE:
        return [word.upper() for word in words]
    if choice < _UPPER_SHARE + _LOWER_SHARE:
        return [word.lower() for word in words]
    return mistype_some(words, rng)


def mistype_some(words: Sequence[str], rng: random.Random) -> list[str]:
    """Return the words with about one in seven of those of four letters or more mistyped."""
    return [
        mistype(word, rng)
        if len(word) >= _MIN_MISTYPED_LETTERS and rng.random() < _MISTYPED_SHARE
        else word
        for word in words
    ]


def mistype(word: str, rng: random.Random) -> str:
    """Return a word with one letter doubled, left out, or swapped with the next.

    >>> sorted({mistype("city", random.Random(seed)) for seed in range(50)})[:4]
    ['ccity', 'ciity', 'cit', 'citty']
    """
    at = rng.randrange(len(word))
    choice = rng.randrange(3)
    if choice == 0:
        return word[: at + 1] + word[at:]
    # A word of one letter must not become empty.
    if choice == 1 and len(word) > 1:
        return word[:at] + word[at + 1 :]
    return word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :]
