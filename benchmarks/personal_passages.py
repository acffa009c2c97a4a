"""The test set of personal data: passages with the positions of nine types, and text without any.

`benchmarks/personal_data.jsonl` holds one passage per line: `text`, `entities` (first character,
character after the last one, type), `kind` and `part`. The passages of part `written` were written
for this test, and `kind` says what they imitate. Those of part `open` are passages with personal
data that `recipes/kept_apart.py` keeps apart from training, annotated anew; those of part `none`
have no personal data, and they were written for this test or kept apart in the same way. There,
`kind` is the file and row. All of it is dedicated to the public domain (CC0).

These rules decide what is annotated. Each of the nine types is annotated wherever it occurs.

- person: the name without a title or the possessive "'s", also a first name or a surname alone. The
  names of companies, products, pets and accounts do not count.
- email address, url: the whole address. The host of a web page counts as a URL, with or without a
  scheme.
- ip address: version 4 or 6, without a port. Version numbers are look-alikes.
- phone number: with its country code; also fax numbers, and numbers that were spoken aloud.
- date of birth: the date alone. Other dates and years of birth do not count.
- card number: the whole number of a payment card, with a right check digit.
- iban: the whole number, with right check digits. National account numbers do not count.
- street address: everything from the house or street to the postal code and country, as far as it
  stands together; also a post-office box.

Addresses, numbers and cards of part `written` come from ranges that are reserved for examples.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gliner_distill.entities import split_words

TEST_SET = Path(__file__).with_name("personal_data.jsonl")
TYPES = (
    *("email address", "url", "ip address", "phone number", "date of birth"),
    *("card number", "iban", "person", "street address"),
)
PRESIDIO_TYPES = {
    "person": "person",
    "street address": "street address",
    "credit card number": "card number",
    "phone number": "phone number",
    "email address": "email address",
    "IBAN code": "iban",
    "IP address": "ip address",
}
"""The types of `presidio_pii` that mean the same as one of ours."""
CharSpan = tuple[int, int, str]
"""An annotated entity: first character, character after the last one, type."""
# The words of these types are joined without spaces, as they were before the set was split.
_UNBROKEN = ("email address", "IBAN code", "IP address", "internet domain name")


@dataclass(frozen=True, slots=True)
class PersonalPassage:
    """A text and the personal data in it.

    Attributes:
        text: The text.
        spans: The personal data in the text, in order of position.
        part: `written`, `open`, `none` or `presidio`.
        kind: What the text imitates, or where it comes from.
    """

    text: str
    spans: tuple[CharSpan, ...]
    part: str
    kind: str

    @property
    def n_words(self) -> int:
        """The number of words of the text."""
        return len(split_words(self.text))


def read_test_set(path: Path = TEST_SET) -> list[PersonalPassage]:
    """Return the passages of the test set, in the order of the file."""
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [
        PersonalPassage(
            row["text"],
            tuple((start, end, label) for start, end, label in row["entities"]),
            row["part"],
            row["kind"],
        )
        for row in rows
    ]


def read_presidio(path: Path) -> list[PersonalPassage]:
    """Return sentences of `presidio_pii` as text, with the types that it shares with us.

    Args:
        path: A file with JSON lines in the training format of GLiNER, such as
            `recipes/kept_apart.py` writes.
    """
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [presidio_passage(row, number) for number, row in enumerate(rows)]


def presidio_passage(row: dict[str, Any], number: int) -> PersonalPassage:
    """Return a sentence in the training format of GLiNER as text.

    >>> words = "Mail ann @ example . com , please .".split()
    >>> passage = presidio_passage({"tokenized_text": words, "ner": [[1, 5, "email address"]]}, 0)
    >>> passage.text, passage.spans
    ('Mail ann@example.com, please.', ((5, 20, 'email address'),))
    """
    words = row["tokenized_text"]
    glued = {
        word
        for first, last, label in row["ner"]
        if label in _UNBROKEN
        for word in range(first + 1, last + 1)
    }
    text, starts = join_words(words, glued)
    spans = [
        (starts[first], starts[last] + len(words[last]), PRESIDIO_TYPES[label])
        for first, last, label in row["ner"]
        if label in PRESIDIO_TYPES
    ]
    return PersonalPassage(text, tuple(sorted(spans)), "presidio", f"row {number}")


def join_words(words: Sequence[str], glued: set[int]) -> tuple[str, list[int]]:
    """Return words as a text with the usual spaces, and the position of each word in it.

    Args:
        words: The words, of which punctuation marks are words of their own.
        glued: The positions of the words that no space precedes.
    """
    text, starts = "", []
    for position, word in enumerate(words):
        before = words[position - 1] if position else ""
        is_joined = (
            position in glued
            or word in tuple(".,;:!?)]}%'’")
            or before in ("(", "[", "{", "$", "£", "€", "'", "’")
        )
        if text and not is_joined:
            text += " "
        starts.append(len(text))
        text += word
    return text, starts
