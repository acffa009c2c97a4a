"""Put entities, which are found in characters, on the tokens of a spaCy document.

Words of the student need not be tokens of spaCy. An entity that begins or ends inside a token is
expanded to the whole token.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from gliner_distill.entities import EntityDict

if TYPE_CHECKING:
    from spacy.tokens import Doc, Span


class ScoredSpan(NamedTuple):
    """A labeled span of tokens and its score."""

    span: "Span"
    score: float


def expand_to_tokens(doc: "Doc", entities: Iterable[EntityDict]) -> list[ScoredSpan]:
    """Return the entities of a document as spans of whole tokens, in order of position.

    If two entities of one label become the same span, it has the higher of their scores.
    """
    best: dict[tuple[int, int, str], ScoredSpan] = {}
    for entity in entities:
        span = doc.char_span(
            entity["start"], entity["end"], label=entity["label"], alignment_mode="expand"
        )
        key = (span.start, span.end, entity["label"])
        if key not in best or entity["score"] > best[key].score:
            best[key] = ScoredSpan(span, entity["score"])
    return [best[key] for key in sorted(best)]


def resolve_overlaps(spans: Sequence[ScoredSpan]) -> tuple[list[ScoredSpan], list[ScoredSpan]]:
    """Divide spans into those with the highest scores that share no token, and the others.

    Args:
        spans: The spans in order of position.

    Returns:
        The spans that do not overlap, in order of position, and those that are left out.
    """
    kept, left_out = [], []
    taken: set[int] = set()
    for scored in sorted(spans, key=lambda scored: -scored.score):
        tokens = range(scored.span.start, scored.span.end)
        if taken.isdisjoint(tokens):
            taken.update(tokens)
            kept.append(scored)
        else:
            left_out.append(scored)
    return sorted(kept, key=lambda scored: scored.span.start), left_out
