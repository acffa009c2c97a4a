"""The optimizer of a training run, and its learning rate at each step."""

from typing import Any

import torch
from accelerate.optimizer import AcceleratedOptimizer

from gliner_distill.student.model import Student
from gliner_distill.training.settings import TrainingSettings


def make_optimizer(student: Student, settings: TrainingSettings) -> torch.optim.Optimizer:
    """Return the optimizer of a student; its piece embeddings have a rate of their own."""
    return torch.optim.AdamW(
        _parameter_groups(student, settings), weight_decay=settings.weight_decay, fused=True
    )


def learning_rate_factor(step: int, *, n_steps: int, warm_up: float = 0.1) -> float:
    """Return the share of the peak learning rate at a step: a linear rise, then a linear fall to 0.

    >>> [round(learning_rate_factor(step, n_steps=100), 2) for step in (0, 4, 9, 54, 99)]
    [0.1, 0.5, 1.0, 0.51, 0.01]
    """
    n_warm_up = max(1, round(warm_up * n_steps))
    if step < n_warm_up:
        # The first step must not have a rate of 0, which would waste it.
        return (step + 1) / n_warm_up
    return (n_steps - step) / max(1, n_steps - n_warm_up)


def _parameter_groups(student: Student, settings: TrainingSettings) -> list[dict[str, Any]]:
    pieces = list(student.pieces.parameters())
    # Tensors are compared by identity, since `in` would compare their values.
    piece_ids = {id(parameter) for parameter in pieces}
    others = [parameter for parameter in student.parameters() if id(parameter) not in piece_ids]
    groups = zip((pieces, others), _peak_rates(settings), strict=True)
    return [{"params": parameters, "lr": rate} for parameters, rate in groups]


def _peak_rates(settings: TrainingSettings) -> tuple[float, float]:
    """Return the peak learning rates of the piece embeddings and of everything else."""
    return settings.learning_rate * settings.embedding_lr_factor, settings.learning_rate


def set_rates(
    optimizer: AcceleratedOptimizer, settings: TrainingSettings, step: int, *, n_steps: int
) -> None:
    """Set the learning rates of an optimizer for a step of a run of `n_steps`."""
    factor = learning_rate_factor(step, n_steps=n_steps)
    for group, rate in zip(optimizer.param_groups, _peak_rates(settings), strict=True):
        group["lr"] = rate * factor
