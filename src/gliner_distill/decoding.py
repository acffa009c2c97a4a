"""The decoder: from probabilities per word and label to entities, and back.

It has two entry points. `decode_entities` takes the array of one passage, as teachers and stores
have it. `decode_scores` takes the probabilities that count in many passages at once, as the runtime
has them. Both work in three steps: `spans` finds candidate spans, `crowds` bounds their number, and
the rules here decide which of several overlapping candidates is kept. All results equal those of
GLiNER's token decoder, ties included, unless `crowds` drops candidates. For a student that compares
labels, `specificity` first removes broad labels where specific ones are found.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from gliner_distill.crowds import SPANS_AT_ONCE, list_spans
from gliner_distill.entities import END, INSIDE, START, Entity
from gliner_distill.spans import (
    Floats,
    Ints,
    Spans,
    TagScores,
    find_bounds,
    join_words,
    narrow_type,
)
from gliner_distill.specificity import LabelKinds, keep_specific

# Below this many candidates, comparing them one by one is faster than sorting arrays.
_FEW_SPANS = 32


def sigmoid(logits: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the probabilities of logits, of the same shape, in single precision."""
    # Beyond 80, exp overflows single precision, and the result is 0 or 1 anyway.
    odds_against = np.exp(-np.clip(logits.astype(np.float32, copy=False), -80, 80))
    probs: NDArray[np.float32] = np.float32(1) / (np.float32(1) + odds_against)
    return probs


def _likeliest_labels(spans: Spans) -> Spans:
    """Return one candidate per span: the label of the best score, among equals the first one.

    An entity that clashes with one label of a span clashes with all of them, so without
    `multi_label` only the best label can be kept. Dropping the others early saves time if thousands
    of labels are asked.
    """
    keys = (spans.end_word, spans.start_word, spans.passage)
    order = np.lexsort([narrow_type(key) for key in keys])
    # A new span begins where any of the three keys changes.
    is_new = [np.diff(key[order], prepend=-1) != 0 for key in keys]
    firsts = np.flatnonzero(is_new[0] | is_new[1] | is_new[2])
    counts = np.diff(firsts, append=len(order))
    score, label = spans.score[order], spans.label[order]
    is_best = score == np.repeat(np.maximum.reduceat(score, firsts), counts)
    # Labels without the best score get a number that never is the minimum.
    candidates = np.where(is_best, label, np.iinfo(np.int64).max)
    is_chosen = candidates == np.repeat(np.minimum.reduceat(candidates, firsts), counts)
    return spans.take(order[is_chosen])


def decode_scores(
    scores: TagScores,
    thresholds: Floats,
    labels: Sequence[str],
    n_passages: int,
    *,
    flat_ner: bool = True,
    multi_label: bool = False,
    kinds: LabelKinds | None = None,
    at_once: int = SPANS_AT_ONCE,
) -> list[list[Entity]]:
    """Return the entities of each passage, in order of position.

    Args:
        scores: Triples of the passages `0:n_passages` in reading order.
        thresholds: Shape `(labels,)`.
        labels: The labels by their number.
        n_passages: The number of lists to return.
        flat_ner: See `resolve_overlaps`.
        multi_label: See `resolve_overlaps`.
        kinds: See `pick_entities`.
        at_once: See `crowds.list_spans`; it has no influence on the answer.
    """
    rules = {"flat_ner": flat_ner, "multi_label": multi_label}
    found: list[list[Entity]] = [[] for _ in range(n_passages)]
    for spans in list_spans(find_bounds(scores, thresholds), at_once=at_once):
        picked = pick_entities(spans, labels, n_passages, kinds=kinds, **rules)
        for entities, more in zip(found, picked, strict=True):
            entities += more
    return found


def pick_entities(
    spans: Spans,
    labels: Sequence[str],
    n_passages: int,
    *,
    flat_ner: bool = True,
    multi_label: bool = False,
    kinds: LabelKinds | None = None,
) -> list[list[Entity]]:
    """Return the entities of each passage: the spans that `resolve_overlaps` keeps.

    Args:
        spans: Candidates of the passages `0:n_passages`.
        labels: The labels by their number.
        n_passages: The number of lists to return.
        flat_ner: See `resolve_overlaps`.
        multi_label: See `resolve_overlaps`.
        kinds: The numbers by which labels are compared. With them, where neither overlaps nor
            several labels are allowed, broad labels first yield to specific ones; see
            `specificity.keep_specific`.
    """
    if kinds is not None and flat_ner and not multi_label:
        spans = keep_specific(spans, kinds)
    if not multi_label and len(spans.score) > _FEW_SPANS:
        spans = _likeliest_labels(spans)
    # GLiNER's order among equal scores: by start, then label, then end.
    order = np.lexsort((spans.end_word, spans.label, spans.start_word, spans.passage))
    columns = (spans.passage, spans.start_word, spans.end_word, spans.label, spans.score)
    candidates: list[list[Entity]] = [[] for _ in range(n_passages)]
    for passage, start, end, label, score in zip(
        *(column[order].tolist() for column in columns), strict=True
    ):
        candidates[passage].append(Entity(start, end, labels[label], score))
    return [
        resolve_overlaps(entities, flat_ner=flat_ner, multi_label=multi_label)
        if len(entities) > 1
        else entities
        for entities in candidates
    ]


def resolve_overlaps(
    candidates: Iterable[Entity], *, flat_ner: bool = True, multi_label: bool = False
) -> list[Entity]:
    """Return the candidates that a greedy selection keeps, in order of position.

    The candidate with the best score is kept, and all candidates that clash with it are dropped;
    then the same is done with the rest. Among equal scores the one that comes first in `candidates`
    wins. These are GLiNER's rules.

    Args:
        candidates: Entities with scores.
        flat_ner: Whether entities that share a word clash; if unset, one may lie inside another.
        multi_label: Whether a span may have several labels.
    """
    kept: list[Entity] = []
    taken = _TakenWords(flat_ner)
    # A span that clashes with what is kept does so ever after, whatever its label.
    is_free: dict[tuple[int, int], bool] = {}
    for entity in sorted(candidates, key=lambda entity: -entity.score):
        span = entity.start_word, entity.end_word
        is_first = span not in is_free
        if is_first:
            is_free[span] = taken.take(*span)
        # Two labels of the same span clash even if nesting is allowed.
        if is_free[span] and (is_first or multi_label):
            kept.append(entity)
    return sorted(kept, key=lambda entity: entity.start_word)


class _TakenWords:
    """The words of spans that are kept, as far as they say which other spans clash with them."""

    def __init__(self, flat_ner: bool) -> None:
        self._flat_ner = flat_ner
        self._words: set[int] = set()
        # Two spans cross if one starts inside the other and ends behind it.
        self._last_end: dict[int, int] = {}
        self._first_start: dict[int, int] = {}

    def take(self, start: int, end: int) -> bool:
        """Take the words of a span, and return whether no other one clashes with it."""
        if self._flat_ner:
            words = range(start, end)
            if not self._words.isdisjoint(words):
                return False
            self._words.update(words)
            return True
        for place in range(start + 1, end):
            if self._last_end.get(place, end) > end or self._first_start.get(place, start) < start:
                return False
        self._last_end[start] = max(end, self._last_end.get(start, end))
        self._first_start[end] = min(start, self._first_start.get(end, start))
        return True


def decode_entities(
    probs: Floats,
    labels: Sequence[str],
    *,
    threshold: float = 0.5,
    flat_ner: bool = True,
    multi_label: bool = False,
    kinds: LabelKinds | None = None,
) -> list[Entity]:
    """Return the entities of one passage, from start, end and inside probabilities.

    A span of one label is a candidate if its first word's start and its last word's end exceed the
    threshold and no inside probability between them falls below it. Its score is the smallest of
    these probabilities, as in GLiNER's token decoder. `resolve_overlaps` then selects.

    Among equal scores the span that starts first wins, then the first label, then the shorter
    span, which is the order of GLiNER's token decoder. For probabilities computed from the scores
    of a span GLiNER (maxima over the spans that start at, end at or cover a word) the result is
    nearly always that of the span decoder: a real span keeps its own score, and a span that is
    combined from two others scores no more than either.

    Args:
        probs: Shape `(words, labels, 3)`, probabilities in [0, 1]: start, end, inside.
        labels: The labels of the second axis.
        threshold: The probability that start and end must exceed; 0.5 is a good default.
        flat_ner: See `resolve_overlaps`.
        multi_label: See `resolve_overlaps`.
        kinds: See `pick_entities`; None for the answers of a teacher.

    >>> probs = np.array([[[0.9, 0.1, 0.8]], [[0.2, 0.7, 0.9]]])
    >>> decode_entities(probs, ["city"])
    [Entity(start_word=0, end_word=2, label='city', score=0.7)]
    """
    thresholds = np.full(len(labels), threshold, dtype=probs.dtype)
    scores = TagScores.from_probs(probs, threshold)
    rules = {"flat_ner": flat_ner, "multi_label": multi_label}
    found = decode_scores(scores, thresholds, labels, 1, kinds=kinds, **rules)
    return found[0]


def decode_words(
    best_labels: Ints, scores: Floats, labels: Sequence[str], *, threshold: float = 0.5
) -> list[Entity]:
    """Return the entities of one passage whose words have one label each, as in a softmax head.

    Neighboring words of one label whose scores exceed the threshold are one entity. Its score is
    the smallest of its words' scores.

    Args:
        best_labels: Shape `(words,)`, the number of each word's likeliest label.
        scores: Shape `(words,)`, the probability of that label against none.
        labels: The labels by their number.
        threshold: The score that a word must exceed.

    >>> decode_words(np.array([0, 0, 0]), np.array([0.9, 0.8, 0.2]), ["city"])
    [Entity(start_word=0, end_word=2, label='city', score=0.8)]
    """
    words = np.flatnonzero(scores > threshold)
    passage, kept = np.zeros(len(words), dtype=np.int64), scores[words]
    tags = TagScores(passage, best_labels[words], words, kept, kept, kept).in_reading_order()
    thresholds = np.full(len(labels), threshold, dtype=scores.dtype)
    return decode_scores(join_words(tags), thresholds, labels, 1)[0]


def entities_to_probs(
    entities: Iterable[Entity], labels: Sequence[str], n_words: int
) -> NDArray[np.float32]:
    """Return start, end and inside probabilities that encode entities.

    This serves teachers that find entities instead of scoring words, such as a dictionary or a
    language model. The score of an entity becomes the start probability of its first word, the end
    probability of its last and the inside probability of all its words; where several entities of
    one label meet, the largest score wins. All other probabilities are 0. `decode_entities`
    returns the same entities if they share no word.

    Args:
        entities: The entities, with scores in [0, 1]. Labels that are not in `labels` are ignored.
        labels: The labels of the second axis, each once.
        n_words: The number of words of the passage.

    Returns:
        Shape `(words, labels, 3)`, float32.

    Raises:
        ValueError: An entity is empty or lies outside the passage, or its score is outside [0, 1].

    >>> probs = entities_to_probs([Entity(1, 3, "city", 0.5)], ["river", "city"], n_words=3)
    >>> probs[:, 1].tolist()  # start, end and inside of each word
    [[0.0, 0.0, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5]]
    """
    probs = np.zeros((n_words, len(labels), 3), dtype=np.float32)
    index_of = {label: index for index, label in enumerate(labels)}
    for entity in entities:
        if not 0 <= entity.start_word < entity.end_word <= n_words:
            raise ValueError(f"{entity} is not a span of a passage of {n_words} words")
        if not 0 <= entity.score <= 1:
            raise ValueError(f"{entity} has a score outside [0, 1]")
        if entity.label in index_of:
            # The maximum keeps the higher score where entities of one label overlap.
            span = probs[entity.start_word : entity.end_word, index_of[entity.label]]
            span[:, INSIDE] = np.maximum(span[:, INSIDE], entity.score)
            span[0, START] = max(span[0, START], entity.score)
            span[-1, END] = max(span[-1, END], entity.score)
    return probs
