"""Piece vectors: principal components, what a GLiNER's encoder says, and the files."""

import json

import numpy as np
import pytest
import safetensors.numpy

from gliner_distill.errors import StoreError
from gliner_distill.runtime.vocabulary import TOKENIZER_FILE, Vocabulary
from gliner_distill.store.subword_vectors import (
    VECTORS_FILE,
    SubwordVectors,
    read_subword_vectors,
    subword_vector_files,
)


def random_vectors(n_rows, n_columns, seed=0):
    draw = np.random.default_rng(seed)
    spread = np.linspace(5, 1, n_columns)
    return (draw.standard_normal((n_rows, n_columns)) * spread + 3).astype(np.float32)


def distances(vectors):
    return np.linalg.norm(vectors[:, None] - vectors[None, :], axis=-1)


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

    def test_read_subword_vectors_is_within_half_a_step_of_eight_bits(self, tmp_path, content):
        write_files(tmp_path, content)
        found = read_subword_vectors(tmp_path)
        steps = np.abs(content.vectors).max(axis=0) / 127
        assert found.vectors.dtype == np.float32
        assert (np.abs(found.vectors - content.vectors) <= 0.501 * steps + 1e-11).all()
        assert (found.vectors[:, 4] == 0).all()
        assert found.vocabulary.to_json() == content.vocabulary.to_json()

    def test_subword_vector_files_are_reproducible_and_take_a_byte_per_number(self, content):
        files = subword_vector_files(content)
        assert set(files) == {TOKENIZER_FILE, VECTORS_FILE}
        assert subword_vector_files(content) == files
        assert content.vectors.size <= len(files[VECTORS_FILE]) < content.vectors.size + 300

    def test_read_subword_vectors_returns_none_without_files(self, tmp_path):
        assert read_subword_vectors(tmp_path) is None

    def test_read_subword_vectors_names_a_file_that_is_cut_off(self, tmp_path, content):
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
    def test_read_subword_vectors_names_a_file_with_other_arrays(self, tmp_path, content, arrays):
        write_files(tmp_path, content)
        safetensors.numpy.save_file(arrays, tmp_path / VECTORS_FILE)
        with pytest.raises(StoreError, match=r"subword_vectors\.safetensors: cannot be read"):
            read_subword_vectors(tmp_path)

    @pytest.mark.parametrize("text", [None, "{}"])
    def test_read_subword_vectors_needs_the_tokenizer(self, tmp_path, content, text):
        write_files(tmp_path, content)
        (tmp_path / "tokenizer.json").unlink()
        if text is not None:
            (tmp_path / "tokenizer.json").write_text(text)
        with pytest.raises(StoreError, match=rf"^{tmp_path}/tokenizer\.json: "):
            read_subword_vectors(tmp_path)

    def test_read_subword_vectors_refuses_another_vocabulary(self, tmp_path, content):
        tokenizer = json.loads(content.vocabulary.to_json())
        tokenizer["model"]["vocab"]["onemore"] = len(content.vocabulary)
        other = Vocabulary.from_json(json.dumps(tokenizer))
        write_files(tmp_path, SubwordVectors(other, content.vectors))
        with pytest.raises(StoreError, match=r"90 rows, .*tokenizer\.json has 91 pieces"):
            read_subword_vectors(tmp_path)
