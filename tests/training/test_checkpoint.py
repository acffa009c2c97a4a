"""Checkpoints: a model continues where it stopped, and a broken file is an error."""

import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from gliner_distill.errors import StudentError
from gliner_distill.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from locked_files import unreadable

RUN = {"training": {"alpha": 0.5, "labels": ["größe"]}, "data": "d" * 64}


def new_model(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    return model, torch.optim.AdamW(model.parameters(), lr=0.1)


def take_steps(model, optimizer, steps):
    for step in steps:
        inputs = torch.randn(5, 3, generator=torch.Generator().manual_seed(step))
        model(inputs).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoint.safetensors"


class TestCheckpoint:
    def test_checkpoint_continues_bit_for_bit(self, path):
        model, optimizer = new_model()
        take_steps(model, optimizer, range(3))
        write_checkpoint(path, Checkpoint.capture(model, optimizer, epoch=3, run=RUN))
        take_steps(model, optimizer, range(3, 6))

        other, its_optimizer = new_model(seed=1)
        checkpoint = read_checkpoint(path)
        checkpoint.restore(other, its_optimizer)
        take_steps(other, its_optimizer, range(3, 6))
        assert checkpoint.epoch == 3
        assert checkpoint.run == RUN
        for found, expected in zip(other.parameters(), model.parameters(), strict=True):
            assert torch.equal(found, expected)

    def test_checkpoint_leaves_the_learning_rates_alone(self, path):
        model, optimizer = new_model()
        take_steps(model, optimizer, range(1))
        optimizer.param_groups[0]["lr"] = 0.001
        write_checkpoint(path, Checkpoint.capture(model, optimizer, epoch=1, run=RUN))
        other, its_optimizer = new_model()
        read_checkpoint(path).restore(other, its_optimizer)
        assert its_optimizer.param_groups[0]["lr"] == 0.1

    def test_checkpoint_holds_no_moments_before_the_first_step(self, path):
        model, optimizer = new_model()
        write_checkpoint(path, Checkpoint.capture(model, optimizer, epoch=0, run=RUN))
        assert all(key.startswith("model.") for key in read_checkpoint(path).tensors)


class TestBrokenFile:
    @pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
    def test_read_checkpoint_refuses_a_file_that_is_cut_off(self, path, share):
        model, optimizer = new_model()
        take_steps(model, optimizer, range(1))
        write_checkpoint(path, Checkpoint.capture(model, optimizer, epoch=1, run=RUN))
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(StudentError, match=r"checkpoint\.safetensors"):
            read_checkpoint(path)

    @pytest.mark.parametrize(
        "metadata",
        [
            None,
            {"epoch": "1"},
            {"run": "{}"},
            {"epoch": "one", "run": "{}"},
            {"epoch": "1", "run": "{"},
            {"epoch": "1", "run": "{}", "metrics": ""},  # without a checksum
        ],
    )
    def test_read_checkpoint_refuses_a_file_of_weights_alone(self, path, metadata):
        save_file({"model.weight": torch.ones(2)}, path, metadata)
        with pytest.raises(StudentError, match=r"checkpoint\.safetensors"):
            read_checkpoint(path)

    def test_read_checkpoint_names_a_missing_file_or_something_else(self, path):
        with pytest.raises(StudentError, match=r"checkpoint\.safetensors"):
            read_checkpoint(path)
        path.write_text(json.dumps(RUN))
        with pytest.raises(StudentError, match=r"checkpoint\.safetensors"):
            read_checkpoint(path)

    @pytest.mark.parametrize("part", ["tensor", "epoch", "name", "metrics"])
    def test_read_checkpoint_refuses_a_changed_file(self, path, part):
        model, optimizer = new_model()
        take_steps(model, optimizer, range(1))
        saved = Checkpoint.capture(model, optimizer, epoch=1, run=RUN, metrics="m" * 64)
        write_checkpoint(path, saved)
        assert read_checkpoint(path).metrics == "m" * 64
        content = path.read_bytes()
        old, new = {
            "tensor": (content[-4:], bytes([content[-4] ^ 1]) + content[-3:]),
            "epoch": (b'"epoch":"1"', b'"epoch":"2"'),
            "name": (b"optimizer.0.exp_avg", b"optimizer.9.exp_avg"),
            "metrics": (b"mmmm", b"mmmn"),
        }[part]
        assert old in content
        before, _, after = content.rpartition(old)
        path.write_bytes(before + new + after)
        with pytest.raises(StudentError, match=r"checkpoint\.safetensors: has changed.*--out"):
            read_checkpoint(path)

    def test_write_checkpoint_names_a_folder_that_cannot_be_written(self, tmp_path):
        model, optimizer = new_model()
        path = tmp_path / "nowhere" / "checkpoint.safetensors"
        with pytest.raises(StudentError, match="No such file"):
            write_checkpoint(path, Checkpoint.capture(model, optimizer, epoch=1, run=RUN))
        assert list(tmp_path.iterdir()) == []


def test_read_checkpoint_says_why_a_file_cannot_be_read(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    path.touch()
    with unreadable(path), pytest.raises(StudentError, match=rf"^{path}: .*Permission denied"):
        read_checkpoint(path)
