"""The torch side of the two heads: their parameters, logits, targets and losses.

`runtime.heads` describes the two heads and has the parts that the runtime needs. A head does not
hold its parameters itself; it adds them to the student, so that they have short names in the
student's files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gliner_distill.entities import Entity, LabeledPassage
from gliner_distill.errors import SettingsError
from gliner_distill.runtime.heads import BOUNDARY, HEAD_NAMES, SOFTMAX
from gliner_distill.student.batch import Batch
from gliner_distill.student.losses import (
    boundary_loss,
    distillation_loss,
    gold_boundaries,
    gold_distribution,
    teacher_word_logits,
)

# Most labels that are asked do not occur: only about 1 in 20 of a GLiNER's probabilities is above
# 0.5.
_BOUNDARY_BIAS = -3.0


@dataclass(frozen=True, slots=True)
class Targets:
    """The answers that a student should give for a batch, in the form that one head needs.

    Attributes:
        teacher: The answers of the teacher: logits for the softmax head, probabilities for the
            boundary head.
        gold: The answers of the gold annotation: a distribution for the softmax head; 1, 0 or NaN
            (not annotated) for the boundary head.
    """

    teacher: Tensor
    gold: Tensor

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Targets":
        """Return the targets on a device."""
        return Targets(
            self.teacher.to(device, non_blocking=non_blocking),
            self.gold.to(device, non_blocking=non_blocking),
        )


class TorchHead(Protocol):
    """The part of a student that turns word and label vectors into logits, with its loss."""

    def add_parameters(self, student: nn.Module, state_width: int) -> None:
        """Add the parameters of the head to a student, with the values they start from."""
        ...

    def logits(self, student: nn.Module, words: Tensor, products: Tensor) -> Tensor:
        """Return the logits of a batch; `Student.forward` gives their shapes.

        Args:
            student: The student, with the parameters of the head.
            words: The word vectors, shape `(batch, words, width)`.
            products: The scaled dot products of words and labels, shape `(batch, words, labels,
                vectors)`; `-inf` at masked labels.
        """
        ...

    def targets(self, passages: Sequence[LabeledPassage], n_words: int, n_labels: int) -> Targets:
        """Return the targets of some passages, padded to so many words and labels."""
        ...

    def loss(
        self,
        logits: Tensor,
        targets: Targets,
        batch: Batch,
        *,
        alpha: float,
        temperature: float,
        positive_weight: float,
    ) -> Tensor:
        """Return the loss of a batch, a scalar.

        Args:
            logits: The logits of the student.
            targets: The targets of the same passages.
            batch: The passages; its masks say what counts.
            alpha: The weight of the teacher's answers; the gold annotation has 1 - alpha.
            temperature: The number by which all logits are divided in the teacher's part.
            positive_weight: The weight of a target of 1, relative to that of a target of 0; only
                the boundary head uses it.
        """
        ...


@final
class TorchSoftmaxHead:
    """One distribution per word over its labels and "none"."""

    def add_parameters(self, student: nn.Module, state_width: int) -> None:
        """Add the layer `none`, which gives "none" its logit."""
        student.add_module("none", nn.Linear(state_width, 1))

    def logits(self, student: nn.Module, words: Tensor, products: Tensor) -> Tensor:
        """Return logits of shape `(batch, words, 1 + labels)`, "none" first."""
        return torch.cat([student.get_submodule("none")(words), products[..., 0]], dim=-1)

    def targets(self, passages: Sequence[LabeledPassage], n_words: int, n_labels: int) -> Targets:
        """Return logits and distributions of shape `(batch, words, 1 + labels)`.

        Masked classes hold `-inf` and 0.
        """
        shape = (n_words, 1 + n_labels)
        return Targets(
            _pad([teacher_word_logits(passage.probs) for passage in passages], shape, -np.inf),
            _pad([_gold(gold_distribution, passage) for passage in passages], shape, 0.0),
        )

    def loss(
        self,
        logits: Tensor,
        targets: Targets,
        batch: Batch,
        *,
        alpha: float,
        temperature: float,
        positive_weight: float,
    ) -> Tensor:
        """Return the mean over words of `distillation_loss`."""
        mask = batch.word_mask
        return distillation_loss(
            logits[mask],
            targets.teacher[mask],
            targets.gold[mask],
            alpha=alpha,
            temperature=temperature,
        )


@final
class TorchBoundaryHead:
    """For each label on its own, whether a word starts, ends or lies inside an entity."""

    def add_parameters(self, student: nn.Module, state_width: int) -> None:
        """Add `bias`, one number each for start, end and inside."""
        student.register_parameter("bias", nn.Parameter(torch.full((3,), _BOUNDARY_BIAS)))

    def logits(self, student: nn.Module, words: Tensor, products: Tensor) -> Tensor:
        """Return logits of shape `(batch, words, labels, 3)`."""
        return products + student.get_parameter("bias")

    def targets(self, passages: Sequence[LabeledPassage], n_words: int, n_labels: int) -> Targets:
        """Return probabilities and annotation of shape `(batch, words, labels, 3)`.

        The numbers at masked positions have no meaning.
        """
        shape = (n_words, n_labels, 3)
        return Targets(
            _pad([passage.probs for passage in passages], shape, 0.5),
            _pad([_gold(gold_boundaries, passage) for passage in passages], shape, 0.0),
        )

    def loss(
        self,
        logits: Tensor,
        targets: Targets,
        batch: Batch,
        *,
        alpha: float,
        temperature: float,
        positive_weight: float,
    ) -> Tensor:
        """Return the mean over (word, label) pairs of `boundary_loss`.

        Without a teacher (alpha 0), a label that the gold annotation does not mention counts as
        absent, as in the training of GLiNER.
        """
        pairs = batch.word_mask[:, :, None] & batch.label_mask[:, None, :]
        gold = targets.gold[pairs]
        return boundary_loss(
            logits[pairs],
            targets.teacher[pairs],
            gold if alpha > 0 else gold.nan_to_num(0.0),
            alpha=alpha,
            temperature=temperature,
            positive_weight=positive_weight,
        )


def torch_head(name: str) -> TorchHead:
    """Return the torch side of the head with this name.

    Raises:
        SettingsError: No head has this name.
    """
    if name == SOFTMAX:
        return TorchSoftmaxHead()
    if name == BOUNDARY:
        return TorchBoundaryHead()
    raise SettingsError(f"head is {name!r}; expected one of {', '.join(HEAD_NAMES)}")


class _GoldTarget(Protocol):
    def __call__(
        self, entities: Sequence[Entity], labels: Sequence[str], n_words: int
    ) -> NDArray[np.float32]: ...


def _gold(target: _GoldTarget, passage: LabeledPassage) -> NDArray[np.float32]:
    words = passage.passage.words
    return target(passage.passage.entities, passage.labels, len(words))


def _pad(arrays: Sequence[NDArray[np.float32]], shape: tuple[int, ...], filler: float) -> Tensor:
    padded = np.full((len(arrays), *shape), filler, dtype=np.float32)
    for row, array in enumerate(arrays):
        padded[row][tuple(map(slice, array.shape))] = array
    return torch.from_numpy(padded)
