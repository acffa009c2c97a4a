"""Reduce labels to the words that carry their meaning, in a form that all spellings share.

This module does not know the meaning of a word; `labeling.synonyms` does.
"""

import re

from gliner_distill.labels import clean_label

_ALTERNATIVES = re.compile(r"[,;/|&()]|\s(?:and|or)\s")
_PREPOSITION = re.compile(r"\s(?:of|in|for|from|by|with|at|on|to|per)\s")
_IGNORED = re.compile("a|an|the|s|named|other|of|in|for|from|by|with|at|on|to|per|and|or")

# This is not `\w+`, which would take the vowel signs of Indian scripts for the ends of words.
_WORD = re.compile(r"[^\s!-\"$-*,-/:-@\[-`{-~‘’“”–—]+")

_IRREGULAR = {
    **{"people": "person", "children": "child", "feet": "foot", "teeth": "tooth", "mice": "mouse"},
    **{"bacteria": "bacterium", "criteria": "criterion", "phenomena": "phenomenon"},
    **{"fungi": "fungus", "wolves": "wolf", "leaves": "leaf", "knives": "knife", "wives": "wife"},
    **{"news": "news", "lens": "lens", "grey": "gray", "tyre": "tire", "jewellery": "jewelry"},
}

_FORM_RULES = [
    (re.compile(pattern), form)
    for pattern, form in (
        (r"(?<=\w\w\w)(?<![sui])s$", ""),  # companies: companie, buses: buse; but bus, analysis
        (r"(?<=\w\w)ie$", "y"),  # companie: company
        (r"(?<=\w\w\w)is(?=e|ing|ation)", "iz"),  # -isation: -ization
        (r"(?<=\w\w)our", "or"),  # -our: -or; but hour, court
        (r"(?<=[bt])re$", "er"),  # theatre: theater
        (r"(?<=[cf])ence$", "ense"),  # licence: license
        (r"(?:(?<=log)ue|(?<=gram)me)$", ""),  # catalogue: catalog, programme: program
        (r"ll(?=er|or|ist|ing)", "l"),  # traveller: traveler
        (r"(?<=[a-z])ae", "e"),  # archaeologist: archeologist
        (r"(?<=\w\w)(?:(?<=[osxz])|(?<=[cs]h))e$", ""),  # buse: bus, heroe: hero, and house: hous
        (r"sis$", "s"),  # analysis: analys
        (r"men$", "man"),
    )
]


def split_alternatives(label: str) -> list[str]:
    """Return the alternatives that a label names, in lower case; most labels have one."""
    return _ALTERNATIVES.split(clean_label(label).replace(".", ""))


def joined_words(phrase: str) -> str:
    """Return the words that carry the meaning of a phrase, joined, the head last.

    >>> joined_words("smart phones"), joined_words("smartphone")
    ('smartphone', 'smartphone')
    """
    return "".join(ordered_words(phrase))


def ordered_words(phrase: str) -> list[str]:
    """Return the words that carry the meaning of a phrase, as word forms, the head last.

    >>> ordered_words("the districts of a city")
    ['city', 'district']
    """
    head, *rest = _PREPOSITION.split(phrase, maxsplit=1)
    words = _WORD.findall(" ".join([*rest, head]))
    return [word_form(word) for word in words if not _IGNORED.fullmatch(word)] or words


def word_form(word: str) -> str:
    """Return the form that a word's singular, plural and spellings share; it may not be a word.

    >>> [word_form(word) for word in ("cities", "men", "theatres", "houses", "house")]
    ['city', 'man', 'theater', 'hous', 'hous']
    """
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    for pattern, form in _FORM_RULES:
        word = pattern.sub(form, word)
    return word
