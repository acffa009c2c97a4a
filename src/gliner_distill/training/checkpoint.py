"""The checkpoint of a training run: weights, optimizer, epoch and identity in one file.

The file holds a SHA-256 of all of them, so a checkpoint that has changed is refused.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from gliner_distill.errors import StudentError
from gliner_distill.files import check_readable, check_regular_file, reason_of, replace_file

MAX_CHECKPOINT_BYTES: Final = 2**30
"""The size up to which a checkpoint is read. That of a student with the most parameters has 72
MB."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a run at the end of an epoch.

    Attributes:
        tensors: The weights as `model.NAME`, and the state of the optimizer as
            `optimizer.INDEX.NAME`, on the CPU.
        epoch: The number of finished epochs.
        run: The identity of the run, compared before it continues; see `run.describe_run`.
        metrics: The SHA-256 of the rows of `metrics.jsonl` up to this epoch; empty if not known.
    """

    tensors: dict[str, Tensor]
    epoch: int
    run: Mapping[str, Any]
    metrics: str = ""

    @classmethod
    def capture(
        cls,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        epoch: int,
        run: Mapping[str, Any],
        metrics: str = "",
    ) -> "Checkpoint":
        """Return a checkpoint of a model and its optimizer as they are now."""
        tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
        # The moments live on the device, and the file must load on a machine without it.
        copies = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
        return cls(copies, epoch, run, metrics)

    def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Put a model and its optimizer into the state of this checkpoint."""
        state: dict[int, dict[str, Tensor]] = {}
        weights = {}
        for key, value in self.tensors.items():
            owner, name = key.split(".", 1)
            if owner == "model":
                weights[name] = value
            else:
                index, moment = name.split(".", 1)
                state.setdefault(int(index), {})[moment] = value
        model.load_state_dict(weights)
        # The groups hold only settings, which come from the run and not from the file.
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint under a temporary name, then rename it.

    Raises:
        StudentError: The disk is full, or the folder cannot be written.
    """
    metadata = {
        "epoch": str(checkpoint.epoch),
        "run": json.dumps(checkpoint.run),
        "metrics": checkpoint.metrics,
    }
    metadata["sha256"] = _digest(checkpoint.tensors, metadata)
    try:
        replace_file(path, safetensors.torch.save(checkpoint.tensors, metadata))
    except OSError as error:
        raise StudentError(f"{path}: cannot be written: {reason_of(error)}") from error


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        StudentError: The file is missing, cannot be read, is not a checkpoint, or has changed since
            it was written.
    """
    try:
        check_regular_file(path, max_bytes=MAX_CHECKPOINT_BYTES)
        check_readable(path)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        expected = metadata.pop("sha256")
        checkpoint = Checkpoint(
            tensors,
            int(metadata["epoch"]),
            json.loads(metadata["run"]),
            metadata["metrics"],
        )
    except (OSError, SafetensorError, KeyError, ValueError, RecursionError) as error:
        raise StudentError(
            f"{path}: cannot be read as a checkpoint: {reason_of(error)}; to start over, use "
            "another --out"
        ) from error
    if _digest(tensors, metadata) != expected:
        raise StudentError(
            f"{path}: has changed since it was written (its SHA-256 differs), so the run cannot "
            "continue; to start over, use another --out"
        )
    return checkpoint


def _digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Return the SHA-256 of everything that a checkpoint holds."""
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        # Not all kinds of numbers have a numpy type, but all have bytes.
        flat = tensor.detach().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
