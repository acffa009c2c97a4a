"""The label tower in numpy against torch, and the independence of labels."""

import numpy as np
import pytest
import torch

from gliner_distill.kernel.kernels import default_kernel
from gliner_distill.runtime.bundle import quantize_weights
from gliner_distill.runtime.embeddings import LabelVectors, PieceTable
from gliner_distill.runtime.label_tower import LabelTower, gelu, mean_runs
from gliner_distill.student.batch import make_batch
from gliner_distill.student.bundling import make_bundle
from gliner_distill.student.relations import kind_rows

LABELS = (
    *("person", "place name", "name place", "first_name", "東京", "city", "x"),
    *("a label of very many words that has far more pieces than all of the others", "city"),
)
SHAPES = (
    {},
    {"label_lstm_width": 0},
    {"relation_width": 0},
    {"label_hidden_width": 0, "relation_width": 0},
    {"head": "softmax"},
)


@pytest.fixture
def build(build_comparer, build_finder):
    def build(**shape):
        if "label_hidden_width" in shape or "relation_width" in shape:
            return build_finder(**({"head": "boundary", "label_lstm_width": 5} | shape))
        return build_comparer(**shape)

    return build


def encode(bundle, labels, *, n_vectors):
    table = PieceTable(bundle.weights)
    vectors = LabelVectors(
        bundle.vocabulary, table, bundle.weights, n_vectors=n_vectors, kernel=default_kernel()
    )
    return vectors.encode(labels)


@torch.inference_mode()
def encode_with_torch(student, vocabulary, labels):
    distinct = list(dict.fromkeys(labels))
    batch = make_batch([vocabulary.encode_words(["x"])], [distinct], vocabulary)
    read = student.read_labels(student.look_up(batch)[1], batch.label_starts)
    rows = [distinct.index(label) for label in labels]
    return student.label_vectors(read)[rows].numpy()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_label_tower_equals_torch(shape, build, small_vocabulary):
    student = build(**shape)
    n_vectors = 1 if student.config.head == "softmax" else 3
    outputs = encode(make_bundle(student, small_vocabulary), LABELS, n_vectors=n_vectors)
    vectors = encode_with_torch(student, small_vocabulary, LABELS)
    # The last layer is scaled up by the fixture, so errors are relative to that.
    scale = max(1.0, float(np.abs(vectors).max()))
    np.testing.assert_allclose(outputs.vectors, vectors, rtol=0, atol=1e-5 * scale)
    if not student.config.relation_width:
        assert outputs.kinds is None
        return
    rows = kind_rows(student, small_vocabulary, LABELS)
    found = np.column_stack([outputs.kinds.narrow, outputs.kinds.broad, outputs.kinds.breadth])
    assert rows.shape == (len(LABELS), 7)
    np.testing.assert_allclose(found, rows, rtol=0, atol=1e-5)


def test_label_tower_reads_pieces_in_order_only_with_an_lstm(build, small_vocabulary):
    for width in (5, 0):
        bundle = make_bundle(build(label_lstm_width=width), small_vocabulary)
        outputs = encode(bundle, LABELS, n_vectors=3)
        there, back = (outputs.vectors[LABELS.index(x)] for x in ("place name", "name place"))
        assert np.allclose(there, back, atol=1e-4) == (width == 0)


@pytest.mark.parametrize("quantized", [False, True])
def test_label_tower_gives_a_label_the_same_numbers_beside_any_others(
    quantized, build_comparer, small_vocabulary
):
    # As wide as a real student, since products of small matrices are computed in other ways.
    widths = {"embedding_width": 64, "hidden_width": 40, "label_hidden_width": 96}
    student = build_comparer(**widths, label_lstm_width=48, relation_width=16)
    bundle = make_bundle(student, small_vocabulary)
    bundle = quantize_weights(bundle) if quantized else bundle
    labels = [f"{first} {second}" for first in LABELS for second in ("", "of a city", "company")]
    expected = encode(bundle, labels, n_vectors=3)
    draws = np.random.default_rng(0)
    for n_labels in (1, 2, 3, 5, 8, 13, 20):
        rows = draws.permutation(len(labels))[:n_labels]
        found = encode(bundle, [labels[row] for row in rows], n_vectors=3)
        np.testing.assert_array_equal(found.vectors, expected.vectors[rows])
        np.testing.assert_array_equal(found.kinds.narrow, expected.kinds.narrow[rows])
        np.testing.assert_array_equal(found.kinds.broad, expected.kinds.broad[rows])
        np.testing.assert_array_equal(found.kinds.breadth, expected.kinds.breadth[rows])


def test_label_tower_of_no_labels_is_empty(build_comparer, small_vocabulary):
    bundle = make_bundle(build_comparer(), small_vocabulary)
    outputs = encode(bundle, [], n_vectors=3)
    assert outputs.vectors.shape == (0, 3, 16)
    assert outputs.kinds.narrow.shape == outputs.kinds.broad.shape == (0, 3)


def test_label_tower_gives_no_kinds_without_the_layer(build_finder, small_vocabulary):
    bundle = make_bundle(build_finder(head="boundary"), small_vocabulary)
    tower = LabelTower(bundle.weights, n_vectors=3, kernel=default_kernel())
    outputs = tower.outputs(tower.read(np.ones((3, 8), np.float32), np.array([0, 1])))
    assert outputs.vectors.shape == (2, 3, 16)
    assert outputs.kinds is None


def test_mean_runs_returns_the_mean_of_each_run():
    vectors = np.array([[1, 2], [3, 4], [5, 9]], dtype=np.float32)
    assert mean_runs(vectors, np.array([0, 2])).tolist() == [[2, 3], [5, 9]]


def test_gelu_equals_torch_within_a_millionth():
    x = np.linspace(-8, 8, 100_001, dtype=np.float32)
    expected = torch.nn.functional.gelu(torch.from_numpy(x).double()).numpy()
    assert np.abs(gelu(x) - expected).max() <= 1e-6
