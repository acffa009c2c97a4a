"""Words and labels to probabilities, through the graph of `words.onnx`.

In: passages as words, and labels. Out: the few (passage, label, word) triples whose probabilities
are high enough to count, or all logits. The graph gives word vectors and one product with the
labels; start and end are computed only where a word lies inside.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from gliner_distill.decoding import TagScores, sigmoid
from gliner_distill.entities import END, INSIDE, START
from gliner_distill.errors import InputError, StudentError
from gliner_distill.runtime.bundle import Bundle
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.runtime.embeddings import LabelVectors, PieceTable, WordVectors
from gliner_distill.runtime.heads import BOUNDARY, head_named
from gliner_distill.runtime.labels import EncodedLabels, Prompts
from gliner_distill.windows import plan_windows

Array = NDArray[np.float32]


WINDOW_WORDS = 384


_BATCH_WORDS = 4_096


_FEW_PAIRS = 64


_INPUTS, _OUTPUTS = {"embedded", "n_words", "labels"}, {"words", "scores"}


@dataclass(frozen=True, slots=True)
class LabelColumns:
    """Labels as the graph and the decoding need them.

    Attributes:
        names: What the entities are called.
        asked: Shape `(states, columns)`: of a `boundary` head the labels' inside vectors, of a
            `softmax` head "none" and the labels.
        edges: Shape `(labels, 2, states)`: start and end vectors; empty of a `softmax` head.
        shifts: Shape `(labels,)`: the logits at which the labels' own thresholds lie.
    """

    names: tuple[str, ...]
    asked: Array
    edges: Array
    shifts: Array


@dataclass(frozen=True, slots=True)
class _Window:
    """Words of a passage on their way through the graph; `keep` of them count."""

    passage: int
    first_word: int
    words: Sequence[str]
    keep_start: int
    keep_end: int


@dataclass(slots=True)
class WordVectorsKept:
    """Vectors of the words that scored, by passage and word, for `label_probs`."""

    of_word: dict[tuple[int, int], Array] = field(default_factory=dict)


class StudentScorer:
    """A student's towers; safe to call from several threads.

    Args:
        bundle: The student.
        num_threads: Threads of the graph.

    Raises:
        StudentError: The graph cannot be loaded, or is not a student's.
    """

    def __init__(self, bundle: Bundle, *, num_threads: int) -> None:
        self._session = _load_graph(bundle.graph, num_threads)
        _check_graph(self._session, bundle.config)
        self._is_boundary = bundle.config.head == BOUNDARY
        self._n_kinds = head_named(bundle.config.head).n_vectors
        self._n_states = _count_states(bundle.config)
        pieces = PieceTable(bundle.weights)
        self._words = WordVectors(bundle.vocabulary, pieces, bundle.weights)
        self._labels = LabelVectors(
            bundle.vocabulary, pieces, bundle.weights, n_kinds=self._n_kinds
        )
        weights = bundle.weights
        if self._is_boundary:
            self._bias = weights["bias"].astype(np.float32)
            return
        # The graph's word vectors are divided by the square root of their width; "none" is not.
        width = weights["none.weight"].shape[1]
        self._none = weights["none.weight"].astype(np.float32).T * np.float32(width**0.5)
        self._bias = weights["none.bias"].astype(np.float32)

    def encode(self, prompts: Prompts) -> EncodedLabels:
        """Return labels as the label tower sees them."""
        names, read = zip(*prompts, strict=True) if prompts else ((), ())
        return EncodedLabels(names, read, self._labels.encode(read))

    def columns(self, labels: EncodedLabels, own_thresholds: Mapping[str, float]) -> LabelColumns:
        """Return what `score` takes.

        Args:
            labels: At least one.
            own_thresholds: The probability of each label's name that `score` is to give as 0.5.
        """
        thresholds = np.array([own_thresholds[name] for name in labels.names])
        if self._is_boundary:
            asked = labels.vectors[:, INSIDE].T
            edges = labels.vectors[:, [START, END]]
        else:
            asked = np.concatenate([self._none, labels.vectors[:, 0].T], axis=1)
            edges = np.zeros((0, 2, 0), dtype=np.float32)
        return LabelColumns(labels.names, np.ascontiguousarray(asked), edges, _logit(thresholds))

    def score(
        self,
        passages: Sequence[Sequence[str]],
        columns: LabelColumns,
        thresholds: Array,
        *,
        asked: NDArray[np.bool_] | None = None,
        batch_size: int = 64,
        kept: WordVectorsKept | None = None,
    ) -> TagScores:
        """Return the triples whose inside probability is at least the label's threshold.

        Of a `softmax` head a word counts for its likeliest label alone, with its odds against
        "none" as all three probabilities.

        Args:
            passages: The words of each; one of more than 384 is read in overlapping windows.
            columns: The labels.
            thresholds: Shape `(labels,)`.
            asked: Shape `(passages, labels)`, true at labels to look for; None for all.
            batch_size: How many windows go through the graph at once, at most.
            kept: Where to put the vectors of the words that count.
        """
        parts = [
            self._score_batch(batch, columns, thresholds, asked, kept)
            for batch in _batches(list(_windows(passages)), batch_size)
        ]
        if not parts:
            ints, floats = np.zeros(0, np.int64), np.zeros(0, np.float32)
            return TagScores(ints, ints, ints, floats, floats, floats)
        return TagScores.concatenate(parts).in_reading_order()

    def logits(self, passages: Sequence[Sequence[str]], labels: EncodedLabels) -> list[Array]:
        """Return each passage's logits: see `Student.forward`, without padding."""
        n_columns = len(labels.names) + (0 if self._is_boundary else 1)
        shape = (n_columns, 3) if self._is_boundary else (n_columns,)
        result = [np.zeros((len(words), *shape), np.float32) for words in passages]
        for batch in _batches(list(_windows(passages)), 64):
            no_label = np.zeros((self._n_states, 0), dtype=np.float32)
            vectors, _ = self._run([window.words for window in batch], no_label)
            for window, states in zip(batch, vectors, strict=True):
                part = slice(window.keep_start, window.keep_end)
                place = slice(window.first_word + part.start, window.first_word + part.stop)
                result[window.passage][place] = self._all_logits(states[part], labels)
        return result

    def label_probs(self, states: Array, labels: EncodedLabels, shifts: Array) -> Array:
        """Return the probability of a span for each label, shape `(labels,)`.

        Args:
            states: The vectors of its words, shape `(words, states)`.
            labels: The labels.
            shifts: Their `LabelColumns.shifts`.
        """
        logits = self._all_logits(states, labels)
        if self._is_boundary:
            inside = logits[:, :, INSIDE].min(axis=0)
            weakest = np.minimum(np.minimum(logits[0, :, START], logits[-1, :, END]), inside)
        else:
            weakest = (logits[:, 1:] - logits[:, :1]).min(axis=0)
        return sigmoid(weakest - shifts)

    def _all_logits(self, states: Array, labels: EncodedLabels) -> Array:
        if self._is_boundary:
            flat = labels.vectors.reshape(-1, states.shape[1])
            logits: Array = (states @ flat.T).reshape(len(states), len(labels.names), 3)
            return logits + self._bias
        none = states @ self._none + self._bias
        return np.concatenate([none, states @ labels.vectors[:, 0].T], axis=1)

    def _run(self, passages: Sequence[Sequence[str]], asked: Array) -> tuple[Array, Array]:
        embedded, n_words = self._words.embed(passages)
        feeds = {"embedded": embedded, "n_words": n_words, "labels": asked}
        words, scores = self._session.run(["words", "scores"], feeds)
        return words, scores

    def _score_batch(
        self,
        batch: Sequence[_Window],
        columns: LabelColumns,
        thresholds: Array,
        asked: NDArray[np.bool_] | None,
        kept: WordVectorsKept | None,
    ) -> TagScores:
        vectors, scores = self._run([window.words for window in batch], columns.asked)
        passages = np.array([window.passage for window in batch])
        counts = _within(batch, vectors.shape[1])
        find = self._find_inside if self._is_boundary else self._find_best
        row, word, label, probs = find(
            vectors, scores, counts, columns, thresholds, None if asked is None else asked[passages]
        )
        found = TagScores(
            passages[row],
            label,
            word + np.array([window.first_word for window in batch])[row],
            *probs,
        )
        if kept is not None:
            at = zip(found.passage.tolist(), found.word.tolist(), strict=True)
            kept.of_word.update(zip(at, vectors[row, word], strict=True))
        return found

    def _find_inside(
        self,
        vectors: Array,
        scores: Array,
        counts: NDArray[np.bool_],
        columns: LabelColumns,
        thresholds: Array,
        asked: NDArray[np.bool_] | None,
    ) -> "_Hits":
        """Return where a boundary student's inside probability is high enough, and all three."""
        # A little below the threshold: probabilities are compared below, as GLiNER does it.
        cuts = _logit(thresholds) + columns.shifts - self._bias[INSIDE] - np.float32(1e-3)
        hits = scores >= cuts
        hits &= counts[:, :, None]
        if asked is not None:
            hits &= asked[:, None, :]
        flat = np.flatnonzero(hits)
        place, label = np.divmod(flat, scores.shape[2])
        row, word = np.divmod(place, scores.shape[1])
        shifts = columns.shifts[label]
        edges = self._edge_logits(vectors.reshape(-1, vectors.shape[2]), place, label, columns)
        start = sigmoid(edges[:, 0] + self._bias[START] - shifts)
        end = sigmoid(edges[:, 1] + self._bias[END] - shifts)
        inside = sigmoid(scores.reshape(-1)[flat] + self._bias[INSIDE] - shifts)
        keep = inside >= thresholds[label]
        return row[keep], word[keep], label[keep], (start[keep], end[keep], inside[keep])

    @staticmethod
    def _edge_logits(
        states: Array, place: NDArray[np.int64], label: NDArray[np.int64], columns: LabelColumns
    ) -> Array:
        """Return start and end products of words with labels, shape `(pairs, 2)`."""
        if len(place) <= _FEW_PAIRS:
            edges: Array = np.einsum("pks,ps->pk", columns.edges[label], states[place])
            return edges
        logits = np.empty((len(place), 2), dtype=np.float32)
        # By radix, since there are few labels.
        by_label = np.argsort(label.astype(np.min_scalar_type(len(columns.names))), kind="stable")
        bounds = np.flatnonzero(np.diff(label[by_label], prepend=-1)).tolist()
        for first, end in pairwise([*bounds, len(place)]):
            rows = by_label[first:end]
            logits[rows] = states[place[rows]] @ columns.edges[label[rows[0]]].T
        return logits

    def _find_best(
        self,
        vectors: Array,
        scores: Array,
        counts: NDArray[np.bool_],
        columns: LabelColumns,
        thresholds: Array,
        asked: NDArray[np.bool_] | None,
    ) -> "_Hits":
        """Return where a softmax student's likeliest label is likely enough against "none"."""
        of_labels = scores[:, :, 1:]
        if asked is not None:
            of_labels = np.where(asked[:, None, :], of_labels, -np.inf)
        best = of_labels.argmax(axis=2)
        margins: Array = of_labels.max(axis=2) - scores[:, :, 0] - self._bias
        probs = sigmoid(margins - columns.shifts[best])
        # Of a passage without labels the margins are -inf, but no probability is below 0.
        row, word = np.nonzero((probs > thresholds[best]) & counts & np.isfinite(margins))
        label, prob = best[row, word], probs[row, word]
        return row, word, label, (prob, prob, prob)


_Hits = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], tuple[Array, Array, Array]]


def count_processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _logit(probs: NDArray[np.floating]) -> Array:
    with np.errstate(divide="ignore"):
        logits: Array = np.log(probs / (1 - probs.astype(np.float64))).astype(np.float32)
    return logits


def _windows(passages: Sequence[Sequence[str]]) -> Iterator[_Window]:
    for number, words in enumerate(passages):
        if 0 < len(words) <= WINDOW_WORDS:
            yield _Window(number, 0, words, 0, len(words))
        elif words:
            ones = np.ones(len(words), dtype=np.int64)
            for cut in plan_windows(ones, max_pieces=WINDOW_WORDS, max_words=WINDOW_WORDS):
                yield _Window(
                    number,
                    cut.start,
                    words[cut.start : cut.end],
                    cut.keep_start - cut.start,
                    cut.keep_end - cut.start,
                )


def _batches(windows: list[_Window], batch_size: int) -> Iterator[list[_Window]]:
    """Yield windows of like length, at most 4,096 words with padding at once."""
    windows.sort(key=lambda window: len(window.words))
    batch: list[_Window] = []
    for window in windows:
        is_full = (len(batch) + 1) * len(window.words) > _BATCH_WORDS or len(batch) == batch_size
        if batch and is_full:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def _within(batch: Sequence[_Window], longest: int) -> NDArray[np.bool_]:
    """Return shape `(batch, words)`, true at words that count."""
    bounds = np.array([(window.keep_start, window.keep_end) for window in batch])
    places = np.arange(longest)
    return (places >= bounds[:, :1]) & (places < bounds[:, 1:])


def _load_graph(graph: bytes, num_threads: int) -> onnxruntime.InferenceSession:
    if not isinstance(num_threads, int) or num_threads < 1:
        raise InputError(f"num_threads is {num_threads!r}; expected a whole number, at least 1")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            graph, sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # the library has a dozen kinds
        reason = str(error).splitlines()[0]
        raise StudentError(f"words.onnx cannot be loaded: {reason}") from error
    return session


def _check_graph(session: onnxruntime.InferenceSession, config: StudentConfig) -> None:
    inputs = {item.name for item in session.get_inputs()}
    outputs = {item.name for item in session.get_outputs()}
    if inputs != _INPUTS or outputs != _OUTPUTS:
        raise StudentError(
            f"words.onnx is not a student's: it takes {sorted(inputs)} and gives "
            f"{sorted(outputs)}; expected {sorted(_INPUTS)} and {sorted(_OUTPUTS)}"
        )
    n_states = _count_states(config)
    expected = {
        "embedded": ("tensor(float)", [None, None, config.embedding_width]),
        "n_words": ("tensor(int32)", [None]),
        "labels": ("tensor(float)", [n_states, None]),
        "words": ("tensor(float)", [None, None, n_states]),
        "scores": ("tensor(float)", [None, None, None]),
    }
    for item in (*session.get_inputs(), *session.get_outputs()):
        found = item.type, [size if isinstance(size, int) else None for size in item.shape]
        if found != expected[item.name]:
            raise StudentError(
                f"words.onnx does not fit the student: {item.name} is {found}; expected "
                f"{expected[item.name]}"
            )


def _count_states(config: StudentConfig) -> int:
    return config.hidden_width * (2 if config.bidirectional else 1)
