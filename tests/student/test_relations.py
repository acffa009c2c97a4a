"""The comparison of labels in torch."""

import numpy as np
import torch

from gliner_distill.student.batch import make_batch
from gliner_distill.student.relations import kind_outputs, kind_rows

LABELS = ("person", "place name", "x", "city", "a label of many more pieces than the others")


def label_batch(vocabulary, labels):
    return make_batch([vocabulary.encode_words(["x"])], [labels], vocabulary)


def test_kind_outputs_are_those_of_the_layer(build_comparer, small_vocabulary):
    student = build_comparer()
    batch = label_batch(small_vocabulary, LABELS)
    with torch.no_grad():
        read = student.read_labels(student.look_up(batch)[1], batch.label_starts)
        expected = student.label_kind(read)
        found = kind_outputs(student, batch.label_piece_ids, batch.label_starts)
    assert found.shape == (len(LABELS), 7)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_kind_outputs_have_no_dropout_and_gradients_for_shared_layers_alone(
    build_comparer, small_vocabulary
):
    student = build_comparer(embedding_dropout_prob=0.5).train()
    batch = label_batch(small_vocabulary, LABELS)
    first, second = (
        kind_outputs(student, batch.label_piece_ids, batch.label_starts) for _ in range(2)
    )
    assert torch.equal(first, second)
    first.sum().backward()
    assert student.pieces.weight.grad is student.label_kind.weight.grad is None
    for layer in (student.label_forward_lstm, student.label_backward_lstm, student.label_tower[0]):
        assert all(parameter.grad.abs().sum() > 0 for parameter in layer.parameters())


def test_kind_rows_of_a_label_do_not_depend_on_the_others(build_comparer, small_vocabulary):
    student = build_comparer()
    rows = kind_rows(student, small_vocabulary, LABELS)
    assert rows.dtype == np.float32
    for label, row in zip(LABELS, rows, strict=True):
        alone = kind_rows(student, small_vocabulary, [label])
        np.testing.assert_allclose(alone[0], row, rtol=0, atol=1e-6)
    assert kind_rows(student, small_vocabulary, []).shape == (0, 7)
