"""The kernel in C against the one in numpy, bit for bit, on every path of this machine."""

import os
from pathlib import Path

import numpy as np
import pytest

from gliner_distill.kernel.compiled import MOST_WINDOWS, PATHS, CompiledKernel
from gliner_distill.kernel.kernels import find_library
from gliner_distill.kernel.networks import BYTE, FLOAT, SHORT, make_product
from gliner_distill.kernel.oracle import NumpyKernel
from kernel_networks import SHAPES, extreme_network, make_network, make_windows

# `make sanitize` tests a library of its own.
TESTED = os.environ.get("TESTED_KERNEL")
LIBRARY = Path(TESTED) if TESTED else find_library()
PATHS_HERE = CompiledKernel(LIBRARY).paths if LIBRARY else ()

pytestmark = pytest.mark.skipif(LIBRARY is None, reason="the kernel was not compiled here")


@pytest.fixture(params=PATHS_HERE)
def kernel(request):
    return CompiledKernel(LIBRARY, request.param)


def assert_same(found, expected):
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found.view(np.int32), expected.view(np.int32))


class TestRead:
    @pytest.mark.parametrize("kind", [FLOAT, BYTE])
    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_gives_the_numbers_of_numpy(self, kernel, kind, shape):
        network = make_network(kind, *shape)
        windows = make_windows(network)
        assert_same(kernel.load(network).read(*windows), NumpyKernel().load(network).read(*windows))

    def test_without_a_tower_it_gives_the_states(self, kernel):
        network = make_network(FLOAT, 20, 1, 2, 0)
        windows = make_windows(network)
        assert_same(kernel.load(network).read(*windows), NumpyKernel().load(network).read(*windows))

    def test_the_largest_sums_do_not_saturate(self, kernel):
        network = extreme_network()
        table, rows, lengths = make_windows(network)
        # Inputs this large drive all states to -1 or 1.
        windows = 50 * table, rows, lengths
        assert_same(kernel.load(network).read(*windows), NumpyKernel().load(network).read(*windows))

    @pytest.mark.parametrize("kind", [FLOAT, BYTE])
    def test_a_window_is_read_alone_as_among_others(self, kernel, kind):
        network = make_network(kind, 37, 2, 2, 50)
        table, rows, lengths = make_windows(network, n_windows=MOST_WINDOWS)
        loaded = kernel.load(network)
        together = loaded.read(table, rows, lengths)
        ends = np.cumsum(lengths)
        for end, length in zip(ends.tolist(), lengths.tolist(), strict=True):
            part = slice(end - length, end)
            alone = loaded.read(table, rows[part], np.array([length], np.int32))
            assert_same(alone, together[part])

    @pytest.mark.parametrize(
        ("rows", "lengths"),
        [
            ([0, 50], [2]),
            ([0, -1], [2]),
            ([0, 1, 2], [1, 2]),
            ([0, 1], [2, 0]),
            ([0, 1], [3]),
            ([0] * (MOST_WINDOWS + 1), [1] * (MOST_WINDOWS + 1)),
            ([], []),
        ],
        ids=str,
    )
    def test_refuses_rows_and_lengths_that_do_not_fit(self, kernel, rows, lengths):
        network = make_network(BYTE, 16, 1, 2, 20)
        table = np.zeros((50, network.n_columns), np.float32)
        with pytest.raises(ValueError, match=r"array|lengths|row"):
            kernel.load(network).read(table, np.array(rows, np.int32), np.array(lengths, np.int32))

    def test_refuses_a_table_of_another_type_or_shape(self, kernel):
        network = make_network(BYTE, 16, 1, 2, 20)
        table, rows, lengths = make_windows(network)
        loaded = kernel.load(network)
        for wrong in (table.astype(np.float64), table[:, :-1], np.asfortranarray(table)):
            with pytest.raises(ValueError, match="array"):
                loaded.read(wrong, rows, lengths)


class TestMultiply:
    @pytest.mark.parametrize("n_rows", [1, 5, 6, 203])
    def test_gives_the_numbers_of_numpy(self, kernel, n_rows):
        rng = np.random.default_rng(0)
        weights = rng.standard_normal((128, 48)).astype(np.float32)
        bias = rng.standard_normal(128).astype(np.float32)
        numbers = rng.standard_normal((n_rows, 48)).astype(np.float32)
        codes = rng.integers(-32_767, 32_768, (n_rows, 48)).astype(np.int16)
        for kind, rows in ((FLOAT, numbers), (SHORT, codes)):
            product = make_product(weights, kind, 0.01)
            found = kernel.load_product(product, bias).multiply(rows)
            assert_same(found, NumpyKernel().load_product(product, bias).multiply(rows))


class TestCompare:
    def test_gives_the_numbers_of_numpy(self, kernel):
        rng = np.random.default_rng(0)
        words = rng.standard_normal((77, 320)).astype(np.float32)
        labels = rng.standard_normal((9, 320)).astype(np.float32)
        products = kernel.compare(words, labels)
        assert_same(products, NumpyKernel().compare(words, labels))
        word_of, label_of = rng.integers(0, 77, 50), rng.integers(0, 9, 50)
        pairs = kernel.compare_pairs(words, labels, word_of, label_of)
        assert_same(pairs, products[label_of, word_of])

    def test_refuses_pairs_outside_of_the_rows(self, kernel):
        words = np.zeros((3, 16), np.float32)
        for word_of in ([3], [-1]):
            with pytest.raises(ValueError, match="outside"):
                kernel.compare_pairs(words, words, np.array(word_of), np.array([0]))


def test_logistic_gives_the_numbers_of_numpy(kernel):
    logits = np.concatenate([np.linspace(-90, 90, 20_001), [np.inf, -np.inf]]).astype(np.float32)
    found = kernel.logistic(logits)
    assert_same(found, NumpyKernel().logistic(logits))
    expected = 1 / (1 + np.exp(-np.clip(logits.astype(float), -80, 80)))
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_an_unknown_path_is_refused():
    lacking = next(path for path in PATHS if path not in PATHS_HERE)
    with pytest.raises(ValueError, match=lacking):
        CompiledKernel(LIBRARY, lacking)
