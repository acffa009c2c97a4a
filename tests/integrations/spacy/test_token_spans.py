"""Entities on tokens: expansion, equal spans and overlaps."""

import pytest

from gliner_distill.integrations.spacy.token_spans import expand_to_tokens, resolve_overlaps


@pytest.fixture
def doc(spacy):
    from spacy.tokens import Doc
    from spacy.vocab import Vocab

    return Doc(Vocab(), words=["Ada", "met", "Bo/Paris", "\n", "today"])


def entity(doc, text, label, score):
    start = doc.text.index(text)
    return {"start": start, "end": start + len(text), "text": text, "label": label, "score": score}


def spans_of(scored):
    return [(span.text, span.label_, score) for span, score in scored]


def test_expand_to_tokens_keeps_an_entity_that_fits(doc):
    found = expand_to_tokens(doc, [entity(doc, "Ada", "person", 0.9)])
    assert spans_of(found) == [("Ada", "person", 0.9)]


def test_expand_to_tokens_takes_the_whole_token_of_a_part(doc):
    found = expand_to_tokens(doc, [entity(doc, "Paris", "city", 0.9)])
    assert spans_of(found) == [("Bo/Paris", "city", 0.9)]


def test_expand_to_tokens_merges_equal_spans_of_a_label_under_the_higher_score(doc):
    parts = [entity(doc, "Bo", "name", 0.6), entity(doc, "Paris", "name", 0.8)]
    assert spans_of(expand_to_tokens(doc, parts)) == [("Bo/Paris", "name", 0.8)]


def test_expand_to_tokens_keeps_equal_spans_of_two_labels(doc):
    parts = [entity(doc, "Bo", "person", 0.6), entity(doc, "Paris", "city", 0.8)]
    assert {label for _, label, _ in spans_of(expand_to_tokens(doc, parts))} == {"person", "city"}


def test_expand_to_tokens_orders_spans_by_position(doc):
    parts = [entity(doc, "Paris", "city", 0.8), entity(doc, "Ada", "person", 0.6)]
    assert [text for text, *_ in spans_of(expand_to_tokens(doc, parts))] == ["Ada", "Bo/Paris"]


def test_resolve_overlaps_keeps_the_highest_scores_and_returns_the_others(doc):
    parts = [
        entity(doc, "Ada met Bo", "title", 0.7),
        entity(doc, "Paris", "city", 0.8),
        entity(doc, "today", "date", 0.5),
    ]
    kept, left_out = resolve_overlaps(expand_to_tokens(doc, parts))
    assert spans_of(kept) == [("Bo/Paris", "city", 0.8), ("today", "date", 0.5)]
    assert spans_of(left_out) == [("Ada met Bo/Paris", "title", 0.7)]


def test_resolve_overlaps_of_nothing_is_nothing():
    assert resolve_overlaps([]) == ([], [])
