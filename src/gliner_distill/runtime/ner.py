"""`StudentNER`: a student behind GLiNER's own methods, on numpy and onnxruntime alone.

In: texts and labels. Out: entities as dictionaries, with character positions. Words, labels and
overlaps follow GLiNER; unlike a GLiNER it reads texts of any length to their end.

A score is the student's probability, moved so that 0.5 is the threshold that was fitted for the
student or for the label (`Bundle.threshold`, `Bundle.label_thresholds`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from gliner_distill.decoding import find_spans, join_words, pick_entities
from gliner_distill.entities import Entity, word_texts
from gliner_distill.errors import InputError, StudentError
from gliner_distill.runtime.bundle import Bundle, read_bundle, write_bundle
from gliner_distill.runtime.config import GRAPH_FILE
from gliner_distill.runtime.heads import BOUNDARY
from gliner_distill.runtime.inputs import (
    EntityDict,
    OnLong,
    _chunks,
    _in_words,
    _read_gold,
    _Request,
    _shown,
    _union,
    _words_of,
    describe_entities,
)
from gliner_distill.runtime.labels import (
    EncodedLabels,
    Labels,
    LabelSet,
    Prompts,
    is_per_text,
    read_label_set,
    read_per_text,
)
from gliner_distill.runtime.locate import locate_model
from gliner_distill.runtime.scorer import (
    LabelColumns,
    StudentScorer,
    WordVectorsKept,
    count_processors,
)
from gliner_distill.runtime.thresholds import fit_label_thresholds

_CHUNK_BATCHES = 8


_KEPT_LABEL_SETS = 64


_TOP_LABELS = 5


_CALIBRATED_FROM = 0.1


_CALIBRATED_TOGETHER = 512


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
        """Load the student that a name stands for.

        Args:
            model: The folder of a student, of a training run or of an export; a hub id; or None
                for the open-label student that is installed with the package.
            num_threads: See `StudentNER`.

        Raises:
            StudentError: There is no student of that name, or its files are broken.
            HubError: The hub id cannot be downloaded and is not in the cache.
        """
        located = locate_model(model)
        if located.kind == "gliner":
            raise StudentError(
                f"{model}: this is a GLiNER, not a student; distill a student from it "
                f"(`gliner-distill distill`), or use `gliner_distill.load_model`"
            )
        if not (located.folder / GRAPH_FILE).is_file():
            raise StudentError(
                f"{located.folder}: there is no {GRAPH_FILE}, which the runtime needs; write it "
                f"with `gliner-distill export {located.folder} --out FOLDER`"
            )
        return cls(read_bundle(located.folder), num_threads=num_threads)

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
    ) -> list[EntityDict]:
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
    ) -> list[list[EntityDict]]: ...

    @overload
    def inference(
        self, texts: Iterable[str], labels: Labels, *args: Any, **kwargs: Any
    ) -> Iterator[list[EntityDict]]: ...

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
    ) -> list[list[EntityDict]] | Iterator[list[EntityDict]]:
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

    def tune_thresholds(
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
        return self.tune_word_thresholds(passages, by_word, labels)

    def tune_word_thresholds(
        self,
        passages: Sequence[Sequence[str]],
        entities: Sequence[Sequence[Entity]],
        labels: Sequence[str] | None = None,
        *,
        min_gain: float = 0.0,
    ) -> dict[str, float]:
        """Do as `tune_thresholds`, with passages that are split into words already.

        Args:
            passages: The words of each.
            entities: The entities of each.
            labels: See `tune_thresholds`.
            min_gain: By how much F1 must be better for a label's threshold to be moved.

        Raises:
            InputError: See `tune_thresholds`.
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
    ) -> Iterator[list[EntityDict]]:
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
    ) -> list[list[EntityDict]]:
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
