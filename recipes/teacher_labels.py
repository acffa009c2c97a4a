"""The labels that a teacher in training is asked for, and what it must answer.

GLiNER's loss treats every span that is not annotated with a label it was asked for as wrong. A
label may therefore be asked only where it is known whether a passage has it:

- A passage with open labels is complete for the labels that it uses. Its own labels are asked, and
  beside them siblings of these (things that are easily taken for them) and labels that have nothing
  to do with them. A label that is broader than an own one, or another word for it, is never asked
  as absent, and neither is one that nearly every text has.
- A passage of a set with a list of labels is complete for that list, so any label of it is asked.

If several of the asked labels belong to the same words, only the most specific one is taught. Some
labels, present or absent, are asked in other words: a synonym or the first description of the
thesaurus. The second description is left for measuring.
"""

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from pathlib import Path

from gliner_distill.entities import Entity, Passage
from gliner_distill.errors import CorpusError
from gliner_distill.files import reason_of
from gliner_distill.labels import clean_label

MAX_LABELS = 18
N_OWN, N_SIBLINGS, N_UNRELATED = 9, 5, 4
SYNONYM, DESCRIPTION = 0.28, 0.12
EVERYWHERE = ("person", "location", "place", "organization", "date")
"""Labels that a passage with open labels may have without using them."""
_MAX_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the thesaurus: what is known of a label.

    Attributes:
        synonyms: Other words for the label.
        broader: Labels of which this one is a kind.
        siblings: Labels of things that are easily taken for this one and are not.
        description: A description, which is asked like a label; it may be empty.
    """

    synonyms: tuple[str, ...] = ()
    broader: tuple[str, ...] = ()
    siblings: tuple[str, ...] = ()
    description: str = ""


_UNKNOWN = Entry()


@dataclass(frozen=True)
class Thesaurus:
    """The relations between labels.

    Attributes:
        entries: What is known of each label.
    """

    entries: Mapping[str, Entry]

    def __getitem__(self, label: str) -> Entry:
        """Return what is known of a label; an unknown one has no relations."""
        return self.entries.get(label, _UNKNOWN)

    @cached_property
    def _headwords(self) -> dict[str, set[str]]:
        """The labels that have a word as their synonym."""
        found = defaultdict(set)
        for label, entry in self.entries.items():
            for synonym in entry.synonyms:
                found[synonym].add(label)
        return dict(found)

    def other_words(self, label: str) -> set[str]:
        """Return the labels and synonyms that mean the same as a label."""
        return {*self[label].synonyms, *self._headwords.get(label, ())} - {label}

    def broader(self, label: str) -> set[str]:
        """Return the labels of which a label is a kind, directly or through others."""
        found: set[str] = set()
        left = [label]
        while left:
            new = set(self[left.pop()].broader) - found
            found |= new
            left += new
        return found - {label}

    def never_absent(self, own: Iterable[str]) -> set[str]:
        """Return the labels that a passage with these labels may have without using them."""
        found = {*EVERYWHERE}
        for label in own:
            found |= {label, *self.other_words(label)}
            for broad in self.broader(label):
                found |= {broad, *self.other_words(broad)}
        return found


def read_thesaurus(path: Path) -> Thesaurus:
    """Read a thesaurus: one JSON object per line, with `label` and lists of other labels.

    Raises:
        CorpusError: The file cannot be read, or a line is not such an object.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: the thesaurus cannot be read: {reason_of(error)}") from error
    entries = {}
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            entries[clean_label(row["label"])] = Entry(
                synonyms=tuple(map(clean_label, row["synonyms"])),
                broader=tuple(map(clean_label, row["broader"])),
                siblings=tuple(map(clean_label, row["siblings"])),
                description=" ".join(row["descriptions"][:1]).lower(),
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CorpusError(
                f"{path}: line {number}: expected a JSON object with a label and lists of "
                f"synonyms, broader, siblings and descriptions; got {line[:60]!r}"
            ) from error
    return Thesaurus(entries)


@dataclass(frozen=True)
class LabelPool:
    """The labels of all passages with open labels; frequent ones are drawn less than they occur.

    Attributes:
        counts: The number of passages that use each label.
    """

    counts: Mapping[str, int]

    @cached_property
    def _sums(self) -> tuple[list[str], list[float]]:
        return list(self.counts), list(accumulate(count**0.5 for count in self.counts.values()))

    def draw(self, rng: random.Random) -> str:
        """Return a random label."""
        labels, sums = self._sums
        return rng.choices(labels, cum_weights=sums)[0]


def ask_open(
    passage: Passage, thesaurus: Thesaurus, pool: LabelPool, rng: random.Random
) -> Passage:
    """Return a passage with open labels as the teacher sees it: what it is asked and must answer.

    The labels of the result are those that are asked, in random order, and its entities have them.
    """
    own = list(dict.fromkeys(entity.label for entity in passage.entities))
    asked: list[str] = []
    for label in rng.sample(own, len(own))[: rng.randint(1, N_OWN)]:
        # Two words for the same thing would both be right, but only one of them is taught.
        if thesaurus.other_words(label).isdisjoint(asked):
            asked.append(label)
    forbidden = thesaurus.never_absent(own)
    near = {sibling: None for label in own for sibling in thesaurus[label].siblings}
    siblings = [label for label in near if label not in forbidden]
    asked += rng.sample(siblings, min(len(siblings), rng.randint(1, N_SIBLINGS)))
    unrelated = draw_unrelated(own, thesaurus, pool, rng)
    asked += [label for label in unrelated if label not in asked][: rng.randint(1, N_UNRELATED)]
    return put(passage, asked, thesaurus, rng)


def draw_unrelated(
    own: Sequence[str], thesaurus: Thesaurus, pool: LabelPool, rng: random.Random
) -> Iterator[str]:
    """Yield labels that are not related to a passage's own, each once; there may be none."""
    forbidden = thesaurus.never_absent(own)
    words = {word for label in own for word in label.split()}
    for label in dict.fromkeys(pool.draw(rng) for _ in range(_MAX_ATTEMPTS)):
        # The thesaurus lacks most labels. One that shares a word with an own label, or is a kind of
        # one, may be true without being annotated.
        is_narrower = not thesaurus.broader(label).isdisjoint(set(own) - set(EVERYWHERE))
        if label not in forbidden and words.isdisjoint(label.split()) and not is_narrower:
            yield label


def ask_listed(
    passage: Passage, listed: Sequence[str], thesaurus: Thesaurus, rng: random.Random
) -> Passage:
    """Return a passage of a set as the teacher sees it, asked for labels of the set's list.

    Args:
        passage: The passage.
        listed: The labels of the set's list, for all of which the passage is complete.
        thesaurus: The other words for labels.
        rng: The random numbers.
    """
    own = [label for label in listed if any(each.label == label for each in passage.entities)]
    others = [label for label in listed if label not in own]
    asked = rng.sample(own, min(len(own), MAX_LABELS))
    n_absent = min(len(others), MAX_LABELS - len(asked))
    asked += rng.sample(others, rng.randint(min(1, n_absent), n_absent))
    return put(passage, asked, thesaurus, rng)


def put(
    passage: Passage, asked: Sequence[str], thesaurus: Thesaurus, rng: random.Random
) -> Passage:
    """Return a passage that is asked for some labels, in random order and some in other words."""
    entities = teach(passage.entities, asked, thesaurus)
    taken = {*asked, *(entity.label for entity in passage.entities)}
    wording = {}
    for label in rng.sample(asked, len(asked)):
        text = reword(label, thesaurus, rng)
        # A wording that is a label of the passage would stand for two things.
        wording[label] = label if text in taken else text
        taken.add(wording[label])
    return replace(
        passage,
        entities=tuple(replace(entity, label=wording[entity.label]) for entity in entities),
        labels=tuple(wording.values()),
    )


def teach(
    entities: Iterable[Entity], asked: Sequence[str], thesaurus: Thesaurus
) -> Iterator[Entity]:
    """Yield the entities to teach: of the asked labels of the same words, the most specific one.

    The annotation has the specific label first, as a rule; the thesaurus is asked before.

    >>> both = [Entity(0, 1, "person"), Entity(0, 1, "politician"), Entity(3, 4, "person")]
    >>> relations = Thesaurus({"politician": Entry(broader=("person",))})
    >>> [entity.label for entity in teach(both, ["person", "politician"], relations)]
    ['politician', 'person']
    """
    spans: dict[tuple[int, int], list[Entity]] = {}
    for entity in entities:
        if entity.label in asked:
            spans.setdefault((entity.start_word, entity.end_word), []).append(entity)
    for several in spans.values():
        broad = {word for entity in several for word in thesaurus.broader(entity.label)}
        yield next((each for each in several if each.label not in broad), several[0])


def reword(label: str, thesaurus: Thesaurus, rng: random.Random) -> str:
    """Return a label as it is, or a synonym, or its description."""
    entry = thesaurus[label]
    choice = rng.random()
    if choice < SYNONYM and entry.synonyms:
        return rng.choice(entry.synonyms)
    if SYNONYM <= choice < SYNONYM + DESCRIPTION and entry.description:
        return entry.description
    return label
