"""Vectors of subword pieces: principal components, and the states of a GLiNER's encoder."""

import types

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from gliner_distill.runtime.vocabulary import Vocabulary
from gliner_distill.teacher.subwords import (
    VECTOR_WIDTH,
    encode_subwords,
    encode_texts,
    mean_states,
    principal_components,
    prune_vocabulary,
)


def random_vectors(n_rows, n_columns, seed=0):
    draw = np.random.default_rng(seed)
    spread = np.linspace(5, 1, n_columns)
    return (draw.standard_normal((n_rows, n_columns)) * spread + 3).astype(np.float32)


def distances(vectors):
    return np.linalg.norm(vectors[:, None] - vectors[None, :], axis=-1)


def parts(model):
    """Return the tokenizer and the encoder of a GLiNER."""
    return (
        model.data_processor.transformer_tokenizer,
        model.model.token_rep_layer.bert_layer.model,
    )


class TestPrincipalComponents:
    @pytest.mark.parametrize("shape", [(50, 8), (6, 8)])
    def test_principal_components_equal_numpys_up_to_sign(self, shape):
        vectors = random_vectors(*shape)
        found = principal_components(vectors, 4)
        centered = vectors.astype(np.float64) - vectors.mean(axis=0)
        left, sizes, _ = np.linalg.svd(centered, full_matrices=False)
        expected = left[:, :4] * sizes[:4]
        assert found.shape == (shape[0], 4)
        assert found.dtype == np.float32
        np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-4)

    def test_principal_components_are_centered_and_the_widest_first(self):
        found = principal_components(random_vectors(40, 8), 8)
        np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-5)
        spreads = found.std(axis=0)
        assert (np.diff(spreads) < 0).all()

    def test_principal_components_keep_distances_if_none_is_left_out(self):
        vectors = random_vectors(20, 8)
        found = principal_components(vectors, 8)
        np.testing.assert_allclose(distances(found), distances(vectors), atol=1e-4)

    def test_principal_components_pad_narrow_vectors_with_zeros(self):
        found = principal_components(random_vectors(20, 3), 5)
        assert found.shape == (20, 5)
        assert (found[:, 3:] == 0).all()
        assert (found[:, :3] != 0).all()

    def test_principal_components_have_a_sign_independent_of_the_order(self):
        vectors = random_vectors(30, 6)
        found = principal_components(vectors, 6)
        directions = np.linalg.lstsq(vectors - vectors.mean(axis=0), found, rcond=None)[0]
        largest = np.abs(directions).argmax(axis=0)
        assert (directions[largest, range(6)] > 0).all()
        np.testing.assert_array_equal(found, principal_components(vectors, 6))
        backwards = principal_components(vectors[::-1].copy(), 6)[::-1]
        np.testing.assert_allclose(found, backwards, atol=1e-4)


class TestEncodeSubwords:
    @staticmethod
    def mean_states(model, tokenizer, rows):
        """Ask the encoder about each row of piece numbers by itself."""
        encoder = model.model.token_rep_layer.bert_layer.model
        n_known = encoder.get_input_embeddings().num_embeddings
        rows = [[i if i < n_known else tokenizer.unk_token_id for i in row] for row in rows]
        states = []
        for row in rows:
            ids = torch.tensor([[tokenizer.cls_token_id, *row, tokenizer.sep_token_id]])
            with torch.inference_mode():
                hidden = encoder(input_ids=ids).last_hidden_state[0, 1:-1]
            states.append(hidden.mean(dim=0).numpy())
        return np.stack(states)

    def test_encode_subwords_takes_the_vocabulary_and_the_encoders_vectors(self, tiny_gliner):
        tokenizer = tiny_gliner.data_processor.transformer_tokenizer
        found = encode_subwords(*parts(tiny_gliner), [], batch_rows=50)
        n_pieces = len(tokenizer)
        assert len(found.vocabulary) == n_pieces
        assert found.vocabulary.pieces() == tokenizer.convert_ids_to_tokens(range(n_pieces))
        expected = self.mean_states(tiny_gliner, tokenizer, [[piece] for piece in range(n_pieces)])
        assert found.vectors.shape == (n_pieces, VECTOR_WIDTH)
        np.testing.assert_allclose(found.vectors, principal_components(expected, 128), atol=1e-3)
        np.testing.assert_allclose(distances(found.vectors), distances(expected), atol=1e-4)

    def test_encode_subwords_trains_a_vocabulary_if_the_own_one_is_too_large(self, tiny_gliner):
        tokenizer = tiny_gliner.data_processor.transformer_tokenizer
        found = encode_subwords(
            *parts(tiny_gliner),
            iter(["paris", "mary", "marylebone"] * 4),
            max_pieces=20,
            n_trained_pieces=30,
        )
        pieces = found.vocabulary.pieces()
        assert len(pieces) == 30
        assert "mary" in pieces
        rows = [
            tokenizer.convert_tokens_to_ids(tokenizer.tokenize(piece.removeprefix("##")))
            for piece in pieces
        ]
        assert {len(row) for row in rows} > {1}  # the teacher splits some of them
        expected = self.mean_states(tiny_gliner, tokenizer, rows)
        np.testing.assert_allclose(distances(found.vectors), distances(expected), atol=1e-4)

    def test_encode_subwords_trains_a_vocabulary_if_the_own_one_is_of_another_kind(
        self, build_gliner
    ):
        model = build_gliner("UniEncoderSpan")
        own = model.data_processor.transformer_tokenizer.backend_tokenizer
        own.normalizer = normalizers.Replace("a", "b")
        found = encode_subwords(*parts(model), ["paris", "mary"] * 4, n_trained_pieces=30)
        assert "paris" in found.vocabulary.pieces()
        assert len(found.vectors) == len(found.vocabulary) <= 30 < own.get_vocab_size()

    def test_encode_subwords_gives_the_same_vectors_each_time(self, build_gliner):
        model = build_gliner("UniEncoderSpan", relative=True)
        for max_pieces in (40_000, 20):
            first, second = (
                encode_subwords(*parts(model), ["paris", "rhine"] * 3, max_pieces=max_pieces)
                for _ in range(2)
            )
            assert first.vocabulary.to_json() == second.vocabulary.to_json()
            np.testing.assert_array_equal(first.vectors, second.vectors)

    def test_mean_states_skips_special_pieces_only(self):
        class Encoder:
            def __call__(self, input_ids, attention_mask):
                hidden = torch.stack([input_ids, input_ids**2], dim=-1).float()
                return types.SimpleNamespace(last_hidden_state=hidden)

        rows = [[3], [1, 2], [5, 1, 6]]
        options = {"device": torch.device("cpu"), "batch_rows": 9}
        found = mean_states(Encoder(), rows, skip=(0, 0), **options)
        np.testing.assert_allclose(found, [[3, 9], [1.5, 2.5], [4, 62 / 3]])
        found = mean_states(Encoder(), rows, skip=(1, 1), **options)
        np.testing.assert_allclose(found, [[0, 0], [0, 0], [1, 1]])


class TestPruneVocabulary:
    @staticmethod
    def make_unigrams(pieces):
        model = models.Unigram([(piece, -float(len(piece) < 3)) for piece in ["<unk>", *pieces]], 0)
        tokenizer = Tokenizer(model)
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")

    @staticmethod
    def pieces_of(vocabulary, word):
        names = vocabulary.pieces()
        return [names[piece] for piece in vocabulary.encode_words([word]).piece_ids]

    def test_prune_vocabulary_keeps_the_pieces_of_the_text_from_many(self):
        others = [f"▁word{number}" for number in range(250_000)]
        letters = [*"▁Stadtwerkeüß", "ि", "न", "द", "ह"]
        tokenizer = self.make_unigrams(["▁Stadt", "werke", "▁für", *letters, *others])
        found = prune_vocabulary(
            tokenizer, ["Stadtwerke", "für", "Stadt", "हिनद"], max_pieces=5_000
        )
        assert len(found) < 400
        assert self.pieces_of(found, "Stadtwerke") == ["Stadt", "##werke"]
        assert self.pieces_of(found, "für") == ["für"]
        # The vocabulary is cased as the tokenizer is.
        assert self.pieces_of(found, "stadt")[0] == "s"
        spelled = "".join(piece.removeprefix("##") for piece in self.pieces_of(found, "हिनद"))
        assert spelled == "हिनद"
        assert Vocabulary.from_json(found.to_json()).pieces() == found.pieces()

    def test_prune_vocabulary_keeps_to_its_size_and_the_most_frequent_pieces(self):
        tokenizer = self.make_unigrams(["▁ein", "▁aus", *"▁einaus"])
        everything = prune_vocabulary(tokenizer, ["aus", "ein", "ein"], max_pieces=5_000)
        n_pieces = len(everything) - 1
        fewer = prune_vocabulary(tokenizer, ["aus", "ein", "ein"], max_pieces=n_pieces)
        assert set(everything.pieces()) - set(fewer.pieces()) == {"aus"}

    def test_prune_vocabulary_reads_lower_case_if_the_teacher_does(self, tiny_gliner):
        tokenizer = tiny_gliner.data_processor.transformer_tokenizer
        found = prune_vocabulary(tokenizer, ["Paris", "Rhine", "Füße"], max_pieces=5_000)
        assert self.pieces_of(found, "Paris") == self.pieces_of(found, "PARIS") == ["paris"]
        assert "".join(p.removeprefix("##") for p in self.pieces_of(found, "Füße")) == "füße"


class TestEncodeTexts:
    def test_encode_texts_gives_the_mean_state_of_each_text(self, tiny_gliner):
        tokenizer = tiny_gliner.data_processor.transformer_tokenizer
        encoder = tiny_gliner.model.token_rep_layer.bert_layer.model
        found = encode_texts(tokenizer, encoder, ["paris", "marylebone"], batch_rows=1)
        rows = [
            tokenizer(text, add_special_tokens=False)["input_ids"]
            for text in ("paris", "marylebone")
        ]
        expected = TestEncodeSubwords.mean_states(tiny_gliner, tokenizer, rows)
        np.testing.assert_allclose(found, expected, atol=1e-4)
