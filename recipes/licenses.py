"""The licenses of the sets that taught a student, for its card.

Origin and license of a set are stated in the tables of DATA/corpora/SOURCES_*.md. `licenses.json`
beside this module adds what a review found that the tables do not say. Only sets that
DATA/permissive.json lists may teach a student whose weights are published.
"""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gliner_distill.errors import CorpusError

ShareAlike = Literal["yes", "no", "not known"]

REVIEW = Path(__file__).with_name("licenses.json")
OWN_TEXT = frozenset({"open and sample", "sample", "train", "more", "focus"})
"""The names under which text that was written for this project is counted."""

# The statement leaves the license of the texts open, so it does not exclude CC BY-SA.
_OPEN_ENDED = re.compile(r"\bas (each|their)\b|none stated|not checked|unstated")


@dataclass(frozen=True, slots=True)
class SetLicense:
    """The origin of a set and its license, as its authors state them.

    Attributes:
        origin: The repository that the set comes from, as owner/name.
        statement: The license as stated there, with the notes of the review.
        share_alike: Whether any part of the set is under CC BY-SA, as far as is known.
    """

    origin: str
    statement: str
    share_alike: ShareAlike


@dataclass(frozen=True, slots=True)
class TaughtSet:
    """A set that taught a student, with the number of its words that the student read."""

    name: str
    n_words: int
    license: SetLicense


def read_licenses(folder: Path, *, review: Path = REVIEW) -> dict[str, SetLicense]:
    """Return the license of each set from the tables in SOURCES_*.md and from the review.

    Args:
        folder: The folder with the tables: `| name | origin | license | ... |`.
        review: A JSON file with `share_alike` and `note` for sets whose tables say too little.

    Raises:
        CorpusError: The folder has no table.
    """
    rows = [
        [cell.strip() for cell in line.strip("| \n").split("|")]
        for path in sorted(folder.glob("SOURCES_*.md"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    # A table begins with its header and a line of dashes.
    rows = [row for row in rows if row[0] != "name" and row[0].strip("-:")]
    if not rows:
        raise CorpusError(
            f"{folder}: found no table in SOURCES_*.md; expected name, origin, license"
        )
    found = json.loads(review.read_text(encoding="utf-8"))
    return {name: _license(origin, text, found.get(name)) for name, origin, text, *_ in rows}


def taught_sets(
    n_words: Mapping[str, int], licenses: Mapping[str, SetLicense], permitted: Collection[str]
) -> list[TaughtSet]:
    """Return the sets that taught a student: our own text first, then by the number of words.

    Args:
        n_words: The number of words by set; the names of our own text are in `OWN_TEXT`.
        licenses: The license of each set.
        permitted: The names in `permissive.json`.

    Raises:
        CorpusError: A set is not permitted, or its license is not known.
    """
    own = SetLicense("this project", "CC0 1.0", "no")
    others = n_words.keys() - OWN_TEXT | n_words.keys() & licenses.keys()
    if forbidden := sorted(others - set(permitted)):
        raise CorpusError(
            f"permissive.json does not list {', '.join(forbidden)}, so weights that learned from "
            "them must not be published; make the transfer set again and train on it"
        )
    if unknown := sorted(others - licenses.keys()):
        raise CorpusError(
            f"SOURCES_*.md has no row for {', '.join(unknown)}; expected the license of every set"
        )
    sets = [
        TaughtSet(name, count, licenses[name] if name in others else own)
        for name, count in n_words.items()
    ]
    return sorted(sets, key=lambda item: (item.name in others, item.n_words, item.name))


def real_words(rows: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Count the words by set of passages whose `source` is "set:row".

    >>> real_words([{"source": "sgd:7", "tokenized_text": ["two", "words"], "ner": []}])
    Counter({'sgd': 2})
    """
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row["source"].partition(":")[0]] += len(row["tokenized_text"])
    return counts


def _license(origin: str, text: str, reviewed: Mapping[str, Any] | None) -> SetLicense:
    statement = text.replace("licence", "license")
    if reviewed is not None:
        return SetLicense(origin, f"{statement}; {reviewed['note']}", reviewed["share_alike"])
    if "BY-SA" in text:
        return SetLicense(origin, statement, "yes")
    return SetLicense(origin, statement, "not known" if _OPEN_ENDED.search(text) else "no")
