"""The things that callers of a GLiNER look at besides its answers: device, limits and splitter.

The names are GLiNER's. The objects have only what public callers of GLiNER use, and a student
itself reads none of them.
"""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from gliner_distill.entities import split_words, word_bounds, word_texts
from gliner_distill.runtime.labels import MAX_LABELS
from gliner_distill.runtime.sections import WINDOW_WORDS


class Device(str):
    """The name of a device, with the attribute `type` of a device of torch."""

    __slots__ = ()

    @property
    def type(self) -> str:
        """The kind of the device, such as `cpu`."""
        return self.partition(":")[0]


def device_name(value: object) -> str | None:
    """Return the name of the device that an argument of torch's method `to` stands for.

    Args:
        value: The name, the number or the object of a device; or something else that `to` takes,
            such as a data type or a flag.

    Returns:
        None if it is something else.

    >>> device_name("cuda"), device_name(1), device_name(True), device_name(float)
    ('cuda', 'cuda:1', None, None)
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return f"cuda:{value}"
    is_device = isinstance(value, str) or isinstance(getattr(value, "type", None), str)
    return str(value) if is_device else None


class CallerConfig(SimpleNamespace):
    """The limits of a student under the names of GLiNER's configuration.

    Changes have no effect, because a student reads texts of any length and finds entities of any
    width. Other fields of GLiNER's configuration are kept as attributes.

    Attributes:
        model_name: The name or the folder that the student was loaded from.
        max_len: The words that a student reads in one pass; longer texts are read in several.
        max_width: The words that an entity may have in one pass.
        max_types: The most labels of one call.
        words_splitter_type: The name of the splitter in GLiNER that splits as a student does.
        labels_encoder: None, so that callers pass labels instead of their vectors.
    """

    def __init__(self, model_name: str = "student", **others: Any) -> None:
        limits = {"max_len": WINDOW_WORDS, "max_width": WINDOW_WORDS, "max_types": MAX_LABELS}
        kinds = {"words_splitter_type": "whitespace", "labels_encoder": None}
        super().__init__(**{"model_name": model_name, **limits, **kinds, **others})


class WordTokenizer:
    """A student's words in the form of a fast tokenizer of transformers, for counts and offsets.

    A token is a word, because a student's limit is a number of words.
    """

    is_fast = True

    def __init__(self) -> None:
        self.model_max_length = WINDOW_WORDS

    def __call__(self, text: str, **_options: Any) -> dict[str, list[Any]]:
        """Return the positions of the words of a text.

        Args:
            text: The text.

        Returns:
            `offset_mapping`, the start and the end character of each word, and `input_ids`, the
            numbers of the words in the text.
        """
        bounds = word_bounds(text)
        return {"input_ids": list(range(len(bounds))), "offset_mapping": bounds}

    def encode(self, text: str, **_options: Any) -> list[int]:
        """Return one number for each word of a text."""
        return list(range(len(word_bounds(text))))

    def tokenize(self, text: str, **_options: Any) -> list[str]:
        """Return the words of a text."""
        return word_texts(text)

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """Return 0, because a student adds nothing to a text."""
        return 0


class DataProcessor:
    """The splitter and the tokenizer of a student, where callers of a GLiNER look for them."""

    def __init__(self) -> None:
        self.transformer_tokenizer = WordTokenizer()

    def words_splitter(self, text: str) -> Iterator[tuple[str, int, int]]:
        """Yield each word of a text with its start and its end character."""
        for word in split_words(text):
            yield word.text, word.start_char, word.end_char
