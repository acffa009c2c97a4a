"""How far teacher and gold agree in a soft-label store, and where they disagree most confidently.

Gold is not always right. Where annotators did not mark everything, `only the teacher` is common and
says more about the corpus than about the teacher; and an annotation's slips are found here too.
Nothing here reads files.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

import numpy as np
from rich.cells import cell_len, set_cell_size

from gliner_distill.decoding import decode_entities
from gliner_distill.entities import INSIDE, Entity, LabeledPassage
from gliner_distill.metrics import score_spans

Kind = Literal["only the teacher", "only gold", "other border", "other label"]


THRESHOLD = 0.5
"""Probability that the teacher's entities exceed."""


_N_KEPT = 20


_LINE_COLUMNS = 120


_NAME_COLUMNS = 24


_CONTEXT_WORDS = 4


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One entity that teacher and gold do not agree on.

    - `only the teacher`: an entity of the teacher, and gold has none of its label that shares a
      word with it. The confidence is the entity's score.
    - `other border`: an entity of the teacher, and gold has one of its label that shares a word
      with it, but none equal to it. The confidence is the entity's score.
    - `other label`: as `only the teacher`, but gold has just this span under another label, asked
      or not.
    - `only gold`: an entity of gold none of whose words the teacher finds inside an entity of its
      label: the largest inside probability p is below 0.5. The confidence is 1 - p. A span that
      is `other label` may be here as well, under gold's label.

    Attributes:
        position: The passage's number in its store, from 0.
        confidence: How sure the teacher is, in [0.5, 1].
        kind: What the disagreement is.
        entity: Gold's entity if the kind is `only gold`, else the teacher's.
        words: Of the passage.
        gold: What gold has instead, if the kind is `other border` or `other label`.
    """

    position: int
    confidence: float
    kind: Kind
    entity: Entity
    words: tuple[str, ...]
    gold: Entity | None = None

    def line(self) -> str:
        """Return the disagreement as one line of at most 120 columns.

        The entity stands in brackets between up to four words to its left and right, fewer where
        the line would be too long.
        """
        head = f"{self.position:>9,}  {self.confidence:.3f}  {self.kind:<16}  {self._names()}: "
        for n_context in range(_CONTEXT_WORDS, -1, -1):
            line = head + _in_context(self.words, self.entity, n_context)
            if cell_len(line) <= _LINE_COLUMNS:
                return line
        return clip(line, _LINE_COLUMNS)

    def _names(self) -> str:
        """Return the entity's label and what gold has instead of it."""
        label = clip(printable(self.entity.label), _NAME_COLUMNS)
        if self.gold is None:
            return label
        is_label = self.kind == "other label"
        instead = self.gold.label if is_label else _join(_words_of(self.words, self.gold))
        return f"{label} (gold: {clip(printable(instead), _NAME_COLUMNS)})"


@dataclass(slots=True)
class PairAgreement:
    """How often the teacher and gold say the same of a word and a label.

    The teacher's yes is an inside probability above 0.5, gold's an entity of the label over the
    word.

    Attributes:
        n_pairs: Pairs of a word and a label asked.
        n_teacher: Those with the teacher's yes.
        n_gold: Those with gold's yes.
        n_both: Those with both.
    """

    n_pairs: int = 0
    n_teacher: int = 0
    n_gold: int = 0
    n_both: int = 0

    def add(self, item: LabeledPassage, gold: Sequence[Entity]) -> None:
        """Count a passage's pairs, given its gold entities of labels asked."""
        teacher_says = item.probs[:, :, INSIDE] > THRESHOLD
        gold_says = np.zeros_like(teacher_says)
        columns = {label: column for column, label in enumerate(item.labels)}
        for entity in gold:
            gold_says[entity.start_word : entity.end_word, columns[entity.label]] = True
        self.n_pairs += gold_says.size
        self.n_teacher += int(teacher_says.sum())
        self.n_gold += int(gold_says.sum())
        self.n_both += int((teacher_says & gold_says).sum())

    @property
    def rate(self) -> float:
        """Share of the pairs on which both say the same; 1 where there are none."""
        return self._n_agreeing / self.n_pairs if self.n_pairs else 1.0

    @property
    def kappa(self) -> float:
        """Cohen's kappa: 0 if they agree as often as by chance, 1 if always (Cohen 1960)."""
        n_no_no = (self.n_pairs - self.n_teacher) * (self.n_pairs - self.n_gold)
        by_chance = self.n_teacher * self.n_gold + n_no_no
        squared = self.n_pairs**2
        if by_chance == squared:  # both always say the one thing
            return 1.0
        return (self._n_agreeing * self.n_pairs - by_chance) / (squared - by_chance)

    @property
    def _n_agreeing(self) -> int:
        return self.n_pairs - self.n_teacher - self.n_gold + 2 * self.n_both


@dataclass(slots=True)
class GoldComparison:
    """How teacher and gold compare, passage after passage.

    Attributes:
        n_gold: Gold entities, of labels asked or not.
        n_asked_gold: Gold entities of labels asked.
        n_decoded: The teacher's entities at threshold 0.5.
        n_correct: Those that gold has too.
        pairs: Agreement word by word.
        disagreements: The 20 most confident ones, most confident first; of equal ones the earlier
            first.
    """

    n_gold: int = 0
    n_asked_gold: int = 0
    n_decoded: int = 0
    n_correct: int = 0
    pairs: PairAgreement = field(default_factory=PairAgreement)
    disagreements: list[Disagreement] = field(default_factory=list)

    def add(self, position: int, item: LabeledPassage) -> None:
        """Compare a passage; `position` is its number in the store."""
        decoded = decode_entities(item.probs, item.labels, threshold=THRESHOLD)
        gold = _asked_gold(item)
        spans = score_spans([decoded], [gold])
        self.n_gold += len(set(item.passage.entities))
        self.n_asked_gold += spans.n_reference
        self.n_decoded += spans.n_predicted
        self.n_correct += spans.n_correct
        self.pairs.add(item, gold)
        found = chain(self.disagreements, teacher_gold_disagreements(position, item, decoded))
        self.disagreements = heapq.nsmallest(_N_KEPT, found, key=_rank)

    @property
    def span_shares(self) -> tuple[float, float, float]:
        """Precision, recall and F1 of the teacher's entities; of none, 0."""
        precision = self.n_correct / max(self.n_decoded, 1)
        recall = self.n_correct / max(self.n_asked_gold, 1)
        return precision, recall, 2 * self.n_correct / max(self.n_decoded + self.n_asked_gold, 1)


def teacher_gold_disagreements(
    position: int, item: LabeledPassage, entities: Sequence[Entity]
) -> Iterator[Disagreement]:
    """Yield what teacher and gold disagree on in one passage.

    Args:
        position: The passage's number.
        item: The passage and the teacher's probabilities.
        entities: What `decode_entities` makes of the probabilities.
    """
    words = item.passage.words
    for entity in entities:
        kind, gold = _compare_with_gold(entity, item.passage.entities)
        if kind is not None:
            yield Disagreement(position, entity.score, kind, entity, words, gold)
    columns = {label: column for column, label in enumerate(item.labels)}
    for entity in _asked_gold(item):
        inside = item.probs[entity.start_word : entity.end_word, columns[entity.label], INSIDE]
        if (largest := float(inside.max())) < THRESHOLD:
            yield Disagreement(position, 1 - largest, "only gold", entity, words)


def printable(text: str) -> str:
    """Return text that a terminal takes literally: control characters are replaced.

    >>> printable("a" + chr(27) + "[2J b")
    'a\N{REPLACEMENT CHARACTER}[2J b'
    """
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def clip(text: str, n_columns: int) -> str:
    """Return text that is at most so many terminal columns wide, its end left out if need be.

    >>> clip("organization", 8)
    'organiz…'
    """
    return text if cell_len(text) <= n_columns else set_cell_size(text, n_columns - 1) + "…"


def _asked_gold(item: LabeledPassage) -> list[Entity]:
    """Return the gold entities whose label the teacher was asked about."""
    asked = set(item.labels)
    return [entity for entity in item.passage.entities if entity.label in asked]


def _rank(disagreement: Disagreement) -> tuple[float, int, Entity]:
    return -disagreement.confidence, disagreement.position, disagreement.entity


def _compare_with_gold(entity: Entity, gold: Sequence[Entity]) -> tuple[Kind | None, Entity | None]:
    """Return how a teacher's entity differs from gold, None if it does not, and from which."""
    shared = [
        other
        for other in gold
        if other.start_word < entity.end_word and entity.start_word < other.end_word
    ]
    if entity in shared:
        return None, None
    for other in shared:
        if other.label == entity.label:
            return "other border", other
    for other in shared:
        if (other.start_word, other.end_word) == (entity.start_word, entity.end_word):
            return "other label", other
    return "only the teacher", None


def _in_context(words: Sequence[str], entity: Entity, n_context: int) -> str:
    left = words[max(entity.start_word - n_context, 0) : entity.start_word]
    right = words[entity.end_word : entity.end_word + n_context]
    return printable(_join([*left, f"[{_join(_words_of(words, entity))}]", *right]))


def _words_of(words: Sequence[str], entity: Entity) -> Sequence[str]:
    return words[entity.start_word : entity.end_word]


def _join(words: Iterable[str]) -> str:
    return " ".join(words)
