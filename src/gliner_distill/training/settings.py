"""What can be chosen in training; each field's help text is also the command line's."""

import math
from dataclasses import dataclass, field, fields
from typing import Any

from gliner_distill.errors import SettingsError


def _setting(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Loss, schedule and seed of a training run.

    Raises:
        SettingsError: A value is outside its range.
    """

    alpha: float = _setting(
        0.4, "Weight of the teacher's soft labels, 0 to 1; the rest goes to the gold labels."
    )
    temperature: float = _setting(
        1.0, "Softens both distributions in the soft part of the loss; above 0."
    )
    positive_weight: float = _setting(
        1.0, "Of the boundary head: how much more a target of 1 counts than one of 0."
    )
    augmentation_prob: float = _setting(
        0.0, "Share of passages read in lower or upper case or with typing errors, 0 to 1."
    )
    feature_weight: float = _setting(
        0.0, "Weight of drawing word and label vectors to a GLiNER's; 0: they are left alone."
    )
    epochs: int = _setting(7, "Passes over the training passages.")
    patience: int = _setting(
        0, "Epochs without better agreement on dev that end training at the best; 0: none do."
    )
    batch_size: int = _setting(8, "Passages in a batch.")
    learning_rate: float = _setting(
        1e-2, "AdamW's at its highest, after a tenth of all steps; then down to 0."
    )
    embedding_lr_factor: float = _setting(
        0.3, "The piece embeddings' learning rate, as a share of the learning rate."
    )
    weight_decay: float = _setting(0.01, "AdamW's.")
    max_gradient_norm: float = _setting(1.0, "Gradients are scaled down to this norm.")
    seed: int = _setting(0, "Of the start, the order of passages, and dropout.")
    precision: str = _setting(
        "fp32", "Of the forward pass: fp32, or bf16, quicker where the processor computes with it."
    )
    device: str = _setting("cpu", "Where to train: cpu, or gpu for whatever Accelerate finds.")

    def __post_init__(self) -> None:
        _check(0 <= self.alpha <= 1, "alpha", self.alpha, "from 0 to 1")
        _check(_positive(self.temperature), "temperature", self.temperature, "above 0")
        weight = self.positive_weight
        _check(_positive(weight), "positive_weight", weight, "above 0")
        share = self.augmentation_prob
        _check(0 <= share <= 1, "augmentation_prob", share, "from 0 to 1")
        weight = self.feature_weight
        _check(_not_negative(weight), "feature_weight", weight, "0 or more")
        _check(self.epochs >= 1, "epochs", self.epochs, "1 or more")
        _check(self.patience >= 0, "patience", self.patience, "0 or more")
        _check(self.batch_size >= 1, "batch_size", self.batch_size, "1 or more")
        _check(_positive(self.learning_rate), "learning_rate", self.learning_rate, "above 0")
        _check(
            _not_negative(self.embedding_lr_factor),
            "embedding_lr_factor",
            self.embedding_lr_factor,
            "0 or more",
        )
        _check(_not_negative(self.weight_decay), "weight_decay", self.weight_decay, "0 or more")
        norm = self.max_gradient_norm
        _check(_positive(norm), "max_gradient_norm", norm, "above 0")
        precisions = ("fp32", "bf16")
        _check(self.precision in precisions, "precision", self.precision, "fp32 or bf16")
        _check(self.device in ("cpu", "gpu"), "device", self.device, "cpu or gpu")

    @classmethod
    def help(cls, name: str) -> str:
        """Return a field's help text."""
        return next(str(item.metadata["help"]) for item in fields(cls) if item.name == name)


def _positive(value: float) -> bool:
    return value > 0 and math.isfinite(value)


def _not_negative(value: float) -> bool:
    return value >= 0 and math.isfinite(value)


def _check(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise SettingsError(f"{name} must be {expected}; got {value}")
