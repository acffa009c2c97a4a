"""Piece vectors: principal components, what a GLiNER's encoder says, and the files."""

import json
import types

import numpy as np
import pytest
import safetensors.numpy
import torch

from gliner_distill.errors import StoreError
from gliner_distill.runtime.vocabulary import TOKENIZER_FILE, Vocabulary
from gliner_distill.store.subword_vectors import (
    VECTORS_FILE,
    SubwordVectors,
    read_subword_vectors,
    subword_vector_files,
)
from gliner_distill.teacher.subwords import (
    VECTOR_WIDTH,
    encode_subwords,
    mean_states,
    principal_components,
)


def random_vectors(n_rows, n_columns, seed=0):
    draw = np.random.default_rng(seed)
    spread = np.linspace(5, 1, n_columns)
    return (draw.standard_normal((n_rows, n_columns)) * spread + 3).astype(np.float32)


def distances(vectors):
    return np.linalg.norm(vectors[:, None] - vectors[None, :], axis=-1)


class TestPrincipalComponents:
    @pytest.mark.parametrize("shape", [(50, 8), (6, 8)])
    def test_are_numpys_up_to_sign(self, shape):
        vectors = random_vectors(*shape)
        found = principal_components(vectors, 4)
        centered = vectors.astype(np.float64) - vectors.mean(axis=0)
        left, sizes, _ = np.linalg.svd(centered, full_matrices=False)
        expected = left[:, :4] * sizes[:4]
        assert found.shape == (shape[0], 4)
        assert found.dtype == np.float32
        np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-4)

    def test_are_centered_and_the_widest_first(self):
        found = principal_components(random_vectors(40, 8), 8)
        np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-5)
        spreads = found.std(axis=0)
        assert (np.diff(spreads) < 0).all()

    def test_keep_distances_where_none_is_left_out(self):
        vectors = random_vectors(20, 8)
        found = principal_components(vectors, 8)
        np.testing.assert_allclose(distances(found), distances(vectors), atol=1e-4)

    def test_have_columns_of_zeros_behind_narrow_vectors(self):
        found = principal_components(random_vectors(20, 3), 5)
        assert found.shape == (20, 5)
        assert (found[:, 3:] == 0).all()
        assert (found[:, :3] != 0).all()

    def test_have_a_sign_that_does_not_depend_on_the_rows_order(self):
        vectors = random_vectors(30, 6)
        found = principal_components(vectors, 6)
        directions = np.linalg.lstsq(vectors - vectors.mean(axis=0), found, rcond=None)[0]
        largest = np.abs(directions).argmax(axis=0)
        assert (directions[largest, range(6)] > 0).all()
        np.testing.assert_array_equal(found, principal_components(vectors, 6))
        backwards = principal_components(vectors[::-1].copy(), 6)[::-1]
        np.testing.assert_allclose(found, backwards, atol=1e-4)


class TestEncodePieces:
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

    def test_takes_the_vocabulary_and_the_encoders_vectors(self, tiny_gliner):
        tokenizer = tiny_gliner.data_processor.transformer_tokenizer
        found = encode_subwords(tiny_gliner, [], batch_rows=50)
        n_pieces = len(tokenizer)
        assert len(found.vocabulary) == n_pieces
        assert found.vocabulary.pieces() == tokenizer.convert_ids_to_tokens(range(n_pieces))
        expected = self.mean_states(tiny_gliner, tokenizer, [[piece] for piece in range(n_pieces)])
        assert found.vectors.shape == (n_pieces, VECTOR_WIDTH)
        np.testing.assert_allclose(found.vectors, principal_components(expected, 128), atol=1e-3)
        np.testing.assert_allclose(distances(found.vectors), distances(expected), atol=1e-4)

    def test_trains_pieces_and_reads_them_where_there_are_too_many(self, tiny_gliner):
        tokenizer = tiny_gliner.data_processor.transformer_tokenizer
        found = encode_subwords(
            tiny_gliner,
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

    def test_gives_the_same_each_time(self, build_gliner):
        model = build_gliner("UniEncoderSpan", relative=True)
        for max_pieces in (40_000, 20):
            first, second = (
                encode_subwords(model, ["paris", "rhine"] * 3, max_pieces=max_pieces)
                for _ in range(2)
            )
            assert first.vocabulary.to_json() == second.vocabulary.to_json()
            np.testing.assert_array_equal(first.vectors, second.vectors)

    def test_reads_pieces_bare_where_the_tokenizer_has_no_special_ones(self):
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


def write_files(folder, piece_vectors):
    for name, content in subword_vector_files(piece_vectors).items():
        (folder / name).write_bytes(content)


class TestFiles:
    @pytest.fixture
    def content(self, small_vocabulary):
        vectors = random_vectors(len(small_vocabulary), 6)
        vectors[:, 4] = 0
        vectors[:, 5] *= 1e-6
        return SubwordVectors(small_vocabulary, vectors)

    def test_give_them_back_within_half_a_step_of_eight_bits(self, tmp_path, content):
        write_files(tmp_path, content)
        found = read_subword_vectors(tmp_path)
        steps = np.abs(content.vectors).max(axis=0) / 127
        assert found.vectors.dtype == np.float32
        assert (np.abs(found.vectors - content.vectors) <= 0.501 * steps + 1e-11).all()
        assert (found.vectors[:, 4] == 0).all()
        assert found.vocabulary.to_json() == content.vocabulary.to_json()

    def test_are_the_same_each_time_and_take_a_byte_a_number(self, content):
        files = subword_vector_files(content)
        assert set(files) == {TOKENIZER_FILE, VECTORS_FILE}
        assert subword_vector_files(content) == files
        assert content.vectors.size <= len(files[VECTORS_FILE]) < content.vectors.size + 300

    def test_that_are_not_there_are_none(self, tmp_path):
        assert read_subword_vectors(tmp_path) is None

    def test_that_are_cut_are_named(self, tmp_path, content):
        write_files(tmp_path, content)
        path = tmp_path / VECTORS_FILE
        path.write_bytes(path.read_bytes()[:-7])
        with pytest.raises(StoreError, match=r"subword_vectors\.safetensors: cannot be read"):
            read_subword_vectors(tmp_path)

    @pytest.mark.parametrize(
        "arrays",
        [
            {"codes": np.zeros((90, 6), np.int8)},
            {"scale": np.ones(6, np.float32)},
            {"codes": np.zeros((90, 6), np.int8), "scale": np.ones(5, np.float32)},
        ],
    )
    def test_that_hold_something_else_are_named(self, tmp_path, content, arrays):
        write_files(tmp_path, content)
        safetensors.numpy.save_file(arrays, tmp_path / VECTORS_FILE)
        with pytest.raises(StoreError, match=r"subword_vectors\.safetensors: cannot be read"):
            read_subword_vectors(tmp_path)

    @pytest.mark.parametrize("text", [None, "{}"])
    def test_without_the_tokenizer_are_named(self, tmp_path, content, text):
        write_files(tmp_path, content)
        (tmp_path / "tokenizer.json").unlink()
        if text is not None:
            (tmp_path / "tokenizer.json").write_text(text)
        with pytest.raises(StoreError, match=r"tokenizer\.json: (cannot be read|is no tokenizer)"):
            read_subword_vectors(tmp_path)

    def test_of_another_vocabulary_are_named(self, tmp_path, content):
        tokenizer = json.loads(content.vocabulary.to_json())
        tokenizer["model"]["vocab"]["onemore"] = len(content.vocabulary)
        other = Vocabulary.from_json(json.dumps(tokenizer))
        write_files(tmp_path, SubwordVectors(other, content.vectors))
        with pytest.raises(StoreError, match=r"90 rows, .*tokenizer\.json has 91 pieces"):
            read_subword_vectors(tmp_path)
