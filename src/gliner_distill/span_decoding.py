"""Spans from the scores of many passages at once: what `decode_entities` finds, in few array steps.

In: the words of some passages at which a label's inside probability is high enough, with all three
probabilities; few of all (word, label) pairs are. Out: candidate spans and, of each passage, those
that GLiNER's rules keep.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gliner_distill.entities import Entity, resolve_overlaps
from gliner_distill.errors import InputError

MAX_SPANS, MAX_SPANS_A_PASSAGE = 2_000_000, 100_000
Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class WordScores:
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
    def concatenate(cls, parts: "Sequence[WordScores]") -> "WordScores":
        """Return several together; at least one."""
        names = ("passage", "label", "word", "start", "end", "inside")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def take(self, rows: Ints | NDArray[np.bool_]) -> "WordScores":
        """Return some of the triples."""
        return WordScores(
            self.passage[rows],
            self.label[rows],
            self.word[rows],
            self.start[rows],
            self.end[rows],
            self.inside[rows],
        )

    def in_reading_order(self) -> "WordScores":
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


def find_spans(scores: WordScores, thresholds: Floats) -> Spans:
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


def _pair_up(scores: WordScores, thresholds: Floats) -> tuple[tuple[Ints, Ints], Ints, Ints]:
    """Return rows of starts with the place of their first end, how many they have, rows of ends."""
    of_label = thresholds[scores.label]
    starts = np.flatnonzero(scores.start > of_label)
    ends = np.flatnonzero(scores.end > of_label)
    last_of_run = _last_of_run(scores)
    first_end = np.searchsorted(ends, starts)
    n_ends = np.searchsorted(ends, last_of_run[starts], side="right") - first_end
    return (starts, first_end), n_ends, ends


def _last_of_run(scores: WordScores) -> Ints:
    """Return, for each triple, the row of the last one that follows on without a gap."""
    n_triples = len(scores.word)
    is_next = (
        (np.diff(scores.word) == 1) & (np.diff(scores.label) == 0) & (np.diff(scores.passage) == 0)
    )
    breaks = np.append(np.flatnonzero(~is_next), n_triples - 1)
    result: Ints = np.repeat(breaks, np.diff(breaks, prepend=-1))
    return result


def join_words(scores: WordScores) -> WordScores:
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
