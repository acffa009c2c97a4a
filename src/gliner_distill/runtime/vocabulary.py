"""Turn words and labels into numbers: subword pieces and word shapes, without torch.

A `Vocabulary` wraps a Hugging Face `tokenizers` tokenizer, either the teacher's or one trained on
the training passages; it is stored with the student. A word is a bag of pieces, so no word is
unknown, and a label is the bag of its words' pieces.
"""

import json
import string
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from gliner_distill.entities import word_texts
from gliner_distill.errors import StudentError, name_kind, shorten
from gliner_distill.files import check_regular_file, reason_of
from gliner_distill.labels import clean_label
from gliner_distill.runtime.caches import SizedCache

TOKENIZER_FILE: Final = "tokenizer.json"
MAX_TOKENIZER_BYTES: Final = 20_000_000

UNKNOWN_PIECE: Final = "[UNK]"
"""The piece of a word whose characters the vocabulary lacks."""

N_SHAPES: Final = 8
"""The number of properties in `word_shape`."""

_MAX_WORD_CHARS = 100
_MAX_WORD_PIECES = 8
_MAX_LABEL_PIECES = 32
_MAX_CACHE_BYTES = 32_000_000
_MAX_PREFIX_CHARS = 16
_MAX_REASON_CHARS = 200
_MAX_TEMPLATE_ITEMS = 16
_MAX_TRAINED = 100_000
_MIN_WORDS = 3

_PARTS: Final[dict[str, tuple[str | None, ...]]] = {
    "model": ("WordPiece",),
    "normalizer": ("BertNormalizer", None),
    "pre_tokenizer": ("BertPreTokenizer", None),
    "post_processor": ("TemplateProcessing", "BertProcessing", "RobertaProcessing", None),
    "decoder": ("WordPiece", None),
}
"""The kinds that each part of a student's tokenizer may have."""


@dataclass(frozen=True, slots=True)
class EncodedWords:
    """Words as pieces and shapes.

    Attributes:
        piece_ids: Shape `(pieces,)`, int64: the pieces of all words, one word after the other.
        word_starts: Shape `(words,)`, int64: the position of each word's first piece.
        word_shapes: Shape `(words, 8)`, float32, each 0 or 1; see `word_shape`.
    """

    piece_ids: NDArray[np.int64]
    word_starts: NDArray[np.int64]
    word_shapes: NDArray[np.float32]


class Vocabulary:
    """The subword pieces of words and labels.

    Args:
        tokenizer: The tokenizer; its padding and truncation are switched off.
        max_cache_bytes: The most bytes of the pieces of words that are remembered.
    """

    def __init__(self, tokenizer: Tokenizer, *, max_cache_bytes: int = _MAX_CACHE_BYTES) -> None:
        # Words are encoded one at a time, and must not be padded or cut as a text would be.
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer = tokenizer
        self._cache = SizedCache[str, tuple[int, ...]](max_cache_bytes, _pieces_size)

    @classmethod
    def from_json(cls, text: str) -> "Vocabulary":
        """Read the JSON of a WordPiece tokenizer, the only kind that students have.

        Raises:
            StudentError: The text is not such a tokenizer.
        """
        try:
            _check_settings(json.loads(text, object_pairs_hook=_read_object))
            return cls(Tokenizer.from_str(text))
        except BaseException as error:
            if not _is_from_tokenizers(error):
                raise
            raise StudentError(f"{TOKENIZER_FILE}: {_explain(error)}") from error

    @classmethod
    def from_file(cls, path: Path) -> "Vocabulary":
        """Read `tokenizer.json`.

        Raises:
            StudentError: The file cannot be read, or it is not a WordPiece tokenizer.
        """
        try:
            check_regular_file(path, max_bytes=MAX_TOKENIZER_BYTES)
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StudentError(f"{path}: cannot be read: {reason_of(error)}") from error
        try:
            return cls.from_json(text)
        except StudentError as error:
            raise StudentError(f"{path}: {_explain(error.__cause__)}") from error

    def to_json(self) -> str:
        """Return the tokenizer's JSON, with sorted keys, without line breaks."""
        return json.dumps(json.loads(self._tokenizer.to_str()), ensure_ascii=False, sort_keys=True)

    def copy(self) -> "Vocabulary":
        """Return a vocabulary with the same pieces and an empty cache."""
        return Vocabulary(Tokenizer.from_str(self._tokenizer.to_str()))

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def pieces(self) -> list[str]:
        """Return the pieces as text, in the order of their ids."""
        by_piece = self._tokenizer.get_vocab(with_added_tokens=True)
        return sorted(by_piece, key=lambda piece: by_piece[piece])

    def encode_words(self, words: Sequence[str]) -> EncodedWords:
        """Return the pieces and shapes of words; a word has between 1 and 8 pieces."""
        pieces = [self._word_pieces(word) for word in words]
        lengths = np.fromiter((len(word) for word in pieces), dtype=np.int64, count=len(pieces))
        return EncodedWords(
            piece_ids=np.array([piece for word in pieces for piece in word], dtype=np.int64),
            word_starts=np.cumsum(lengths) - lengths,
            word_shapes=np.array([word_shape(word) for word in words], dtype=np.float32).reshape(
                len(words), N_SHAPES
            ),
        )

    def encode_label(self, label: str) -> list[int]:
        """Return the pieces of a label in its clean form, between 1 and 32; see `clean_label`."""
        words = word_texts(clean_label(label))
        pieces = [piece for word in words for piece in self._word_pieces(word)]
        # A label without pieces gets the first one, because a bag must not be empty.
        return pieces[:_MAX_LABEL_PIECES] or [0]

    @property
    def n_cached_bytes(self) -> int:
        """The bytes of the pieces of words that are remembered."""
        return self._cache.n_bytes

    def _word_pieces(self, word: str) -> tuple[int, ...]:
        # The rest of a long word is not read, so it is not kept as a part of the key, either.
        read = word[:_MAX_WORD_CHARS]
        pieces = self._cache.get(read)
        if pieces is None:
            pieces = self._encode_word(read)
            self._cache.put(read, pieces)
        return pieces

    def _encode_word(self, word: str) -> tuple[int, ...]:
        # The library refuses half of a surrogate pair, which Python uses for undecodable bytes.
        text = word.encode("utf-8", "replace").decode("utf-8")
        try:
            encoding = self._tokenizer.encode(text, add_special_tokens=False)
        except BaseException as error:
            if not _is_from_tokenizers(error):
                raise
            raise StudentError(
                f"{TOKENIZER_FILE}: the word {shorten(word)} cannot be split: {_explain(error)}"
            ) from error
        return tuple(encoding.ids[:_MAX_WORD_PIECES]) or (0,)


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # If a field occurs twice, the library and Python read different ones.
    read = dict(pairs)
    if len(read) < len(pairs):
        raise ValueError("a field or a piece of it occurs twice")
    return read


def _check_settings(settings: Any) -> None:
    """Check that a tokenizer has only those parts that this package writes.

    Another part may take very much time and memory for one word; it may, for example, replace the
    word by a very long text.

    Raises:
        ValueError: It has other parts, or the model lacks something.
    """
    if not isinstance(settings, dict):
        raise ValueError(f"it is {name_kind(settings)}; expected an object")
    for name, kinds in _PARTS.items():
        part = settings.get(name)
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in kinds or (kind is None and part is not None):
            raise ValueError(
                f"its {name} is {shorten(kind or part)}; expected "
                f"{' or '.join('null' if kind is None else kind for kind in kinds)}"
            )
    _check_model(settings["model"])
    processor = settings.get("post_processor") or {}
    if processor.get("type") == "TemplateProcessing":
        _check_template(processor.get("single"))


def _check_model(model: dict[str, Any]) -> None:
    pieces, unknown = model.get("vocab"), model.get("unk_token")
    prefix = model.get("continuing_subword_prefix")
    if not isinstance(pieces, dict) or not pieces:
        raise ValueError(f"its vocab is {shorten(pieces)}; expected an object of pieces and ids")
    if sorted(pieces.values()) != list(range(len(pieces))):
        raise ValueError(
            f"the ids of its {len(pieces):,} pieces are not the numbers from 0 to "
            f"{len(pieces) - 1:,}, each once"
        )
    if not isinstance(unknown, str) or unknown not in pieces:
        raise ValueError(f"its unk_token {shorten(unknown)} is not among its pieces")
    if not isinstance(prefix, str) or len(prefix) > _MAX_PREFIX_CHARS:
        raise ValueError(
            f"its continuing_subword_prefix is {shorten(prefix)}; expected at most "
            f"{_MAX_PREFIX_CHARS} characters"
        )


def _check_template(template: object) -> None:
    """Check that a template holds each word once; it is applied even without special pieces."""
    items = template if isinstance(template, list) else []
    n_texts = sum(isinstance(item, dict) and "Sequence" in item for item in items)
    if n_texts != 1:
        raise ValueError(f"its post_processor repeats each text {n_texts} times; expected once")
    if len(items) > _MAX_TEMPLATE_ITEMS:
        raise ValueError(
            f"its post_processor adds {len(items) - 1:,} pieces to each text; expected fewer than "
            f"{_MAX_TEMPLATE_ITEMS}"
        )


def _is_from_tokenizers(error: BaseException) -> bool:
    """Return whether an error comes from a broken tokenizer, and not from Ctrl-C.

    The class of a panic of the library lies outside of `Exception`, and has to be told by its name.
    """
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def _explain(error: BaseException | None) -> str:
    reason = " ".join(str(error).split())[:_MAX_REASON_CHARS]
    return f"this is not a WordPiece tokenizer that a student can use: {reason}"


def _pieces_size(word: str, pieces: tuple[int, ...]) -> int:
    # A number takes 32 bytes beside the tuple.
    return sys.getsizeof(word) + sys.getsizeof(pieces) + 32 * len(pieces)


def word_shape(word: str) -> tuple[bool, ...]:
    """Return eight properties of a word's spelling.

    Each is 1 or 0. In order: the first letter is upper case; all letters are upper case, in a word
    longer than one character; all characters are digits; some character is a digit; the first
    character is neither a letter nor a digit; all letters are lower case; the word has a hyphen;
    the word is one character long.

    >>> [number for number, holds in enumerate(word_shape("Mary-Ann")) if holds]
    [0, 6]
    """
    return (
        word[:1].isupper(),
        word.isupper() and len(word) > 1,
        word.isdigit(),
        any(character.isdigit() for character in word),
        not word[:1].isalnum(),
        word.islower(),
        "-" in word,
        len(word) == 1,
    )


def train_vocabulary(texts: Iterable[str], *, n_pieces: int) -> Vocabulary:
    """Return a vocabulary of lower-cased WordPieces trained on words and labels.

    Args:
        texts: Words and labels, each as often as it occurs.
        n_pieces: The size of the vocabulary; it is exceeded only if the texts have more distinct
            characters.
    """
    counts = Counter(texts)
    trained = _word_pieces(models.WordPiece(unk_token=UNKNOWN_PIECE))
    # The trainer numbers the characters inside words in the order of a hash map with a random
    # seed, and breaks ties by number. Naming the characters beforehand fixes their order.
    within = sorted(
        {char for text in counts for word in _split(trained, text) for char in word[1:]}
    )
    trainer = trainers.WordPieceTrainer(
        vocab_size=n_pieces,
        special_tokens=[UNKNOWN_PIECE, *(f"##{char}" for char in within)],
        show_progress=False,
    )
    trained.train_from_iterator(counts.elements(), trainer)
    # In a fresh tokenizer, the characters named above are ordinary pieces.
    model = models.WordPiece(trained.get_vocab(), unk_token=UNKNOWN_PIECE)
    return Vocabulary(_word_pieces(model))


def choose_vocabulary(pieces: Iterable[str], *, lowercase: bool) -> Vocabulary:
    """Return a vocabulary of given pieces, of which a word takes the longest ones.

    Accents and vowel signs stay, unlike in `train_vocabulary`: English words keep their meaning
    without them, but words of other languages do not.

    Args:
        pieces: The pieces, `[UNK]` first. Those that continue a word begin with `##`.
        lowercase: Whether words are read in lower case.
    """
    numbers = {piece: number for number, piece in enumerate(pieces)}
    model = models.WordPiece(numbers, unk_token=UNKNOWN_PIECE)
    return Vocabulary(_word_pieces(model, lowercase=lowercase, keep_accents=True))


def train_pieces(words: Iterable[str], alphabet: Iterable[str]) -> list[str]:
    """Return WordPieces that occur at least three times in words, the alphabet first.

    Args:
        words: The words, in a fixed order.
        alphabet: Their characters; see `list_alphabet`.
    """
    tokenizer = _word_pieces(models.WordPiece(unk_token=UNKNOWN_PIECE), keep_accents=True)
    trainer = trainers.WordPieceTrainer(
        vocab_size=_MAX_TRAINED,
        min_frequency=_MIN_WORDS,
        special_tokens=[UNKNOWN_PIECE, *alphabet],  # see `train_vocabulary`
        show_progress=False,
    )
    tokenizer.train_from_iterator(words, trainer)
    numbers = tokenizer.get_vocab()
    return sorted(numbers, key=lambda piece: numbers[piece])


def list_alphabet(parts: Mapping[str, int]) -> list[str]:
    """Return the characters of words as pieces, at the start and within a word, by frequency.

    A word with one unknown character is unknown as a whole, so those of English are always there.

    Args:
        parts: The words, with the number of times that each occurs.
    """
    counts = Counter(dict.fromkeys(string.ascii_lowercase + string.digits + string.punctuation, 0))
    for part, n in parts.items():
        for character in part:
            counts[character] += n
    ranked = sorted(counts, key=lambda character: (-counts[character], character))
    return [piece for character in ranked for piece in (character, f"##{character}")]


def part_splitter(*, lowercase: bool) -> Callable[[str], list[str]]:
    """Return a function that splits a word into the parts that are cut into pieces.

    The parts are those that `choose_vocabulary` reads.

    >>> part_splitter(lowercase=True)("L'été")
    ['l', "'", 'été']
    """
    empty = models.WordPiece(unk_token=UNKNOWN_PIECE)
    return partial(_split, _word_pieces(empty, lowercase=lowercase, keep_accents=True))


def _word_pieces(
    model: models.WordPiece, *, lowercase: bool = True, keep_accents: bool = False
) -> Tokenizer:
    tokenizer = Tokenizer(model)
    # None removes the accents of words in lower case.
    accents = False if keep_accents else None
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=accents)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def _split(tokenizer: Tokenizer, text: str) -> list[str]:
    normal = tokenizer.normalizer.normalize_str(text)
    return [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal)]
