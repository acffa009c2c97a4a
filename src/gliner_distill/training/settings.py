"""The settings of a training run, with the help texts that the command line shows for them."""

import math
from dataclasses import dataclass, field, fields
from typing import Any

from gliner_distill.errors import SettingsError


def _setting(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """The loss, the schedule and the seed of a training run.

    Raises:
        SettingsError: A value is outside its range.
    """

    alpha: float = _setting(
        0.4,
        "Weight of the teacher's soft labels, from 0 to 1; the rest is the weight of the gold "
        "labels.",
    )
    temperature: float = _setting(
        1.0, "Temperature that softens both distributions in the soft part of the loss; above 0."
    )
    positive_weight: float = _setting(
        1.0, "Weight of a target of 1 relative to a target of 0; only for the boundary head."
    )
    augmentation_prob: float = _setting(
        0.0,
        "Probability that a passage is read in lower case, in upper case or with typing errors.",
    )
    feature_weight: float = _setting(
        0.0, "Weight of the feature-matching loss; 0 disables it. Needs a GLiNER as teacher."
    )
    epochs: int = _setting(7, "Passes over the training passages.")
    patience: int = _setting(
        0,
        "Stop after this many epochs without improvement on dev and keep the best; 0 disables "
        "early stopping.",
    )
    batch_size: int = _setting(8, "Passages per batch.")
    learning_rate: float = _setting(
        1e-2,
        "Peak learning rate; linear warm-up over 10% of the steps, then linear decay to 0.",
    )
    embedding_lr_factor: float = _setting(
        0.3, "Learning rate of the piece embeddings, as a multiple of the learning rate."
    )
    weight_decay: float = _setting(0.01, "AdamW weight decay.")
    max_gradient_norm: float = _setting(1.0, "Norm to which larger gradients are scaled down.")
    seed: int = _setting(0, "Random seed for initialization, shuffling and dropout.")
    precision: str = _setting(
        "fp32",
        "Precision of the forward pass: fp32, or bf16, which is faster on processors that support "
        "it.",
    )
    device: str = _setting("cpu", "Device to train on: cpu, or gpu for the one Accelerate finds.")

    def __post_init__(self) -> None:
        for name in ("alpha", "augmentation_prob"):
            self._check(name, 0 <= getattr(self, name) <= 1, "from 0 to 1")
        for name in ("temperature", "positive_weight", "learning_rate", "max_gradient_norm"):
            self._check(name, 0 < getattr(self, name) < math.inf, "above 0")
        for name in ("feature_weight", "embedding_lr_factor", "weight_decay"):
            self._check(name, 0 <= getattr(self, name) < math.inf, "0 or more")
        for name in ("epochs", "batch_size"):
            self._check(name, getattr(self, name) >= 1, "1 or more")
        self._check("patience", self.patience >= 0, "0 or more")
        self._check("precision", self.precision in ("fp32", "bf16"), "fp32 or bf16")
        self._check("device", self.device in ("cpu", "gpu"), "cpu or gpu")

    @classmethod
    def help(cls, name: str) -> str:
        """Return the help text of a field."""
        return next(str(item.metadata["help"]) for item in fields(cls) if item.name == name)

    def _check(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise SettingsError(f"{name} must be {expected}; got {getattr(self, name)}")
