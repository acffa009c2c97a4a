"""Read what a language model answers: its JSON, and the log-probabilities of its tokens."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Final

from gliner_distill.teacher.llm.grounding import FoundEntity

MAX_ENTITIES: Final = 1000
"""The most entities of one answer; an answer with more is not valid."""

REFUSED: Final = "refusals"
CUT_OFF: Final = "answers that were cut off"
NOT_JSON: Final = "answers that are not the JSON that was asked for"

_TEXTS: Final = ("text", "label")
_CONTEXTS: Final = ("before", "after")


class InvalidAnswerError(Exception):
    """An answer cannot be used; its argument is one of the reasons above, in the plural."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token of an answer.

    Attributes:
        content: Its bytes, which may be a part of a character.
        logprob: The logarithm of its probability, at most 0.
        others: The likeliest tokens at its place, with their logarithms; often empty.
    """

    content: bytes
    logprob: float
    others: Sequence[tuple[str, float]] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer of the endpoint.

    Attributes:
        content: Its text; None if there is none.
        is_refusal: Whether the model, or a filter, refuses to answer.
        is_cut: Whether the answer ends at the limit of its length.
        tokens: Its tokens; empty if the endpoint does not give them.
    """

    content: str | None
    is_refusal: bool = False
    is_cut: bool = False
    tokens: Sequence[Token] = ()

    @property
    def n_bytes(self) -> int:
        """The size of its text in UTF-8."""
        return len(_encode(self.content or ""))


def read_entities(choice: Choice) -> list[FoundEntity]:
    """Return the entities of an answer.

    The probability of an entity is the product of the probabilities of the tokens that say that
    there is one more entity, and its text and label; 1 if the tokens are not known.

    Raises:
        InvalidAnswerError: The answer is a refusal, is cut off, or is not the JSON asked for.
    """
    if choice.is_refusal:
        raise InvalidAnswerError(REFUSED)
    content = choice.content or ""
    # Endpoints that ignore the schema often put the JSON between marks of Markdown.
    start, end = content.find("{"), content.rfind("}") + 1
    try:
        records = json.loads(content[start:end])["entities"]
        entities = [_read_entity(record) for record in records]
    except (ValueError, RecursionError, KeyError, TypeError):
        raise InvalidAnswerError(CUT_OFF if choice.is_cut else NOT_JSON) from None
    if not isinstance(records, list) or len(entities) > MAX_ENTITIES:
        raise InvalidAnswerError(NOT_JSON)
    probs = _entity_probs(content, len(entities), choice.tokens)
    return [replace(entity, prob=prob) for entity, prob in zip(entities, probs, strict=True)]


def read_verdict(choice: Choice) -> float:
    """Return the probability that the answer to a check is yes.

    It is the share of "yes" among the likeliest first tokens, or 1 or 0 if these are not known.

    Raises:
        InvalidAnswerError: The answer is a refusal, or neither yes nor no.
    """
    if choice.is_refusal:
        raise InvalidAnswerError(REFUSED)
    words = (choice.content or "").strip(" \t\r\n\"'*.").lower()
    verdict = next((word for word in ("yes", "no") if words.startswith(word)), None)
    if verdict is None:
        raise InvalidAnswerError(NOT_JSON)
    if not choice.tokens:
        return float(verdict == "yes")
    first = choice.tokens[0]
    weights = {"yes": 0.0, "no": 0.0}
    alternatives = first.others or [(first.content.decode("utf-8", "replace"), first.logprob)]
    for text, logprob in alternatives:
        word = text.strip(" \t\r\n\"'*.").lower()
        if word in weights:
            weights[word] += math.exp(logprob)
    total = sum(weights.values())
    return weights["yes"] / total if total > 0 else float(verdict == "yes")


def _read_entity(record: Any) -> FoundEntity:
    texts = [record[name] for name in _TEXTS]
    # The context is only needed where a text occurs several times, so it may be missing.
    contexts = [record.get(name) or "" for name in _CONTEXTS]
    if not all(isinstance(text, str) for text in (*texts, *contexts)):
        raise TypeError("an entity has a field that is not a string")
    return FoundEntity(*texts, *contexts)


def _entity_probs(content: str, n_entities: int, tokens: Sequence[Token]) -> list[float]:
    """Return the probability of each entity from the tokens of an answer; 1 without them."""
    certain = [1.0] * n_entities
    spans = list(_object_spans(content))
    if b"".join(token.content for token in tokens) != _encode(content) or len(spans) != n_entities:
        return certain
    ends = list(accumulate(len(token.content) for token in tokens))
    return [
        _span_prob(tokens, ends, *(len(_encode(content[:place])) for place in span))
        for span in spans
    ]


def _object_spans(content: str) -> Iterator[tuple[int, int]]:
    """Yield where each entity stands in an answer: its object up to the field of its context."""
    decoder = json.JSONDecoder()
    place = content.find("[") + 1
    while place and (start := content.find("{", place)) >= 0:
        try:
            _, place = decoder.raw_decode(content, start)
        except (ValueError, RecursionError):
            return
        contexts = [content.find(f'"{name}"', start, place) for name in _CONTEXTS]
        yield start, min([found for found in contexts if found > start], default=place)


def _span_prob(tokens: Sequence[Token], ends: Sequence[int], start: int, end: int) -> float:
    """Return the product of the probabilities of the tokens that overlap some bytes."""
    total = 0.0
    for token, token_end in zip(tokens, ends, strict=True):
        if token_end > start and token_end - len(token.content) < end:
            total += token.logprob
    return math.exp(total)


def _encode(text: str) -> bytes:
    # The JSON of an endpoint may hold halves of surrogate pairs.
    return text.encode("utf-8", "replace")
