"""The size of a student, counted before it is built, and the weights in its file."""

import numpy as np
import pytest
import safetensors.numpy

from gliner_distill.errors import SettingsError, StudentError
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.runtime.weights import (
    check_size,
    count_parameters,
    read_weights,
    weight_shapes,
)
from locked_files import unreadable


@pytest.mark.parametrize(
    "architecture",
    [
        {"head": "boundary"},
        {"head": "softmax", "n_layers": 3},
        {"head": "boundary", "bidirectional": False, "label_hidden_width": 12, "hidden_width": 6},
        {
            **{"head": "boundary", "label_hidden_width": 12, "label_lstm_width": 5},
            "relation_width": 3,
        },
    ],
)
def test_count_parameters_equals_torch(architecture, build_student):
    student = build_student(**architecture)
    assert count_parameters(student.config) == student.n_parameters


NARROW = {"embedding_width": 1, "hidden_width": 1}


@pytest.mark.parametrize(
    ("shape", "fact"),
    [
        ({"n_pieces": 1_000_000_000}, "128,000,000,000 of them embeddings"),
        ({"n_layers": 1_000_000}, "n_layers is 1000000"),
        ({"n_layers": 0}, "n_layers is 0"),
        ({"hidden_width": 1_000_000_000}, "at most 6,000,000"),
        ({"hidden_width": 0}, "hidden_width is 0"),
        ({"embedding_width": 0}, "embedding_width is 0"),
        ({"label_hidden_width": 10**9}, "at most 6,000,000"),
        ({"label_lstm_width": 10**9}, "at most 6,000,000"),
        ({"relation_width": 10**9, "label_hidden_width": 8}, "at most 6,000,000"),
    ],
    ids=str,
)
def test_check_size_counts_before_anything_is_built(shape, fact):
    with pytest.raises(SettingsError, match=fact):
        check_size(StudentConfig(**({"n_pieces": 90} | shape)))


def test_check_size_accepts_exactly_six_million():
    config = StudentConfig(n_pieces=1, **NARROW)
    check_size(StudentConfig(n_pieces=1 + 6_000_000 - count_parameters(config), **NARROW))
    with pytest.raises(SettingsError, match="6,000,001"):
        check_size(StudentConfig(n_pieces=2 + 6_000_000 - count_parameters(config), **NARROW))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_read_weights_refuses_numbers_that_are_not_finite(tmp_path, value, dtype):
    shapes = weight_shapes(StudentConfig(n_pieces=3, **NARROW))
    weights = {name: np.zeros(shape, dtype) for name, shape in shapes.items()}
    path = tmp_path / "weights.safetensors"
    safetensors.numpy.save_file(weights, path)
    assert read_weights(path, shapes).keys() == shapes.keys()
    weights["label_tower.bias"][-1] = value
    safetensors.numpy.save_file(weights, path)
    with pytest.raises(StudentError, match=r"label_tower\.bias .* finite"):
        read_weights(path, shapes)


def test_read_weights_says_why_a_file_cannot_be_read(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.touch()
    with unreadable(path), pytest.raises(StudentError, match=rf"^{path}: .*Permission denied$"):
        read_weights(path, {})
