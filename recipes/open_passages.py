"""Passages with open labels, and the labels that a model is asked for in each of them.

The passages carry several labels for most entities, the specific one first. A passage is annotated
exhaustively for the labels that it uses, and says nothing of others.

`Draw` makes one training passage for a student out of a passage: it asks for some of the passage's
own labels, each perhaps in other words, and for some labels that are certainly absent. The recipe
of the teacher (`teacher_labels.py`) puts its passages together from the same draws.
"""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from thesaurus import COMMON, Thesaurus

from gliner_distill.entities import Entity, LabeledPassage, Passage

N_OWN, N_SIBLINGS, N_UNRELATED, N_LISTED = 10, 3, 3, 5
SYNONYM, DESCRIPTION, PLURAL, WRAPPED = 0.28, 0.12, 0.05, 0.07
# Phrases around a label. The benchmark has others, so that it measures what is not trained on.
WRAPPERS = (
    *("the {}", "{} or similar", "{}, if any", "kind of {}", "one {}", "some {}", "{} here"),
    *("words that name a {}", "where a {} is named", "{} of any sort", "find the {}", "this {}"),
    *("mentions of {}", "text about a {}", "{} as written", "{} (name)", "list of {}"),
    "is it a {}",
)


@dataclass(frozen=True, slots=True)
class Draw:
    """Draws the labels that a model is asked for.

    Attributes:
        thesaurus: The meaning of the labels.
        labels: The labels that may be drawn for any passage.
        totals: For each of them, the sum of its weight and all weights before it.
        has_forms: Whether labels are also asked in the plural and with words around them, as users
            ask a student.
    """

    thesaurus: Thesaurus
    labels: tuple[str, ...]
    totals: tuple[float, ...]
    has_forms: bool = True

    @classmethod
    def from_passages(
        cls, passages: Iterable[Passage], thesaurus: Thesaurus, *, has_forms: bool = True
    ) -> "Draw":
        """Return draws that weigh each label by the square root of the number of its passages."""
        counts = Counter(label for passage in passages for label in passage.own_labels)
        labels = tuple(sorted(set(counts) - COMMON))
        totals = tuple(accumulate(counts[label] ** 0.5 for label in labels))
        return cls(thesaurus, labels, totals, has_forms)

    def open(self, passage: Passage, rng: random.Random) -> LabeledPassage:
        """Return a passage that asks for its own labels, siblings of these and unrelated ones."""
        own = passage.own_labels
        absent = [*self.siblings(own, N_SIBLINGS, rng), *self.unrelated(own, N_UNRELATED, rng)]
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
        wording = self.wordings(passage, (*own, *absent), rng)
        entities = tuple(
            Entity(entity.start_word, entity.end_word, wording[entity.label])
            for entity in passage.entities
            if entity.label in wording
        )
        labels = list(wording.values())
        rng.shuffle(labels)
        unknown = np.broadcast_to(np.float32(0.5), (len(passage.words), len(labels), 3))
        return LabeledPassage(Passage(passage.words, entities), tuple(labels), unknown)

    def wordings(
        self, passage: Passage, labels: Sequence[str], rng: random.Random
    ) -> dict[str, str]:
        """Return the wording in which each of some labels is asked.

        No two labels get the same wording, and none gets a wording that is another label of the
        passage, because it would then stand for two things.
        """
        wording: dict[str, str] = {}
        taken = {*passage.own_labels, *labels}
        for label in labels:
            words = self.reword(label, rng)
            wording[label] = label if words in taken else words
            taken.add(words)
        return wording

    def random_labels(self, n: int, rng: random.Random) -> list[str]:
        """Return random labels of any passages; a label may occur several times."""
        return rng.choices(self.labels, cum_weights=self.totals, k=n)

    def reword(self, label: str, rng: random.Random) -> str:
        """Return a label, or other words for it: a synonym, a description or another form."""
        entry, choice = self.thesaurus.find(label), rng.random()
        if choice < SYNONYM:
            synonyms = entry.trained_synonyms if entry else ()
            return rng.choice(synonyms) if synonyms else label
        choice -= SYNONYM
        if choice < DESCRIPTION:
            return (entry.trained_description if entry else "") or label
        choice -= DESCRIPTION
        if not self.has_forms:
            return label
        if choice < PLURAL:
            return plural(label)
        return rng.choice(WRAPPERS).format(label) if choice - PLURAL < WRAPPED else label

    def siblings(self, own: Sequence[str], n: int, rng: random.Random) -> list[str]:
        """Return up to `n` siblings of a passage's own labels that are not true of it as well."""
        known = [entry for label in own if (entry := self.thesaurus.find(label))]
        siblings = {label for entry in known for label in entry.siblings} - COMMON
        # Sets of strings have another order in each process.
        drawn = _some(sorted(siblings), 4 * n, rng)
        same = self.thesaurus.is_same_or_broader
        fitting = (label for label in drawn if not any(same(label, other) for other in own))
        return [label for _, label in zip(range(n), fitting, strict=False)]

    def unrelated(self, own: Sequence[str], n: int, rng: random.Random) -> list[str]:
        """Return up to `n` random labels that are not related to a passage's own ones."""
        drawn = self.random_labels(3 * n, rng)
        related = self.thesaurus.are_related
        fitting = (
            label
            for label in dict.fromkeys(drawn)
            if not any(related(label, other) for other in own)
        )
        return [label for _, label in zip(range(n), fitting, strict=False)]


def plural(label: str) -> str:
    """Return the regular plural of a label."""
    if label.endswith(("s", "x", "ch", "sh")):
        return label if label.endswith("s") else label + "es"
    return label[:-1] + "ies" if label[-1:] == "y" and label[-2:-1] not in "aeiou" else label + "s"


def _some(labels: Sequence[str], n: int, rng: random.Random) -> list[str]:
    return rng.sample(labels, min(n, len(labels)))
