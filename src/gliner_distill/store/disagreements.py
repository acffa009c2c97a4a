"""Compare the teacher with the gold annotation in a soft-label store.

`GoldComparison` counts how far they agree and keeps the most confident disagreements. Gold is not
always right. If the annotation is not exhaustive, disagreements of the kind `only the teacher` are
common and say more about the corpus than about the teacher; errors of the annotators show up as
well. This module does not read files.
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
"""The threshold at which the teacher's probabilities are decoded."""

_LINE_COLUMNS = 120
_NAME_COLUMNS = 24
_CONTEXT_WORDS = 4


@dataclass(frozen=True, slots=True)
class Disagreement:
    """An entity on which teacher and gold disagree.

    - `only the teacher`: the teacher has an entity, and gold has no entity of that label that
      shares a word with it. The confidence is the score of the entity.
    - `other border`: the teacher has an entity, and gold has one of that label that shares a word
      with it, but no equal one. The confidence is the score of the entity.
    - `other label`: like `only the teacher`, but gold has exactly this span under another label,
      asked or not.
    - `only gold`: gold has an entity, and the teacher finds none of its words inside an entity of
      that label: their largest inside probability p is below 0.5. The confidence is 1 - p. A span
      that is `other label` may appear here as well, under gold's label.

    Attributes:
        position: The position of the passage in its store, from 0.
        confidence: How sure the teacher is, in [0.5, 1].
        kind: How the two disagree.
        entity: The entity of gold if the kind is `only gold`, else that of the teacher.
        words: The words of the passage.
        gold: The entity that gold has instead, if the kind is `other border` or `other label`.
    """

    position: int
    confidence: float
    kind: Kind
    entity: Entity
    words: tuple[str, ...]
    gold: Entity | None = None

    def line(self) -> str:
        """Return the disagreement as one line of at most 120 columns.

        The entity is in brackets, between up to four words to its left and right; fewer if the
        line would be too long.
        """
        head = f"{self.position:>9,}  {self.confidence:.3f}  {self.kind:<16}  {self._names()}: "
        # The context shrinks word by word until the line fits.
        for n_context in range(_CONTEXT_WORDS, -1, -1):
            line = head + _in_context(self.words, self.entity, n_context)
            if cell_len(line) <= _LINE_COLUMNS:
                return line
        return clip(line, _LINE_COLUMNS)

    def _names(self) -> str:
        """Return the label of the entity, and the label or words that gold has instead."""
        label = clip(printable(self.entity.label), _NAME_COLUMNS)
        if self.gold is None:
            return label
        is_label = self.kind == "other label"
        instead = self.gold.label if is_label else _join(_words_of(self.words, self.gold))
        return f"{label} (gold: {clip(printable(instead), _NAME_COLUMNS)})"


@dataclass(slots=True)
class PairAgreement:
    """Agreement of teacher and gold on pairs of a word and a label.

    The teacher says yes to a pair if the inside probability is above 0.5, and gold says yes if an
    entity of the label covers the word.

    Attributes:
        n_pairs: The number of pairs of a word and a label that was asked.
        n_teacher: The number of pairs to which the teacher says yes.
        n_gold: The number of pairs to which gold says yes.
        n_both: The number of pairs to which both say yes.
    """

    n_pairs: int = 0
    n_teacher: int = 0
    n_gold: int = 0
    n_both: int = 0

    def add(self, item: LabeledPassage, gold: Sequence[Entity]) -> None:
        """Count the pairs of a passage; `gold` are its gold entities of the labels asked."""
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
        """The share of the pairs on which both say the same; 1 if there are no pairs."""
        return self._n_agreeing / self.n_pairs if self.n_pairs else 1.0

    @property
    def kappa(self) -> float:
        """Cohen's kappa (Cohen 1960): 0 for agreement as often as by chance, 1 for always."""
        n_no_no = (self.n_pairs - self.n_teacher) * (self.n_pairs - self.n_gold)
        by_chance = self.n_teacher * self.n_gold + n_no_no
        squared = self.n_pairs**2
        if by_chance == squared:  # both say the same to every pair
            return 1.0
        return (self._n_agreeing * self.n_pairs - by_chance) / (squared - by_chance)

    @property
    def _n_agreeing(self) -> int:
        return self.n_pairs - self.n_teacher - self.n_gold + 2 * self.n_both


@dataclass(slots=True)
class GoldComparison:
    """The comparison of teacher and gold over several passages, which are added one at a time.

    Attributes:
        n_kept: The number of disagreements to keep.
        n_gold: The number of gold entities, whether or not the teacher was asked for their labels.
        n_asked_gold: The number of gold entities whose labels the teacher was asked for.
        n_decoded: The number of the teacher's entities at threshold 0.5.
        n_correct: The number of these entities that are also in gold.
        pairs: The agreement word by word.
        disagreements: The `n_kept` most confident disagreements, the most confident first; if two
            are equally confident, the earlier passage comes first.
    """

    n_kept: int = 20
    n_gold: int = 0
    n_asked_gold: int = 0
    n_decoded: int = 0
    n_correct: int = 0
    pairs: PairAgreement = field(default_factory=PairAgreement)
    disagreements: list[Disagreement] = field(default_factory=list)

    def add(self, position: int, item: LabeledPassage) -> None:
        """Compare a passage; `position` is its position in the store."""
        decoded = decode_entities(item.probs, item.labels, threshold=THRESHOLD)
        gold = _asked_gold(item)
        spans = score_spans([decoded], [gold])
        self.n_gold += len(set(item.passage.entities))
        self.n_asked_gold += spans.n_reference
        self.n_decoded += spans.n_predicted
        self.n_correct += spans.n_correct
        self.pairs.add(item, gold)
        # Keeping only the best after each passage bounds the memory.
        candidates = chain(self.disagreements, teacher_gold_disagreements(position, item, decoded))
        self.disagreements = heapq.nsmallest(self.n_kept, candidates, key=_rank)

    @property
    def span_shares(self) -> tuple[float, float, float]:
        """Precision, recall and F1 of the teacher's entities against gold; 0 if there are none."""
        precision = self.n_correct / max(self.n_decoded, 1)
        recall = self.n_correct / max(self.n_asked_gold, 1)
        return precision, recall, 2 * self.n_correct / max(self.n_decoded + self.n_asked_gold, 1)


def teacher_gold_disagreements(
    position: int, item: LabeledPassage, entities: Sequence[Entity]
) -> Iterator[Disagreement]:
    """Yield the disagreements of teacher and gold in one passage.

    Args:
        position: The position of the passage in its store.
        item: The passage and the teacher's probabilities.
        entities: The teacher's entities, which `decode_entities` finds in the probabilities.
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
    """Return a text with its control characters replaced, so that a terminal prints it literally.

    >>> printable("a" + chr(27) + "[2J b")
    'a\N{REPLACEMENT CHARACTER}[2J b'
    """
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def clip(text: str, n_columns: int) -> str:
    """Return a text cut to at most `n_columns` terminal columns; an ellipsis replaces a cut end.

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
    """Return how an entity of the teacher differs from gold, and from which entity of gold."""
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
