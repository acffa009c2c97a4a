"""A training run's checkpoint in one safetensors file: weights, optimizer, epoch, settings."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from gliner_distill.errors import StudentError
from gliner_distill.files import replace_file


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a run stood at the end of an epoch.

    Attributes:
        tensors: `model.NAME` and `optimizer.INDEX.NAME`.
        epoch: Epochs finished.
        run: Settings and data of the run, to make sure that it is the same one that goes on.
    """

    tensors: dict[str, Tensor]
    epoch: int
    run: Mapping[str, Any]

    @classmethod
    def capture(
        cls,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        epoch: int,
        run: Mapping[str, Any],
    ) -> "Checkpoint":
        """Take a checkpoint of a model and its optimizer."""
        tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
        copies = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
        return cls(copies, epoch, run)

    def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Put a model and its optimizer where they stood."""
        state: dict[int, dict[str, Tensor]] = {}
        weights = {}
        for key, value in self.tensors.items():
            kind, name = key.split(".", 1)
            if kind == "model":
                weights[name] = value
            else:
                index, moment = name.split(".", 1)
                state.setdefault(int(index), {})[moment] = value
        model.load_state_dict(weights)
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint to a temporary name, then rename it.

    Raises:
        StudentError: The disk is full, or the folder cannot be written.
    """
    metadata = {"epoch": str(checkpoint.epoch), "run": json.dumps(checkpoint.run)}
    try:
        replace_file(path, safetensors.torch.save(checkpoint.tensors, metadata))
    except OSError as error:
        raise StudentError(f"{path}: cannot be written: {error.strerror or error}") from error


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        StudentError: It cannot be read, or is none.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        return Checkpoint(tensors, int(metadata["epoch"]), json.loads(metadata["run"]))
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise StudentError(f"{path}: is no checkpoint: {error}") from error
