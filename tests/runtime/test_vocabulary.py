"""Words and labels as pieces and shapes, for any kind of word."""

import json
import os
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from gliner_distill.errors import StudentError
from gliner_distill.runtime.vocabulary import N_SHAPES, Vocabulary, train_vocabulary, word_shape

ODD_WORDS = (
    "🙂",
    "e\u0301",
    "\u200b",
    "\u200d\ufe0f",
    "x" * 5_000,
    " ",
    "\x00",
    "",
    "東京",
    "\udcff",
)


@pytest.fixture(scope="module")
def letters():
    """A vocabulary of the single letters a to h, so that a word of n letters has n pieces."""
    pieces = ["[UNK]", *"abcdefgh", *(f"##{letter}" for letter in "abcdefgh")]
    model = models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]")
    return Vocabulary(Tokenizer(model))


def word_pieces(vocabulary, word):
    return vocabulary.encode_words([word]).piece_ids.tolist()


class TestEncodeWords:
    def test_encode_words_concatenates_the_pieces_of_words(self, letters):
        encoded = letters.encode_words(["ab", "c", "ba"])
        pieces = [letters.pieces()[i] for i in encoded.piece_ids]
        assert pieces == ["a", "##b", "c", "b", "##a"]
        assert encoded.word_starts.tolist() == [0, 2, 3]
        assert encoded.piece_ids.dtype == encoded.word_starts.dtype == np.int64
        assert encoded.word_shapes.dtype == np.float32

    def test_encode_words_of_no_words_has_empty_arrays(self, letters):
        encoded = letters.encode_words([])
        assert encoded.piece_ids.shape == encoded.word_starts.shape == (0,)
        assert encoded.word_shapes.shape == (0, N_SHAPES)

    def test_encode_words_keeps_the_first_8_pieces_of_a_word(self, letters):
        assert word_pieces(letters, "abcdefghabcd") == word_pieces(letters, "abcdefgh")
        assert len(word_pieces(letters, "abcdefgh")) == 8

    def test_encode_words_reads_the_first_100_characters_of_a_word(self, small_vocabulary):
        # A longer word would be one unknown piece.
        long = "paris" * 1_000
        assert word_pieces(small_vocabulary, long) == word_pieces(small_vocabulary, long[:100])
        assert word_pieces(small_vocabulary, long) != word_pieces(small_vocabulary, "[UNK]")
        assert len(word_pieces(small_vocabulary, long)) > 1

    @pytest.mark.parametrize("word", ODD_WORDS)
    def test_encode_words_gives_odd_words_a_piece(self, small_vocabulary, word):
        assert len(word_pieces(small_vocabulary, word)) >= 1

    @given(st.lists(st.text(max_size=20), max_size=5))
    def test_encode_words_gives_every_word_1_to_8_pieces(self, small_vocabulary, words):
        encoded = small_vocabulary.encode_words(words)
        lengths = np.diff([*encoded.word_starts, len(encoded.piece_ids)])
        assert len(lengths) == len(words)
        assert all(1 <= length <= 8 for length in lengths)
        assert all(0 <= piece < len(small_vocabulary) for piece in encoded.piece_ids)

    def test_encode_words_does_not_depend_on_other_words(self, small_vocabulary):
        alone = word_pieces(small_vocabulary, "paris")
        together = small_vocabulary.encode_words(["london", "paris"])
        assert together.piece_ids[together.word_starts[1] :].tolist() == alone

    def test_vocabulary_ignores_padding_and_truncation_of_the_tokenizer(self, letters):
        tokenizer = Tokenizer.from_str(letters.to_json())
        tokenizer.enable_padding(length=20)
        tokenizer.enable_truncation(max_length=2)
        assert word_pieces(Vocabulary(tokenizer), "abcd") == word_pieces(letters, "abcd")


class TestEncodeLabel:
    def test_encode_label_concatenates_the_pieces_of_its_words(self, small_vocabulary):
        expected = word_pieces(small_vocabulary, "place") + word_pieces(small_vocabulary, "name")
        assert small_vocabulary.encode_label("place name") == expected

    @pytest.mark.parametrize("label", ["ab_cd", "AB CD", " Ab__cD ", '"ab cd"'])
    def test_encode_label_does_not_depend_on_the_spelling(self, label):
        pieces = {"[UNK]": 0, "ab": 1, "cd": 2, "AB": 3, "CD": 4, "Ab": 5, "cD": 6}
        cased = Tokenizer(models.WordPiece(pieces, unk_token="[UNK]"))
        cased.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        assert Vocabulary(cased).encode_label(label) == [1, 2]

    def test_encode_label_keeps_the_first_32_pieces(self, letters):
        label = "abc " * 20
        pieces = letters.encode_label(label)
        assert len(pieces) == 32
        assert pieces == (word_pieces(letters, "abc") * 20)[:32]

    @pytest.mark.parametrize("label", ["", "  ", "\u200b", "🙂"])
    def test_encode_label_gives_odd_labels_a_piece(self, small_vocabulary, label):
        assert len(small_vocabulary.encode_label(label)) == 1


class TestWordShape:
    @pytest.mark.parametrize(
        ("word", "expected"),
        [
            ("Paris", [0]),
            ("ACME", [0, 1]),
            ("A", [0, 7]),
            ("a", [5, 7]),
            ("1984", [2, 3]),
            ("7", [2, 3, 7]),
            ("B2", [0, 1, 3]),
            ("b2", [3, 5]),
            ("Mary-Ann", [0, 6]),
            ("-", [4, 6, 7]),
            ("$5", [3, 4]),
            ("eBay", []),
            ("Évian", [0]),
            ("東", [7]),
            ("🙂", [4, 7]),
            ("", [4]),
        ],
    )
    def test_word_shape_describes_the_spelling(self, word, expected):
        assert [number for number, holds in enumerate(word_shape(word)) if holds] == expected

    def test_word_shape_has_n_shapes_properties(self):
        assert len(word_shape("word")) == N_SHAPES

    def test_encode_words_includes_the_word_shapes(self, small_vocabulary):
        shapes = small_vocabulary.encode_words(["Paris", "7"]).word_shapes
        assert shapes.tolist() == [
            [float(holds) for holds in word_shape(w)] for w in ("Paris", "7")
        ]


class TestJson:
    def test_to_json_round_trip_keeps_the_vocabulary(self, small_vocabulary):
        text = small_vocabulary.to_json()
        again = Vocabulary.from_json(text)
        words = ["Paris", "thames-side", "unheard", *ODD_WORDS]
        assert again.to_json() == text
        assert again.pieces() == small_vocabulary.pieces()
        assert again.encode_words(words).piece_ids.tolist() == (
            small_vocabulary.encode_words(words).piece_ids.tolist()
        )

    def test_to_json_is_one_line(self, small_vocabulary):
        assert len(small_vocabulary.to_json().splitlines()) == 1

    @pytest.mark.parametrize("text", ["", "{}", "[1]", '{"model": {"type": "Unheard"}}'])
    def test_from_json_refuses_what_is_not_a_tokenizer(self, text):
        with pytest.raises(StudentError, match=r"tokenizer\.json"):
            Vocabulary.from_json(text)

    def test_from_file_names_a_missing_or_binary_file(self, tmp_path):
        path = tmp_path / "tokenizer.json"
        with pytest.raises(StudentError, match=r"tokenizer\.json"):
            Vocabulary.from_file(path)
        for content in (b"\xff\xfe\x00", b"{}"):
            path.write_bytes(content)
            with pytest.raises(StudentError, match=r"tokenizer\.json") as caught:
                Vocabulary.from_file(path)
            assert str(path) in str(caught.value)


REPLACE = {"type": "Replace", "pattern": {"String": "a"}, "content": "x" * 1_000_000}
SPLIT = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}
CHARSMAP = {"type": "Precompiled", "precompiled_charsmap": "AAQAAP////8="}
CROWDED = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}] * 16 + [
    {"Sequence": {"id": "A", "type_id": 0}}
]
REPEATED = [{"Sequence": {"id": "A", "type_id": 0}}] * 1_000


class TestUntrustedTokenizers:
    """A tokenizer from elsewhere is refused if it has parts that a student never has."""

    @pytest.fixture
    def settings(self, small_vocabulary):
        return json.loads(small_vocabulary.to_json())

    def refuse(self, settings, fact):
        with pytest.raises(StudentError, match=rf"tokenizer\.json.*{fact}") as caught:
            Vocabulary.from_json(json.dumps(settings))
        assert len(str(caught.value)) < 400

    @pytest.mark.parametrize(
        ("name", "part"),
        [
            ("normalizer", REPLACE),
            ("normalizer", {"type": "Sequence", "normalizers": [REPLACE, REPLACE]}),
            ("normalizer", CHARSMAP),
            ("normalizer", "BertNormalizer"),
            ("pre_tokenizer", SPLIT),
            ("decoder", {"type": "Sequence", "decoders": [REPLACE]}),
            ("post_processor", {"type": "Sequence", "processors": []}),
            ("model", {"type": "Unigram", "unk_id": 0, "vocab": [["a", 0.0]]}),
            ("model", {"type": "BPE", "vocab": {"a": 0}, "merges": []}),
            ("model", None),
            ("model", []),
        ],
        ids=str,
    )
    def test_from_json_refuses_other_parts(self, settings, name, part):
        self.refuse(settings | {name: part}, name)

    @pytest.mark.parametrize("single", [REPEATED, REPEATED[:2], CROWDED, [], None, 3])
    def test_from_json_refuses_a_template_that_repeats_texts(self, settings, single):
        template = {
            "type": "TemplateProcessing",
            "single": single,
            "pair": [],
            "special_tokens": {},
        }
        self.refuse(settings | {"post_processor": template}, "post_processor")

    @pytest.mark.parametrize("id_", [4_000_000_000, -1, 90.5, True, None, "0"])
    def test_from_json_refuses_ids_out_of_range(self, settings, id_):
        settings["model"]["vocab"]["paris"] = id_
        self.refuse(settings, "")

    def test_from_json_refuses_ids_with_a_hole(self, settings):
        pieces = settings["model"]["vocab"]
        pieces[max(pieces, key=pieces.get)] = 90
        self.refuse(settings, r"90 pieces .* 0 to 89")

    @pytest.mark.parametrize("unknown", ["[UNKNOWN]", None, 3])
    def test_from_json_needs_the_unknown_piece(self, settings, unknown):
        settings["model"]["unk_token"] = unknown
        self.refuse(settings, "unk_token")

    def test_from_json_refuses_a_long_prefix(self, settings):
        settings["model"]["continuing_subword_prefix"] = "#" * 1_000_000
        self.refuse(settings, "continuing_subword_prefix")

    def test_from_json_refuses_a_field_that_stands_twice(self, settings):
        text = json.dumps(settings)[1:]
        with pytest.raises(StudentError, match="twice"):
            Vocabulary.from_json(f'{{"normalizer": {json.dumps(REPLACE)}, {text}')

    @pytest.mark.parametrize("text", ["[" * 100_000, "null", "NaN", '"a"', "1" * 5_000])
    def test_from_json_refuses_json_of_another_form(self, text):
        with pytest.raises(StudentError, match=r"tokenizer\.json"):
            Vocabulary.from_json(text)

    def test_from_json_accepts_the_tokenizers_of_berts(self, small_vocabulary):
        tokenizer = Tokenizer.from_str(small_vocabulary.to_json())
        tokenizer.add_special_tokens(["[CLS]", "[SEP]"])
        tokenizer.decoder = decoders.WordPiece()
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 90), ("[SEP]", 91)]
        )
        vocabulary = Vocabulary.from_json(tokenizer.to_str())
        assert len(vocabulary) == 92
        assert word_pieces(vocabulary, "paris") == word_pieces(small_vocabulary, "paris")

    def test_from_file_refuses_pipes_devices_and_huge_files_at_once(self, tmp_path):
        path = tmp_path / "tokenizer.json"
        with path.open("wb") as stream:
            stream.truncate(2**40)
        with pytest.raises(StudentError, match=r"tokenizer\.json.* 20,000,000"):
            Vocabulary.from_file(path)
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(StudentError, match=r"tokenizer\.json.* regular file"):
            Vocabulary.from_file(path)
        path.unlink()
        path.symlink_to("/dev/zero")
        with pytest.raises(StudentError, match=r"tokenizer\.json.* regular file"):
            Vocabulary.from_file(path)

    @pytest.mark.slow
    def test_encode_words_names_the_word_at_a_panic_of_the_library(self, capfd):
        model = models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]")
        tokenizer = Tokenizer(model)
        tokenizer.normalizer = normalizers.Precompiled(b"\x08\0\0\0" + b"\0\x04\0\x80" * 2)
        with pytest.raises(StudentError, match=r"tokenizer\.json.*'abc'"):
            Vocabulary(tokenizer).encode_words(["abc"])
        assert "panicked" in capfd.readouterr().err  # printed by the library

    @pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
    def test_encode_words_lets_ctrl_c_pass(self, stop):
        class Stopped:
            def no_padding(self):
                pass

            no_truncation = no_padding

            def encode(self, text, add_special_tokens):
                raise stop

        with pytest.raises(stop):
            Vocabulary(Stopped()).encode_words(["abc"])


class TestTrainVocabulary:
    def test_train_vocabulary_is_the_same_each_time_and_in_any_order(self):
        rng = random.Random(0)
        words = ["".join(rng.choices("abcdefgh", k=rng.randint(1, 9))) for _ in range(1_000)]
        trained = [train_vocabulary(words, n_pieces=200).to_json() for _ in range(5)]
        trained.append(train_vocabulary(iter(sorted(words)), n_pieces=200).to_json())
        assert len(set(trained)) == 1

    def test_train_vocabulary_lower_cases_and_keeps_frequent_words_whole(self):
        vocabulary = train_vocabulary(["Paris", "PARIS"] * 50 + ["London"], n_pieces=21)
        assert [vocabulary.pieces()[i] for i in word_pieces(vocabulary, "paris")] == ["paris"]
        assert word_pieces(vocabulary, "Paris") == word_pieces(vocabulary, "paris")
        assert len(word_pieces(vocabulary, "london")) > 1

    def test_train_vocabulary_has_the_asked_number_of_pieces_from_id_0(self):
        words = [f"{a}{b}" for a in "abcdef" for b in "ghijkl"] * 3
        vocabulary = train_vocabulary(words, n_pieces=30)
        assert len(vocabulary) == len(vocabulary.pieces()) == 30
        assert vocabulary.pieces()[0] == "[UNK]"
        assert max(vocabulary.encode_words(words).piece_ids) < 30

    def test_train_vocabulary_splits_words_that_look_like_pieces(self):
        vocabulary = train_vocabulary(["ab", "ba", "#", "["] * 3, n_pieces=30)
        pieces = [vocabulary.pieces()[i] for i in word_pieces(vocabulary, "##a")]
        assert pieces == ["#", "#", "a"]


class TestCache:
    def test_cache_of_long_words_keeps_what_is_read_of_them(self, small_vocabulary):
        vocabulary = Vocabulary.from_json(small_vocabulary.to_json())
        for number in range(5):
            vocabulary.encode_words([f"{number}{'x' * 1_000_000}"])
        assert 0 < vocabulary.n_cached_bytes < 10_000

    def test_cache_is_bounded_by_bytes(self, small_vocabulary):
        tokenizer = Tokenizer.from_str(small_vocabulary.to_json())
        vocabulary = Vocabulary(tokenizer, max_cache_bytes=20_000)
        words = [f"{number}-\u6771" * 8 for number in range(200)]
        expected = small_vocabulary.encode_words(words).piece_ids
        for _ in range(2):
            assert vocabulary.encode_words(words).piece_ids.tolist() == expected.tolist()
        assert 10_000 < vocabulary.n_cached_bytes <= 20_000
