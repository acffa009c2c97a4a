"""Spans from the scores of many passages at once: what `decode_entities` finds, in few array steps.

In: the words of some passages at which a label's inside probability is high enough, with all three
probabilities; few of all (word, label) pairs are. Out: candidate spans and, of each passage, those
that GLiNER's rules keep.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gliner_distill.entities import END, INSIDE, START, Entity
from gliner_distill.errors import InputError

MAX_SPANS, MAX_SPANS_A_PASSAGE = 2_000_000, 100_000


Ints = NDArray[np.int64]


Floats = NDArray[np.float32]


def sigmoid(logits: NDArray[np.floating]) -> Floats:
    """Return the probabilities of logits, of the same shape, in single precision."""
    odds_against = np.exp(-np.clip(logits.astype(np.float32, copy=False), -80, 80))
    probs: Floats = np.float32(1) / (np.float32(1) + odds_against)
    return probs


@dataclass(frozen=True, slots=True)
class TagScores:
    """Probabilities at the (passage, label, word) triples that count; arrays of one length.

    Attributes:
        passage: Passage numbers.
        label: Label numbers.
        word: Word positions.
        start: Probability that the word starts an entity of the label.
        end: That it ends one.
        inside: That it lies in one, at least the label's threshold.
    """

    passage: Ints
    label: Ints
    word: Ints
    start: Floats
    end: Floats
    inside: Floats

    @classmethod
    def concatenate(cls, parts: "Sequence[TagScores]") -> "TagScores":
        """Return several together; at least one."""
        names = ("passage", "label", "word", "start", "end", "inside")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def take(self, rows: Ints | NDArray[np.bool_]) -> "TagScores":
        """Return some of the triples."""
        return TagScores(
            self.passage[rows],
            self.label[rows],
            self.word[rows],
            self.start[rows],
            self.end[rows],
            self.inside[rows],
        )

    def in_reading_order(self) -> "TagScores":
        """Return the triples by passage, then label, then word."""
        keys = (self.word, self.label, self.passage)
        return self.take(np.lexsort([_narrow(key) for key in keys]))


@dataclass(frozen=True, slots=True)
class Spans:
    """Candidate spans: arrays of one length.

    Attributes:
        passage: Passage numbers.
        label: Label numbers.
        start_word: First word.
        end_word: The word after the last.
        score: Probabilities.
    """

    passage: Ints
    label: Ints
    start_word: Ints
    end_word: Ints
    score: Floats


def _narrow(numbers: Ints) -> NDArray[np.unsignedinteger]:
    """Return numbers from 0 up in as few bytes as they need: sorting is by radix up to two."""
    return numbers.astype(np.min_scalar_type(int(numbers.max(initial=0))))


def find_spans(scores: TagScores, thresholds: Floats) -> Spans:
    """Return all spans whose start and end exceed their label's threshold.

    They lie within one run of a label's words, and their score is the smallest of their
    probabilities, as in GLiNER's token decoder.

    Args:
        scores: In reading order.
        thresholds: Shape `(labels,)`.

    Raises:
        InputError: There are more than 100,000 in a passage, or 2 million in all: the threshold is
            too low for the text.
    """
    first, n_ends, ends = _pair_up(scores, thresholds)
    _check_count(n_ends, scores.passage[first[0]], float(thresholds.min(initial=1.0)))
    starts = np.repeat(first[0], n_ends)
    offsets = np.arange(len(starts)) - np.repeat(np.cumsum(n_ends) - n_ends, n_ends)
    lasts = ends[np.repeat(first[1], n_ends) + offsets]
    # reduceat takes pairs of bounds; its odd results are of no interest.
    bounds = np.stack([starts, lasts + 1], axis=1).reshape(-1)
    inside = np.minimum.reduceat(np.append(scores.inside, np.float32(1)), bounds)[::2]
    return Spans(
        scores.passage[starts],
        scores.label[starts],
        scores.word[starts],
        scores.word[lasts] + 1,
        np.minimum(np.minimum(scores.start[starts], scores.end[lasts]), inside),
    )


def _check_count(n_spans: Ints, passages: Ints, threshold: float) -> None:
    in_one = int(np.bincount(passages, weights=n_spans).max(initial=0))
    if in_one > MAX_SPANS_A_PASSAGE:
        raise InputError(
            f"threshold {threshold:g} leaves {in_one:,} candidate spans in one text, more than "
            f"{MAX_SPANS_A_PASSAGE:,}; raise it"
        )
    if int(n_spans.sum()) > MAX_SPANS:
        raise InputError(
            f"threshold {threshold:g} leaves {int(n_spans.sum()):,} candidate spans in "
            f"{len(np.unique(passages))} texts, more than {MAX_SPANS:,}; raise it, or lower "
            "batch_size"
        )


def _pair_up(scores: TagScores, thresholds: Floats) -> tuple[tuple[Ints, Ints], Ints, Ints]:
    """Return rows of starts with the place of their first end, how many they have, rows of ends."""
    of_label = thresholds[scores.label]
    starts = np.flatnonzero(scores.start > of_label)
    ends = np.flatnonzero(scores.end > of_label)
    last_of_run = _last_of_run(scores)
    first_end = np.searchsorted(ends, starts)
    n_ends = np.searchsorted(ends, last_of_run[starts], side="right") - first_end
    return (starts, first_end), n_ends, ends


def _last_of_run(scores: TagScores) -> Ints:
    """Return, for each triple, the row of the last one that follows on without a gap."""
    n_triples = len(scores.word)
    is_next = (
        (np.diff(scores.word) == 1) & (np.diff(scores.label) == 0) & (np.diff(scores.passage) == 0)
    )
    breaks = np.append(np.flatnonzero(~is_next), n_triples - 1)
    result: Ints = np.repeat(breaks, np.diff(breaks, prepend=-1))
    return result


def join_words(scores: TagScores) -> TagScores:
    """Return scores by which each run of a label's words is one span, as of a `softmax` head.

    Args:
        scores: In reading order.
    """
    last = _last_of_run(scores)
    rows = np.arange(len(last))
    is_first = np.append(True, last[1:] != last[:-1])[: len(last)]
    return replace(
        scores,
        start=np.where(is_first, scores.start, np.float32(0)),
        end=np.where(last == rows, scores.end, np.float32(0)),
    )


def _likeliest_of_each(spans: Spans) -> Spans:
    """Return one candidate of each span, of several labels the likeliest, then the first.

    What clashes with one of them clashes with all, so no other can be kept.
    """
    keys = (spans.end_word, spans.start_word, spans.passage)
    order = np.lexsort([_narrow(key) for key in keys])
    is_new = [np.diff(key[order], prepend=-1) != 0 for key in keys]
    firsts = np.flatnonzero(is_new[0] | is_new[1] | is_new[2])
    counts = np.diff(firsts, append=len(order))
    score, label = spans.score[order], spans.label[order]
    is_best = score == np.repeat(np.maximum.reduceat(score, firsts), counts)
    candidates = np.where(is_best, label, np.iinfo(np.int64).max)
    rows = order[candidates == np.repeat(np.minimum.reduceat(candidates, firsts), counts)]
    return Spans(
        spans.passage[rows],
        spans.label[rows],
        spans.start_word[rows],
        spans.end_word[rows],
        spans.score[rows],
    )


def pick_entities(
    spans: Spans,
    labels: tuple[str, ...],
    n_passages: int,
    *,
    flat_ner: bool,
    multi_label: bool,
) -> list[list[Entity]]:
    """Return each passage's entities: the spans that `resolve_overlaps` keeps.

    Args:
        spans: Of passages `0:n_passages`.
        labels: By their number.
        n_passages: How many lists to return.
        flat_ner: See `resolve_overlaps`.
        multi_label: See `resolve_overlaps`.
    """
    if not multi_label:
        spans = _likeliest_of_each(spans)
    # GLiNER's order among equal scores: by start, then label, then end.
    order = np.lexsort((spans.end_word, spans.label, spans.start_word, spans.passage))
    columns = (spans.passage, spans.start_word, spans.end_word, spans.label, spans.score)
    found: list[list[Entity]] = [[] for _ in range(n_passages)]
    for passage, start, end, label, score in zip(
        *(column[order].tolist() for column in columns), strict=True
    ):
        found[passage].append(Entity(start, end, labels[label], score))
    return [
        resolve_overlaps(entities, flat_ner=flat_ner, multi_label=multi_label)
        if len(entities) > 1
        else entities
        for entities in found
    ]


def resolve_overlaps(
    candidates: Iterable[Entity], *, flat_ner: bool = True, multi_label: bool = False
) -> list[Entity]:
    """Return the candidates that a greedy reader keeps, in order of position.

    The best score wins; whatever clashes with it is dropped. Among equal scores the one that comes
    first in `candidates` wins. These are GLiNER's rules.

    Args:
        candidates: Entities with scores.
        flat_ner: Whether entities that share a word clash; if not, one may lie inside another.
        multi_label: Whether a span may have several labels.
    """
    kept: list[Entity] = []
    kept_at: dict[int, list[Entity]] = {}  # only what shares a word can clash
    for entity in sorted(candidates, key=lambda entity: -entity.score):
        words = range(entity.start_word, entity.end_word)
        others = (other for word in words for other in kept_at.get(word, ()))
        if not any(_clash(entity, other, flat_ner, multi_label) for other in others):
            kept.append(entity)
            for word in words:
                kept_at.setdefault(word, []).append(entity)
    return sorted(kept, key=lambda entity: entity.start_word)


def _clash(one: Entity, other: Entity, flat_ner: bool, multi_label: bool) -> bool:
    """Say whether two entities that share a word may not both stand."""
    if (one.start_word, one.end_word) == (other.start_word, other.end_word):
        return not multi_label
    if flat_ner:
        return True
    inner, outer = sorted((one, other), key=lambda entity: entity.end_word - entity.start_word)
    return not (outer.start_word <= inner.start_word and inner.end_word <= outer.end_word)


def decode_entities(
    probs: NDArray[np.floating],
    labels: Sequence[str],
    *,
    threshold: float = 0.5,
    flat_ner: bool = True,
    multi_label: bool = False,
) -> list[Entity]:
    """Return the entities that start/end/inside probabilities stand for.

    A span of one label is a candidate when its first word's start and its last word's end exceed
    the threshold and no inside probability between them falls below it. Its score is the smallest
    of these probabilities, as in GLiNER's token decoder. `resolve_overlaps` then picks.

    Among equal scores the one that starts first wins, then the first label, then the shorter: the
    order of GLiNER's token decoder. For probabilities taken from a span GLiNER's scores (maxima
    over the spans that start at, end at or cover a word) the result is nearly always that of the
    span decoder: a real span's score is its own, and what is made up of two spans scores no more
    than either.

    Args:
        probs: Shape `(words, labels, 3)`, probabilities in [0, 1]: start, end, inside.
        labels: The labels of the second axis.
        threshold: Probability that start and end must exceed.
        flat_ner: See `resolve_overlaps`.
        multi_label: See `resolve_overlaps`.
    """
    candidates: list[tuple[int, Entity]] = []
    for index, label in enumerate(labels):
        label_probs = probs[:, index, :]
        starts = np.flatnonzero(label_probs[:, START] > threshold)
        ends = np.flatnonzero(label_probs[:, END] > threshold)
        breaks = np.flatnonzero(label_probs[:, INSIDE] < threshold)
        for start in starts.tolist():
            next_break = np.searchsorted(breaks, start)
            limit = breaks[next_break] if next_break < len(breaks) else len(label_probs)
            for end in ends[(ends >= start) & (ends < limit)].tolist():
                start_prob, end_prob = label_probs[start, START], label_probs[end, END]
                inside = label_probs[start : end + 1, INSIDE].min()
                score = float(min(start_prob, end_prob, inside))
                candidates.append((index, Entity(start, end + 1, label, score)))
    candidates.sort(key=lambda found: (found[1].start_word, found[0], found[1].end_word))
    entities = (entity for _, entity in candidates)
    return resolve_overlaps(entities, flat_ner=flat_ner, multi_label=multi_label)


def entities_to_probs(
    entities: Iterable[Entity], labels: Sequence[str], n_words: int
) -> NDArray[np.float32]:
    """Return start/end/inside probabilities that stand for entities, shape `(words, labels, 3)`.

    For teachers that find entities rather than score words: a dictionary, spaCy, a language model.
    An entity's score is the start probability of its first word, the end probability of its last
    and the inside probability of all its words; where several of one label meet, the largest wins.
    Everything else is 0. `decode_entities` gives entities that share no word back.

    Args:
        entities: What was found; scores in [0, 1]. Those of labels not in `labels` are left out.
        labels: The labels of the second axis, each once.
        n_words: Words of the passage.

    Raises:
        ValueError: An entity lies outside the words or holds none, or its score is outside [0, 1].

    >>> probs = entities_to_probs([Entity(1, 3, "city", 0.5)], ["river", "city"], n_words=3)
    >>> probs[:, 1].tolist()  # of each word: start, end, inside
    [[0.0, 0.0, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5]]
    """
    probs = np.zeros((n_words, len(labels), 3), dtype=np.float32)
    index_of = {label: index for index, label in enumerate(labels)}
    for entity in entities:
        _check_entity(entity, n_words)
        if entity.label in index_of:
            of_label = probs[entity.start_word : entity.end_word, index_of[entity.label]]
            of_label[:, INSIDE] = np.maximum(of_label[:, INSIDE], entity.score)
            of_label[0, START] = max(of_label[0, START], entity.score)
            of_label[-1, END] = max(of_label[-1, END], entity.score)
    return probs


def _check_entity(entity: Entity, n_words: int) -> None:
    if not 0 <= entity.start_word < entity.end_word <= n_words:
        raise ValueError(f"{entity} is no span of a passage of {n_words} words")
    if not 0 <= entity.score <= 1:
        raise ValueError(f"{entity} has a score outside [0, 1]")


def entities_from_word_labels(word_labels: Sequence[str | None]) -> list[Entity]:
    """Return the entities of a passage whose every word has one label or none.

    Neighbouring words of one label form one entity, so two entities of a label that touch come
    back as one: a distribution a word cannot tell them apart.

    >>> entities_from_word_labels(["city", "city", None, "city"])
    [Entity(start_word=0, end_word=2, label='city', score=1.0), \
Entity(start_word=3, end_word=4, label='city', score=1.0)]
    """
    changes = [
        position
        for position in range(len(word_labels) + 1)
        if position in (0, len(word_labels)) or word_labels[position] != word_labels[position - 1]
    ]
    return [
        Entity(start, end, label)
        for start, end in pairwise(changes)
        if (label := word_labels[start]) is not None
    ]
