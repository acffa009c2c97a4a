"""The anchor: the comparison of labels stays near the start while the student learns."""

import dataclasses

import numpy as np
import pytest
import torch

from gliner_distill.student.batch import make_batch
from gliner_distill.student.relations import kind_rows
from gliner_distill.training.anchor import ANCHOR_WEIGHT, RelationAnchor, anchor_loss, make_anchor
from gliner_distill.training.loop import train_student
from training_runs import SHORT, KilledError, assert_same_run, stop_after

NAMES = ("person", "city", "river", "company")


def batch_of(vocabulary, labels):
    words = [vocabulary.encode_words(["mary"])] * len(labels)
    return make_batch(words, labels, vocabulary)


@pytest.fixture
def train(build_comparer, small_vocabulary, five_passages):
    """A function that trains a student that compares labels for a few steps."""

    def train(folder, settings=SHORT, *, keep_relations=True, **arguments):
        student = build_comparer(dropout_prob=0.3, embedding_dropout_prob=0.2)
        return train_student(
            student,
            small_vocabulary,
            five_passages,
            folder,
            settings,
            keep_relations=keep_relations,
            **arguments,
        )

    return train


class TestAnchor:
    def test_outputs_are_those_of_the_start_in_the_order_of_the_batch(
        self, build_comparer, small_vocabulary, five_passages
    ):
        student = build_comparer()
        anchor = RelationAnchor(student, small_vocabulary, five_passages)
        expected = kind_rows(student, small_vocabulary, ("river", "city", "person"))
        found = anchor.outputs([("river", "city"), ("city", "person")]).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)

    def test_anchor_loss_is_0_at_the_start_and_the_weighted_square_of_a_change(
        self, build_comparer, small_vocabulary, five_passages
    ):
        student = build_comparer(embedding_dropout_prob=0.5)
        anchor = RelationAnchor(student, small_vocabulary, five_passages)
        labels = [("river", "city"), ("city", "person")]
        batch = batch_of(small_vocabulary, labels)
        student.train()
        outputs = anchor.outputs(labels)
        assert anchor_loss(student, batch, outputs).item() == pytest.approx(0, abs=1e-10)
        with torch.no_grad():
            student.label_kind.bias += 0.5
        loss = anchor_loss(student, batch, outputs).item()
        assert loss == pytest.approx(ANCHOR_WEIGHT * 0.25, rel=1e-4)

    def test_anchor_loss_of_no_labels_is_0(self, build_comparer, small_vocabulary, five_passages):
        student = build_comparer()
        anchor = RelationAnchor(student, small_vocabulary, five_passages)
        batch = batch_of(small_vocabulary, [()])
        assert anchor_loss(student, batch, anchor.outputs([()])).item() == 0

    def test_make_anchor_needs_a_student_that_compares_labels(
        self, build_student, build_comparer, small_vocabulary, five_passages
    ):
        assert make_anchor(build_student(), small_vocabulary, five_passages) is None
        assert make_anchor(build_comparer(), small_vocabulary, five_passages) is not None


class TestTraining:
    def test_train_student_keeps_relations_near_the_start(
        self, tmp_path, train, build_comparer, small_vocabulary
    ):
        start = kind_rows(build_comparer(), small_vocabulary, NAMES)

        def drift(student):
            return np.square(kind_rows(student, small_vocabulary, NAMES) - start).mean()

        settings = dataclasses.replace(SHORT, epochs=12)
        free = drift(train(tmp_path / "free", settings, keep_relations=False))
        held = drift(train(tmp_path / "held", settings))
        assert held < 0.3 * free

    def test_train_student_with_an_anchor_changes_the_student(self, tmp_path, train):
        held, free = (
            train(tmp_path / str(keep), keep_relations=keep).state_dict() for keep in (True, False)
        )
        assert not torch.equal(held["label_tower.0.weight"], free["label_tower.0.weight"])

    def test_train_student_leaves_the_layer_of_the_comparison_alone(
        self, tmp_path, train, build_comparer
    ):
        start, trained = build_comparer().label_kind, train(tmp_path).label_kind
        assert torch.equal(trained.weight, start.weight)
        assert torch.equal(trained.bias, start.bias)

    @pytest.mark.slow
    @pytest.mark.parametrize("n_steps", [4, 8])
    def test_train_student_with_an_anchor_resumes_exactly(self, tmp_path, train, n_steps):
        train(tmp_path / "whole")
        with pytest.raises(KilledError):
            train(tmp_path / "run", progress=stop_after(n_steps))
        train(tmp_path / "run", resume=True)
        assert_same_run(tmp_path / "run", tmp_path / "whole")
