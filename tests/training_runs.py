"""Helpers of the training tests: short settings, a kill, and the comparison of two runs."""

import torch
from safetensors.torch import load_file

from gliner_distill.runtime.config import TORCH_WEIGHTS_FILE
from gliner_distill.training.checkpoint import read_checkpoint
from gliner_distill.training.run import CHECKPOINT_FILE, METRICS_FILE, STUDENT_FOLDER
from gliner_distill.training.settings import TrainingSettings

SHORT = TrainingSettings(alpha=0.5, temperature=2.0, epochs=4, batch_size=2, learning_rate=0.05)


class KilledError(Exception):
    """The end of a run that a test kills."""


def stop_after(n_steps):
    """Return a progress callback that kills the run at a step."""
    steps = iter(range(1, n_steps + 1))

    def progress(stage, done, total, note=""):
        if next(steps) == n_steps:
            raise KilledError

    return progress


def weights(folder):
    return load_file(folder / STUDENT_FOLDER / TORCH_WEIGHTS_FILE)


def assert_same_run(folder, other):
    """Check that two run folders hold the same weights, bit for bit, and the same metrics."""
    found, expected = weights(folder), weights(other)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert (folder / METRICS_FILE).read_bytes() == (other / METRICS_FILE).read_bytes()
    checkpoints = [read_checkpoint(path / CHECKPOINT_FILE) for path in (folder, other)]
    assert checkpoints[0].epoch == checkpoints[1].epoch
    assert checkpoints[0].run == checkpoints[1].run
    assert all(
        torch.equal(checkpoints[0].tensors[name], value)
        for name, value in checkpoints[1].tensors.items()
    )
