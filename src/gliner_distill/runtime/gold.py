"""Read annotated texts for `StudentNER.tune_thresholds`: entities by characters become words."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from gliner_distill.entities import Entity, word_bounds
from gliner_distill.errors import InputError, shorten
from gliner_distill.patterns.labels import structured_labels
from gliner_distill.patterns.matching import PATTERN_SCORE, find_matches
from gliner_distill.runtime.labels import Prompts
from gliner_distill.runtime.thresholds import GoldPassage

CharSpan = tuple[int, int, str]
"""An annotated entity: first character, end character, label."""

_logger = logging.getLogger(__name__)


def match_words(text: str, prompts: Prompts) -> list[Entity]:
    """Return what the patterns of labels find in a text, by words.

    A match that does not begin and end where words do is left out.
    """
    matches = find_matches(text, structured_labels(prompts))
    spans = {(match.start, match.end, match.label) for match in matches}
    return [Entity(*span, score=PATTERN_SCORE) for span in sorted(_align(text, spans).spans)]


def read_gold(
    texts: Sequence[str], entities: Sequence[Sequence[Mapping[str, Any]]]
) -> list[GoldPassage]:
    """Return the annotation of texts, by words.

    Args:
        texts: The texts.
        entities: The entities of each text, with `start` and `end` (characters) and `label`.

    Raises:
        InputError: An argument is not a list, the lengths differ, an entity lacks a field, or none
            of the entities begins and ends where words do. If only some do, a warning is logged.
    """
    for name, value in (("texts", texts), ("entities", entities)):
        if isinstance(value, str | bytes) or not isinstance(value, Sequence):
            raise InputError(f"{name} is {shorten(value)}; expected a list")
    if len(texts) != len(entities):
        raise InputError(
            f"there are {len(texts)} texts, but {len(entities)} lists of entities; give one per "
            "text"
        )
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"texts[{number}] is {shorten(text)}; expected a string")
    spans = [_read_char_spans(number, annotated) for number, annotated in enumerate(entities)]
    gold = [_align(text, of_text) for text, of_text in zip(texts, spans, strict=True)]
    _check_fit(texts, entities, gold)
    return gold


def _check_fit(texts: Sequence[str], entities: Sequence[Any], gold: Sequence[GoldPassage]) -> None:
    """Log a warning if some annotated entities do not begin and end where words do.

    Args:
        texts: The texts.
        entities: The entities of each text, as for `read_gold`.
        gold: The same entities by words, as `read_gold` returns them.

    Raises:
        InputError: None of the entities does.
    """
    n_entities = sum(passage.count_labels().total() for passage in gold)
    n_unaligned = sum(Counter(passage.n_unaligned).total() for passage in gold)
    if not n_unaligned:
        return
    number = next(number for number, passage in enumerate(gold) if passage.n_unaligned)
    span = next(
        span for span in entities[number] if _align(texts[number], {_span(span)}).n_unaligned
    )
    first = (
        f"the first is in entities[{number}]: {shorten(span['label'])} from character "
        f"{span['start']} to {span['end']}"
    )
    if n_unaligned == n_entities:
        raise InputError(
            f"none of the {n_entities:,} annotated entities begins and ends where words of its "
            f"text do, so there is nothing to tune with ({first}); start and end must count the "
            "characters of the text, with the end exclusive"
        )
    _logger.warning(
        "%d of %d annotated entities do not begin and end where words do, so no student can find "
        "them, and they count as missed (%s)",
        *(n_unaligned, n_entities, first),
    )


def _span(entity: Mapping[str, Any]) -> CharSpan:
    return entity["start"], entity["end"], entity["label"]


def _read_char_spans(number: int, annotated: Sequence[Mapping[str, Any]]) -> set[CharSpan]:
    try:
        spans = set(map(_span, annotated))
    except (KeyError, TypeError) as error:
        raise InputError(
            f"entities[{number}] is {shorten(annotated)}; an entity must have start, end and label"
        ) from error
    for *_, label in spans:
        if not isinstance(label, str):
            raise InputError(f"entities[{number}] has the label {label!r}; expected a string")
    return spans


def _align(text: str, spans: set[CharSpan]) -> GoldPassage:
    """Return annotated spans by words; those that do not begin and end with words are counted."""
    bounds = word_bounds(text)
    first_words = {start: word for word, (start, _) in enumerate(bounds)}
    end_words = {end: word for word, (_, end) in enumerate(bounds, 1)}
    aligned, unaligned = set(), Counter[str]()
    for start, end, label in spans:
        if start in first_words and end in end_words and start < end:
            aligned.add((first_words[start], end_words[end], label))
        else:
            unaligned[label] += 1
    return GoldPassage(frozenset(aligned), unaligned)
