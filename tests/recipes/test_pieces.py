"""The pieces of a student: English ones and used ones, each with the vector of the teacher."""

import importlib
import json
import string
from pathlib import Path

import numpy as np
import pytest

from gliner_distill.runtime.vocabulary import Vocabulary
from gliner_distill.store.subword_vectors import SubwordVectors

RECIPES = Path(__file__).resolve().parents[2] / "recipes"

pytestmark = pytest.mark.skipif(
    not RECIPES.is_dir(), reason="the recipes are in the repository, not in the package"
)
MARKS = ("[PAD]", "[unused1]", "[CLS]", "[UNK]", "<<ENT>>")
PIECES = (
    *MARKS[:2],
    *("[", "the", "и", *MARKS[2:4]),
    *("##s", "東", "京", "##é", "river", MARKS[4], "]", "<"),
)
TEXTS = ("the rivers", "The 東", "京", "the 東")


@pytest.fixture(scope="module")
def recipe():
    """The recipe as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPES))
        yield importlib.import_module("pieces")


@pytest.fixture
def pieces():
    """Vectors for the pieces of a teacher with marks, reserved places and three scripts."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    ids = {piece: row for row, piece in enumerate(PIECES)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(list(MARKS))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A", special_tokens=[("[CLS]", ids["[CLS]"])]
    )
    vectors = np.random.default_rng(0).normal(size=(len(PIECES), 128)).astype(np.float32)
    return SubwordVectors(Vocabulary(tokenizer), vectors)


class Encoder:
    """A teacher that has subword vectors and counts how often it is asked for them."""

    def __init__(self, pieces):
        self.pieces, self.n_asked = pieces, 0

    def subword_vectors(self, texts):
        self.n_asked += 1
        return self.pieces


class TestDropUnused:
    KEPT = ("[PAD]", "[", "the", "[UNK]", "##s", "東", "京", "river", "]", "<")

    def test_drop_unused_keeps_english_and_what_texts_use(self, recipe, pieces):
        kept = recipe.drop_unused(pieces, TEXTS)
        assert tuple(kept.vocabulary.pieces()) == self.KEPT
        unread = recipe.drop_unused(pieces, ())
        assert set(self.KEPT) - set(unread.vocabulary.pieces()) == {"東", "京"}

    def test_drop_unused_gives_each_piece_its_vector(self, recipe, pieces):
        kept = recipe.drop_unused(pieces, TEXTS)
        assert kept.vectors.shape == (len(kept.vocabulary), 128)
        for row, piece in enumerate(kept.vocabulary.pieces()):
            np.testing.assert_array_equal(kept.vectors[row], pieces.vectors[PIECES.index(piece)])

    def test_drop_unused_numbers_the_pieces_anew(self, recipe, pieces):
        kept = recipe.drop_unused(pieces, TEXTS)
        ids = json.loads(kept.vocabulary.to_json())["model"]["vocab"]
        assert sorted(ids.values()) == list(range(len(self.KEPT)))
        # A word is read as the same pieces as before, without a mark in front of them.
        for text in ("the", "rivers", "東", "<", "[", "unheard"):
            before, after = (
                [vocabulary.pieces()[row] for row in vocabulary.encode_words([text]).piece_ids]
                for vocabulary in (pieces.vocabulary, kept.vocabulary)
            )
            assert before == after
        assert kept.vocabulary.encode_label("the rivers") == [ids["the"], ids["river"], ids["##s"]]

    def test_drop_unused_knows_no_dropped_piece_any_more(self, recipe, pieces):
        vocabulary = recipe.drop_unused(pieces, TEXTS).vocabulary
        [unknown] = vocabulary.encode_words(["и"]).piece_ids
        assert vocabulary.pieces()[unknown] == "[UNK]"
        # A mark is read as the text that it is.
        assert vocabulary.pieces()[vocabulary.encode_words(["[CLS]"]).piece_ids[0]] == "["

    @pytest.mark.parametrize("texts", [TEXTS, tuple(reversed(TEXTS)) * 2])
    def test_drop_unused_does_not_depend_on_the_order_of_texts(self, recipe, pieces, texts):
        kept, expected = (recipe.drop_unused(pieces, each) for each in (iter(texts), TEXTS))
        assert kept.vocabulary.to_json() == expected.vocabulary.to_json()
        np.testing.assert_array_equal(kept.vectors, expected.vectors)


class TestLoadPieces:
    def test_load_pieces_reads_its_files_the_second_time(self, recipe, pieces, tmp_path):
        teacher = Encoder(pieces)
        first = recipe.load_pieces(teacher, TEXTS, tmp_path / "new" / "pieces")
        again = recipe.load_pieces(teacher, (), tmp_path / "new" / "pieces")
        assert teacher.n_asked == 1
        assert first.vocabulary.to_json() == again.vocabulary.to_json()
        np.testing.assert_array_equal(first.vectors, again.vectors)

    def test_load_pieces_keeps_the_vectors_of_the_teacher(self, recipe, pieces, tmp_path):
        found = recipe.load_pieces(Encoder(pieces), TEXTS, tmp_path)
        expected = recipe.drop_unused(pieces, TEXTS)
        assert found.vocabulary.pieces() == expected.vocabulary.pieces()
        # A number is kept in one byte, relative to the largest one of its column.
        tolerance = np.abs(expected.vectors).max(axis=0) / 127
        assert (np.abs(found.vectors - expected.vectors) <= tolerance).all()

    @pytest.mark.slow
    def test_load_pieces_asks_a_gliner(self, recipe, build_gliner, tmp_path):
        from gliner_distill.teacher.gliner import GLiNERTeacher

        teacher = GLiNERTeacher(build_gliner("UniEncoderSpan"))
        found = recipe.load_pieces(teacher, ("mary",), tmp_path)
        names = found.vocabulary.pieces()
        assert {"mary", "##a", "[UNK]", *string.punctuation} <= set(names)
        assert not {"[CLS]", "[SEP]", "<<ENT>>", "<<SEP>>"}.intersection(names)
        assert found.vectors.shape == (len(names), 128)
        assert found.vectors[names.index("mary")].any()
