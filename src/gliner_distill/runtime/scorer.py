"""Compute probabilities for words and labels with the kernel.

The input is passages as words, and labels. The output is the few (passage, label, word) triples
whose probabilities are high enough to matter, or all logits. `word_network` computes the word
vectors, and `head_scoring` compares them with labels. Windows are read in groups, which threads
take one after the other. No number depends on what else is in a group.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliner_distill.entities import Entity
from gliner_distill.errors import InputError, StudentError
from gliner_distill.kernel.arithmetic import logit
from gliner_distill.kernel.kernels import Kernel, LoadedSearch, default_kernel
from gliner_distill.runtime.bundle import Bundle
from gliner_distill.runtime.embeddings import (
    NOT_FINITE,
    SHAPES,
    LabelVectors,
    PieceTable,
    WordRows,
    WordVectors,
    largest_number,
)
from gliner_distill.runtime.head_scoring import (
    Array,
    Ints,
    LabelColumns,
    Mask,
    SearchRules,
    scoring_for,
)
from gliner_distill.runtime.heads import head_named
from gliner_distill.runtime.labels import EncodedLabels, Prompts
from gliner_distill.runtime.memory import MemoryPlan
from gliner_distill.runtime.sections import (
    WINDOW_WORDS,
    PassageWindow,
    batch_windows,
    cut_windows,
    score_in_parts,
)
from gliner_distill.runtime.threads import GROUP_WINDOWS, plan_groups, run_threads
from gliner_distill.runtime.weights import count_states
from gliner_distill.runtime.word_network import WordNetwork
from gliner_distill.spans import TagScores

_BATCH_WINDOWS = 64


@dataclass(slots=True)
class WordVectorsKept:
    """The vectors of the words in the result of `score`, for `label_probs`.

    Attributes:
        by_word: The vectors by the number of the passage and the position of the word.
    """

    by_word: dict[tuple[int, int], Array] = field(default_factory=dict)

    def forget(self, scores: TagScores) -> None:
        """Drop the vectors of the words of some triples."""
        for key in zip(scores.passage.tolist(), scores.word.tolist(), strict=True):
            self.by_word.pop(key, None)


class StudentScorer:
    """A student as a function from words and labels to probabilities; safe to share by threads.

    Args:
        bundle: The student.
        num_threads: The number of threads that read windows.
        plan: The division of the memory.
        kernel: The kernel; None for the one that this process uses.

    Raises:
        StudentError: A weight is missing, or computes numbers that are not finite.
        InputError: `num_threads` is not a whole number of at least 1.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        num_threads: int,
        plan: MemoryPlan | None = None,
        kernel: Kernel | None = None,
    ) -> None:
        is_whole = isinstance(num_threads, Integral) and not isinstance(num_threads, bool)
        if not is_whole or num_threads < 1:
            raise InputError(f"num_threads is {num_threads!r}; expected a whole number, at least 1")
        plan, kernel = plan or MemoryPlan.of(), kernel or default_kernel()
        self._num_threads, self._kernel = int(num_threads), kernel
        self._max_scores = plan.n_scores
        config, weights = bundle.config, bundle.weights
        self._head = head_named(config.head)
        self._scoring = scoring_for(config.head, weights, kernel)
        self._n_states = count_states(config)
        pieces = PieceTable(weights)
        shapes = weights[SHAPES].astype(np.float32)
        largest = largest_number(pieces, shapes)
        self._network = WordNetwork(
            config, weights, bundle.precision, largest=largest, kernel=kernel
        )
        self._words = WordVectors(
            bundle.vocabulary,
            pieces,
            shapes,
            self._network.prepare,
            n_columns=self._network.n_columns,
            max_bytes=plan.word_bytes,
        )
        self._labels = LabelVectors(
            bundle.vocabulary,
            pieces,
            weights,
            n_vectors=self._head.n_vectors,
            kernel=kernel,
            max_bytes=plan.label_bytes,
        )

    @property
    def n_cached_bytes(self) -> int:
        """The bytes of the cached vectors of words and labels."""
        return self._words.n_bytes + self._labels.n_bytes

    def encode(self, prompts: Prompts) -> EncodedLabels:
        """Return labels with their vectors."""
        names, texts = zip(*prompts, strict=True) if prompts else ((), ())
        outputs = self._labels.encode(texts)
        return EncodedLabels(names, texts, outputs.vectors, outputs.kinds)

    def columns(self, labels: EncodedLabels, own_thresholds: Mapping[str, float]) -> LabelColumns:
        """Return labels in the form that `score` takes.

        Args:
            labels: At least one label.
            own_thresholds: For each label, the probability that `score` reports as 0.5.
        """
        thresholds = np.array([own_thresholds[name] for name in labels.names])
        return self._scoring.columns(labels, logit(thresholds).astype(np.float32))

    def score(
        self,
        passages: Sequence[Sequence[str]],
        columns: LabelColumns,
        thresholds: Array,
        *,
        label_mask: Mask | None = None,
        batch_size: int = _BATCH_WINDOWS,
        kept: WordVectorsKept | None = None,
    ) -> Iterator[TagScores]:
        """Yield the triples whose inside probability reaches the label's threshold, in parts.

        A part holds whole passages. Only a very long passage, alone, has several parts; they follow
        the order of its words, and end where no label continues to the next word.

        With a `softmax` head, a word has only its likeliest label. The probability of that label
        against "none" is used for all three probabilities, and the neighboring words decide where
        an entity begins and ends.

        Args:
            passages: The words of each passage; more than 384 are read in overlapping windows.
            columns: The labels.
            thresholds: Shape `(labels,)`.
            label_mask: Shape `(passages, labels)`, true at labels that are asked; None for all.
            batch_size: The most windows that go through the network at once.
            kept: Receives the vectors of the words of each part, for as long as the part is used;
                None if they are not needed.

        Yields:
            Triples in reading order.
        """
        score = partial(
            self._score_batch,
            columns=columns,
            thresholds=thresholds,
            label_mask=label_mask,
            kept=kept,
        )
        parts = score_in_parts(passages, score, batch_size=batch_size, max_scores=self._max_scores)
        for scores in parts:
            yield self._scoring.group_words(scores)
            if kept is not None:
                kept.forget(scores)

    def search(self, columns: LabelColumns, rules: SearchRules) -> LoadedSearch | None:
        """Return the search for `find`; None where the kernel has none."""
        return self._scoring.search(columns, rules)

    def find(
        self,
        passages: Sequence[Sequence[str]],
        names: Sequence[str],
        search: LoadedSearch | None,
        *,
        label_mask: Mask | None = None,
        batch_size: int = _BATCH_WINDOWS,
    ) -> list[list[Entity] | None]:
        """Return the entities of passages; None for those that need `score` and `decode_scores`.

        These are passages of more than one window or with very many candidates, and all passages
        where the kernel has no search. Other passages have the same entities in both, but here with
        the scores that are reported, and in `score` with the student's own.

        Args:
            passages: The words of each passage.
            names: The labels.
            search: The result of `search` for them.
            label_mask: See `score`.
            batch_size: See `score`.
        """
        found: list[list[Entity] | None] = [None if words else [] for words in passages]
        if search is None:
            return found
        short = (item for item in enumerate(passages) if len(item[1]) <= WINDOW_WORDS)
        for batch in batch_windows(cut_windows(short), batch_size):
            windows = _order_by_length(batch)
            seen = self._words.look_up([window.words for window in windows])
            groups = plan_groups(seen.lengths, 1, self._num_threads, is_masked=False)

            def find(
                group: slice,
                windows: list[PassageWindow] = windows,
                seen: WordRows = seen,
            ) -> None:
                asked = None
                if label_mask is not None:
                    asked = [
                        np.flatnonzero(label_mask[window.passage]).astype(np.int32)
                        for window in windows[group]
                    ]
                spans = search.find(self._read(group, seen), seen.lengths[group], asked)
                _add_spans(found, windows[group], spans, names)

            run_threads(find, groups, self._num_threads)
        return found

    def logits(self, passages: Sequence[Sequence[str]], labels: EncodedLabels) -> list[Array]:
        """Return the logits of each passage, shape as in `Head.logits_shape`."""
        n_labels = len(labels.names)
        result = [
            np.zeros(self._head.logits_shape(len(words), n_labels), np.float32)
            for words in passages
        ]
        if not n_labels and not self._head.logits_shape(1, 0)[-1]:
            return result
        for batch in batch_windows(cut_windows(enumerate(passages)), GROUP_WINDOWS):
            group = _order_by_length(batch)
            seen = self._words.look_up([window.words for window in group])
            vectors = self._read(slice(0, len(group)), seen)
            first = 0
            for window in group:
                part = slice(first + window.keep_start, first + window.keep_end)
                start = window.first_word + window.keep_start
                place = slice(start, window.first_word + window.keep_end)
                result[window.passage][place] = self._scoring.logits(vectors[part], labels)
                first += len(window.words)
        return result

    def label_probs(self, states: Array, labels: EncodedLabels, shifts: Array) -> Array:
        """Return the probability of a span for each label, shape `(labels,)`.

        Args:
            states: The vectors of the span's words, shape `(words, states)`.
            labels: The labels.
            shifts: The shifts of their `LabelColumns`.
        """
        logits = self._scoring.span_logits(self._scoring.logits(states, labels))
        return self._kernel.logistic(logits - shifts)

    def _score_batch(
        self,
        batch: Sequence[PassageWindow],
        columns: LabelColumns,
        thresholds: Array,
        label_mask: Mask | None,
        kept: WordVectorsKept | None,
    ) -> TagScores:
        windows = _order_by_length(batch)
        seen = self._words.look_up([window.words for window in windows])
        groups = plan_groups(
            seen.lengths, len(columns.vectors), self._num_threads, is_masked=label_mask is not None
        )

        def score(group: slice) -> TagScores:
            vectors = self._read(group, seen)
            parts = self._score_group(
                windows[group], vectors, columns, thresholds, label_mask, kept
            )
            return TagScores.concatenate(list(parts))

        return TagScores.concatenate(run_threads(score, groups, self._num_threads))

    def _read(self, group: slice, seen: WordRows) -> Array:
        """Return the vectors of the words of a group of windows, the longest window first."""
        first = int(seen.lengths[: group.start].sum())
        lengths = seen.lengths[group]
        rows = seen.rows[first : first + int(lengths.sum())]
        vectors = self._network.read(seen.table, rows, lengths)
        # A sum is not finite if a single number is not.
        with np.errstate(over="ignore", invalid="ignore"):
            is_finite = np.isfinite(vectors.sum())
        if not is_finite:
            raise StudentError(NOT_FINITE)
        return vectors

    def _score_group(
        self,
        windows: Sequence[PassageWindow],
        vectors: Array,
        columns: LabelColumns,
        thresholds: Array,
        label_mask: Mask | None,
        kept: WordVectorsKept | None,
    ) -> Iterator[TagScores]:
        """Yield the triples of a group, or those of each window if they are asked other labels."""
        lengths = [len(window.words) for window in windows]
        firsts = np.cumsum([0, *lengths])
        passage = np.repeat([window.passage for window in windows], lengths)
        word = np.arange(firsts[-1]) + np.repeat(
            [window.first_word for window in windows] - firsts[:-1], lengths
        )
        keep = np.ones(len(word), np.bool_)
        for window, first, length in zip(windows, firsts.tolist(), lengths, strict=False):
            # Words outside of the kept part of a window do not count: another window scores them.
            keep[first : first + window.keep_start] = False
            keep[first + window.keep_end : first + length] = False
        parts: list[tuple[slice, Ints | None]] = [(slice(None), None)]
        if label_mask is not None:
            parts = [
                (slice(first, first + length), np.flatnonzero(label_mask[window.passage]))
                for window, first, length in zip(windows, firsts.tolist(), lengths, strict=False)
            ]
        for part, labels in parts:
            hits = self._scoring.find_hits(vectors[part], columns, thresholds, labels)
            place = hits.place + (part.start or 0)
            rows = np.flatnonzero(keep[place])
            place = place[rows]
            if kept is not None:
                keys = zip(passage[place].tolist(), word[place].tolist(), strict=True)
                kept.by_word.update(zip(keys, vectors[place], strict=True))
            yield TagScores(
                passage[place],
                hits.label[rows],
                word[place],
                hits.start[rows],
                hits.end[rows],
                hits.inside[rows],
            )


def _add_spans(
    found: list[list[Entity] | None],
    windows: Sequence[PassageWindow],
    spans: NDArray[Any] | None,
    names: Sequence[str],
) -> None:
    """Enter the spans of windows, which are whole passages, unless there are too many."""
    if spans is None:
        return
    by_window: list[list[Entity]] = [[] for _ in windows]
    for number, start, end, label, score in spans.tolist():
        by_window[number].append(Entity(start, end, names[label], score))
    for window, entities in zip(windows, by_window, strict=True):
        found[window.passage] = entities


def _order_by_length(windows: Sequence[PassageWindow]) -> list[PassageWindow]:
    """Return windows from the longest to the shortest."""
    return sorted(windows, key=lambda window: -len(window.words))
