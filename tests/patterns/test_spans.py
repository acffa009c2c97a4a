"""Spans of characters: sets of them against brute force, and the rules of a clash."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.patterns.spans import SpanSet, clash

BORDERS = st.lists(st.integers(0, 40), unique=True, max_size=12).map(sorted)


@given(BORDERS, st.randoms(), st.integers(0, 40), st.integers(1, 20))
def test_span_set_returns_the_overlapping_spans(borders, random, start, length):
    spans = list(zip(borders[::2], borders[1::2], strict=False))
    filled = SpanSet()
    for span in random.sample(spans, len(spans)):
        filled.add(span)
    end = start + length
    expected = [span for span in spans if span[0] < end and start < span[1]]
    assert filled.overlapping(start, end) == expected
    assert SpanSet(spans).overlapping(start, end) == expected


@pytest.mark.parametrize(
    ("span", "other", "flat", "nested"),
    [((0, 4), (0, 4), True, True), ((0, 4), (1, 3), True, False), ((0, 4), (2, 6), True, True)],
)
def test_clash_lets_a_span_lie_inside_another_unless_entities_are_flat(span, other, flat, nested):
    for one, two in ((span, other), (other, span)):
        assert clash(one, two, flat_ner=True, multi_label=False) == flat
        assert clash(one, two, flat_ner=False, multi_label=False) == nested


def test_clash_lets_a_span_have_several_labels_if_asked():
    assert not clash((0, 4), (0, 4), flat_ner=True, multi_label=True)
    assert clash((0, 4), (0, 3), flat_ner=True, multi_label=True)
