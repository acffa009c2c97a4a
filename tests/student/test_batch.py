"""The tensors of a batch: one row per distinct label, pieces without padding."""

import torch

from gliner_distill.student.batch import Batch, make_batch

PASSAGES = (
    (["mary", "saw", "Paris", "-", "unheard", "2"], ("person", "city")),
    (["Rhine"], ("river", "place name", "city", "company")),
    (["the", "bank", "of", "the", "old", "Thames", "in", "London", "left", "acme", "."], ("city",)),
    (["north", "of", "globex"], ("company", "person", "river")),
)


class TestMakeBatch:
    def test_make_batch_has_one_row_per_distinct_label(self, small_vocabulary):
        words = [small_vocabulary.encode_words(words) for words, _ in PASSAGES]
        batch = make_batch(words, [labels for _, labels in PASSAGES], small_vocabulary)
        assert len(batch.label_starts) == 5
        assert batch.label_index.tolist() == [
            [0, 1, 0, 0],
            [2, 3, 1, 4],
            [1, 0, 0, 0],
            [4, 0, 2, 0],
        ]
        assert batch.label_mask.sum(1).tolist() == [2, 4, 1, 3]
        assert batch.word_mask.sum(1).tolist() == batch.n_words.tolist() == [6, 1, 11, 3]

    def test_make_batch_lays_out_pieces_and_shapes_without_padding(self, small_vocabulary):
        words = [small_vocabulary.encode_words(words) for words, _ in PASSAGES]
        batch = make_batch(words, [("city",)] * 4, small_vocabulary)
        everything = small_vocabulary.encode_words(
            [word for words, _ in PASSAGES for word in words]
        )
        assert batch.piece_ids.tolist() == everything.piece_ids.tolist()
        assert batch.word_starts.tolist() == everything.word_starts.tolist()
        assert batch.word_shapes.tolist() == everything.word_shapes.tolist()


def test_batch_to_moves_every_tensor(small_vocabulary):
    batch = make_batch([small_vocabulary.encode_words(["Paris"])], [("city",)], small_vocabulary)
    moved = batch.to("meta")
    assert isinstance(moved, Batch)
    for name in Batch.__slots__:
        assert getattr(moved, name).device == torch.device("meta")
        assert getattr(moved, name).shape == getattr(batch, name).shape
        assert getattr(moved, name).dtype == getattr(batch, name).dtype
