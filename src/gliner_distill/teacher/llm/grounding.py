"""Find the entities of an answer in the words of the passage.

White space is ignored; every other character must be the same. An entity must begin where a word
begins and end where a word ends. These rules decide where it is:

- Its text occurs once: the entity is there, whatever its context.
- It occurs several times: the places count whose surroundings have the most characters in common
  with its context, which are counted from the entity outward.
- Several places have equally many: it is at all of them, since the answer is as true of each.
- It occurs nowhere, or only inside of words, or its label was not asked: it is dropped and counted.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from gliner_distill.labels import clean_label

NOT_FOUND: Final = "not in the passage"
INSIDE_A_WORD: Final = "inside of a word"
OTHER_LABEL: Final = "with a label that was not asked"
AMBIGUOUS: Final = "ambiguous"

Span = tuple[int, int, int]
"""The first word, the word after the last one, and the position of the label."""


@dataclass(frozen=True, slots=True)
class FoundEntity:
    """An entity as a model names it.

    Attributes:
        text: The entity's text.
        label: Its label.
        before: The text before it.
        after: The text after it.
        prob: The probability that the model gives it.
    """

    text: str
    label: str
    before: str = ""
    after: str = ""
    prob: float = 1.0


@dataclass(slots=True)
class Grounded:
    """The spans of an answer, and how many of its entities were dropped or ambiguous.

    Attributes:
        spans: The probability of each span.
        counts: The number of entities dropped for each reason, and of ambiguous ones.
        n_entities: The number of entities that the answer has.
    """

    spans: dict[Span, float] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    n_entities: int = 0


class PassageText:
    """The words of a passage as one text without white space."""

    def __init__(self, words: Sequence[str]) -> None:
        self._text = "".join(words)
        self._starts: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        place = 0
        for number, word in enumerate(words):
            self._starts.setdefault(place, number)
            place += len(word)
            self._ends[place] = number + 1

    def find(self, entity: FoundEntity) -> tuple[list[tuple[int, int]], bool]:
        """Return the places of an entity, and whether its text occurs at all.

        The places are pairs of the first word and the word after the last one; see the module.
        """
        text = _squeeze(entity.text)
        places = self._occurrences(text)
        spans = [place for place in places if place in self._starts]
        spans = [place for place in spans if place + len(text) in self._ends]
        if len(spans) > 1:
            before, after = _squeeze(entity.before), _squeeze(entity.after)
            shared = [self._shared_chars(place, len(text), before, after) for place in spans]
            best = max(shared)
            spans = [place for place, n in zip(spans, shared, strict=True) if n == best]
        words = [(self._starts[place], self._ends[place + len(text)]) for place in spans]
        return words, bool(places)

    def _occurrences(self, text: str) -> list[int]:
        places: list[int] = []
        place = self._text.find(text) if text else -1
        while place >= 0:
            places.append(place)
            place = self._text.find(text, place + 1)
        return places

    def _shared_chars(self, place: int, length: int, before: str, after: str) -> int:
        text = self._text
        left = text[max(0, place - len(before)) : place]
        right = text[place + length : place + length + len(after)]
        return _n_equal(left[::-1], before[::-1]) + _n_equal(right, after)


def ground(passage: PassageText, names: Sequence[str], entities: Sequence[FoundEntity]) -> Grounded:
    """Return the spans of an answer's entities; see the module for the rules.

    Args:
        passage: The passage.
        names: The labels that were asked.
        entities: The entities of the answer.
    """
    positions = {clean_label(name): position for position, name in enumerate(names)}
    grounded = Grounded(n_entities=len(entities))
    for entity in entities:
        label = positions.get(clean_label(entity.label))
        if label is None:
            grounded.counts[OTHER_LABEL] += 1
            continue
        places, is_found = passage.find(entity)
        if not places:
            grounded.counts[INSIDE_A_WORD if is_found else NOT_FOUND] += 1
        elif len(places) > 1:
            grounded.counts[AMBIGUOUS] += 1
        for start, end in places:
            span = (start, end, label)
            grounded.spans[span] = max(entity.prob, grounded.spans.get(span, 0.0))
    return grounded


def _squeeze(text: str) -> str:
    return "".join(text.split())


def _n_equal(first: str, second: str) -> int:
    """Return the number of characters that two texts have in common at their start."""
    pairs = zip(first, second, strict=False)
    return next(
        (number for number, (one, other) in enumerate(pairs) if one != other),
        min(len(first), len(second)),
    )
