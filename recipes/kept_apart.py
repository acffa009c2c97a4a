"""The passages with personal data that are kept apart from training, to test the student on.

A tenth of the passages of DATA/open/more.json and focus.json that have at least two kinds of
personal data is kept apart "by document": passages that share eight words in a row with each other
are kept apart together or not at all. The sentences of DATA/corpora/presidio_pii.jsonl were made
from templates, so a fifth of the templates is kept apart with all of their sentences.

Every choice depends only on the files and on the seed.
"""

import json
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

OPEN_FILES = ("more.json", "focus.json")
PERSONAL_SHARE, TEMPLATE_SHARE = 0.1, 0.2
SEED = 7
KINDS = {
    "email": r"e-?mail",
    "phone": r"\b(tele|cell)?phone( number)?$|^mobile( number)?$|fax( number)?$",
    "address": r"(^|street|home|postal|mailing|delivery|billing|property|shipping) ?address$",
    "date of birth": r"(date of birth|birth date|birthday|dob)$",
    "card": r"(card number|card digits)$",
    "account": r"\biban\b|account number$|^bank account$",
    "ip": r"\bip( address)?$|ipv[46] address",
    "passport": r"passport number",
    "social security": r"social security number|\bssn$",
}
"""A pattern for the labels of each kind of personal data."""
_PATTERNS = {kind: re.compile(pattern) for kind, pattern in KINDS.items()}
_SHARED_WORDS, _SHARED_TEMPLATE_WORDS = 8, 4
_MASK = "_"
Row = Mapping[str, Any]
"""A passage in the training format of GLiNER, with `tokenized_text` and `ner`."""


def personal_rows(data: Path, *, seed: int = SEED) -> dict[str, set[int]]:
    """Return the numbers of the rows of each open file that are kept apart.

    A passage without personal data is kept apart, too, if it shares eight words in a row with one
    that is kept apart for its personal data.

    Args:
        data: The folder with `open/more.json` and `open/focus.json`.
        seed: The random seed.
    """
    places = [
        (name, number, row)
        for name in OPEN_FILES
        for number, row in enumerate(json.loads((data / "open" / name).read_text("utf-8")))
    ]
    groups = linked([grams(row["tokenized_text"], _SHARED_WORDS) for _, _, row in places])
    personal = {position for position, place in enumerate(places) if is_personal(place[2])}
    kept: dict[str, set[int]] = {name: set() for name in OPEN_FILES}
    for position in choose(groups, personal, PERSONAL_SHARE, seed):
        name, number, _ = places[position]
        kept[name].add(number)
    return kept


def presidio_rows(data: Path, *, seed: int = SEED) -> set[int]:
    """Return the numbers of the rows of `presidio_pii` whose templates are kept apart.

    Args:
        data: The folder with `corpora/presidio_pii.jsonl`.
        seed: The random seed.
    """
    lines = (data / "corpora" / "presidio_pii.jsonl").read_text("utf-8").splitlines()
    groups = linked([template_grams(json.loads(line)) for line in lines])
    return choose(groups, set(range(len(lines))), TEMPLATE_SHARE, seed)


def is_personal(row: Row) -> bool:
    """Return whether the labels of a passage name at least two kinds of personal data."""
    labels = {label.lower() for _, _, label in row["ner"]}
    kinds = [any(map(pattern.search, labels)) for pattern in _PATTERNS.values()]
    return sum(kinds) >= 2


def grams(words: Sequence[str], n_words: int) -> Iterator[tuple[str, ...]]:
    """Yield each run of this number of words, or the whole text if it is shorter.

    Case is ignored, and so are words without a letter or digit.
    """
    plain = [word.lower() for word in words if any(map(str.isalnum, word))]
    for start in range(max(1, len(plain) - n_words + 1)):
        yield tuple(plain[start : start + n_words])


def template_grams(row: Row) -> Iterator[tuple[str, ...]]:
    """Yield each run of four words of the template that a sentence was made from.

    Entities and numbers are masked. A run that crosses a mask counts as well, since the mask marks
    a place of the template, but a run needs at least two words that are not masks. A sentence
    without such a run is its own template.
    """
    words = template(row)
    runs = [
        tuple(words[start : start + _SHARED_TEMPLATE_WORDS])
        for start in range(max(1, len(words) - _SHARED_TEMPLATE_WORDS + 1))
    ]
    telling = [run for run in runs if sum(word != _MASK for word in run) >= 2]
    yield from telling or [tuple(words)]


def template(row: Row) -> list[str]:
    """Return the words of a sentence in lower case, each entity and number as one mask.

    >>> row = {"tokenized_text": "Write to Ann Lee , 12 days".split(), "ner": [[2, 3, "person"]]}
    >>> template(row)
    ['write', 'to', '_', 'days']
    """
    masked = {word for start, end, _ in row["ner"] for word in range(start, end + 1)}
    words: list[str] = []
    for position, word in enumerate(row["tokenized_text"]):
        if position in masked or any(map(str.isdigit, word)):
            if words[-1:] != [_MASK]:
                words.append(_MASK)
        elif any(map(str.isalpha, word)):
            words.append(word.lower())
    return words


def linked(keys: Iterable[Iterable[tuple[str, ...]]]) -> list[list[int]]:
    """Return groups of items, in which each item shares a key with another one of its group.

    Args:
        keys: The keys of each item.

    >>> linked([[("a",)], [("b",)], [("a",), ("c",)], [("c",)]])
    [[0, 2, 3], [1]]
    """
    parents: list[int] = []
    first_with: dict[tuple[str, ...], int] = {}

    def root(item: int) -> int:
        while parents[item] != item:
            parents[item] = parents[parents[item]]
            item = parents[item]
        return item

    for item, own in enumerate(keys):
        parents.append(item)
        for key in own:
            ends = sorted((root(first_with.setdefault(key, item)), root(item)))
            parents[ends[1]] = ends[0]
    groups: dict[int, list[int]] = {}
    for item in range(len(parents)):
        groups.setdefault(root(item), []).append(item)
    return list(groups.values())


def choose(groups: Sequence[Sequence[int]], counted: set[int], share: float, seed: int) -> set[int]:
    """Return the items of randomly chosen whole groups that have about a share of some items.

    Args:
        groups: The groups of items that must stay together.
        counted: The items of which a share is wanted. Groups without them are never chosen.
        share: The share to choose, from 0 to 1.
        seed: The random seed.
    """
    candidates = [group for group in groups if not counted.isdisjoint(group)]
    random.Random(seed).shuffle(candidates)
    chosen: set[int] = set()
    n_wanted = round(share * len(counted))
    for group in candidates:
        n_chosen = len(counted.intersection(chosen))
        # A group that is much too large would take the whole share alone.
        if n_chosen + len(counted.intersection(group)) <= n_wanted:
            chosen.update(group)
    return chosen
