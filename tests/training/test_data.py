"""Examples, the batches of an epoch, evaluation splits, and augmentation."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate.utils import send_to_device
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.decoding import decode_entities
from gliner_distill.entities import Entity, LabeledPassage, Passage
from gliner_distill.student.batch import Batch
from gliner_distill.student.heads import torch_head
from gliner_distill.training.data import (
    augment_example,
    augment_words,
    collate_examples,
    make_example,
    make_split,
    mistype,
    mistype_some,
    order_batches,
)

TEXT = ("Mary", "SAW", "the", "old", "Bank", "of", "Globex", "in", "Paris", "-", "2", "straße")
some_words = st.lists(st.text(min_size=1, max_size=8), max_size=6)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def labeled(words, labels, entities=()):
    draw = np.random.default_rng(len(words))
    probs = draw.random((len(words), len(labels), 3), dtype=np.float32)
    return LabeledPassage(Passage(tuple(words), tuple(entities)), tuple(labels), probs)


class TestMakeExample:
    def test_make_example_has_pieces_and_the_passage(self, small_vocabulary, five_passages):
        item = five_passages[0]
        example = make_example(item, small_vocabulary)
        expected = small_vocabulary.encode_words(item.passage.words)
        assert example.words.piece_ids.tolist() == expected.piece_ids.tolist()
        assert example.labeled is item


class TestOrderBatches:
    @given(st.lists(st.integers(1, 50), max_size=60), st.integers(1, 9), st.integers(0, 5))
    def test_order_batches_covers_every_row_once(self, lengths, batch_size, seed):
        batches = order_batches(lengths, batch_size, generator(seed))
        assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
        assert len(batches) == -(-len(lengths) // batch_size)
        assert all(1 <= len(batch) <= batch_size for batch in batches)

    def test_order_batches_is_decided_by_the_generator(self):
        lengths = [position % 7 + 1 for position in range(40)]
        first = order_batches(lengths, 4, generator(1))
        assert order_batches(lengths, 4, generator(1)) == first
        assert order_batches(lengths, 4, generator(2)) != first

    def test_order_batches_puts_like_lengths_together(self):
        draw = np.random.default_rng(0)
        lengths = draw.integers(1, 101, size=640).tolist()
        batches = order_batches(lengths, 8, generator())
        n_padded = sum(len(batch) * max(lengths[row] for row in batch) for batch in batches)
        # Sorted within 64 rows, neighbors differ by a few words; at random, padding is 70%.
        assert n_padded / sum(lengths) < 1.15

    def test_order_batches_does_not_go_from_short_to_long(self):
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

    def test_collate_examples_has_targets_where_the_student_has_logits(
        self, small_vocabulary, build_student
    ):
        examples = [make_example(item, small_vocabulary) for item in self.items]
        batch = collate_examples(examples, small_vocabulary, torch_head("softmax"))
        logits = build_student()(batch.inputs)
        assert logits.shape == batch.targets.gold.shape
        mask = batch.inputs.word_mask
        assert torch.equal(logits[mask].isfinite(), batch.targets.teacher[mask].isfinite())


def test_training_batch_is_moved_by_accelerate(small_vocabulary):
    examples = [make_example(labeled(["mary", "left"], ["city"]), small_vocabulary)]
    batch = collate_examples(examples, small_vocabulary, torch_head("boundary"))
    batch = replace(batch, teacher_words=torch.zeros(1, 2, 3), teacher_labels=torch.ones(1, 1, 3))
    moved = send_to_device(batch, torch.device("meta"))
    tensors = [getattr(moved.inputs, name) for name in Batch.__slots__]
    tensors += [moved.targets.teacher, moved.targets.gold]
    tensors += [moved.teacher_words, moved.teacher_labels]
    assert {tensor.device for tensor in tensors} == {torch.device("meta")}


class TestMakeSplit:
    def test_make_split_asks_what_the_teacher_was_asked(self, small_vocabulary):
        item = labeled(
            ["mary", "left", "paris"],
            ["river", "city", "company", "person"],
            [Entity(0, 1, "person"), Entity(2, 3, "city")],
        )
        split = make_split("dev", [item], small_vocabulary)
        assert split.name == "dev"
        assert split.labels == [item.labels]
        assert split.examples[0].labeled is item
        assert split.teacher_entities == [decode_entities(item.probs, item.labels)]
        assert split.passages == [item.passage]

    @pytest.mark.parametrize("labels", [("river", "city"), ()])
    def test_make_split_takes_a_passage_without_entities_or_labels(self, small_vocabulary, labels):
        split = make_split("dev", [labeled(["nothing", "here"], labels)], small_vocabulary)
        assert split.labels == [labels]


def all_mistyped(word):
    """Return whatever may become of a word: what has no next letter, or one alike, stays."""
    found = {word}
    for at in range(len(word)):
        found.add(word[:at] + word[at] * 2 + word[at + 1 :])
        if len(word) > 1:
            found.add(word[:at] + word[at + 1 :])
        if at + 1 < len(word):
            found.add(word[:at] + word[at + 1] + word[at] + word[at + 2 :])
    return found


def kind_of(words, altered):
    """Return which alteration it was; of words that tell them apart."""
    if altered == [word.upper() for word in words]:
        return "upper"
    return "lower" if altered == [word.lower() for word in words] else "mistyped"


class TestMistype:
    @given(st.text(min_size=1, max_size=12), st.integers(0, 100))
    def test_mistype_makes_one_edit_and_leaves_something(self, word, seed):
        found = mistype(word, random.Random(seed))
        assert found
        assert found in all_mistyped(word)

    @pytest.mark.parametrize("word", ["city", "aab", "né", "東京都", "🙂x", "e\u0301a", "I", "ß"])
    def test_mistype_can_make_each_edit(self, word):
        found = {mistype(word, random.Random(seed)) for seed in range(500)}
        assert found == all_mistyped(word)

    def test_mistype_changes_nearly_every_word(self):
        changed = [mistype("abcdef", random.Random(seed)) != "abcdef" for seed in range(4000)]
        # The last of six letters has no next to change with: one in eighteen.
        assert np.mean(changed) == pytest.approx(17 / 18, abs=0.015)

    def test_mistype_makes_each_kind_of_edit_equally_often(self):
        lengths = [len(mistype("abcdef", random.Random(seed))) for seed in range(4000)]
        for length in (5, 6, 7):
            assert np.mean([found == length for found in lengths]) == pytest.approx(1 / 3, abs=0.03)


class TestMistypeSome:
    def test_mistype_some_spares_words_under_four_letters(self):
        words = ["a", "of", "the", "-", "né", "🙂", "Rhine"]
        rows = [mistype_some(words, random.Random(seed)) for seed in range(300)]
        assert all(row[:-1] == words[:-1] for row in rows)
        assert any(row[-1] != "Rhine" for row in rows)

    @pytest.mark.parametrize("word", ["lima", "zürich"])
    def test_mistype_some_changes_about_one_word_in_seven(self, word):
        altered = mistype_some([word] * 20_000, random.Random(0))
        expected = 0.15 * (1 - 1 / (3 * len(word)))
        assert np.mean([found != word for found in altered]) == pytest.approx(expected, abs=0.008)

    @given(some_words, st.integers(0, 100))
    def test_mistype_some_keeps_each_word_in_its_place(self, words, seed):
        altered = mistype_some(words, random.Random(seed))
        assert len(altered) == len(words)
        assert all(found in all_mistyped(word) for found, word in zip(altered, words, strict=True))


class TestAugmentWords:
    @given(some_words, st.integers(0, 100))
    def test_augment_words_keeps_the_number_of_words(self, words, seed):
        altered = augment_words(words, random.Random(seed))
        assert len(altered) == len(words)
        assert all(altered)

    def test_augment_words_depends_on_the_seed_alone(self):
        rows = [augment_words(TEXT, random.Random(seed)) for seed in range(30)]
        assert rows == [augment_words(TEXT, random.Random(seed)) for seed in range(30)]
        assert len({tuple(row) for row in rows}) > 3

    def test_augment_words_makes_each_change_in_its_share(self):
        kinds = [
            kind_of(TEXT, augment_words(TEXT, random.Random(seed))) for seed in range(1000, 6000)
        ]
        for kind, share in (("upper", 0.2), ("lower", 0.4), ("mistyped", 0.4)):
            assert kinds.count(kind) / len(kinds) == pytest.approx(share, abs=0.025)

    def test_augment_words_keeps_the_case_of_mistyped_words(self):
        rows = [augment_words(TEXT, random.Random(seed)) for seed in range(200)]
        mistyped = [row for row in rows if kind_of(TEXT, row) == "mistyped"]
        for row in mistyped:
            assert all(found in all_mistyped(word) for found, word in zip(row, TEXT, strict=True))
        assert any(row != list(TEXT) for row in mistyped)


class TestAugmentExample:
    @pytest.fixture
    def example(self, small_vocabulary):
        probs = np.random.default_rng(0).random((len(TEXT), 2, 3)).astype(np.float32)
        return make_example(
            LabeledPassage(Passage(TEXT), ("city", "person"), probs), small_vocabulary
        )

    def alter(self, example, vocabulary, seed, share):
        return augment_example(example, vocabulary, prob=share, rng=random.Random(seed))

    def test_augment_example_with_prob_0_returns_the_same_object(self, example, small_vocabulary):
        for seed in range(200):
            assert self.alter(example, small_vocabulary, seed, 0.0) is example

    def test_augment_example_with_prob_1_always_changes_words(self, example, small_vocabulary):
        for seed in range(50):
            altered = self.alter(example, small_vocabulary, seed, 1.0)
            draw = random.Random(seed)
            draw.random()  # whether, before how
            expected = small_vocabulary.encode_words(augment_words(TEXT, draw))
            assert altered is not example
            for name in ("piece_ids", "word_starts", "word_shapes"):
                np.testing.assert_array_equal(getattr(altered.words, name), getattr(expected, name))

    def test_augment_example_changes_the_share_asked_for(self, example, small_vocabulary):
        altered = [
            self.alter(example, small_vocabulary, seed, 0.3) is not example for seed in range(3000)
        ]
        assert np.mean(altered) == pytest.approx(0.3, abs=0.03)

    def test_augment_example_leaves_the_targets_and_its_argument_alone(
        self, example, small_vocabulary
    ):
        probs, words = example.labeled.probs.copy(), example.words
        starts = words.word_starts.copy()
        for seed in range(20):
            altered = self.alter(example, small_vocabulary, seed, 1.0)
            assert altered.labeled is example.labeled
            assert len(altered.words.word_starts) == len(TEXT)
        assert example.words is words
        assert example.labeled.passage.words == TEXT
        np.testing.assert_array_equal(example.labeled.probs, probs)
        np.testing.assert_array_equal(example.words.word_starts, starts)
