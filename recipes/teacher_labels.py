"""The labels that a teacher in training is asked for, and what it must answer.

GLiNER's loss treats every span that is not annotated with a label it was asked for as wrong. A
label may therefore be asked only where it is known whether a passage has it:

- A passage with open labels is complete for the labels that it uses. Its own labels are asked, and
  beside them siblings and unrelated labels, drawn as for a student (`open_passages.Draw`). A label
  that is broader than one of its own, or another word for it, is never asked as absent. Neither is
  a label that nearly every text has.
- A passage of a set with a list of labels is complete for that list, so any label of it is asked.

If several of the asked labels belong to the same words, only the most specific one is taught. Some
labels, present or absent, are asked in other words: a synonym or the first description of the
thesaurus.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from open_passages import Draw
from thesaurus import Thesaurus

from gliner_distill.entities import Entity, Passage

MAX_LABELS = 18
N_OWN, N_SIBLINGS, N_UNRELATED = 9, 5, 4


def ask_open(passage: Passage, draw: Draw, rng: random.Random) -> Passage:
    """Return a passage with open labels as the teacher sees it: what it is asked and must answer.

    The labels of the result are those that are asked, in random order, and its entities have them.
    """
    own = passage.own_labels
    asked: list[str] = []
    for label in rng.sample(own, len(own))[: rng.randint(1, N_OWN)]:
        # Two words for the same thing would both be right, but only one of them is taught.
        if not any(draw.thesaurus.mean_the_same(label, other) for other in asked):
            asked.append(label)
    asked += draw.siblings(own, rng.randint(1, N_SIBLINGS), rng)
    asked += draw.unrelated(own, rng.randint(1, N_UNRELATED), rng)
    return put(passage, list(dict.fromkeys(asked)), draw, rng)


def ask_listed(passage: Passage, listed: Sequence[str], draw: Draw, rng: random.Random) -> Passage:
    """Return a passage of a set as the teacher sees it, asked for labels of the set's list.

    Args:
        passage: The passage.
        listed: The labels of the set's list, for all of which the passage is complete.
        draw: The draws, for other words of labels.
        rng: The random numbers.
    """
    own = [label for label in listed if any(each.label == label for each in passage.entities)]
    others = [label for label in listed if label not in own]
    asked = rng.sample(own, min(len(own), MAX_LABELS))
    n_absent = min(len(others), MAX_LABELS - len(asked))
    asked += rng.sample(others, rng.randint(min(1, n_absent), n_absent))
    return put(passage, asked, draw, rng)


def put(passage: Passage, asked: Sequence[str], draw: Draw, rng: random.Random) -> Passage:
    """Return a passage that is asked for some labels, in random order and some in other words."""
    entities = teach(passage.entities, asked, draw.thesaurus)
    wording = draw.wordings(passage, rng.sample(asked, len(asked)), rng)
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
    >>> from thesaurus import ThesaurusEntry
    >>> relations = Thesaurus({"politician": ThesaurusEntry(broader=("person",))})
    >>> [entity.label for entity in teach(both, ["person", "politician"], relations)]
    ['politician', 'person']
    """
    spans: dict[tuple[int, int], list[Entity]] = {}
    for entity in entities:
        if entity.label in asked:
            spans.setdefault((entity.start_word, entity.end_word), []).append(entity)
    for several in spans.values():
        broad = {word for entity in several for word in thesaurus.all_broader(entity.label)}
        yield next((each for each in several if each.label not in broad), several[0])
