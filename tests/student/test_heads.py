"""The two heads in torch: logits from vectors, and targets in their form."""

from itertools import permutations

import numpy as np
import pytest
import torch
from torch import nn

from gliner_distill.entities import Entity, LabeledPassage, Passage
from gliner_distill.errors import SettingsError
from gliner_distill.student.batch import make_batch
from gliner_distill.student.heads import torch_head
from gliner_distill.student.losses import gold_boundaries, gold_distribution, teacher_word_logits

PASSAGES = [
    (["mary", "saw", "Paris", "-", "unheard", "2"], ("person", "city")),
    (["Rhine"], ("river", "place name", "city", "company")),
    (["the", "bank", "of", "the", "old", "Thames", "in", "London", "left", "acme", "."], ("city",)),
    (["north", "of", "globex"], ("company", "person", "river")),
]


def score_boundaries(student, vocabulary, passages):
    """Return each passage's logits, shape `(words, labels, 3)`."""
    words = [vocabulary.encode_words(words) for words, _ in passages]
    batch = make_batch(words, [labels for _, labels in passages], vocabulary)
    with torch.inference_mode():
        logits = student(batch)
    assert logits.shape == (*batch.word_mask.shape, batch.label_mask.shape[1], 3)
    is_masked = ~batch.label_mask[:, None, :, None].expand_as(logits)
    assert logits[is_masked].eq(-torch.inf).all()
    return [
        logits[row, : len(words), : len(labels)].numpy()
        for row, (words, labels) in enumerate(passages)
    ]


def labeled(words, labels, entities=()):
    draw = np.random.default_rng(len(words))
    probs = draw.random((len(words), len(labels), 3), dtype=np.float32)
    return LabeledPassage(Passage(tuple(words), tuple(entities)), tuple(labels), probs)


@pytest.fixture(params=[0, 12], ids=["one layer for labels", "two layers for labels"])
def label_hidden_width(request):
    return request.param


@pytest.fixture
def boundary_student(build_student, label_hidden_width):
    return build_student(head="boundary", label_hidden_width=label_hidden_width)


class TestBoundaryHead:
    score = staticmethod(score_boundaries)

    @pytest.mark.parametrize("n_layers", [1, 2])
    def test_boundary_student_scores_a_passage_alone_as_in_a_padded_batch(
        self, build_student, small_vocabulary, label_hidden_width, n_layers
    ):
        student = build_student(
            head="boundary", label_hidden_width=label_hidden_width, n_layers=n_layers
        )
        assert student.config.bidirectional
        together = self.score(student, small_vocabulary, PASSAGES)
        for passage, scores in zip(PASSAGES, together, strict=True):
            (alone,) = self.score(student, small_vocabulary, [passage])
            assert np.isfinite(scores).all()
            np.testing.assert_allclose(scores, alone, rtol=0, atol=1e-6)

    def test_boundary_student_does_not_depend_on_the_order_of_labels(
        self, boundary_student, small_vocabulary
    ):
        words, labels = PASSAGES[0][0], ("city", "place name", "river", "person")
        orders = [tuple(order) for order in permutations(range(4))]
        batches = self.score(
            boundary_student,
            small_vocabulary,
            [(words, tuple(labels[place] for place in order)) for order in orders],
        )
        for order, scores in zip(orders, batches, strict=True):
            np.testing.assert_allclose(scores, batches[0][:, order], rtol=0, atol=1e-6)
            # Alone in its batch, too, where the labels' rows are in another order.
            asked = tuple(labels[place] for place in order)
            (alone,) = self.score(boundary_student, small_vocabulary, [(words, asked)])
            np.testing.assert_allclose(alone, batches[0][:, order], rtol=0, atol=1e-6)
        # Or the above would hold for labels that all have one score.
        assert len(np.unique(batches[0].round(5))) == batches[0].size

    def test_boundary_student_does_not_depend_on_other_labels(
        self, boundary_student, small_vocabulary
    ):
        words = PASSAGES[2][0]
        orders = [("person", "city", "river"), ("river", "person", "city"), ("city",)]
        together = self.score(
            boundary_student, small_vocabulary, [(words, labels) for labels in orders]
        )
        for labels, scores in zip(orders, together, strict=True):
            for place, label in enumerate(labels):
                (alone,) = self.score(boundary_student, small_vocabulary, [(words, (label,))])
                np.testing.assert_allclose(scores[:, place], alone[:, 0], rtol=0, atol=1e-6)

    def test_boundary_logits_are_dot_products_of_words_and_labels(
        self, boundary_student, small_vocabulary
    ):
        words, labels = PASSAGES[3]
        batch = make_batch([small_vocabulary.encode_words(words)], [labels], small_vocabulary)
        with torch.inference_mode():
            pooled_words, pieces = boundary_student.look_up(batch)
            word_vectors = boundary_student.encode_words(pooled_words, batch)[0]
            read = boundary_student.read_labels(pieces, batch.label_starts)
            label_vectors = boundary_student.label_vectors(read)
            found = boundary_student(batch)[0]
        expected = torch.einsum("wd,lkd->wlk", word_vectors, label_vectors)
        expected = expected / word_vectors.shape[-1] ** 0.5 + boundary_student.bias
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
        assert len(np.unique(found.numpy().round(5))) == found.numel()

    def test_label_vectors_has_a_hidden_layer_if_asked(self, build_student, small_vocabulary):
        student = build_student(head="boundary", label_hidden_width=12)
        pooled = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
        first, _, last = student.label_tower
        with torch.inference_mode():
            hidden = nn.functional.gelu(pooled @ first.weight.T + first.bias)
            expected = hidden @ last.weight.T + last.bias
            # Labels of one piece each: the mean of the pieces is the piece.
            found = student.label_vectors(student.read_labels(pooled, torch.arange(5)))
        assert found.shape == (5, 3, 16)
        torch.testing.assert_close(found, expected.reshape(5, 3, 16), rtol=0, atol=1e-6)

    def test_student_refuses_an_unknown_head(self, build_student):
        with pytest.raises(SettingsError, match=r"'crf'.* softmax, boundary"):
            build_student(head="crf")


class TestTargets:
    items = (
        labeled(["mary", "left"], ["person", "city"], [Entity(0, 1, "person")]),
        labeled(["in", "paris", "."], ["city"], [Entity(1, 2, "city")]),
        labeled(["nothing"], []),
    )

    def test_softmax_targets_are_padded_with_masked_classes(self):
        targets = torch_head("softmax").targets(self.items, n_words=3, n_labels=2)
        assert targets.teacher.shape == targets.gold.shape == (3, 3, 3)
        for row, item in enumerate(self.items):
            n_words, n_classes = len(item.passage.words), 1 + len(item.labels)
            own = (row, slice(n_words), slice(n_classes))
            gold = gold_distribution(item.passage.entities, item.labels, n_words)
            np.testing.assert_array_equal(targets.gold[own], gold)
            logits = teacher_word_logits(item.probs)
            np.testing.assert_array_equal(targets.teacher[own], logits)
            is_padding = torch.ones(3, 3, dtype=torch.bool)
            is_padding[own[1:]] = False
            assert targets.gold[row][is_padding].eq(0).all()
            assert targets.teacher[row][is_padding].eq(-torch.inf).all()

    def test_boundary_targets_are_the_probabilities_and_gold(self):
        targets = torch_head("boundary").targets(self.items, n_words=3, n_labels=2)
        assert targets.teacher.shape == targets.gold.shape == (3, 3, 2, 3)
        for row, item in enumerate(self.items):
            n_words, n_labels = len(item.passage.words), len(item.labels)
            own = (row, slice(n_words), slice(n_labels))
            np.testing.assert_array_equal(targets.teacher[own], item.probs)
            gold = gold_boundaries(item.passage.entities, item.labels, n_words)
            np.testing.assert_array_equal(targets.gold[own], gold)
