"""The vectors of words and labels in numpy against torch, with and without their caches."""

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from gliner_distill.kernel.kernels import default_kernel
from gliner_distill.runtime.bundle import quantize_weights
from gliner_distill.runtime.embeddings import (
    PIECE_SCALES,
    PIECES,
    LabelVectors,
    PieceTable,
    WordVectors,
)
from gliner_distill.student.batch import make_batch
from gliner_distill.student.bundling import make_bundle

LABELS = ("person", "place name", "first_name", "東京", "city", "a label of many words", "x")
PASSAGES = [
    ["mary", "saw", "Paris", "-", "unheard", "2", "\ud800", "東京", "well-known", "!"],
    ["ACME"],
    ["x" * 101, "x" * 100, "mary", "y" * 5000],
]
# The vectors of the small students have 16 numbers, and a key counts as 600 bytes.
ROW_BYTES = 4 * 16 + 600


class CountingVocabulary:
    """A vocabulary that records what it was asked."""

    def __init__(self, vocabulary):
        self._vocabulary = vocabulary
        self.asked = []

    def encode_words(self, words):
        self.asked += words
        return self._vocabulary.encode_words(words)

    def encode_label(self, label):
        self.asked.append(label)
        return self._vocabulary.encode_label(label)


def make_word_vectors(bundle, vocabulary=None, **limits):
    """Return a cache whose table holds the vectors of words as they are."""
    table, shapes = PieceTable(bundle.weights), bundle.weights["shapes.weight"]
    return WordVectors(
        vocabulary or bundle.vocabulary,
        table,
        shapes,
        lambda vectors: vectors,
        n_columns=table.width,
        **limits,
    )


def embed(vectors, passages):
    """Return the rows of all words, one passage after the other."""
    seen = vectors.look_up(passages)
    return seen.table[seen.rows]


def make_label_vectors(bundle, vocabulary=None, *, n_vectors=3, **limits):
    return LabelVectors(
        vocabulary or bundle.vocabulary,
        PieceTable(bundle.weights),
        bundle.weights,
        n_vectors=n_vectors,
        kernel=default_kernel(),
        **limits,
    )


@contextmanager
def threads_that_switch_often():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


@torch.inference_mode()
def embed_with_torch(student, vocabulary, passages):
    words = [vocabulary.encode_words(words) for words in passages]
    batch = make_batch(words, [()] * len(words), vocabulary)
    rows = student.look_up(batch)[0] + student.shapes(batch.word_shapes)
    return rows.numpy()


@torch.inference_mode()
def encode_labels_with_torch(student, vocabulary, labels):
    batch = make_batch([vocabulary.encode_words(["x"])], [labels], vocabulary)
    hidden = student.read_labels(student.look_up(batch)[1], batch.label_starts)
    return student.label_vectors(hidden).numpy()


@pytest.fixture(scope="module")
def student(build_student):
    return build_student(head="boundary")


@pytest.fixture(scope="module")
def bundle(student, small_vocabulary):
    return make_bundle(student, small_vocabulary)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_largest_is_the_largest_absolute_value(dtype):
    pieces = np.random.default_rng(0).normal(size=(50, 6)).astype(dtype)
    for table in (pieces, -pieces, pieces * dtype(1e-7)):
        assert PieceTable({PIECES: table}).largest == np.abs(table).max()


class TestWords:
    def test_word_vectors_equal_torch(self, student, bundle, small_vocabulary):
        seen = make_word_vectors(bundle).look_up(PASSAGES)
        assert seen.table.dtype == np.float32
        assert seen.lengths.tolist() == [10, 1, 4]
        assert (seen.lengths.dtype, seen.rows.dtype) == (np.int32, np.int32)
        expected = embed_with_torch(student, small_vocabulary, PASSAGES)
        np.testing.assert_allclose(seen.table[seen.rows], expected, rtol=0, atol=1e-6)

    def test_word_vectors_keep_the_rows_of_earlier_calls(self, bundle):
        vectors = make_word_vectors(bundle, max_bytes=12 * ROW_BYTES)
        seen = vectors.look_up(PASSAGES)
        before = seen.table[seen.rows]
        for number in range(20):
            embed(vectors, [[f"word{number}", f"more{number}"]])
        np.testing.assert_array_equal(seen.table[seen.rows], before)

    def test_word_vectors_do_not_depend_on_position_or_earlier_calls(self, bundle):
        vectors = make_word_vectors(bundle)
        first = embed(vectors, PASSAGES)
        again = embed(vectors, [["new", *PASSAGES[0]]])
        np.testing.assert_array_equal(again[1:], first[: len(PASSAGES[0])])

    def test_word_vectors_caches_words_of_up_to_100_characters(self, bundle, small_vocabulary):
        vocabulary = CountingVocabulary(small_vocabulary)
        vectors = make_word_vectors(bundle, vocabulary)
        for _ in range(2):
            embed(vectors, [["mary", "x" * 100, "x" * 101], ["mary"]])
        assert sorted(vocabulary.asked) == sorted(["mary", "x" * 100, "x" * 101, "x" * 101])

    def test_word_vectors_stay_the_same_when_the_cache_is_emptied(self, bundle, small_vocabulary):
        passages = [[f"word{number % 23}" for number in range(at, at + 9)] for at in range(40)]
        expected = [embed(make_word_vectors(bundle), [words]) for words in passages]
        vocabulary = CountingVocabulary(small_vocabulary)
        vectors = make_word_vectors(bundle, vocabulary, max_bytes=12 * ROW_BYTES)
        for words, right in zip(passages, expected, strict=True):
            np.testing.assert_allclose(embed(vectors, [words]), right, rtol=0, atol=1e-6)
        assert len(vocabulary.asked) > 23  # some were forgotten

    def test_word_vectors_embeds_more_words_than_the_cache_holds(self, bundle):
        words = [f"word{number}" for number in range(3000)]
        expected = embed(make_word_vectors(bundle), [words])
        vectors = make_word_vectors(bundle, max_bytes=12 * ROW_BYTES)
        for _ in range(2):
            np.testing.assert_allclose(embed(vectors, [words]), expected, rtol=0, atol=1e-6)

    def test_word_vectors_never_keep_more_bytes_than_allowed(self, bundle):
        vectors = make_word_vectors(bundle, max_bytes=50_000)
        sizes = []
        for number in range(60):
            long = f"{number}" * 30_000
            embed(vectors, [[f"word{number}-{place}" for place in range(10)] + [long]])
            sizes.append(vectors.n_bytes)
        assert max(sizes) <= 50_000
        assert max(sizes) > 30_000

    def test_word_vectors_are_the_same_from_several_threads(self, bundle):
        draws = np.random.default_rng(0)
        passages = [
            [f"word{number}" for number in draws.integers(0, 60, 20)] + ["x" * 120]
            for _ in range(200)
        ]
        expected = [embed(make_word_vectors(bundle), [words]) for words in passages]
        vectors = make_word_vectors(bundle, max_bytes=40 * ROW_BYTES)
        with threads_that_switch_often(), ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda words: embed(vectors, [words]), passages))
        for embedded, right in zip(found, expected, strict=True):
            np.testing.assert_allclose(embedded, right, rtol=0, atol=1e-6)

    def test_word_vectors_of_int8_pieces_equal_torch(self, build_student, small_vocabulary):
        student = build_student(seed=3)
        with torch.no_grad():
            student.pieces.weight[5] = 0  # a row without a scale
        quantized = quantize_weights(make_bundle(student, small_vocabulary))
        codes, scales = quantized.weights[PIECES], quantized.weights[PIECE_SCALES]
        assert codes.dtype == np.int8
        weights = student.pieces.weight.detach().numpy()
        pieces = codes.astype(np.float32) * scales
        assert (np.abs(pieces - weights) <= scales / 2 * 1.001).all()
        assert (pieces != weights).any()
        with torch.no_grad():
            student.pieces.weight.copy_(torch.from_numpy(pieces))
            shapes = quantized.weights["shapes.weight"].astype(np.float32)
            student.shapes.weight.copy_(torch.from_numpy(shapes))
        embedded = embed(make_word_vectors(quantized), PASSAGES)
        expected = embed_with_torch(student, small_vocabulary, PASSAGES)
        np.testing.assert_allclose(embedded, expected, rtol=0, atol=1e-6)


class TestLabels:
    @pytest.mark.parametrize("head", ["boundary", "softmax"])
    @pytest.mark.parametrize("hidden", [0, 16])
    def test_label_vectors_equal_torch(self, head, hidden, build_student, small_vocabulary):
        student = build_student(head=head, label_hidden_width=hidden, seed=1)
        with torch.no_grad():  # so that GELU is asked beyond where it is a straight line
            student.pieces.weight.mul_(6)
        bundle = make_bundle(student, small_vocabulary)
        n_vectors = 3 if head == "boundary" else 1
        encoded = make_label_vectors(bundle, n_vectors=n_vectors).encode(LABELS).vectors
        assert encoded.shape == (len(LABELS), n_vectors, 16)
        expected = encode_labels_with_torch(student, small_vocabulary, LABELS)
        np.testing.assert_allclose(encoded, expected, rtol=0, atol=1e-5)
        assert len(np.unique(encoded[:, 0, 0])) == len(LABELS)

    def test_label_vectors_of_no_labels_and_of_duplicates(self, bundle):
        vectors = make_label_vectors(bundle)
        assert vectors.encode([]).vectors.shape == (0, 3, 16)
        twice = vectors.encode(["city", "person", "city"]).vectors
        np.testing.assert_array_equal(twice[0], twice[2])
        assert (twice[0] != twice[1]).any()

    def test_label_vectors_caches_labels(self, bundle, small_vocabulary):
        vocabulary = CountingVocabulary(small_vocabulary)
        vectors = make_label_vectors(bundle, vocabulary)
        for labels in (["city", "city"], ["person", "city"]):
            vectors.encode(labels)
        assert vocabulary.asked == ["city", "person"]

    def test_label_vectors_stay_the_same_when_the_cache_is_emptied(self, bundle):
        sets = [[f"label {number % 11}" for number in range(at, at + 4)] for at in range(30)]
        expected = [make_label_vectors(bundle).encode(labels).vectors for labels in sets]
        vectors = make_label_vectors(bundle, max_bytes=1_600)
        for labels, right in zip(sets, expected, strict=True):
            found = vectors.encode(labels).vectors
            np.testing.assert_allclose(found, right, rtol=0, atol=1e-5)

    def test_label_vectors_never_keep_more_bytes_than_allowed(self, bundle):
        vectors = make_label_vectors(bundle, max_bytes=20_000)
        for number in range(20):
            vectors.encode([f"label {number} {place} {'x' * 500}" for place in range(5)])
            assert 0 < vectors.n_bytes <= 20_000
