"""`StudentNER`: a student behind GLiNER's own methods, on numpy and onnxruntime alone.

In: texts and labels. Out: entities as dictionaries, with character positions. Words, labels and
overlaps follow GLiNER; unlike a GLiNER it reads texts of any length to their end.

A score is the student's probability, moved so that 0.5 is the threshold that was fitted for the
student or for the label (`Bundle.threshold`, `Bundle.label_thresholds`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from functools import lru_cache
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from gliner_distill.bundle import GRAPH_FILE, Bundle, read_bundle, write_bundle
from gliner_distill.calibration import fit_label_thresholds
from gliner_distill.entities import Entity, word_bounds, word_texts
from gliner_distill.errors import HubError, InputError, StudentError
from gliner_distill.hub import download_model, looks_like_hub_id
from gliner_distill.label_sets import (
    EncodedLabels,
    Labels,
    LabelSet,
    Prompts,
    is_per_text,
    read_label_set,
    read_per_text,
)
from gliner_distill.scoring import (
    WINDOW_WORDS,
    LabelColumns,
    StudentScorer,
    WordVectorsKept,
    count_processors,
)
from gliner_distill.span_decoding import find_spans, join_words, pick_entities
from gliner_distill.student_config import BOUNDARY, CONFIG_FILE, find_student, open_student_path

_CHUNK_BATCHES = 8
_CHUNK_CHARS = 1_000_000
_KEPT_LABEL_SETS = 64
_TOP_LABELS = 5
_CALIBRATED_FROM = 0.1
_CALIBRATED_TOGETHER = 512

OnLong = Literal["window", "truncate", "error"]
Found = dict[str, Any]
"""An entity: `start`, `end` (characters), `text`, `label`, `score`; on demand `class_probs`."""


@dataclass(frozen=True, slots=True)
class _Request:
    flat_ner: bool = True
    multi_label: bool = False
    threshold: float = 0.5
    thresholds: Mapping[str, float] | None = None
    batch_size: int = 64
    return_class_probs: bool = False
    on_long: OnLong = "window"

    def check(self) -> None:
        """Raise an `InputError` for what is out of its range."""
        _check_probability("threshold", self.threshold)
        if self.thresholds is not None and not isinstance(self.thresholds, Mapping):
            raise InputError(f"thresholds is {self.thresholds!r}; expected {{label: probability}}")
        for label, value in (self.thresholds or {}).items():
            _check_probability(f"thresholds[{label!r}]", value)
        if isinstance(self.batch_size, bool) or not isinstance(self.batch_size, Integral):
            raise InputError(f"batch_size is {self.batch_size!r}; expected a whole number")
        if self.batch_size < 1:
            raise InputError(f"batch_size is {self.batch_size}; expected at least 1")
        if self.on_long not in ("window", "truncate", "error"):
            raise InputError(
                f"on_long is {self.on_long!r}; expected 'window', 'truncate' or 'error'"
            )

    def of_labels(self, names: Sequence[str]) -> NDArray[np.float32]:
        """Return each label's threshold, shape `(labels,)`."""
        given = self.thresholds or {}
        return np.array([given.get(name, self.threshold) for name in names], dtype=np.float32)


class StudentNER:
    """A student that finds entities of any label; several threads may share one.

    Args:
        bundle: The student's weights, graph and vocabulary.
        num_threads: Threads of the graph; None for one for each processor that this process may
            use.

    Raises:
        StudentError: The graph cannot be loaded, or is not a student's.
        InputError: `num_threads` is below 1.
    """

    def __init__(self, bundle: Bundle, *, num_threads: int | None = None) -> None:
        self._bundle = bundle
        n_threads = num_threads if num_threads is not None else count_processors()
        self._scorer = StudentScorer(bundle, num_threads=n_threads)
        self._columns = lru_cache(_KEPT_LABEL_SETS)(self._compute_columns)

    @classmethod
    def from_pretrained(
        cls, model: str | Path | None = None, *, num_threads: int | None = None
    ) -> "StudentNER":
        """Return the student at a path or of a hub id.

        Args:
            model: A folder that `export` wrote; a student's folder or a run folder, which is
                exported in memory if need be, with torch; a hub id; or None for the student of any
                label that comes with the package.
            num_threads: See `StudentNER`.

        Raises:
            StudentError: There is no student, or it is broken.
            HubError: The hub id could not be had.
            MissingExtraError: It has to be exported first, and torch or onnx is not installed.
        """
        return cls(find_bundle(model), num_threads=num_threads)

    @property
    def precision(self) -> str:
        """`fp32` or `int8`."""
        return self._bundle.precision

    def predict_entities(
        self,
        text: str,
        labels: LabelSet,
        flat_ner: bool = True,
        threshold: float = 0.5,
        multi_label: bool = False,
        return_class_probs: bool = False,
        *,
        thresholds: Mapping[str, float] | None = None,
        on_long: OnLong = "window",
    ) -> list[Found]:
        """Return the entities of one text, in order of position; see `inference`."""
        request = _Request(
            flat_ner,
            multi_label,
            threshold,
            thresholds,
            return_class_probs=return_class_probs,
            on_long=on_long,
        )
        request.check()
        if is_per_text(labels) and isinstance(labels, Sequence):
            sets = read_per_text(labels)
            if len(sets) != 1:
                raise InputError(f"labels holds {len(sets)} lists for one text")
            return self._answer([text], sets, request, first=0)[0]
        return self._answer([text], read_label_set(labels), request, first=0)[0]

    @overload
    def inference(
        self, texts: str | list[str] | tuple[str, ...], labels: Labels, *args: Any, **kwargs: Any
    ) -> list[list[Found]]: ...

    @overload
    def inference(
        self, texts: Iterable[str], labels: Labels, *args: Any, **kwargs: Any
    ) -> Iterator[list[Found]]: ...

    def inference(
        self,
        texts: str | Iterable[str],
        labels: Labels,
        flat_ner: bool = True,
        threshold: float = 0.5,
        multi_label: bool = False,
        batch_size: int = 64,
        return_class_probs: bool = False,
        *,
        thresholds: Mapping[str, float] | None = None,
        on_long: OnLong = "window",
    ) -> list[list[Found]] | Iterator[list[Found]]:
        """Return the entities of several texts, a list for each, in order of position.

        An entity is a dictionary of `start` and `end` (characters, end exclusive), `text`, `label`
        and `score`. No text's answer depends on the other texts or, of a student with a `boundary`
        head, on the other labels.

        Args:
            texts: A text, a list of them or whatever has a length, or any other iterable, such as a
                generator: the answer is then an iterator that reads ahead by some hundred texts and
                keeps none.
            labels: What to find in all texts: strings, or a mapping from label to the description
                that the student reads in its place; or a list with such a list or mapping for each
                text. A label given twice counts once.
            flat_ner: Whether entities may not overlap; if not, one may lie inside another.
            threshold: Score that an entity must exceed.
            multi_label: Whether a span may have several labels.
            batch_size: How many texts go through the student at once, at most.
            return_class_probs: Whether each entity has `class_probs`: the scores that its span has
                for the five labels likeliest for it.
            thresholds: The score that entities of some labels must exceed instead; labels that are
                not asked do not matter.
            on_long: What to do with a text of more than 384 words: `window` reads it all, in
                windows that overlap; `truncate` leaves the rest out, as a GLiNER does; `error`
                raises.

        Raises:
            InputError: A text, a label or an option is not what it must be. The message says
                which.
        """
        request = _Request(
            flat_ner, multi_label, threshold, thresholds, batch_size, return_class_probs, on_long
        )
        request.check()
        if isinstance(texts, str):
            texts = [texts]
        if isinstance(texts, bytes) or not isinstance(texts, Iterable):
            raise InputError(f"texts is {_shown(texts)}; expected a string, or strings")
        asked: Prompts | list[Prompts]
        if is_per_text(labels) and isinstance(labels, Sequence):
            asked = read_per_text(labels)
            if isinstance(texts, Sequence) and len(texts) != len(asked):
                raise InputError(f"labels holds {len(asked)} lists for {len(texts)} texts")
        else:
            asked = read_label_set(labels)
        answers = self._stream(texts, asked, request)
        return list(answers) if isinstance(texts, Sized) else answers

    def encode_labels(self, labels: LabelSet) -> EncodedLabels:
        """Return labels ready for use as `labels` of the other methods.

        The vectors of 8,192 labels are kept in any case, so this serves to look at them, or to
        compute them before the first text comes.

        Raises:
            InputError: See `inference`.
        """
        prompts = read_label_set(labels)
        self._columns(prompts)
        return self._scorer.encode(prompts)

    def calibrate(
        self,
        texts: Sequence[str],
        entities: Sequence[Sequence[Mapping[str, Any]]],
        labels: Sequence[str] | None = None,
    ) -> dict[str, float]:
        """Move 0.5 to where F1 is best on annotated texts, for each label by itself.

        A label with fewer than five annotated entities has the threshold that is best for all
        together. Not safe while other threads use this student. `save_pretrained` keeps it.

        Args:
            texts: Some texts, best not those that the student learned from.
            entities: The entities of each: `start`, `end` and `label`, as `inference` gives them.
            labels: What to ask; None for the labels of the entities.

        Returns:
            The probability of each label, as the student had it, that is 0.5 from now on.

        Raises:
            InputError: There are no entities, or not as many lists of them as texts.
            StudentError: The student has no `boundary` head.
        """
        gold = _read_gold(texts, entities)
        passages = [word_texts(text) for text in texts]
        by_word = [_in_words(text, of_text) for text, of_text in zip(texts, gold, strict=True)]
        return self.calibrate_words(passages, by_word, labels)

    def calibrate_words(
        self,
        passages: Sequence[Sequence[str]],
        entities: Sequence[Sequence[Entity]],
        labels: Sequence[str] | None = None,
        *,
        min_gain: float = 0.0,
    ) -> dict[str, float]:
        """Do as `calibrate`, with passages that are split into words already.

        Args:
            passages: The words of each.
            entities: The entities of each.
            labels: See `calibrate`.
            min_gain: By how much F1 must be better for a label's threshold to be moved.

        Raises:
            InputError: See `calibrate`.
            StudentError: The student has no `boundary` head.
        """
        if self._bundle.config.head != BOUNDARY:
            raise StudentError("only a student with a boundary head can be calibrated")
        gold = [{(one.start_word, one.end_word, one.label) for one in found} for found in entities]
        asked = read_label_set(
            labels if labels is not None else sorted({label for one in gold for _, _, label in one})
        )
        if not asked or not any(gold):
            raise InputError("there is no annotated entity to calibrate by")
        names = [name for name, _ in asked]
        own = {name: self._threshold_of(name) for name in names}
        found = self._candidates(passages, asked)
        fitted = fit_label_thresholds(found, gold, own, min_gain=min_gain)
        kept = {**self._bundle.label_thresholds, **fitted}
        self._bundle = replace(self._bundle, label_thresholds=kept)
        self._columns.cache_clear()
        return fitted

    def save_pretrained(self, folder: str | Path) -> None:
        """Write this student's files, with its thresholds, for `from_pretrained`.

        Raises:
            StudentError: The folder cannot be written.
        """
        write_bundle(Path(folder), self._bundle)

    def predict_words(
        self,
        passages: Sequence[Sequence[str]],
        labels: Sequence[Sequence[str]],
        *,
        threshold: float = 0.5,
    ) -> list[list[Entity]]:
        """Return the entities of passages that are split into words already.

        Args:
            passages: The words of each.
            labels: The labels asked of each.
            threshold: See `inference`.
        """
        request = _Request(threshold=threshold)
        request.check()
        return self._find(passages, read_per_text([list(one) for one in labels]), request)[0]

    def word_logits(
        self, passages: Sequence[Sequence[str]], labels: LabelSet
    ) -> list[NDArray[np.float32]]:
        """Return each passage's logits before any threshold is moved: see `Student.forward`."""
        prompts = read_label_set(labels)
        return self._scorer.logits(passages, self._scorer.encode(prompts))

    def _stream(
        self, texts: Iterable[str], asked: Prompts | list[Prompts], request: _Request
    ) -> Iterator[list[Found]]:
        first = 0
        for chunk in _chunks(texts, _CHUNK_BATCHES * request.batch_size):
            part = asked[first : first + len(chunk)] if isinstance(asked, list) else asked
            if isinstance(part, list) and len(part) < len(chunk):
                raise InputError(f"labels holds {len(asked)} lists; there are more texts")
            yield from self._answer(chunk, part, request, first=first)
            first += len(chunk)
        if isinstance(asked, list) and first < len(asked):
            raise InputError(f"labels holds {len(asked)} lists for {first} texts")

    def _answer(
        self, texts: Sequence[str], asked: Prompts | list[Prompts], request: _Request, *, first: int
    ) -> list[list[Found]]:
        passages = [
            _words_of(text, number, request.on_long) for number, text in enumerate(texts, first)
        ]
        entities, probs = self._find(passages, asked, request)
        return [
            describe_entities(text, found, of_text)
            for text, found, of_text in zip(texts, entities, probs, strict=True)
        ]

    def _find(
        self, passages: Sequence[Sequence[str]], asked: Prompts | list[Prompts], request: _Request
    ) -> tuple[list[list[Entity]], list[list[dict[str, float]]]]:
        """Return each passage's entities and, on demand, the likeliest labels of each entity."""
        prompts, mask = _union(asked) if isinstance(asked, list) else (asked, None)
        n_passages = len(passages)
        if not prompts:
            return [[] for _ in passages], [[] for _ in passages]
        labels, columns = self._columns(prompts)
        thresholds = request.of_labels(columns.names)
        kept = WordVectorsKept() if request.return_class_probs else None
        scores = self._scorer.score(
            passages,
            columns,
            thresholds,
            asked=mask,
            batch_size=request.batch_size,
            kept=kept,
        )
        if self._bundle.config.head != BOUNDARY:
            scores = join_words(scores)
        found = pick_entities(
            find_spans(scores, thresholds),
            columns.names,
            n_passages,
            flat_ner=request.flat_ner,
            multi_label=request.multi_label,
        )
        if kept is None:
            return found, [[] for _ in found]
        return found, [
            [self._likeliest(kept, number, entity, labels, columns, mask) for entity in entities]
            for number, entities in enumerate(found)
        ]

    def _likeliest(
        self,
        kept: WordVectorsKept,
        passage: int,
        entity: Entity,
        labels: EncodedLabels,
        columns: LabelColumns,
        mask: NDArray[np.bool_] | None,
    ) -> dict[str, float]:
        words = range(entity.start_word, entity.end_word)
        states = np.stack([kept.of_word[passage, word] for word in words])
        probs = self._scorer.label_probs(states, labels, columns.shifts)
        asked = np.arange(len(probs)) if mask is None else np.flatnonzero(mask[passage])
        best = asked[np.argsort(-probs[asked], kind="stable")[:_TOP_LABELS]]
        return {columns.names[label]: float(probs[label]) for label in best.tolist()}

    def _candidates(self, passages: Sequence[Sequence[str]], asked: Prompts) -> list[list[Entity]]:
        """Return every label's own entities above a low threshold."""
        labels = self._scorer.encode(asked)
        columns = self._scorer.columns(labels, dict.fromkeys(labels.names, 0.5))
        thresholds = np.full(len(labels.names), _CALIBRATED_FROM, dtype=np.float32)
        result: list[list[Entity]] = []
        for first in range(0, len(passages), _CALIBRATED_TOGETHER):
            chunk = passages[first : first + _CALIBRATED_TOGETHER]
            spans = find_spans(self._scorer.score(chunk, columns, thresholds), thresholds)
            # Labels do not compete here: each is a passage of its own.
            apart = replace(spans, passage=spans.passage * len(asked) + spans.label)
            found = pick_entities(
                apart, labels.names, len(chunk) * len(asked), flat_ner=True, multi_label=False
            )
            for number in range(len(chunk)):
                own = found[number * len(asked) : (number + 1) * len(asked)]
                result.append([entity for entities in own for entity in entities])
        return result

    def _compute_columns(self, prompts: Prompts) -> tuple[EncodedLabels, LabelColumns]:
        labels = self._scorer.encode(prompts)
        own = {name: self._threshold_of(name) for name in labels.names}
        return labels, self._scorer.columns(labels, own)

    def _threshold_of(self, label: str) -> float:
        return self._bundle.label_thresholds.get(label, self._bundle.threshold)


def find_bundle(model: str | Path | None) -> Bundle:
    """Return the student that `StudentNER.from_pretrained` means by a name.

    Raises:
        StudentError: There is no student, or it is broken.
        HubError: The hub id could not be had.
        MissingExtraError: It has to be exported first, and torch or onnx is not installed.
    """
    try:
        folder = open_student_path() if model is None else find_student(model)
        exists = folder is not None or Path(str(model)).exists()
    except OSError as error:  # the name is too long, or a folder may not be read
        raise StudentError(f"{model}: cannot be read: {error.strerror or error}") from error
    if not exists and looks_like_hub_id(str(model)):
        try:
            folder = find_student(download_model(str(model)))
        except HubError as error:
            raise HubError(
                f"{model}: no such folder of a student, and as a hub id: {error}"
            ) from error
    if folder is None:
        raise StudentError(
            f"{model}: no student: no {CONFIG_FILE} in it or in its folder student; expected the "
            "folder of a student, of a run or of an export, or a hub id (owner/name)"
        )
    if (folder / GRAPH_FILE).is_file():
        return read_bundle(folder)
    return _export_in_memory(folder)


def _export_in_memory(folder: Path) -> Bundle:
    from gliner_distill.errors import MissingExtraError

    try:
        from gliner_distill.export import make_bundle
        from gliner_distill.student import load_student
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("gliner_distill"):
            raise
        raise MissingExtraError(error.name, "train") from error
    return make_bundle(*load_student(folder))


def _words_of(text: object, number: int, on_long: OnLong) -> list[str]:
    if not isinstance(text, str):
        raise InputError(f"texts[{number}] is {_shown(text)}; expected a string")
    words = word_texts(text)
    if on_long != "window" and len(words) > WINDOW_WORDS:
        if on_long == "error":
            raise InputError(
                f"texts[{number}] has {len(words):,} words, more than {WINDOW_WORDS}; cut it, or "
                "use on_long='window'"
            )
        return words[:WINDOW_WORDS]
    return words


def describe_entities(
    text: str, entities: Sequence[Entity], probs: Sequence[dict[str, float]] = ()
) -> list[Found]:
    """Return entities of a text's words as dictionaries with characters; see `inference`.

    Args:
        text: The text.
        entities: Spans of its words.
        probs: The `class_probs` of each, where wanted.
    """
    if not entities:
        return []
    bounds = word_bounds(text)
    found: list[Found] = []
    for entity in entities:
        start, end = bounds[entity.start_word][0], bounds[entity.end_word - 1][1]
        found.append(
            {
                "start": start,
                "end": end,
                "text": text[start:end],
                "label": entity.label,
                "score": entity.score,
            }
        )
    for described, of_labels in zip(found, probs, strict=False):
        described["class_probs"] = of_labels
    return found


def _union(asked: list[Prompts]) -> tuple[Prompts, NDArray[np.bool_] | None]:
    """Return all labels of several sets, and which of them each set has; None where all do."""
    if all(one == asked[0] for one in asked):
        return (asked[0] if asked else ()), None
    column = {
        prompt: place for place, prompt in enumerate(dict.fromkeys(p for s in asked for p in s))
    }
    mask = np.zeros((len(asked), len(column)), dtype=np.bool_)
    for row, prompts in enumerate(asked):
        mask[row, [column[prompt] for prompt in prompts]] = True
    return tuple(column), mask


def _chunks(texts: Iterable[str], n_texts: int) -> Iterator[list[str]]:
    """Yield texts, some at a time: at most so many, and few where they are long."""
    chunk: list[str] = []
    n_chars = 0
    for text in texts:
        chunk.append(text)
        n_chars += len(text) if isinstance(text, str) else 0
        if len(chunk) == n_texts or n_chars >= _CHUNK_CHARS:
            yield chunk
            chunk, n_chars = [], 0
    if chunk:
        yield chunk


def _read_gold(
    texts: Sequence[str], entities: Sequence[Sequence[Mapping[str, Any]]]
) -> list[set[tuple[int, int, str]]]:
    for name, given in (("texts", texts), ("entities", entities)):
        if isinstance(given, str | bytes) or not isinstance(given, Sequence):
            raise InputError(f"{name} is {_shown(given)}; expected a list")
    if len(texts) != len(entities):
        raise InputError(f"there are {len(texts)} texts and {len(entities)} lists of entities")
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"texts[{number}] is {_shown(text)}; expected a string")
    gold: list[set[tuple[int, int, str]]] = []
    for number, found in enumerate(entities):
        try:
            gold.append({(one["start"], one["end"], one["label"]) for one in found})
        except (KeyError, TypeError) as error:
            raise InputError(
                f"entities[{number}] is {_shown(found)}; an entity must have start, end and label"
            ) from error
        for *_, label in gold[-1]:
            if not isinstance(label, str):
                raise InputError(f"entities[{number}] has the label {label!r}; expected a string")
    return gold


def _in_words(text: str, gold: set[tuple[int, int, str]]) -> list[Entity]:
    """Return entities by words; one that does not end where words do is a span of no words."""
    bounds = word_bounds(text)
    first = {start: word for word, (start, _) in enumerate(bounds)}
    last = {end: word for word, (_, end) in enumerate(bounds)}
    return [
        Entity(first[start], last[end] + 1, label)
        if start in first and end in last
        else Entity(-1 - place, -1 - place, label)
        for place, (start, end, label) in enumerate(sorted(gold))
    ]


def _check_probability(name: str, value: object) -> None:
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= 1:  # type: ignore[operator]
        raise InputError(f"{name} is {value!r}; expected a number from 0 to 1")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
