"""The thesaurus: what labels mean, and which of them may be true without being annotated.

An entry gives synonyms of a label, broader labels, siblings (easily taken for the label, but
different) and descriptions. `read_thesaurus` reads the entries as JSON lines (`labels.jsonl`) or
from the data set of this repository (`thesaurus.parquet`).
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from gliner_distill.errors import CorpusError
from gliner_distill.files import reason_of
from gliner_distill.labeling.synonyms import labels_overlap
from gliner_distill.labels import clean_label

THESAURUS_FILE, JSON_THESAURUS_FILE = "thesaurus.parquet", "labels.jsonl"
RELATIONS = ("synonyms", "broader", "siblings", "descriptions")
COMMON = frozenset(
    Path(__file__).with_name("common_labels.txt").read_text(encoding="utf-8").splitlines()
)
"""Labels that a passage may have without using them, so they are never drawn as absent.

The file has one of them in British spelling as well, because some passages have it.
"""


@dataclass(frozen=True, slots=True)
class ThesaurusEntry:
    """The relations of a label to other labels.

    Attributes:
        synonyms: Other words for the label.
        broader: Labels that are true of everything that the label is true of.
        siblings: Labels of things in the same texts that are easily taken for it and are not it.
        descriptions: Two phrases that can stand in place of the label.
    """

    synonyms: tuple[str, ...] = ()
    broader: tuple[str, ...] = ()
    siblings: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()

    @property
    def trained_synonyms(self) -> tuple[str, ...]:
        """The synonyms to train on.

        The benchmark measures the forms "X entity" and "X mention", so they are left out.
        """
        return tuple(name for name in self.synonyms if not name.endswith((" entity", " mention")))

    @property
    def trained_description(self) -> str:
        """The first description, or nothing; the second one is kept for the benchmark."""
        return self.descriptions[0] if self.descriptions else ""


def read_thesaurus(folder: Path) -> dict[str, ThesaurusEntry]:
    """Return the entry of each label of the thesaurus, in the order of the file.

    All words have the clean form of labels, which the labels of passages have as well.

    Args:
        folder: The folder of the data set, the folder `open` with the JSON files, or the folder
            that holds `open`.

    Raises:
        CorpusError: The folder has no thesaurus, the file cannot be read, or an entry lacks a field
            or is there twice.
    """
    path = _find_file(folder)
    entries: dict[str, ThesaurusEntry] = {}
    for place, content in _read_rows(path):
        try:
            row = json.loads(content) if isinstance(content, str) else content
            label, entry = clean_label(row["label"]), _entry_of(row)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CorpusError(
                f"{path}: {place}: expected a label and lists of {', '.join(RELATIONS)}; "
                f"got {str(content)[:60]!r}"
            ) from error
        if label in entries:
            raise CorpusError(
                f"{path}: {place}: the label {label!r} already has an entry; remove one of the two"
            )
        entries[label] = entry
    return entries


def _find_file(folder: Path) -> Path:
    for place in (folder, folder / "open"):
        for name in (THESAURUS_FILE, JSON_THESAURUS_FILE):
            if (place / name).exists():
                return place / name
    raise CorpusError(
        f"{folder}: found neither {THESAURUS_FILE} nor {JSON_THESAURUS_FILE}, there or in its "
        "folder `open`; give the folder `dataset` of the repository, or the folder with the JSON "
        "files"
    )


def _read_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the place and the content of each entry, for JSON lines as text."""
    is_parquet = path.name == THESAURUS_FILE
    try:
        if is_parquet:
            rows = parquet.read_table(path).to_pylist()
        else:
            rows = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise CorpusError(f"{path}: the thesaurus cannot be read: {reason_of(error)}") from error
    for number, row in enumerate(rows, start=1):
        yield f"{'row' if is_parquet else 'line'} {number}", row


def _entry_of(row: Mapping[str, Any]) -> ThesaurusEntry:
    relations = {}
    for name in RELATIONS:
        if not isinstance(row[name], list):
            raise TypeError(name)
        relations[name] = tuple(map(clean_label, row[name]))
    return ThesaurusEntry(**relations)


class Thesaurus:
    """Synonyms, broader labels, siblings and descriptions of labels.

    Args:
        entries: The entries by label. A synonym that two entries share leads to neither of them,
            and one that has an entry of its own leads to that alone.
    """

    def __init__(self, entries: Mapping[str, ThesaurusEntry]) -> None:
        self.entries = dict(entries)
        counts = Counter(synonym for entry in entries.values() for synonym in entry.synonyms)
        self._label_of = {
            synonym: label
            for label, entry in entries.items()
            for synonym in entry.synonyms
            if counts[synonym] == 1
        } | {label: label for label in entries}
        self._all_broader = cache(self._find_broader)

    def find(self, label: str) -> ThesaurusEntry | None:
        """Return the entry of a label or of the label that it is a synonym of."""
        return self.entries.get(self._label_of.get(label, label))

    def all_broader(self, label: str) -> frozenset[str]:
        """Return all labels that are broader, directly or through other labels."""
        return self._all_broader(label)

    def is_same_or_broader(self, label: str, own: str) -> bool:
        """Return whether `label` means the same as `own` or is broader.

        Where an entity is annotated as `own`, such a label is true of it as well. This and `COMMON`
        are the one rule for labels that may not be asked as absent. The student and its teacher
        share it, because the student learns from both the annotation and the teacher's answers, and
        these would contradict each other under two rules.
        """
        name = self._label_of.get(label, label)
        if name == self._label_of.get(own, own):
            return True
        return not {label, name}.isdisjoint(self.all_broader(own))

    def mean_the_same(self, label: str, other: str) -> bool:
        """Return whether each of two labels is the same as the other or broader."""
        return self.is_same_or_broader(label, other) and self.is_same_or_broader(other, label)

    def are_related(self, label: str, other: str) -> bool:
        """Return whether one of two labels is broader than the other, or they may mean the same."""
        return (
            self.is_same_or_broader(label, other)
            or self.is_same_or_broader(other, label)
            or labels_overlap(label, other)
        )

    def _find_broader(self, label: str) -> frozenset[str]:
        found: set[str] = set()
        pending = [label]
        while pending:
            entry = self.find(pending.pop())
            new = set(entry.broader) - found if entry else set()
            found |= new
            pending += new
        return frozenset(found - {label})
