"""Compute probabilities for words and labels with the graph of `words.onnx`.

The input is passages as words, and labels. The output is the few (passage, label, word) triples
whose probabilities are high enough to matter, or all logits. The graph computes the word vectors
and one product with each label; `head_scoring` computes the rest from them.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from gliner_distill.decoding import sigmoid
from gliner_distill.errors import InputError, StudentError
from gliner_distill.files import reason_of
from gliner_distill.runtime.bundle import Bundle
from gliner_distill.runtime.config import GRAPH_FILE, StudentConfig
from gliner_distill.runtime.embeddings import LabelVectors, PieceTable, WordVectors
from gliner_distill.runtime.graph import check_graph
from gliner_distill.runtime.head_scoring import Array, LabelColumns, Mask, logit, scoring_for
from gliner_distill.runtime.heads import head_named
from gliner_distill.runtime.labels import EncodedLabels, Prompts
from gliner_distill.runtime.memory import MemoryPlan
from gliner_distill.runtime.sections import (
    PassageWindow,
    batch_windows,
    cut_windows,
    mask_words,
    score_in_parts,
)
from gliner_distill.runtime.weights import count_states
from gliner_distill.spans import TagScores

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

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
        num_threads: The number of threads of the graph.
        plan: The division of the memory.

    Raises:
        StudentError: The graph cannot be loaded, or it does not fit the student.
        InputError: `num_threads` is not a whole number of at least 1.
    """

    def __init__(self, bundle: Bundle, *, num_threads: int, plan: MemoryPlan | None = None) -> None:
        plan = plan or MemoryPlan.of()
        self._max_scores = plan.n_scores
        check_graph(bundle.graph, bundle.config, bundle.precision)
        self._session = _load_graph(bundle.graph, num_threads)
        _check_shapes(self._session, bundle.config)
        self._head = head_named(bundle.config.head)
        self._scoring = scoring_for(bundle.config.head, bundle.weights)
        self._n_states = count_states(bundle.config)
        pieces = PieceTable(bundle.weights)
        self._words = WordVectors(
            bundle.vocabulary, pieces, bundle.weights, max_bytes=plan.word_bytes
        )
        self._labels = LabelVectors(
            bundle.vocabulary,
            pieces,
            bundle.weights,
            n_vectors=self._head.n_vectors,
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
        return self._scoring.columns(labels, logit(thresholds))

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
            batch_size: The most windows that go through the graph at once.
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

    def logits(self, passages: Sequence[Sequence[str]], labels: EncodedLabels) -> list[Array]:
        """Return the logits of each passage, shape as in `Head.logits_shape`."""
        n_labels = len(labels.names)
        result = [
            np.zeros(self._head.logits_shape(len(words), n_labels), np.float32)
            for words in passages
        ]
        for batch in batch_windows(cut_windows(enumerate(passages)), _BATCH_WINDOWS):
            # The logits are computed from the word vectors, so the graph is run without labels.
            no_label = np.zeros((self._n_states, 0), dtype=np.float32)
            vectors, _ = self._run([window.words for window in batch], no_label)
            for window, states in zip(batch, vectors, strict=True):
                part = slice(window.keep_start, window.keep_end)
                place = slice(window.first_word + part.start, window.first_word + part.stop)
                result[window.passage][place] = self._scoring.logits(states[part], labels)
        return result

    def label_probs(self, states: Array, labels: EncodedLabels, shifts: Array) -> Array:
        """Return the probability of a span for each label, shape `(labels,)`.

        Args:
            states: The vectors of the span's words, shape `(words, states)`.
            labels: The labels.
            shifts: The shifts of their `LabelColumns`.
        """
        return sigmoid(self._scoring.span_logits(self._scoring.logits(states, labels)) - shifts)

    def _run(self, passages: Sequence[Sequence[str]], matrix: Array) -> tuple[Array, Array]:
        embedded, n_words = self._words.embed(passages)
        feeds = {"embedded": embedded, "n_words": n_words, "labels": matrix}
        try:
            words, scores = self._session.run(["words", "scores"], feeds)
        except Exception as error:  # the library raises a dozen classes
            raise StudentError(f"{GRAPH_FILE} cannot be computed: {reason_of(error)}") from error
        _check_results(words, scores, (*embedded.shape[:2], self._n_states, matrix.shape[1]))
        return words, scores

    def _score_batch(
        self,
        batch: Sequence[PassageWindow],
        columns: LabelColumns,
        thresholds: Array,
        label_mask: Mask | None,
        kept: WordVectorsKept | None,
    ) -> TagScores:
        vectors, scores = self._run([window.words for window in batch], columns.matrix)
        passages = np.array([window.passage for window in batch])
        first_words = np.array([window.first_word for window in batch])
        # Words outside of the kept part of a window are masked, since another window scores them.
        hits = self._scoring.find_hits(
            vectors,
            scores,
            mask_words(batch, vectors.shape[1]),
            columns,
            thresholds,
            None if label_mask is None else label_mask[passages],
        )
        passage, word = passages[hits.row], hits.word + first_words[hits.row]
        if kept is not None:
            keys = zip(passage.tolist(), word.tolist(), strict=True)
            kept.by_word.update(zip(keys, vectors[hits.row, hits.word], strict=True))
        return TagScores(passage, hits.label, word, hits.start, hits.end, hits.inside)


def _load_graph(graph: bytes, num_threads: int) -> "InferenceSession":
    if not isinstance(num_threads, int) or num_threads < 1:
        raise InputError(f"num_threads is {num_threads!r}; expected a whole number, at least 1")
    # The telemetry of onnxruntime starts a thread at its import. A forked process, which lacks that
    # thread, would wait for it at its end.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    # Errors reach the user as exceptions, so the log of onnxruntime only repeats them.
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            graph, sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # the library raises a dozen classes
        reason = str(error).splitlines()[0]
        raise StudentError(f"{GRAPH_FILE} cannot be loaded: {reason}") from error
    return session


def _check_results(words: Array, scores: Array, sizes: tuple[int, ...]) -> None:
    n_passages, n_words, n_states, n_columns = sizes
    if (words.shape, scores.shape) != (
        (n_passages, n_words, n_states),
        (n_passages, n_words, n_columns),
    ):
        raise StudentError(
            f"{GRAPH_FILE} gives results of the shapes {words.shape} and {scores.shape}; expected "
            f"{(n_passages, n_words, n_states)} and {(n_passages, n_words, n_columns)}"
        )
    # A sum is not finite if a single number is not.
    with np.errstate(over="ignore", invalid="ignore"):
        is_finite = np.isfinite(words.sum()) and np.isfinite(scores.sum())
    if not is_finite:
        raise StudentError(
            "the student computes numbers that are not finite; its weights are broken, so copy it "
            "again, or train it again with a lower learning rate"
        )


def _check_shapes(session: "InferenceSession", config: StudentConfig) -> None:
    n_states = count_states(config)
    expected = {
        "embedded": ("tensor(float)", [None, None, config.embedding_width]),
        "n_words": ("tensor(int32)", [None]),
        "labels": ("tensor(float)", [n_states, None]),
        "words": ("tensor(float)", [None, None, n_states]),
        "scores": ("tensor(float)", [None, None, None]),
    }
    try:
        values = [
            (item.name, item.type, [size if isinstance(size, int) else None for size in item.shape])
            for item in (*session.get_inputs(), *session.get_outputs())
        ]
    except UnicodeDecodeError as error:
        raise StudentError(f"{GRAPH_FILE} cannot be loaded: {error}") from error
    for name, kind, shape in values:
        if (kind, shape) != expected.get(name):
            raise StudentError(
                f"{GRAPH_FILE} does not fit the student: {name} is {(kind, shape)}; expected "
                f"{expected.get(name)}"
            )
