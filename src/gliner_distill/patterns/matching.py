"""Find the structured types among the labels of a call, and merge them with a model's entities."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gliner_distill.entities import EntityDict
from gliner_distill.patterns.labels import FINDERS, PatternKind
from gliner_distill.patterns.spans import CharSpan, SpanSet, clash

PATTERN_SCORE = 1.0
"""The score of an entity that a pattern has found; its check digits leave little doubt."""


class PatternMatch(NamedTuple):
    """A span of characters that a pattern has found for a label."""

    start: int
    end: int
    label: str


def find_matches(
    text: str,
    kinds: Mapping[str, PatternKind],
    *,
    flat_ner: bool = True,
    multi_label: bool = False,
) -> list[PatternMatch]:
    """Return what the patterns of the labels find in a text, in order of position.

    Where two matches clash, the longer one is kept, and of equal ones the label that was asked
    first.

    Args:
        text: The text.
        kinds: The kind of pattern of each label; see `structured_labels`.
        flat_ner: Whether entities may not overlap; otherwise one may lie inside another.
        multi_label: Whether a span may have several labels.
    """
    found = [
        PatternMatch(start, end, label)
        for label, kind in kinds.items()
        for start, end in FINDERS[kind](text)
    ]
    # A stable sort keeps the order of the labels among matches of equal length.
    found.sort(key=lambda match: match.start - match.end)
    taken: dict[str, SpanSet] = {}
    kept = []
    for match in found:
        span = match.start, match.end
        others = [other for spans in taken.values() for other in spans.overlapping(*span)]
        if not any(
            clash(span, other, flat_ner=flat_ner, multi_label=multi_label) for other in others
        ):
            taken.setdefault(match.label, SpanSet()).add(span)
            kept.append(match)
    return sorted(kept)


def merge_matches(
    text: str,
    entities: Sequence[EntityDict],
    matches: Sequence[PatternMatch],
    *,
    flat_ner: bool = True,
    multi_label: bool = False,
    has_class_probs: bool = False,
) -> list[EntityDict]:
    """Return the entities of a model and of patterns together, in order of position.

    A match takes the place of each entity that overlaps it and has the same label, or that clashes
    with it.

    Args:
        text: The text.
        entities: The entities that a model has found.
        matches: The result of `find_matches`.
        flat_ner: See `find_matches`.
        multi_label: See `find_matches`.
        has_class_probs: Whether the entities have `class_probs`.
    """
    if not matches:
        return list(entities)
    taken: dict[str, SpanSet] = {}
    for match in matches:
        taken.setdefault(match.label, SpanSet()).add((match.start, match.end))

    def is_free(entity: EntityDict) -> bool:
        span: CharSpan = entity["start"], entity["end"]
        return not any(
            label == entity["label"]
            or clash(span, other, flat_ner=flat_ner, multi_label=multi_label)
            for label, spans in taken.items()
            for other in spans.overlapping(*span)
        )

    merged = [_describe(text, match, has_class_probs=has_class_probs) for match in matches]
    merged += filter(is_free, entities)
    return sorted(merged, key=lambda entity: entity["start"])


def _describe(text: str, match: PatternMatch, *, has_class_probs: bool) -> EntityDict:
    described: EntityDict = {
        "start": match.start,
        "end": match.end,
        "text": text[match.start : match.end],
        "label": match.label,
        "score": PATTERN_SCORE,
        "source": "pattern",
    }
    if has_class_probs:
        described["class_probs"] = {match.label: PATTERN_SCORE}
    return described
