"""Choose the text that transfers a teacher's knowledge, and the labels to ask about it.

The input is passages of any corpus, with or without annotation, and the passages that a student
will be tested on. Copies of these are left out, so that the test stays unseen. The labels of the
others are chosen to look like the labels of the test: a label that fits nothing in a text teaches a
student only what is absent.
"""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gliner_distill.entities import Passage
from gliner_distill.evaluation.evaluate import WordPredictor

MAX_OWN: Final = 6
"""The most labels of a passage's own annotation that are asked."""

N_FITTING: Final = 3
"""The most labels of the test that are asked because a student finds them in the passage."""

N_ABSENT: Final = 1
"""The number of further labels of the test, drawn at random."""

MAX_SHARED: Final = 0.2
"""The share of a passage's word triples that another passage may have without being its copy."""

_FITTING_AT_ONCE: Final = 256


@dataclass(frozen=True, slots=True)
class KeptText:
    """Passages without copies of others.

    Attributes:
        passages: The passages that are kept, in their order.
        n_exact: The number of passages that were left out because all their words are those of a
            passage that is held out, or of an earlier passage.
        n_near: The number that were left out because they share many word triples with one.
    """

    passages: list[Passage]
    n_exact: int
    n_near: int


def leave_out_copies(passages: Iterable[Passage], held_out: Iterable[Passage]) -> KeptText:
    """Return the passages that are not copies of held-out passages, nor of each other.

    Case is ignored. A near copy shares more than `MAX_SHARED` of the word triples of the shorter
    of the two passages; passages of fewer than three words have no triples, so only exact copies of
    them are found. Passages are compared with all held-out passages in this way; among
    themselves, only exact copies are left out.
    """
    known: set[tuple[str, ...]] = set()
    index = _TripleIndex()
    for passage in held_out:
        words = _lower(passage)
        known.add(words)
        index.add(words)
    kept: list[Passage] = []
    n_exact = n_near = 0
    for passage in passages:
        words = _lower(passage)
        if words in known:
            n_exact += 1
        elif index.largest_share(words) > MAX_SHARED:
            n_near += 1
        else:
            known.add(words)
            kept.append(passage)
    return KeptText(kept, n_exact, n_near)


class _TripleIndex:
    """The passages in which each triple of adjacent words occurs."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, ...], list[int]] = {}
        self._n_triples: list[int] = []

    def add(self, words: tuple[str, ...]) -> None:
        """Add a passage."""
        triples = _triples(words)
        for triple in triples:
            self._rows.setdefault(triple, []).append(len(self._n_triples))
        self._n_triples.append(len(triples))

    def largest_share(self, words: tuple[str, ...]) -> float:
        """Return the largest share of triples that a passage has in common with an added one."""
        triples = _triples(words)
        counts = Counter(row for triple in triples for row in self._rows.get(triple, ()))
        return max(
            (n / min(len(triples), self._n_triples[row]) for row, n in counts.items()), default=0.0
        )


def _lower(passage: Passage) -> tuple[str, ...]:
    return tuple(word.lower() for word in passage.words)


def _triples(words: tuple[str, ...]) -> set[tuple[str, ...]]:
    return set(zip(words, words[1:], words[2:], strict=False))


def ask_like_test(
    passages: Sequence[Passage],
    test_labels: Sequence[str],
    finder: WordPredictor,
    *,
    seed: int = 0,
) -> Iterator[Passage]:
    """Yield passages that ask for labels as a test passage does.

    A passage is asked for at most `MAX_OWN` labels of its annotation, one per annotated span,
    preferably one that the test has, too; for at most `N_FITTING` labels of the test that a student
    finds in it; and for `N_ABSENT` labels of the test at random. The choice depends on the words
    and the seed alone.

    Args:
        passages: The passages. Text without annotation is asked for the labels of the test alone.
        test_labels: All labels of the test.
        finder: The student that looks for labels of the test.
        seed: The seed of the choice.
    """
    labels = sorted(set(test_labels))
    for first in range(0, len(passages), _FITTING_AT_ONCE):
        part = passages[first : first + _FITTING_AT_ONCE]
        found = finder.predict_words([passage.words for passage in part], [labels] * len(part))
        for passage, entities in zip(part, found, strict=True):
            rng = random.Random(f"{seed} {' '.join(passage.words)}")
            kept = _one_label_per_span(passage, set(labels), rng)
            best = sorted(entities, key=lambda entity: -entity.score)
            new = dict.fromkeys(entity.label for entity in best if entity.label not in kept)
            asked = list(new)[:N_FITTING]
            others = [label for label in labels if label not in kept and label not in asked]
            asked += rng.sample(others, min(N_ABSENT, len(others)))
            entities_kept = tuple(item for item in passage.entities if item.label in kept)
            yield Passage(passage.words, entities_kept, tuple(asked))


def _one_label_per_span(passage: Passage, test_labels: set[str], rng: random.Random) -> set[str]:
    """Return some labels of a passage's annotation: one for each span, those of the test first."""
    by_span: dict[tuple[int, int], list[str]] = {}
    for entity in passage.entities:
        by_span.setdefault((entity.start_word, entity.end_word), []).append(entity.label)
    chosen: dict[str, None] = {}
    for labels in by_span.values():
        known = [label for label in labels if label in test_labels]
        chosen[rng.choice(known or labels)] = None
    order = list(chosen)
    rng.shuffle(order)
    order.sort(key=lambda label: label not in test_labels)
    return set(order[:MAX_OWN])
