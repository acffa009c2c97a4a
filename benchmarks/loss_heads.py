"""Softmax heads with the losses of `losses.py`: what TextBrewer offers, for an LSTM.

`StudyHead` has the targets and the loss of the package's softmax head, changed in one respect by a
`Variant`. It counts the steps, because schedules depend on the progress of the training, and the
processor time of a step. The functions of this module are the pieces of the loss.
"""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from gliner_distill.entities import LabeledPassage
from gliner_distill.student.batch import Batch
from gliner_distill.student.heads import Targets, TorchSoftmaxHead
from gliner_distill.student.losses import feature_loss, hard_loss, soft_loss
from gliner_distill.student.model import Student
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.teacher.representations import TeacherFeatures

_LEAST_TEMPERATURE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Variant:
    """One change of the loss.

    Attributes:
        soft: The teacher's part of the loss: `KL` or the `squared error` of logits.
        soft_weight: The number by which the squared error of logits is multiplied.
        temperature: The temperature that both distributions are softened with.
        schedule: `constant`; `linear`, which falls to 1; or `per word`.
        alphas: The weight of the teacher at the first and at the last step; None for the setting.
        is_shifted: Whether the teacher's answers are corrected by gold.
        distance: The distance to the teacher's vectors: `cosine`, `squared error`, `standardized`
            (the squared error of standardized vectors), or "" for none.
        vector_weight: The number by which this distance is multiplied.
        has_second_teacher: Whether the answers of two teachers are averaged.
    """

    soft: str = "KL"
    soft_weight: float = 1.0
    temperature: float = 1.0
    schedule: str = "constant"
    alphas: tuple[float, float] | None = None
    is_shifted: bool = False
    distance: str = ""
    vector_weight: float = 1.0
    has_second_teacher: bool = False


class PassageVectors:
    """A teacher's vectors of the words and labels of passages, computed once.

    Args:
        words: The vectors of each passage's words, shape `(words, width)`; NaN where there is none.
        labels: The vectors of each passage's labels, shape `(labels, width)`.
        origin: The teacher's fingerprint, and the processor time that it took.
    """

    def __init__(
        self, words: dict[Any, Tensor], labels: dict[Any, Tensor], origin: dict[str, Any]
    ) -> None:
        self._words = words
        self._labels = labels
        self.origin = origin
        self.width = next(iter(words.values())).shape[-1]

    @classmethod
    def of(cls, teacher: GLiNERTeacher, passages: Sequence[LabeledPassage]) -> "PassageVectors":
        """Return the vectors of passages by a teacher."""
        started = time.process_time()
        features = TeacherFeatures(teacher, max_bytes=0)
        words, labels = {}, {}
        for item in passages:
            rows = features.of_batch([item.passage.words], [item.labels])
            words[_key(item)], labels[_key(item)] = (side[0] for side in rows)
        origin = {
            "teacher": teacher.fingerprint,
            "vectors_cpu_seconds": round(time.process_time() - started, 1),
        }
        return cls(words, labels, origin)

    @classmethod
    def read(cls, path: Path, passages: Sequence[LabeledPassage]) -> "PassageVectors":
        """Return the vectors that `write` has kept for the same passages."""
        words, labels = {}, {}
        with safe_open(path, framework="pt") as file:
            for row, item in enumerate(passages):
                words[_key(item)] = file.get_tensor(f"words {row}")
                labels[_key(item)] = file.get_tensor(f"labels {row}")
            origin = json.loads(file.metadata()["origin"])
        return cls(words, labels, origin)

    def write(self, path: Path, passages: Sequence[LabeledPassage]) -> None:
        """Keep the vectors in a file."""
        tensors = {}
        for row, item in enumerate(passages):
            tensors[f"words {row}"] = self._words[_key(item)].contiguous()
            tensors[f"labels {row}"] = self._labels[_key(item)].contiguous()
        # Two workers may write the file at once.
        temporary = path.with_suffix(f".{os.getpid()}")
        save_file(tensors, temporary, metadata={"origin": json.dumps(self.origin)})
        temporary.replace(path)

    def standardized(self) -> "PassageVectors":
        """Return the vectors with a mean of 0 and a deviation of 1 in each dimension."""
        return PassageVectors(_standardized(self._words), _standardized(self._labels), self.origin)

    def pad(
        self, passages: Sequence[LabeledPassage], n_words: int, n_labels: int
    ) -> tuple[Tensor, Tensor]:
        """Return the vectors of passages with NaN as padding."""
        return (
            _pad([self._words[_key(item)] for item in passages], n_words),
            _pad([self._labels[_key(item)] for item in passages], n_labels),
        )


def _key(item: LabeledPassage) -> Any:
    return item.passage.words, item.labels


def _pad(vectors: Sequence[Tensor], length: int) -> Tensor:
    padded = torch.full((len(vectors), length, vectors[0].shape[-1]), torch.nan)
    for row, rows in enumerate(vectors):
        padded[row, : len(rows)] = rows
    return padded


def _standardized(vectors: dict[Any, Tensor]) -> dict[Any, Tensor]:
    rows = torch.cat(list(vectors.values()))
    rows = rows[~rows.isnan().any(-1)]
    mean, deviation = rows.mean(0), rows.std(0).clamp(min=1e-6)
    return {key: (value - mean) / deviation for key, value in vectors.items()}


@dataclass(frozen=True, slots=True)
class MatchedTargets(Targets):
    """Targets with the vectors of the teacher, `(batch, words or labels, width)`."""

    words: Tensor
    labels: Tensor

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "MatchedTargets":
        """Return the targets on a device."""
        parts = (self.teacher, self.gold, self.words, self.labels)
        return MatchedTargets(*(part.to(device, non_blocking=non_blocking) for part in parts))


class StudyHead:
    """A softmax head whose loss a variant changes.

    Args:
        variant: The change.
        n_steps: The number of steps of the training.
        vectors: The vectors of the teacher; None if they are not matched.
    """

    def __init__(self, variant: Variant, n_steps: int, vectors: PassageVectors | None) -> None:
        self._inner = TorchSoftmaxHead()
        self._variant = variant
        self._n_steps = n_steps
        self._vectors = (
            vectors.standardized()
            if vectors is not None and variant.distance == "standardized"
            else vectors
        )
        self._step = 0
        self._first_time = self._last_time = 0.0
        self._student: nn.Module | None = None
        self._word_vectors = self._label_vectors = torch.empty(0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @property
    def step_cpu_seconds(self) -> float:
        """The mean processor time from one loss to the next."""
        return (self._last_time - self._first_time) / max(1, self._step - 1)

    def watch(self, student: Student) -> None:
        """Remember the vectors that a student computes, so that the loss can compare them."""
        if self._vectors is None:
            return
        self._student = student
        tower = student.label_tower
        last = tower[-1] if isinstance(tower, nn.Sequential) else tower

        def remember(_layer: nn.Module, _inputs: Any, output: Tensor) -> None:
            self._label_vectors = output

        last.register_forward_hook(remember)

    def logits(self, student: nn.Module, words: Tensor, products: Tensor) -> Tensor:
        """Return the logits of the softmax head."""
        self._word_vectors = words
        return self._inner.logits(student, words, products)

    def targets(self, passages: Sequence[LabeledPassage], n_words: int, n_labels: int) -> Targets:
        """Return the targets of the softmax head, corrected or with vectors if the variant says."""
        targets = self._inner.targets(passages, n_words, n_labels)
        if self._variant.is_shifted:
            targets = Targets(shift_to_gold(targets.teacher, targets.gold), targets.gold)
        if self._vectors is None:
            return targets
        words, labels = self._vectors.pad(passages, n_words, n_labels)
        return MatchedTargets(targets.teacher, targets.gold, words, labels)

    def loss(
        self, logits: Tensor, targets: Targets, batch: Batch, *, alpha: float, **_: float
    ) -> Tensor:
        """Return the loss of a training step."""
        progress = self._step / max(1, self._n_steps - 1)
        if self._variant.alphas:
            first, last = self._variant.alphas
            alpha = first + progress * (last - first)
        mask = batch.word_mask
        student_logits, teacher_logits = logits[mask], targets.teacher[mask]
        loss = alpha * self._soft(student_logits, teacher_logits, progress).mean()
        if alpha < 1:
            loss = loss + (1 - alpha) * hard_loss(student_logits, targets.gold[mask]).mean()
        if isinstance(targets, MatchedTargets):
            loss = loss + self._variant.vector_weight * self._distance(targets, batch)
        self._count_step()
        return loss

    def _soft(self, student_logits: Tensor, teacher_logits: Tensor, progress: float) -> Tensor:
        variant = self._variant
        if variant.soft == "squared error":
            return variant.soft_weight * logit_error(student_logits, teacher_logits)
        temperature = torch.tensor(variant.temperature)
        if variant.schedule == "linear":
            temperature = temperature + progress * (1 - temperature)
        elif variant.schedule == "per word":
            temperature = word_temperatures(
                student_logits.detach(), teacher_logits, base=variant.temperature
            )
        return softened_loss(student_logits, teacher_logits, temperature)

    def _distance(self, targets: MatchedTargets, batch: Batch) -> Tensor:
        assert self._student is not None
        words = self._student.get_submodule("word_projection")(self._word_vectors)
        labels = self._student.get_submodule("label_projection")(self._label_vectors)
        labels = labels[batch.label_index]
        measure = feature_loss if self._variant.distance == "cosine" else vector_error
        return measure(words, targets.words) + measure(labels, targets.labels)

    def _count_step(self) -> None:
        self._last_time = time.process_time()
        if self._step == 0:
            self._first_time = self._last_time
        self._step += 1


def softened_loss(student_logits: Tensor, teacher_logits: Tensor, temperature: Tensor) -> Tensor:
    """Return the loss `soft_loss` of each word; each word may have its own temperature.

    Args:
        student_logits: Shape `(words, classes)`; masked classes hold `-inf`.
        teacher_logits: The same shape.
        temperature: A scalar, or shape `(words,)`.
    """
    divisor = temperature[..., None]
    softened = soft_loss(student_logits / divisor, teacher_logits / divisor, temperature=1.0)
    return temperature**2 * softened


def logit_error(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Return the mean squared difference of the logits of each word, without masked classes."""
    is_class = teacher_logits > -torch.inf
    gaps = torch.where(is_class, student_logits, 0.0) - torch.where(is_class, teacher_logits, 0.0)
    return gaps.square().sum(-1) / is_class.sum(-1)


def word_temperatures(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    base: float,
    beta: float = 1.0,
    gamma: float = 2.0,
) -> Tensor:
    """Return a temperature for each word, lower where the student is farther from the teacher.

    A word of weight `w = (1 - cos(student, teacher)) ** gamma` has the temperature
    `base + beta * (mean of all w - w)`, at least 0.5. This is the "focal" schedule that TextBrewer
    takes from Wen et al. (2019); a lower temperature gives a word a larger gradient.
    """
    is_class = teacher_logits > -torch.inf
    cosines = F.cosine_similarity(
        torch.where(is_class, student_logits, 0.0),
        torch.where(is_class, teacher_logits, 0.0),
        dim=-1,
    )
    weights = (1 - cosines) ** gamma
    return (base + beta * (weights.mean() - weights)).clamp(min=_LEAST_TEMPERATURE)


def shift_to_gold(teacher_logits: Tensor, gold: Tensor) -> Tensor:
    """Return the teacher's logits with the largest one moved to the gold class.

    Where the teacher's likeliest class is not gold, it changes places with gold. If several classes
    are gold, it changes places with the one that the teacher finds likeliest.

    Args:
        teacher_logits: Shape `(..., classes)`; masked classes hold `-inf`.
        gold: The same shape; rows that are all 0 are padding and stay as they are.
    """
    is_gold = gold > 0
    best = teacher_logits.argmax(-1, keepdim=True)
    right = teacher_logits.masked_fill(~is_gold, -torch.inf).argmax(-1, keepdim=True)
    # On padding gold has no class to swap with.
    right = torch.where(is_gold.gather(-1, best) | ~is_gold.any(-1, keepdim=True), best, right)
    highest, lower = teacher_logits.gather(-1, best), teacher_logits.gather(-1, right)
    return teacher_logits.scatter(-1, best, lower).scatter(-1, right, highest)


def vector_error(student_vectors: Tensor, teacher_vectors: Tensor) -> Tensor:
    """Return the mean squared difference over rows and dimensions, without rows that hold NaN."""
    is_known = ~teacher_vectors.isnan().any(-1)
    gaps = student_vectors[is_known] - teacher_vectors[is_known]
    return gaps.square().sum() / max(1, gaps.numel())
