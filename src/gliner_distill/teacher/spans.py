"""Teachers that give whole entities of a text: rules, dictionaries, pipelines of other libraries.

`SpanTeacher` turns a function from texts to labeled spans of characters into a `Teacher`. It gives
the function the text of a passage, which it joins from the passage's words, and converts the spans
to words.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from gliner_distill.corpus.labels import split_prompt
from gliner_distill.decoding import entities_to_probs
from gliner_distill.entities import Entity
from gliner_distill.errors import InputError, TeacherError, shorten
from gliner_distill.labels import by_clean_label, clean_label
from gliner_distill.teacher.base import Probabilities

Span = tuple[int, int, str] | tuple[int, int, str, float]
"""The first character, the character after the last one, the label, and perhaps a probability."""

FindSpans = Callable[[Sequence[str]], Iterable[Iterable[Span]]]
"""A function from texts to the spans of each."""

_TEXTS_AT_ONCE = 256
# A change of `join_words` changes the answers, so this number is part of each fingerprint.
_JOINING = 1

_NO_SPACE_BEFORE = frozenset(".,;:!?%)]}’”»…'@/")
_NO_SPACE_AFTER = frozenset("([{“«$£€#'’@/")
_INNER_DOT = re.compile(r"[a-z0-9]")
_BESIDE_INNER_COLON = re.compile(r"(?:[0-9A-Fa-f]{1,4}|:)\Z")


class SpanTeacher:
    """A `Teacher` that asks a function for the entities of a text.

    It knows only its own labels: for others it finds nothing, and in an ensemble its answers about
    them do not count.

    Attributes:
        name: The name for people, in messages and records.
        fingerprint: A SHA-256 over name, version and labels.
        metadata: The version and the labels.
    """

    def __init__(
        self,
        find_spans: FindSpans,
        labels: Mapping[str, str] | Iterable[str],
        *,
        name: str,
        version: str,
    ) -> None:
        """Wrap a function.

        Args:
            find_spans: Called with a list of texts; returns, for each, its spans: the first
                character, the character after the last one, the label, and perhaps a probability,
                which is 1 otherwise. A span that ends within a word covers the whole word.
            labels: The labels that the function finds; or a mapping from the labels that users ask
                for to those that it finds. The spelling makes no difference (see `clean_label`).
            name: The name for people, in messages and records.
            version: A text to change whenever the function may find other spans, such as the
                version of a model, or the rules themselves. A store is tied to it.

        Raises:
            InputError: There are no labels.
        """
        self._find_spans = find_spans
        given = labels if isinstance(labels, Mapping) else {label: label for label in labels}
        self._labels = by_clean_label(given)
        if not self._labels:
            raise InputError(f"{name}: labels is empty; expected the labels that it finds")
        self.name = name
        self.metadata: dict[str, Any] = {"version": version, "labels": sorted(self._labels)}
        content = [name, version, sorted(self._labels.items()), _JOINING]
        self.fingerprint = hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def knows_label(self, label: str) -> bool:
        """Return whether the function finds a label, which may have a description."""
        return self._own_label(label) is not None

    def score_passages(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[Probabilities]:
        """Return one array per passage, shape `(words, labels, 3)`, float32, in [0, 1].

        Raises:
            TeacherError: The function returns something else than spans of the texts.
        """
        scores = []
        for start in range(0, len(passages), _TEXTS_AT_ONCE):
            part = slice(start, start + _TEXTS_AT_ONCE)
            scores += self._score_part(passages[part], labels[part])
        return scores

    def _score_part(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[Probabilities]:
        joined = [join_words(words) for words in passages]
        found = list(self._find_spans([text for text, _ in joined]))
        if len(found) != len(passages):
            raise TeacherError(
                f"{self.name}: got {len(passages)} texts, but returned spans for {len(found)}; "
                "expected one list of spans per text"
            )
        return [
            entities_to_probs(
                list(self._to_entities(spans, text, starts, asked)), asked, len(starts)
            )
            for (text, starts), spans, asked in zip(joined, found, labels, strict=True)
        ]

    def _to_entities(
        self,
        spans: Iterable[Span],
        text: str,
        starts: Sequence[int],
        asked: Sequence[str],
    ) -> Iterable[Entity]:
        own = {label: self._own_label(label) for label in asked}
        for span in spans:
            start_char, end_char, found, score = _check_span(span, text, name=self.name)
            # White space at an end belongs to no word.
            start_char += len(text[start_char:end_char]) - len(text[start_char:end_char].lstrip())
            first = int(np.searchsorted(starts, start_char, side="right")) - 1
            end = int(np.searchsorted(starts, end_char))
            for label in asked:
                if own[label] == clean_label(found) and start_char < end_char:
                    yield Entity(first, end, label, score)

    def _own_label(self, prompt: str) -> str | None:
        """Return the function's name for a label, which may have a description, in clean form."""
        for label in (prompt, split_prompt(prompt)[0]):
            if (found := self._labels.get(clean_label(label))) is not None:
                return clean_label(found)
        return None


def join_words(words: Sequence[str]) -> tuple[str, list[int]]:
    """Return the words of a passage as a text, and the first character of each word.

    A passage does not keep the white space of its text, so this is a guess by the punctuation: what
    belongs to the word before or after it gets no space. Dots and colons within e-mail addresses,
    URLs, times and numbers get none on either side.

    >>> join_words(["Write", "to", "ann", "@", "example", ".", "org", ".", "Bye", "!"])[0]
    'Write to ann@example.org. Bye!'
    """
    starts, parts, position = [], [], 0
    for word, following in pairwise([*words, ""]):
        starts.append(position)
        glue = "" if not following or _belong_together(word, following, words, len(starts)) else " "
        parts.append(word + glue)
        position += len(parts[-1])
    return "".join(parts), starts


def _belong_together(word: str, following: str, words: Sequence[str], place: int) -> bool:
    """Return whether no space stands between two words; `place` is that of the second one."""
    before = words[place - 2] if place >= 2 else ""
    if word == ".":
        return before[-1:].isalnum() and _INNER_DOT.match(following) is not None
    if word == ":":
        is_number = all(map(_BESIDE_INNER_COLON.match, (before, following)))
        return is_number or following == "/"
    return following in _NO_SPACE_BEFORE or word in _NO_SPACE_AFTER


def _check_span(span: Any, text: str, *, name: str) -> tuple[int, int, str, float]:
    try:
        start, end, label, score = span if len(span) == 4 else (*span, 1.0)
        is_span = 0 <= start < end <= len(text) and isinstance(label, str) and 0 <= score <= 1
        if is_span:
            return int(start), int(end), label, float(score)
    except (TypeError, ValueError):
        pass
    raise TeacherError(
        f"{name}: returned the span {shorten(span)} for the text {shorten(text)}; expected (first "
        "character, character after the last, label) or the same with a probability"
    )
