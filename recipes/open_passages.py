"""Passages with open labels, and the labels that a student is asked for in each of them.

The passages carry several labels for most entities, the specific one first. A passage is annotated
exhaustively for the labels that it uses, and says nothing of others. A thesaurus gives synonyms,
broader labels, siblings (easily taken for the label, but different) and descriptions.

`Draw` makes one training passage out of a passage: it asks for some of the passage's own labels,
each perhaps in other words, and for some labels that are certainly absent.
"""

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

import numpy as np
from written_passages import ThesaurusEntry

from gliner_distill.entities import Entity, LabeledPassage, Passage
from gliner_distill.labeling.synonyms import labels_overlap

N_OWN, N_SIBLINGS, N_UNRELATED, N_LISTED = 10, 3, 3, 5
SYNONYM, DESCRIPTION, PLURAL, WRAPPED = 0.28, 0.12, 0.05, 0.07
# Phrases around a label. The benchmark has others, so that it measures what is not trained on.
WRAPPERS = (
    *("the {}", "{} or similar", "{}, if any", "kind of {}", "one {}", "some {}", "{} here"),
    *("words that name a {}", "where a {} is named", "{} of any sort", "find the {}", "this {}"),
    *("mentions of {}", "text about a {}", "{} as written", "{} (name)", "list of {}"),
    "is it a {}",
)
# A passage may contain these without using the label, so they are never drawn as absent.
COMMON = (
    *("person", "people", "name", "location", "place", "organization", "group"),
    "organization".replace("z", "s"),  # some passages have the British spelling
    *("date", "time", "entity", "thing", "object", "other", "misc", "miscellaneous", "term"),
    *("concept", "product", "number", "event", "item", "title", "topic", "subject"),
    *("quantity", "amount"),
)


class Thesaurus:
    """Synonyms, broader labels, siblings and descriptions of labels.

    Args:
        entries: The entries by label. A synonym that two entries share leads to neither of them.
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

        Where an entity is annotated as `own`, such a label is true of it as well.
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


@dataclass(frozen=True, slots=True)
class Draw:
    """Draws the labels that a student is asked for.

    Attributes:
        thesaurus: The meaning of the labels.
        labels: The labels that may be drawn for any passage.
        totals: For each of them, the sum of its weight and all weights before it.
    """

    thesaurus: Thesaurus
    labels: tuple[str, ...]
    totals: tuple[float, ...]

    @classmethod
    def from_passages(cls, passages: Iterable[Passage], thesaurus: Thesaurus) -> "Draw":
        """Return draws that weigh each label by the square root of the number of its passages."""
        counts = Counter(label for passage in passages for label in passage.own_labels)
        labels = tuple(sorted(set(counts) - set(COMMON)))
        return cls(thesaurus, labels, tuple(accumulate(counts[label] ** 0.5 for label in labels)))

    def open(self, passage: Passage, rng: random.Random) -> LabeledPassage:
        """Return a passage that asks for its own labels, siblings of these and unrelated ones."""
        own = passage.own_labels
        absent = [*self._siblings(own, rng), *self._unrelated(own, rng)]
        return self.asked(passage, _some(own, N_OWN, rng), absent, rng)

    def listed(self, passage: Passage, listed: Sequence[str], rng: random.Random) -> LabeledPassage:
        """Return a passage of a set that asks for its own labels and others of the set's list."""
        own = passage.own_labels
        absent = [label for label in listed if label not in own]
        return self.asked(passage, _some(own, N_OWN, rng), _some(absent, N_LISTED, rng), rng)

    def asked(
        self, passage: Passage, own: Sequence[str], absent: Sequence[str], rng: random.Random
    ) -> LabeledPassage:
        """Return a passage that asks for some labels in random words and in random order.

        Args:
            passage: The passage with its annotation.
            own: Labels of the passage.
            absent: Labels of which the passage has no entity.
            rng: The random generator.

        Returns:
            The entities have the words that their labels are asked in. All probabilities are 0.5,
            because no teacher has been asked.
        """
        wording: dict[str, str] = {}
        taken = {*passage.own_labels, *absent}
        for label in (*own, *absent):
            words = self.reword(label, rng)
            wording[label] = label if words in taken else words
            taken.add(words)
        entities = tuple(
            Entity(entity.start_word, entity.end_word, wording[entity.label])
            for entity in passage.entities
            if entity.label in wording
        )
        labels = list(wording.values())
        rng.shuffle(labels)
        unknown = np.broadcast_to(np.float32(0.5), (len(passage.words), len(labels), 3))
        return LabeledPassage(Passage(passage.words, entities), tuple(labels), unknown)

    def random_labels(self, n: int, rng: random.Random) -> list[str]:
        """Return random labels of any passages; a label may occur several times."""
        return rng.choices(self.labels, cum_weights=self.totals, k=n)

    def reword(self, label: str, rng: random.Random) -> str:
        """Return a label, or other words for it: a synonym, a description or another form."""
        entry, choice = self.thesaurus.find(label), rng.random()
        if choice < SYNONYM:
            fitting = [name for name in entry.synonyms if not is_measured(name)] if entry else []
            return rng.choice(fitting) if fitting else label
        choice -= SYNONYM
        if choice < DESCRIPTION:
            # The second description is kept for the benchmark.
            return entry.descriptions[0] if entry and entry.descriptions else label
        choice -= DESCRIPTION
        if choice < PLURAL:
            return plural(label)
        return rng.choice(WRAPPERS).format(label) if choice - PLURAL < WRAPPED else label

    def _siblings(self, own: Sequence[str], rng: random.Random) -> list[str]:
        known = [entry for label in own if (entry := self.thesaurus.find(label))]
        siblings = {label for entry in known for label in entry.siblings} - set(COMMON)
        # Sets of strings have another order in each process.
        drawn = _some(sorted(siblings), 4 * N_SIBLINGS, rng)
        same = self.thesaurus.is_same_or_broader
        fitting = (label for label in drawn if not any(same(label, other) for other in own))
        return [label for _, label in zip(range(N_SIBLINGS), fitting, strict=False)]

    def _unrelated(self, own: Sequence[str], rng: random.Random) -> list[str]:
        drawn = self.random_labels(3 * N_UNRELATED, rng)
        related = self.thesaurus.are_related
        fitting = (
            label
            for label in dict.fromkeys(drawn)
            if not any(related(label, other) for other in own)
        )
        return [label for _, label in zip(range(N_UNRELATED), fitting, strict=False)]


def is_measured(wording: str) -> bool:
    """Return whether a wording has a form that the benchmark measures ("X entity", "X mention")."""
    return wording.endswith((" entity", " mention"))


def plural(label: str) -> str:
    """Return the regular plural of a label."""
    if label.endswith(("s", "x", "ch", "sh")):
        return label if label.endswith("s") else label + "es"
    return label[:-1] + "ies" if label[-1:] == "y" and label[-2:-1] not in "aeiou" else label + "s"


def _some(labels: Sequence[str], n: int, rng: random.Random) -> list[str]:
    return rng.sample(labels, min(n, len(labels)))
