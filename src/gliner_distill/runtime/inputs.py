"""Texts, labels and options on their way in, and entities on their way out of `StudentNER`.

Everything that a caller can get wrong is checked here, and each message says which argument is
wrong and what was expected.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gliner_distill.entities import Entity, EntityDict, word_bounds, word_texts
from gliner_distill.errors import InputError, shorten
from gliner_distill.labels import by_clean_label, clean_label
from gliner_distill.patterns.labels import PatternKind, structured_labels
from gliner_distill.patterns.matching import PATTERN_SCORE, find_matches, merge_matches
from gliner_distill.runtime.labels import Prompts
from gliner_distill.runtime.sections import WINDOW_WORDS

_CHUNK_CHARS = 1_000_000

OnLong = Literal["window", "truncate", "error"]
OnBad = Literal["skip", "error"]


@dataclass(frozen=True, slots=True)
class InferenceOptions:
    """The options of `StudentNER.inference`, which explains them."""

    flat_ner: bool = True
    multi_label: bool = False
    threshold: float = 0.5
    thresholds: Mapping[str, float] | None = None
    batch_size: int = 64
    return_class_probs: bool = False
    on_long: OnLong = "window"
    patterns: bool = True
    on_bad: OnBad = "skip"

    def check(self) -> None:
        """Raise an `InputError` for an option that is out of its range."""
        for name in ("flat_ner", "multi_label", "return_class_probs", "patterns"):
            flag = getattr(self, name)
            if isinstance(flag, Sized):  # such as GLiNER's relations, given by position
                raise InputError(f"{name} is {shorten(flag)}; expected True or False")
        _check_probability("threshold", self.threshold)
        if self.thresholds is not None and not isinstance(self.thresholds, Mapping):
            raise InputError(f"thresholds is {self.thresholds!r}; expected {{label: probability}}")
        spellings: dict[str, str] = {}
        for label, value in (self.thresholds or {}).items():
            _check_probability(f"thresholds[{label!r}]", value)
            if not isinstance(label, str):
                raise InputError(f"thresholds holds the label {shorten(label)}; expected a string")
            if spellings.setdefault(clean_label(label), label) != label:
                raise InputError(
                    f"thresholds: {shorten(spellings[clean_label(label)])} and {shorten(label)} "
                    "are the same label, because upper case, underscores and white space make no "
                    "difference; leave one of them out"
                )
        # A bool is an integer in Python, but not a size.
        if isinstance(self.batch_size, bool) or not isinstance(self.batch_size, Integral):
            raise InputError(f"batch_size is {self.batch_size!r}; expected a whole number")
        if self.batch_size < 1:
            raise InputError(f"batch_size is {self.batch_size}; expected at least 1")
        if self.on_long not in ("window", "truncate", "error"):
            raise InputError(
                f"on_long is {self.on_long!r}; expected 'window', 'truncate' or 'error'"
            )
        if self.on_bad not in ("skip", "error"):
            raise InputError(f"on_bad is {self.on_bad!r}; expected 'skip' or 'error'")

    def structured_labels(self, prompts: Prompts) -> dict[str, PatternKind]:
        """Return the labels that patterns are to find, with the kind of pattern of each."""
        if not self.patterns:
            return {}
        kinds = structured_labels(prompts)
        thresholds = self.thresholds_for(list(kinds))
        return {
            label: kind
            for (label, kind), threshold in zip(kinds.items(), thresholds, strict=True)
            if threshold < PATTERN_SCORE
        }

    def structured_labels_by_text(
        self, asked: Prompts | list[Prompts], n_texts: int
    ) -> list[dict[str, PatternKind]]:
        """Return the result of `structured_labels` for each text."""
        if isinstance(asked, list):
            return [self.structured_labels(prompts) for prompts in asked]
        return [self.structured_labels(asked)] * n_texts

    def thresholds_for(self, names: Sequence[str]) -> NDArray[np.float32]:
        """Return the threshold of each label, shape `(labels,)`; spelling makes no difference."""
        own = by_clean_label(self.thresholds or {})
        return np.array(
            [
                own.get(clean_label(name), self.threshold) if own else self.threshold
                for name in names
            ],
            dtype=np.float32,
        )


def check_texts(texts: object) -> None:
    """Check that an argument can hold texts.

    A mapping yields its keys instead, and a data frame the names of its columns.

    Raises:
        InputError: It cannot.
    """
    shape = getattr(texts, "shape", ())
    if isinstance(shape, tuple) and len(shape) > 1:
        raise InputError(f"texts is a table ({type(texts).__name__}); give one of its columns")
    if isinstance(texts, bytes | Mapping) or not isinstance(texts, Iterable):
        raise InputError(f"texts is {shorten(texts)}; expected a string or strings")


def read_words(text: object, number: int, on_long: OnLong) -> list[str]:
    """Return the words of a text.

    Args:
        text: The text.
        number: Its position among the texts, for messages.
        on_long: See `StudentNER.inference`.

    Raises:
        InputError: It is not a string, or it is too long and `on_long` is `error`.
    """
    if not isinstance(text, str):
        raise InputError(f"texts[{number}] is {shorten(text)}; expected a string")
    words = word_texts(text)
    if on_long != "window" and len(words) > WINDOW_WORDS:
        if on_long == "error":
            raise InputError(
                f"texts[{number}] has {len(words):,} words, more than {WINDOW_WORDS}; shorten it, "
                "or use on_long='window'"
            )
        return words[:WINDOW_WORDS]
    return words


def chunk_texts(
    texts: Iterable[str], n_texts: int, *, max_chars: int = _CHUNK_CHARS
) -> Iterator[list[str]]:
    """Yield texts in chunks, without reading further ahead than the chunk at hand.

    Args:
        texts: The texts.
        n_texts: The most texts in a chunk.
        max_chars: The number of characters at which a chunk is full.
    """
    chunk: list[str] = []
    n_chars = 0
    for text in texts:
        chunk.append(text)
        n_chars += len(text) if isinstance(text, str) else 0  # `read_words` refuses it later
        if len(chunk) == n_texts or n_chars >= max_chars:
            yield chunk
            chunk, n_chars = [], 0
    if chunk:
        yield chunk


def chunk_texts_and_labels(
    texts: Iterable[str], asked: Prompts | list[Prompts], n_texts: int
) -> Iterator[tuple[int, list[str], Prompts | list[Prompts]]]:
    """Yield texts in chunks, with the number of the first text and the labels of the chunk.

    Args:
        texts: The texts.
        asked: The labels of all texts, or of each text its own.
        n_texts: The most texts in a chunk.

    Raises:
        InputError: There is not one set of labels per text.
    """
    first = 0
    for chunk in chunk_texts(texts, n_texts):
        part = asked[first : first + len(chunk)] if isinstance(asked, list) else asked
        if isinstance(part, list) and len(part) < len(chunk):
            raise InputError(f"labels holds {len(asked)} lists; there are more texts")
        yield first, chunk, part
        first += len(chunk)
    if isinstance(asked, list) and first < len(asked):
        raise InputError(f"labels holds {len(asked)} lists for {first} texts")


def merge_label_sets(label_sets: Sequence[Prompts]) -> tuple[Prompts, NDArray[np.bool_] | None]:
    """Return all labels of several sets, each once, and which of them each set has.

    Returns:
        The labels, and a mask of shape `(sets, labels)`, or None if every set has all labels.
    """
    # Texts usually share one set of labels, and then need no mask.
    if all(prompts == label_sets[0] for prompts in label_sets):
        return (label_sets[0] if label_sets else ()), None
    merged = dict.fromkeys(prompt for prompts in label_sets for prompt in prompts)
    column = {prompt: place for place, prompt in enumerate(merged)}
    mask = np.zeros((len(label_sets), len(column)), dtype=np.bool_)
    for row, prompts in enumerate(label_sets):
        mask[row, [column[prompt] for prompt in prompts]] = True
    return tuple(column), mask


def split_label_sets(label_sets: Sequence[Prompts], most: int) -> list[slice]:
    """Return runs of neighboring sets; those of a run have at most `most` labels together.

    A set with more labels is a run of its own.

    >>> split_label_sets([("a", "b"), ("b", "c"), ("d",)], 3)
    [slice(0, 2, None), slice(2, 3, None)]
    """
    runs: list[slice] = []
    first, together = 0, set[tuple[str, str]]()
    for row, prompts in enumerate(label_sets):
        more = together.union(prompts)
        if row > first and len(more) > most:
            runs.append(slice(first, row))
            first, more = row, set(prompts)
        together = more
    return [*runs, slice(first, len(label_sets))]


def describe_entities(
    text: str, entities: Sequence[Entity], probs: Sequence[dict[str, float]] = ()
) -> list[EntityDict]:
    """Return entities of a text's words as dictionaries with character positions.

    Args:
        text: The text.
        entities: Spans of its words.
        probs: The `class_probs` of each entity; empty if they are not wanted.
    """
    if not entities:
        return []
    bounds = word_bounds(text, max(entity.end_word for entity in entities))
    described: list[EntityDict] = []
    for entity in entities:
        start, end = bounds[entity.start_word][0], bounds[entity.end_word - 1][1]
        described.append(
            {
                "start": start,
                "end": end,
                "text": text[start:end],
                "label": entity.label,
                "score": entity.score,
            }
        )
    # Without class probabilities, the sequence is empty.
    for entity_dict, class_probs in zip(described, probs, strict=False):
        entity_dict["class_probs"] = class_probs
    return described


def add_matches(
    text: str,
    entities: list[EntityDict],
    kinds: Mapping[str, PatternKind],
    options: InferenceOptions,
) -> list[EntityDict]:
    """Return the entities of a text together with those that patterns find.

    Args:
        text: The text.
        entities: The entities that the model has found.
        kinds: The labels that patterns are to find; see `InferenceOptions.structured_labels`.
        options: The options of the call.
    """
    if not kinds:
        return entities
    if options.on_long == "truncate":
        *_, (_, end) = [(0, 0), *word_bounds(text)[:WINDOW_WORDS]]
        text = text[:end]
    rules = {"flat_ner": options.flat_ner, "multi_label": options.multi_label}
    return merge_matches(
        text,
        entities,
        find_matches(text, kinds, **rules),
        **rules,
        has_class_probs=options.return_class_probs,
    )


def _check_probability(name: str, value: object) -> None:
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= 1:  # type: ignore[operator]
        raise InputError(f"{name} is {value!r}; expected a number from 0 to 1")
