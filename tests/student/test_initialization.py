"""The vocabulary and the initial weights of a student."""

import numpy as np
import pytest
import torch

from gliner_distill.errors import StudentError
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.runtime.vocabulary import choose_vocabulary
from gliner_distill.store.subword_vectors import SubwordVectors, subword_vector_files
from gliner_distill.student.initialization import (
    EMBEDDING_SPREAD,
    initialize_embeddings,
    initialize_student,
    load_or_train_vocabulary,
    transfer_student,
)


@pytest.fixture
def pieces(small_vocabulary):
    draw = np.random.default_rng(0)
    vectors = draw.standard_normal((len(small_vocabulary), 10)).astype(np.float32)
    return SubwordVectors(small_vocabulary, vectors)


def narrow(vocabulary):
    return StudentConfig(len(vocabulary), embedding_width=8, hidden_width=8)


class TestLoadOrTrainVocabulary:
    def test_load_or_train_vocabulary_loads_that_of_the_store(
        self, tmp_path, pieces, five_passages
    ):
        for name, content in subword_vector_files(pieces).items():
            (tmp_path / name).write_bytes(content)
        vocabulary, found = load_or_train_vocabulary(tmp_path, five_passages)
        assert vocabulary is found.vocabulary
        assert vocabulary.to_json() == pieces.vocabulary.to_json()
        np.testing.assert_allclose(found.vectors, pieces.vectors, atol=0.02)

    def test_load_or_train_vocabulary_trains_on_words_and_labels(self, tmp_path, five_passages):
        vocabulary, found = load_or_train_vocabulary(tmp_path, five_passages)
        assert found is None
        words = {word for item in five_passages for word in item.passage.words}
        assert words | {"person", "company"} <= set(vocabulary.pieces())

    def test_load_or_train_vocabulary_trains_the_same_one_each_time(self, tmp_path, five_passages):
        trained = [
            load_or_train_vocabulary(tmp_path, five_passages, n_pieces=60)[0] for _ in range(5)
        ]
        assert len({vocabulary.to_json() for vocabulary in trained}) == 1


class TestInitializeStudent:
    def test_initialize_student_draws_everything_from_the_seed(self, small_vocabulary, pieces):
        for vectors in (None, pieces):
            first, same, other = (
                initialize_student(small_vocabulary, vectors, narrow(small_vocabulary), seed=seed)
                for seed in (1, 1, 2)
            )
            for name, values in first.state_dict().items():
                assert torch.equal(same.state_dict()[name], values)
            assert not torch.equal(other.none.weight, first.none.weight)

    def test_initialize_student_takes_the_vectors_of_the_teacher_for_any_seed(
        self, small_vocabulary, pieces
    ):
        students = [
            initialize_student(small_vocabulary, pieces, narrow(small_vocabulary), seed=seed)
            for seed in (1, 2)
        ]
        found = students[0].pieces.weight
        assert torch.equal(found, students[1].pieces.weight)
        assert found.std().item() == pytest.approx(EMBEDDING_SPREAD, abs=1e-5)
        correlation = np.corrcoef(found.detach().numpy().ravel(), pieces.vectors[:, :8].ravel())
        assert correlation[0, 1] == pytest.approx(1.0, abs=1e-5)

    def test_initialize_student_starts_at_random_without_vectors(self, small_vocabulary):
        students = [
            initialize_student(small_vocabulary, None, narrow(small_vocabulary), seed=seed)
            for seed in (1, 2)
        ]
        assert not torch.equal(students[0].pieces.weight, students[1].pieces.weight)


class TestInitializeEmbeddings:
    def test_initialize_embeddings_takes_the_first_columns_at_a_fixed_spread(
        self, build_student, small_vocabulary
    ):
        student = build_student()
        draw = np.random.default_rng(0)
        vectors = draw.standard_normal((len(small_vocabulary), 11)).astype(np.float32)
        initialize_embeddings(student, vectors)
        found = student.pieces.weight.detach().numpy()
        assert found.std(ddof=1) == pytest.approx(EMBEDDING_SPREAD, abs=1e-6)
        np.testing.assert_allclose(found / found[0, 0], vectors[:, :8] / vectors[0, 0], rtol=1e-4)

    @pytest.mark.parametrize("off", [(1, 0), (-1, 0), (0, -1)])
    def test_initialize_embeddings_refuses_other_rows_and_too_few_columns(
        self, build_student, small_vocabulary, off
    ):
        student = build_student()
        shape = (len(small_vocabulary) + off[0], 8 + off[1])
        before = student.pieces.weight.clone()
        with pytest.raises(StudentError, match=rf"shape \({shape[0]}, {shape[1]}\); .* \(90, 8\)"):
            initialize_embeddings(student, np.ones(shape, np.float32))
        assert torch.equal(student.pieces.weight, before)


class TestTransferStudent:
    @pytest.fixture
    def new(self):
        return choose_vocabulary(["[UNK]", "paris", "parisper", "##x", "ж"], lowercase=True)

    def test_transfer_student_keeps_known_pieces_and_all_other_weights(
        self, build_student, small_vocabulary, new
    ):
        student = build_student()
        found = transfer_student(student, small_vocabulary, new)
        assert found.config.n_pieces == 5
        places = {piece: place for place, piece in enumerate(small_vocabulary.pieces())}
        for row, piece in enumerate(new.pieces()):
            if piece in places:
                assert torch.equal(found.pieces.weight[row], student.pieces.weight[places[piece]])
        for name, value in student.state_dict().items():
            if name != "pieces.weight":
                assert torch.equal(found.state_dict()[name], value)

    def test_transfer_student_spells_new_pieces_with_the_old_ones(
        self, build_student, small_vocabulary, new
    ):
        student = build_student()
        spelled = transfer_student(student, small_vocabulary, new).pieces.weight[2]
        pieces = small_vocabulary.encode_words(["parisper"]).piece_ids
        torch.testing.assert_close(spelled, student.pieces.weight[pieces].mean(0))
        # Nothing spells a letter of another script, so its vector is drawn from the seed.
        drawn = [
            transfer_student(student, small_vocabulary, new, seed=seed).pieces.weight[4]
            for seed in (0, 0, 1)
        ]
        assert torch.equal(drawn[0], drawn[1])
        assert not torch.equal(drawn[0], drawn[2])

    def test_transfer_student_maps_the_vectors_of_a_teacher(self, build_student):
        words = [
            f"{first}{second}{third}" for first in "abc" for second in "def" for third in "ghi"
        ]
        old = choose_vocabulary(["[UNK]", *words], lowercase=True)
        new = choose_vocabulary(["[UNK]", "new", "words"], lowercase=True)
        student = build_student(n_pieces=len(old))
        draw = np.random.default_rng(0)
        turned = draw.standard_normal((8, 8)).astype(np.float32)
        vectors = student.pieces.weight.detach().numpy()
        known = dict(zip(old.pieces(), vectors @ turned, strict=True))
        known |= {"new": known["adg"], "words": known["cfi"]}

        def encode(texts):
            return np.stack([known[text] for text in texts])

        found = transfer_student(student, old, new, encode_texts=encode).pieces.weight
        # The map is pulled a little toward the mean.
        for row, word in ((1, "adg"), (2, "cfi")):
            expected = student.pieces.weight[old.pieces().index(word)]
            assert torch.cosine_similarity(found[row], expected, dim=0) > 0.9

        def encode_noise(texts):
            return draw.standard_normal((len(texts), 8)).astype(np.float32)

        for useless in (encode_noise, lambda texts: None):
            spelled = transfer_student(student, old, new, encode_texts=useless)
            assert torch.equal(
                spelled.pieces.weight, transfer_student(student, old, new).pieces.weight
            )
