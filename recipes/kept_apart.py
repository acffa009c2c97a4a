"""The passages with personal data that are kept apart from training, to test the student on.

`python recipes/kept_apart.py DATA OUT` writes them: OUT/personal.json with the passages of the open
files, of which each names its file and row, and OUT/presidio.jsonl, which
`benchmarks/personal_data.py` reads.

A tenth of the passages of DATA/open/more.json and focus.json that have at least two kinds of
personal data is kept apart "by document": passages that share eight words in a row with each other
are kept apart together or not at all. The sentences of DATA/corpora/presidio_pii.jsonl were made
from templates, so a fifth of the templates is kept apart with all of their sentences.

The test of false alarms needs text without personal data. For it, those passages of the open files
are kept apart that name no person and have neither an address nor an identifying number.

Every choice depends only on the files and on the seed.
"""

import argparse
import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gliner_distill.files import replace_file, write_json

OPEN_FILES = ("more.json", "focus.json")
PERSONAL_SHARE, TEMPLATE_SHARE = 0.1, 0.2
SEED = 7
PERSONS = ("person", "people", "human", "character", "individual", "contact")
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
IDENTIFYING = (
    r"address|phone|mail|url|link|website|birth|iban|card|account|\bip\b|domain|person|name|number"
)
"""A pattern for the labels that a passage without personal data must not have."""
_PATTERNS = {kind: re.compile(pattern) for kind, pattern in KINDS.items()}
_TELLTALE = re.compile(r"@|www|http|\.com|\d{6,}")
_COMMON = 5
_SHARED_WORDS, _SHARED_TEMPLATE_WORDS = 8, 4
_MASK = "_"
Row = Mapping[str, Any]
"""A passage in the training format of GLiNER, with `tokenized_text` and `ner`."""


def main() -> None:
    """Write the passages that are kept apart."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="the folder with open/ and corpora/")
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    kept = personal_rows(options.data)
    personal = [
        {**row, "row": f"{name.removesuffix('.json')}:{number}"}
        for name, number, row in read_places(options.data)
        if number in kept[name]
    ]
    lines = read_presidio_lines(options.data)
    presidio = "".join(lines[row] + "\n" for row in sorted(presidio_rows(options.data)))
    options.out.mkdir(parents=True, exist_ok=True)
    write_json(options.out / "personal.json", personal)
    replace_file(options.out / "presidio.jsonl", presidio.encode())


def personal_rows(data: Path, *, seed: int = SEED) -> dict[str, set[int]]:
    """Return the numbers of the rows of each open file that are kept apart.

    These are a tenth of the passages with personal data and all that `impersonal_rows` returns,
    with every passage that shares eight words in a row with one of them.

    Args:
        data: The folder with `open/more.json`, `open/focus.json` and `open/labels.jsonl`.
        seed: The random seed.
    """
    places = read_places(data)
    groups = linked([grams(row["tokenized_text"], _SHARED_WORDS) for _, _, row in places])
    personal = {position for position, place in enumerate(places) if is_personal(place[2])}
    chosen = choose(groups, personal, PERSONAL_SHARE, seed)
    impersonal = impersonal_rows(data)
    for group in groups:
        if any(places[position][1] in impersonal[places[position][0]] for position in group):
            chosen.update(group)
    kept: dict[str, set[int]] = {name: set() for name in OPEN_FILES}
    for position in chosen:
        name, number, _ = places[position]
        kept[name].add(number)
    return kept


def impersonal_rows(data: Path) -> dict[str, set[int]]:
    """Return the numbers of the rows of each open file that seem to have no personal data.

    The thesaurus must know all labels of such a passage, and none of them may name a person or an
    identifying number. No capitalized word may be part of a person's name elsewhere in the files.

    Args:
        data: The folder with `open/more.json`, `open/focus.json` and `open/labels.jsonl`.
    """
    lines = (data / "open" / "labels.jsonl").read_text("utf-8").splitlines()
    broader = {entry["label"]: entry["broader"] for entry in map(json.loads, lines)}
    places = read_places(data)
    names = {
        word
        for _, _, row in places
        for start, end, label in row["ner"]
        if label.endswith(("er", "or", "ist")) or names_person(label, broader)
        for word in row["tokenized_text"][start : end + 1]
        if word[:1].isupper()
    }
    words = Counter(word for _, _, row in places for word in row["tokenized_text"])
    # A word such as "The" or "May" is common in lower case, so it tells nothing.
    telling = {name for name in names if words[name.lower()] < _COMMON}
    kept: dict[str, set[int]] = {name: set() for name in OPEN_FILES}
    for name, number, row in places:
        labels = {label for _, _, label in row["ner"]}
        if (
            labels <= broader.keys()
            and not any(names_person(label, broader) for label in labels)
            and not any(re.search(IDENTIFYING, label) for label in labels)
            and not _TELLTALE.search(" ".join(row["tokenized_text"]))
            and telling.isdisjoint(row["tokenized_text"])
        ):
            kept[name].add(number)
    return kept


def names_person(label: str, broader: Mapping[str, Sequence[str]]) -> bool:
    """Return whether a label or a broader one of it means a person.

    Args:
        label: The label.
        broader: The broader labels of each label of the thesaurus.
    """
    seen, waiting = {label}, [label]
    while waiting:
        new = set(broader.get(waiting.pop(), ())) - seen
        seen |= new
        waiting += new
    return not seen.isdisjoint(PERSONS)


def read_places(data: Path) -> list[tuple[str, int, Row]]:
    """Return the rows of the open files, each with the name of its file and its number."""
    return [
        (name, number, row)
        for name in OPEN_FILES
        for number, row in enumerate(json.loads((data / "open" / name).read_text("utf-8")))
    ]


def presidio_rows(data: Path, *, seed: int = SEED) -> set[int]:
    """Return the numbers of the rows of `presidio_pii` whose templates are kept apart.

    Args:
        data: The folder with `corpora/presidio_pii.jsonl`.
        seed: The random seed.
    """
    lines = read_presidio_lines(data)
    groups = linked([template_grams(json.loads(line)) for line in lines])
    return choose(groups, set(range(len(lines))), TEMPLATE_SHARE, seed)


def read_presidio_lines(data: Path) -> list[str]:
    """Return the rows of `presidio_pii`, each as JSON."""
    return (data / "corpora" / "presidio_pii.jsonl").read_text("utf-8").splitlines()


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


if __name__ == "__main__":
    main()
