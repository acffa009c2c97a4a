"""The checks before a search for spans in C."""

from dataclasses import replace

import numpy as np
import pytest

from gliner_distill.kernel.compiled import CompiledKernel
from gliner_distill.kernel.kernels import find_library
from gliner_distill.kernel.networks import SpanSearch

LIBRARY = find_library()
WIDTH = 64

pytestmark = pytest.mark.skipif(LIBRARY is None, reason="the kernel was not compiled here")


@pytest.fixture
def search():
    numbers = np.ones(2, np.float32)
    return SpanSearch(
        inside=np.ones((2, WIDTH), np.float32),
        edges=np.ones((4, WIDTH), np.float32),
        none=None,
        cuts=-numbers,
        shifts=0 * numbers,
        thresholds=numbers / 2,
        bias=np.zeros(3, np.float32),
        kinds=None,
        score_map=None,
        is_flat=True,
        is_multi=False,
    )


def load(search):
    return CompiledKernel(LIBRARY).load_search(search)


def test_find_asks_each_window_its_own_labels(search):
    vectors, lengths = np.ones((3, WIDTH), np.float32), np.array([1, 2], np.int32)
    own = [np.array([], np.int32), np.array([1], np.int32)]
    found = load(search).find(vectors, lengths, own)
    assert [row[:4] for row in found.tolist()] == [(1, 0, 1, 1), (1, 1, 2, 1)]


@pytest.mark.parametrize("label", [-1, 2])
def test_find_refuses_labels_that_do_not_exist(search, label):
    vectors, lengths = np.ones((2, WIDTH), np.float32), np.array([2], np.int32)
    with pytest.raises(ValueError, match="outside"):
        load(search).find(vectors, lengths, [np.array([label], np.int32)])


@pytest.mark.parametrize(
    "wrong",
    [
        {"edges": np.ones((3, WIDTH), np.float32)},
        {"cuts": np.ones(2)},
        {"none": np.ones(WIDTH + 1, np.float32)},
        {"thresholds": np.ones(3, np.float32)},
        {"score_map": (np.zeros(3), np.zeros(3), np.zeros(3))},
        {"kinds": (np.zeros((2, 3), np.int32), np.zeros((2, 4), np.int32), np.zeros(2, np.int64))},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_search_refuses_arrays_that_do_not_fit(search, wrong):
    with pytest.raises(ValueError, match="array"):
        load(replace(search, **wrong))


def test_find_refuses_vectors_that_do_not_fit(search):
    loaded = load(search)
    for n_words, width in ((3, WIDTH), (2, WIDTH + 64)):
        vectors = np.ones((n_words, width), np.float32)
        with pytest.raises(ValueError, match="array"):
            loaded.find(vectors, np.array([2], np.int32))
