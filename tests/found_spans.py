"""The texts that a pattern finds, with the promises that every pattern makes."""

from itertools import pairwise

N_HOSTILE_CHARS = 1_000_000


def texts_of(find, text):
    """Return the found texts; check that their spans are in order and do not overlap."""
    spans = list(find(text))
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    assert all(start < end for start, end in spans)
    return [text[start:end] for start, end in spans]
