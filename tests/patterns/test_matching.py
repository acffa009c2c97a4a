"""Matches of patterns: among themselves, and against the entities of a model."""

import pytest

from gliner_distill.patterns.labels import structured_labels
from gliner_distill.patterns.matching import PatternMatch, find_matches, merge_matches

TEXT = "Mail jo@x.org or see http://203.0.113.7/a."


def matches_of(text, *labels, **rules):
    kinds = structured_labels((label, label) for label in labels)
    return [(text[m.start : m.end], m.label) for m in find_matches(text, kinds, **rules)]


def found_by_model(text, part, label, score=0.9):
    start = text.index(part)
    entity = {"start": start, "end": start + len(part), "text": part}
    return entity | {"label": label, "score": score}


def test_find_matches_returns_positions_in_order():
    found = matches_of(TEXT, "url", "email", "person")
    assert found == [("jo@x.org", "email"), ("http://203.0.113.7/a", "url")]


def test_find_matches_keeps_the_longer_match_unless_entities_may_nest():
    assert matches_of(TEXT, "ip address", "url") == [("http://203.0.113.7/a", "url")]
    nested = matches_of(TEXT, "ip address", "url", flat_ner=False)
    assert nested == [("http://203.0.113.7/a", "url"), ("203.0.113.7", "ip address")]


def test_find_matches_gives_a_span_the_label_asked_first_or_all_of_them():
    assert matches_of(TEXT, "e-mail", "email") == [("jo@x.org", "e-mail")]
    both = matches_of(TEXT, "e-mail", "email", multi_label=True)
    assert both == [("jo@x.org", "e-mail"), ("jo@x.org", "email")]


def test_merge_matches_replaces_overlapping_entities_of_any_label():
    entities = [
        found_by_model(TEXT, "Mail", "person"),
        found_by_model(TEXT, "jo", "person"),
        found_by_model(TEXT, "x.org or", "email"),
        found_by_model(TEXT, "see", "person"),
    ]
    merged = merge_matches(TEXT, entities, [PatternMatch(5, 13, "email")])
    assert merged == [
        entities[0],
        {
            **{"start": 5, "end": 13, "text": "jo@x.org", "label": "email", "score": 1.0},
            "source": "pattern",
        },
        entities[3],
    ]


@pytest.mark.parametrize("label", ["person", "email"])
def test_merge_matches_keeps_a_nested_entity_of_another_label_alone(label):
    entities = [found_by_model(TEXT, "jo", label)]
    merged = merge_matches(TEXT, entities, [PatternMatch(5, 13, "email")], flat_ner=False)
    assert len(merged) == (2 if label == "person" else 1)
    assert merged[0]["source"] == "pattern"


def test_merge_matches_gives_a_span_several_labels_if_asked():
    entities = [found_by_model(TEXT, "jo@x.org", label) for label in ("contact", "email")]
    matches = [PatternMatch(5, 13, "email")]
    assert len(merge_matches(TEXT, entities, matches)) == 1
    merged = merge_matches(TEXT, entities, matches, multi_label=True, has_class_probs=True)
    assert [entity["label"] for entity in merged] == ["email", "contact"]
    assert merged[0]["class_probs"] == {"email": 1.0}


def test_merge_matches_without_matches_returns_the_entities():
    entities = [found_by_model(TEXT, "Mail", "person")]
    assert merge_matches(TEXT, entities, []) == entities


@pytest.mark.slow
def test_find_matches_reads_thousands_of_nested_matches():
    text = "http://x.org/" + "1.1.1.1/" * 50_000
    assert len(matches_of(text, "url", "ip", "ipv4", flat_ner=False)) == 50_001
    assert len(matches_of(text, "url", "ip", "ipv4")) == 1
