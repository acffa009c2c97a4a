"""Examples, batches of an epoch, and the splits that a student is measured on."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.decoding import decode_entities
from gliner_distill.entities import Entity, LabeledPassage, Passage
from gliner_distill.training.data import collate_examples, make_example, make_split, order_batches
from gliner_distill.training.losses import gold_boundaries, gold_distribution, teacher_word_logits


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def labeled(words, labels, entities=()):
    draw = np.random.default_rng(len(words))
    probs = draw.random((len(words), len(labels), 3), dtype=np.float32)
    return LabeledPassage(Passage(tuple(words), tuple(entities)), tuple(labels), probs)


class TestMakeExample:
    def test_has_pieces_and_the_passage(self, small_vocabulary, five_passages):
        item = five_passages[0]
        example = make_example(item, small_vocabulary)
        expected = small_vocabulary.encode_words(item.passage.words)
        assert example.words.piece_ids.tolist() == expected.piece_ids.tolist()
        assert example.item is item


class TestOrderBatches:
    @given(st.lists(st.integers(1, 50), max_size=60), st.integers(1, 9), st.integers(0, 5))
    def test_covers_every_row_once(self, lengths, batch_size, seed):
        batches = order_batches(lengths, batch_size, generator(seed))
        assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
        assert len(batches) == -(-len(lengths) // batch_size)
        assert all(1 <= len(batch) <= batch_size for batch in batches)

    def test_is_decided_by_the_generator(self):
        lengths = [position % 7 + 1 for position in range(40)]
        first = order_batches(lengths, 4, generator(1))
        assert order_batches(lengths, 4, generator(1)) == first
        assert order_batches(lengths, 4, generator(2)) != first

    def test_puts_like_lengths_together(self):
        draw = np.random.default_rng(0)
        lengths = draw.integers(1, 101, size=640).tolist()
        batches = order_batches(lengths, 8, generator())
        n_padded = sum(len(batch) * max(lengths[row] for row in batch) for batch in batches)
        # Sorted within 64 rows, neighbours differ by a few words; at random, padding is 70%.
        assert n_padded / sum(lengths) < 1.15

    def test_does_not_go_from_short_to_long(self):
        lengths = list(range(1, 65))
        firsts = [batch[0] for batch in order_batches(lengths, 8, generator())]
        assert sorted(firsts) != firsts
        assert sorted(firsts) == list(range(0, 64, 8))


class TestCollateExamples:
    items = (
        labeled(["mary", "left"], ["person", "city"], [Entity(0, 1, "person")]),
        labeled(["in", "paris", "."], ["city"], [Entity(1, 2, "city")]),
        labeled(["nothing"], []),
    )

    def test_pads_targets_with_masked_classes_and_no_mass(self, small_vocabulary):
        examples = [make_example(item, small_vocabulary) for item in self.items]
        batch = collate_examples(examples, small_vocabulary)
        assert batch["teacher_logits"].shape == batch["gold"].shape == (3, 3, 3)
        for row, item in enumerate(self.items):
            n_words, n_classes = len(item.passage.words), 1 + len(item.labels)
            own = (row, slice(n_words), slice(n_classes))
            gold = gold_distribution(item.passage.entities, item.labels, n_words)
            np.testing.assert_array_equal(batch["gold"][own], gold)
            logits = teacher_word_logits(item.probs)
            np.testing.assert_array_equal(batch["teacher_logits"][own], logits)
            is_padding = torch.ones(3, 3, dtype=torch.bool)
            is_padding[own[1:]] = False
            assert batch["gold"][row][is_padding].eq(0).all()
            assert batch["teacher_logits"][row][is_padding].eq(-torch.inf).all()

    def test_of_a_boundary_head_has_the_teachers_probabilities_and_gold(self, small_vocabulary):
        examples = [make_example(item, small_vocabulary) for item in self.items]
        batch = collate_examples(examples, small_vocabulary, head="boundary")
        assert batch["teacher_probs"].shape == batch["gold"].shape == (3, 3, 2, 3)
        for row, item in enumerate(self.items):
            n_words, n_labels = len(item.passage.words), len(item.labels)
            own = (row, slice(n_words), slice(n_labels))
            np.testing.assert_array_equal(batch["teacher_probs"][own], item.probs)
            gold = gold_boundaries(item.passage.entities, item.labels, n_words)
            np.testing.assert_array_equal(batch["gold"][own], gold)

    def test_has_targets_where_the_student_has_logits(self, small_vocabulary, build_student):
        examples = [make_example(item, small_vocabulary) for item in self.items]
        batch = collate_examples(examples, small_vocabulary)
        logits = build_student()(batch)
        assert logits.shape == batch["gold"].shape
        mask = batch["word_mask"]
        assert torch.equal(logits[mask].isfinite(), batch["teacher_logits"][mask].isfinite())


class TestMakeSplit:
    def test_asks_what_the_teacher_was_asked(self, small_vocabulary):
        item = labeled(
            ["mary", "left", "paris"],
            ["river", "city", "company", "person"],
            [Entity(0, 1, "person"), Entity(2, 3, "city")],
        )
        split = make_split("dev", [item], small_vocabulary)
        assert split.name == "dev"
        assert split.labels == [item.labels]
        assert split.examples[0].item is item
        assert split.teacher_entities == [decode_entities(item.probs, item.labels)]
        assert split.passages == [item.passage]

    @pytest.mark.parametrize("labels", [("river", "city"), ()])
    def test_takes_a_passage_without_entities_or_labels(self, small_vocabulary, labels):
        split = make_split("dev", [labeled(["nothing", "here"], labels)], small_vocabulary)
        assert split.labels == [labels]
