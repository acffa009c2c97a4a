"""The weights that JavaScript loads, against those that `StudentNER` makes when it loads."""

import numpy as np
import pytest
import safetensors.numpy

from gliner_distill.kernel.networks import BYTE, make_product
from gliner_distill.runtime.bundle import quantize_weights
from gliner_distill.web.weights import make_weights

pytestmark = pytest.mark.slow  # torch makes the students


@pytest.fixture
def make(build_student, small_vocabulary):
    def make(**shape):
        from gliner_distill.student.bundling import make_bundle

        student = build_student(head="boundary", **shape)
        return quantize_weights(make_bundle(student, small_vocabulary))

    return make


def test_make_weights_holds_the_products_of_the_kernel(make):
    bundle = make(n_layers=2, label_hidden_width=12, label_lstm_width=4, relation_width=3)
    weights = make_weights(bundle)
    arrays, settings = weights.arrays, weights.settings
    assert settings["words"]["n_layers"] == 2
    assert settings["words"]["n_units"] == 16
    assert settings["labels"]["n_states"] == 4
    assert settings["labels"]["n_layers_above"] == 2
    assert settings["bias"] == bundle.weights["bias"].astype(np.float32).tolist()
    tower = bundle.weights["word_tower.weight"].astype(np.float32) * np.float32(16**-0.5)
    padded = np.zeros((64, 32), np.float32)
    # The padded units of the first direction stand between those of the two directions.
    padded[:16, :8], padded[:16, 16:24] = tower[:, :8], tower[:, 8:16]
    expected = make_product(padded, BYTE, 1 / 127)
    assert np.array_equal(arrays["words.tower.weight"], expected.weights)
    assert np.array_equal(arrays["words.tower.scale"], expected.scales)
    assert arrays["words.1.1.input.weight"].dtype == np.int8
    assert arrays["labels.layer1.weight"].dtype == np.float16
    assert "words.0.0.input.weight" not in arrays


def test_as_file_is_a_safetensors_file(make):
    weights = make_weights(make())
    read = safetensors.numpy.load(weights.as_file())
    assert read.keys() == weights.arrays.keys()
    assert all(np.array_equal(read[name], weights.arrays[name]) for name in read)
    assert weights.settings["labels"]["n_layers_above"] == 1
    assert "labels.inputs.weight" not in read
