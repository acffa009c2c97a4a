"""TODO-DOC."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gliner_distill.entities import Entity, word_bounds, word_texts
from gliner_distill.errors import InputError
from gliner_distill.runtime.labels import Prompts
from gliner_distill.runtime.scorer import WINDOW_WORDS

_CHUNK_CHARS = 1_000_000


OnLong = Literal["window", "truncate", "error"]


EntityDict = dict[str, Any]
"""An entity: `start`, `end` (characters), `text`, `label`, `score`; on demand `class_probs`."""


@dataclass(frozen=True, slots=True)
class _Request:
    flat_ner: bool = True
    multi_label: bool = False
    threshold: float = 0.5
    thresholds: Mapping[str, float] | None = None
    batch_size: int = 64
    return_class_probs: bool = False
    on_long: OnLong = "window"

    def check(self) -> None:
        """Raise an `InputError` for what is out of its range."""
        _check_probability("threshold", self.threshold)
        if self.thresholds is not None and not isinstance(self.thresholds, Mapping):
            raise InputError(f"thresholds is {self.thresholds!r}; expected {{label: probability}}")
        for label, value in (self.thresholds or {}).items():
            _check_probability(f"thresholds[{label!r}]", value)
        if isinstance(self.batch_size, bool) or not isinstance(self.batch_size, Integral):
            raise InputError(f"batch_size is {self.batch_size!r}; expected a whole number")
        if self.batch_size < 1:
            raise InputError(f"batch_size is {self.batch_size}; expected at least 1")
        if self.on_long not in ("window", "truncate", "error"):
            raise InputError(
                f"on_long is {self.on_long!r}; expected 'window', 'truncate' or 'error'"
            )

    def of_labels(self, names: Sequence[str]) -> NDArray[np.float32]:
        """Return each label's threshold, shape `(labels,)`."""
        given = self.thresholds or {}
        return np.array([given.get(name, self.threshold) for name in names], dtype=np.float32)


def _words_of(text: object, number: int, on_long: OnLong) -> list[str]:
    if not isinstance(text, str):
        raise InputError(f"texts[{number}] is {_shown(text)}; expected a string")
    words = word_texts(text)
    if on_long != "window" and len(words) > WINDOW_WORDS:
        if on_long == "error":
            raise InputError(
                f"texts[{number}] has {len(words):,} words, more than {WINDOW_WORDS}; cut it, or "
                "use on_long='window'"
            )
        return words[:WINDOW_WORDS]
    return words


def describe_entities(
    text: str, entities: Sequence[Entity], probs: Sequence[dict[str, float]] = ()
) -> list[EntityDict]:
    """Return entities of a text's words as dictionaries with characters; see `inference`.

    Args:
        text: The text.
        entities: Spans of its words.
        probs: The `class_probs` of each, where wanted.
    """
    if not entities:
        return []
    bounds = word_bounds(text)
    found: list[EntityDict] = []
    for entity in entities:
        start, end = bounds[entity.start_word][0], bounds[entity.end_word - 1][1]
        found.append(
            {
                "start": start,
                "end": end,
                "text": text[start:end],
                "label": entity.label,
                "score": entity.score,
            }
        )
    for described, of_labels in zip(found, probs, strict=False):
        described["class_probs"] = of_labels
    return found


def _union(asked: list[Prompts]) -> tuple[Prompts, NDArray[np.bool_] | None]:
    """Return all labels of several sets, and which of them each set has; None where all do."""
    if all(one == asked[0] for one in asked):
        return (asked[0] if asked else ()), None
    column = {
        prompt: place for place, prompt in enumerate(dict.fromkeys(p for s in asked for p in s))
    }
    mask = np.zeros((len(asked), len(column)), dtype=np.bool_)
    for row, prompts in enumerate(asked):
        mask[row, [column[prompt] for prompt in prompts]] = True
    return tuple(column), mask


def _chunks(texts: Iterable[str], n_texts: int) -> Iterator[list[str]]:
    """Yield texts, some at a time: at most so many, and few where they are long."""
    chunk: list[str] = []
    n_chars = 0
    for text in texts:
        chunk.append(text)
        n_chars += len(text) if isinstance(text, str) else 0
        if len(chunk) == n_texts or n_chars >= _CHUNK_CHARS:
            yield chunk
            chunk, n_chars = [], 0
    if chunk:
        yield chunk


def _read_gold(
    texts: Sequence[str], entities: Sequence[Sequence[Mapping[str, Any]]]
) -> list[set[tuple[int, int, str]]]:
    for name, given in (("texts", texts), ("entities", entities)):
        if isinstance(given, str | bytes) or not isinstance(given, Sequence):
            raise InputError(f"{name} is {_shown(given)}; expected a list")
    if len(texts) != len(entities):
        raise InputError(f"there are {len(texts)} texts and {len(entities)} lists of entities")
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"texts[{number}] is {_shown(text)}; expected a string")
    gold: list[set[tuple[int, int, str]]] = []
    for number, found in enumerate(entities):
        try:
            gold.append({(one["start"], one["end"], one["label"]) for one in found})
        except (KeyError, TypeError) as error:
            raise InputError(
                f"entities[{number}] is {_shown(found)}; an entity must have start, end and label"
            ) from error
        for *_, label in gold[-1]:
            if not isinstance(label, str):
                raise InputError(f"entities[{number}] has the label {label!r}; expected a string")
    return gold


def _in_words(text: str, gold: set[tuple[int, int, str]]) -> list[Entity]:
    """Return entities by words; one that does not end where words do is a span of no words."""
    bounds = word_bounds(text)
    first = {start: word for word, (start, _) in enumerate(bounds)}
    last = {end: word for word, (_, end) in enumerate(bounds)}
    return [
        Entity(first[start], last[end] + 1, label)
        if start in first and end in last
        else Entity(-1 - place, -1 - place, label)
        for place, (start, end, label) in enumerate(sorted(gold))
    ]


def _check_probability(name: str, value: object) -> None:
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= 1:  # type: ignore[operator]
        raise InputError(f"{name} is {value!r}; expected a number from 0 to 1")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
