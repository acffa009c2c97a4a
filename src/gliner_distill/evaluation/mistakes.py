"""Find the entities that a model got wrong, and say in which way.

Each wrong answer is compared with the gold entities that were not found. An answer with the borders
of one of them has a wrong label. An answer that overlaps with one of the same label has wrong
borders. Each answer and each gold entity is used once. All other answers are invented, and all
other gold entities are missed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from gliner_distill.entities import Entity

Kind = Literal["missed", "invented", "wrong label", "wrong borders"]

_CONTEXT_WORDS: Final = 6
"""The number of words that are shown on each side of a span."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A gold entity that was not found, or an answer that is not in gold, or such a pair.

    Attributes:
        passage: The position of the passage in the corpus, from 0.
        words: The words of the passage.
        expected: The gold entity; None if the answer is invented.
        found: The answer; None if the gold entity was missed.
    """

    passage: int
    words: Sequence[str]
    expected: Entity | None
    found: Entity | None

    @property
    def kind(self) -> Kind:
        """The way in which the answer is wrong."""
        if self.found is None:
            return "missed"
        if self.expected is None:
            return "invented"
        return "wrong borders" if self.expected.label == self.found.label else "wrong label"

    @property
    def shown(self) -> Entity:
        """The gold entity or, if there is none, the answer."""
        entity = self.found if self.expected is None else self.expected
        assert entity is not None
        return entity

    def text_of(self, entity: Entity) -> str:
        """Return the words of an entity of the passage."""
        return " ".join(self.words[entity.start_word : entity.end_word])

    def as_json(self) -> dict[str, Any]:
        """Return the mistake as `--json` writes it; passages are counted from 1."""
        start, end = self.shown.start_word, self.shown.end_word
        expected = None if self.expected is None else self._describe(self.expected)
        found = None if self.found is None else self._describe(self.found)
        if found is not None and self.found is not None:
            found["score"] = round(self.found.score, 4)
        return {
            "kind": self.kind,
            "passage": self.passage + 1,
            "before": " ".join(self.words[max(0, start - _CONTEXT_WORDS) : start]),
            "after": " ".join(self.words[end : end + _CONTEXT_WORDS]),
            "expected": expected,
            "found": found,
        }

    def _describe(self, entity: Entity) -> dict[str, Any]:
        return {
            "start_word": entity.start_word,
            "end_word": entity.end_word,
            "text": self.text_of(entity),
            "label": entity.label,
        }


def find_mistakes(
    predicted: Sequence[Sequence[Entity]],
    reference: Sequence[Sequence[Entity]],
    words: Sequence[Sequence[str]],
) -> list[Mistake]:
    """Return all mistakes, by passage and position.

    Args:
        predicted: The entities that a model found in each passage.
        reference: The gold entities of the same passages.
        words: The words of these passages.

    Raises:
        ValueError: The arguments differ in length.

    >>> found, gold = Entity(1, 2, "person"), Entity(0, 2, "person")
    >>> [mistake] = find_mistakes([[found]], [[gold]], [["Ada", "Lovelace"]])
    >>> mistake.kind
    'wrong borders'
    """
    return [
        Mistake(number, passage_words, expected, found)
        for number, (entities, gold, passage_words) in enumerate(
            zip(predicted, reference, words, strict=True)
        )
        for expected, found in _compare(set(entities), set(gold))
    ]


def _compare(
    predicted: set[Entity], reference: set[Entity]
) -> list[tuple[Entity | None, Entity | None]]:
    """Return what differs in a passage: pairs of a gold entity and an answer, or one alone."""
    wrong, missing = predicted - reference, reference - predicted
    pairs: list[tuple[Entity | None, Entity | None]] = []
    for candidates in (_same_borders, _same_label):
        # The pairs with the most common words come first.
        for _, expected, found in sorted(candidates(missing, wrong)):
            if expected in missing and found in wrong:
                missing.remove(expected)
                wrong.remove(found)
                pairs.append((expected, found))
    pairs += [(expected, None) for expected in missing]
    pairs += [(None, found) for found in wrong]
    return sorted(pairs, key=_position)


def _same_borders(missing: set[Entity], wrong: set[Entity]) -> Iterator[tuple[int, Entity, Entity]]:
    answers: dict[tuple[int, int], list[Entity]] = {}
    for found in wrong:
        answers.setdefault((found.start_word, found.end_word), []).append(found)
    for expected in missing:
        for found in answers.get((expected.start_word, expected.end_word), []):
            yield 0, expected, found


def _same_label(missing: set[Entity], wrong: set[Entity]) -> Iterator[tuple[int, Entity, Entity]]:
    answers: dict[str, list[Entity]] = {}
    for found in wrong:
        answers.setdefault(found.label, []).append(found)
    for expected in missing:
        for found in answers.get(expected.label, []):
            n_common = min(expected.end_word, found.end_word) - max(
                expected.start_word, found.start_word
            )
            if n_common > 0:
                yield -n_common, expected, found


def _position(pair: tuple[Entity | None, Entity | None]) -> tuple[int, int, str, bool]:
    expected, found = pair
    entity = expected or found
    assert entity is not None
    return entity.start_word, entity.end_word, entity.label, expected is None
