"""Texts of every script, always the same ones, and positions as JavaScript counts them."""

import random
import sys
import unicodedata

_JOINERS = [
    "-",
    "_",
    "'",
    ".",
    "\u200d",
    "\u0301",
    "\u302e",
    "\u1b44",
    "\u05b0",
    "\u0345",
    "\ufe0f",
]
_BLANKS = [" ", "\n", "\t", "\u00a0", "\u2003", "\u3000", "\u0085", "\x1c", "  "]
_BLOCK = 128


def make_texts(n_texts, *, seed=0):
    """Return texts whose characters are drawn from all assigned blocks of Unicode in turn."""
    rng = random.Random(seed)
    blocks = [
        block
        for block in (range(first, first + _BLOCK) for first in range(0, sys.maxunicode, _BLOCK))
        if any(unicodedata.category(chr(code)) not in ("Cn", "Co") for code in block)
    ]
    return [_make_text(rng, blocks[number % len(blocks)]) for number in range(n_texts)]


def _make_text(rng, block):
    parts = []
    for _ in range(rng.randint(1, 8)):
        drawn = [_draw(rng, block) for _ in range(rng.choice((1, 1, 2, 3, 5, 12)))]
        parts += [*drawn, rng.choice(_BLANKS if rng.random() < 0.7 else _JOINERS)]
    return _without_pairs("".join(parts))


def _draw(rng, block):
    kind = rng.random()
    if kind < 0.15:
        return rng.choice(_JOINERS)
    if kind < 0.35:
        return rng.choice("abcXYZ019ßİſΣσ")
    return chr(rng.choice(block))


def _without_pairs(text):
    """Return a text without both halves of a surrogate pair in a row, which JavaScript joins."""
    kept = ""
    for character in text:
        is_second = "\udc00" <= character <= "\udfff"
        if not (is_second and "\ud800" <= kept[-1:] <= "\udbff"):
            kept += character
    return kept


def places_in_units(text):
    """Return the place of each character of a text in the units of JavaScript, and the end."""
    places = [0]
    for character in text:
        places.append(places[-1] + (2 if character > "\uffff" else 1))
    return places


def in_units(text, entities):
    """Return entities with their positions in the units of JavaScript."""
    places = places_in_units(text)
    return [
        entity | {"start": places[entity["start"]], "end": places[entity["end"]]}
        for entity in entities
    ]
