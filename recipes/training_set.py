"""Put together what the bundled student learns: passages, the labels asked, and the answers.

The annotation decides the labels of a passage and those that are certainly absent. For some
passages the teacher's answers are there as well, for labels that the annotation leaves open.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from open_passages import Draw
from transfer_set import Material, join, take_words

from gliner_distill.entities import LabeledPassage, Passage, count_words
from gliner_distill.student.losses import gold_boundaries

SETS_SHARE = 0.35
"""The share of the words that comes from sets; the rest comes from open passages."""
ASKED_SHARE, N_ASKED = 0.9, 8
"""The share of the passages with answers that use them, and the number of labels taken from one."""
MAX_READ = 3
"""The number of times that the words of a small set are used at most."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The teacher's answer to one passage.

    Attributes:
        labels: The labels that it was asked for.
        probs: Shape `(words, labels, 3)`: start, end and inside probabilities.
    """

    labels: tuple[str, ...]
    probs: NDArray[np.float16]


Answers = Mapping[tuple[str, ...], Answer]
"""Answers by the words of their passage."""


def read_answers(stores: Iterable[Iterable[LabeledPassage]]) -> Answers:
    """Return the answers in some stores."""
    return {
        labeled.words: Answer(labeled.labels, labeled.probs.astype(np.float16))
        for store in stores
        for labeled in store
    }


def make_training_set(
    material: Material,
    draw: Draw,
    answers: Answers,
    joined: Mapping[str, Sequence[Passage]],
    n_words: int,
    seed: int,
) -> list[LabeledPassage]:
    """Return passages with targets for all labels that they ask.

    Args:
        material: The passages.
        draw: The draws of labels.
        answers: The teacher's answers.
        joined: For each set, the passages that were joined for the teacher; they are used first.
        n_words: About how many words the passages have together. If the material has fewer,
            passages are used several times, each time with other labels.
        seed: The random seed.
    """
    rng = random.Random(seed)
    from_sets = round(n_words * SETS_SHARE) if material.sets else 0
    labeled = [
        draw.open(passage, rng)
        for passage in take_words(repeat(material.open, rng), n_words - from_sets)
    ]
    left = from_sets
    names = sorted(material.sets, key=lambda name: count_words(material.sets[name]))
    # Small sets come first, so that the others can fill in for the words they lack.
    for position, name in enumerate(names):
        passages = [passage for passage in material.sets[name] if passage.words]
        most = min(left // (len(names) - position), MAX_READ * count_words(passages))
        taken = list(take_words(set_passages(passages, joined.get(name, ()), rng), most))
        labeled += [draw.listed(passage, material.listed[name], rng) for passage in taken]
        left -= count_words(taken)
    return [with_answers(passage, answers, draw, rng) for passage in labeled]


def set_passages(
    passages: Sequence[Passage], joined: Sequence[Passage], rng: random.Random
) -> Iterator[Passage]:
    """Yield the joined passages of a set, then others, joined anew in each round."""
    yield from joined
    while passages:
        yield from join(rng.sample(passages, len(passages)), rng)


def repeat(passages: Sequence[Passage], rng: random.Random) -> Iterator[Passage]:
    """Yield all passages again and again, in another order in each round."""
    while passages:
        yield from rng.sample(passages, len(passages))


def with_answers(
    labeled: LabeledPassage, answers: Answers, draw: Draw, rng: random.Random
) -> LabeledPassage:
    """Return a passage with targets from its annotation and perhaps from the teacher.

    Args:
        labeled: A passage with its annotation and labels; its probabilities are not read.
        answers: The teacher's answers, of which at most 8 labels are added.
        draw: The draws of labels, which put the teacher's labels in other words.
        rng: The random generator.
    """
    annotated = gold_boundaries(labeled.passage.entities, labeled.labels, len(labeled.words))
    # A label without entities was drawn because it is absent. Half precision saves memory.
    probs: NDArray[Any] = np.nan_to_num(annotated).astype(np.float16)
    answer = answers.get(labeled.words)
    if answer is None or rng.random() >= ASKED_SHARE:
        return LabeledPassage(labeled.passage, labeled.labels, probs)
    labels, columns = list(labeled.labels), []
    for column in rng.sample(range(len(answer.labels)), min(N_ASKED, len(answer.labels))):
        wording = draw.reword(answer.labels[column], rng)
        wording = answer.labels[column] if wording in labels else wording
        if wording not in labels:
            labels.append(wording)
            columns.append(column)
    probs = np.concatenate([probs, answer.probs[:, columns]], axis=1)
    return LabeledPassage(labeled.passage, tuple(labels), probs)
