"""Write entities into a spaCy document: `doc.ents`, `doc.spans` and `span._.score`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gliner_distill.integrations.spacy.token_spans import ScoredSpan

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

SCORE = "score"
"""The name of the extension attribute: `span._.score`."""


def set_ents(doc: "Doc", spans: Sequence[ScoredSpan], *, overwrite: bool) -> None:
    """Add spans to `doc.ents`.

    Blocked tokens (`doc.set_ents(blocked=...)`) stay blocked, and no span may contain them.

    Args:
        doc: The document.
        spans: Spans that do not overlap.
        overwrite: Whether a span replaces the entities of the document that it overlaps. Otherwise,
            it is left out.
    """
    existing, blocked = [], []
    if doc.has_annotation("ENT_IOB"):
        existing = list(doc.ents)
        blocked = [doc[token.i : token.i + 1] for token in doc if _is_blocked(token)]
    fixed = blocked if overwrite else blocked + existing
    closed = {token for span in fixed for token in range(span.start, span.end)}
    added = [
        scored for scored in spans if closed.isdisjoint(range(scored.span.start, scored.span.end))
    ]
    taken = {token for span, _ in added for token in range(span.start, span.end)}
    stay = [span for span in existing if taken.isdisjoint(range(span.start, span.end))]
    for span in existing:
        if span not in stay:
            for token in span:
                token.ent_id = token.ent_kb_id = 0  # spaCy itself leaves them as they are
    doc.set_ents([*stay, *(span for span, _ in added)], blocked=blocked)
    _set_scores(added)


def set_spans(doc: "Doc", spans: Sequence[ScoredSpan], *, key: str) -> None:
    """Set `doc.spans[key]`, whose `attrs["scores"]` is an array of the scores, float32."""
    import numpy as np
    from spacy.tokens import SpanGroup

    scores = np.array([score for _, score in spans], dtype=np.float32)
    doc.spans[key] = SpanGroup(
        doc, name=key, spans=[span for span, _ in spans], attrs={"scores": scores}
    )
    _set_scores(spans)


def register_score() -> bool:
    """Make `span._.score` exist, and return whether it can be set.

    If the user has registered an extension of this name, it is left as it is. It can be set unless
    it is a method or has a getter.
    """
    from spacy.tokens import Span

    if not Span.has_extension(SCORE):
        Span.set_extension(SCORE, default=None)
    _, method, getter, _ = Span.get_extension(SCORE)
    return method is None and getter is None


def _set_scores(spans: Sequence[ScoredSpan]) -> None:
    if register_score():
        # Spans of the same tokens share the attribute, whatever their labels: the highest stays.
        for span, score in sorted(spans, key=lambda scored: scored.score):
            span._.set(SCORE, score)


def _is_blocked(token: "Token") -> bool:
    return token.ent_iob == 3 and not token.ent_type
