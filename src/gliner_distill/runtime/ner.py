"""`StudentNER`: a student with GLiNER's own methods, on numpy and onnxruntime.

The input is texts and labels, and the output is entities as dictionaries with character positions.
Words, labels and overlaps are treated as in GLiNER; unlike a GLiNER, a student reads texts of any
length completely.

A score is the student's probability, shifted so that the threshold that was fitted for the student
or for the label becomes 0.5 (`Bundle.threshold`, `Bundle.label_thresholds`), and then mapped if the
student has a map of scores (`Bundle.score_map`).
"""

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence, Sized
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from gliner_distill.entities import Entity, EntityDict, word_texts
from gliner_distill.errors import InputError, StudentError, shorten
from gliner_distill.hub.options import HubOptions
from gliner_distill.redaction.labels import PERSONAL_LABELS
from gliner_distill.redaction.redactor import Redaction, RedactionMode, Redactor
from gliner_distill.runtime.answers import answer_stream, answer_texts
from gliner_distill.runtime.bundle import Bundle, read_bundle
from gliner_distill.runtime.finder import EntityFinder
from gliner_distill.runtime.gliner_api.keywords import check_loading_keywords, warn_unless_cpu
from gliner_distill.runtime.gold import match_words, read_gold
from gliner_distill.runtime.inputs import InferenceOptions, OnLong
from gliner_distill.runtime.labels import (
    EncodedLabels,
    Labels,
    LabelSet,
    read_label_set,
    read_labels,
    read_per_text,
)
from gliner_distill.runtime.locate import locate_student
from gliner_distill.runtime.memory import DEFAULT_MEMORY, MemoryPlan
from gliner_distill.runtime.sharing.student import SharedStudent
from gliner_distill.runtime.thresholds import GoldPassage, labels_of


class StudentNER(SharedStudent):
    """A student that finds entities of any label; several threads may share one.

    `StudentNER.from_pretrained()` loads the student that is installed with the package, and
    `StudentNER.from_pretrained(folder)` one of yours.

    Args:
        bundle: The files of a student, as `from_pretrained` reads them.
        num_threads: The number of threads of the graph; None for `OMP_NUM_THREADS` if that is set,
            and otherwise for one per processor that this process may use.
        name: The student's name in its `repr`, such as its folder.
        max_memory: The memory that the process may take, in bytes or as a size such as `2GB`. It
            bounds what is cached and compared at once, and changes no answer; see `memory`.

    Attributes:
        report: The path of the report of the distillation that made this student; None if
            `distill` did not make it in this process.

    Raises:
        StudentError: The graph cannot be loaded, or it does not fit the student.
        InputError: `num_threads` is below 1, or `max_memory` is not a size of at least 320 MB.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        num_threads: int | None = None,
        name: str | None = None,
        max_memory: str | int = DEFAULT_MEMORY,
    ) -> None:
        self.report: Path | None = None
        self._name = name
        plan = MemoryPlan.of(max_memory)
        self._finder = EntityFinder(bundle, num_threads=num_threads, plan=plan)

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path | None = None,
        *,
        num_threads: int | None = None,
        max_memory: str | int = DEFAULT_MEMORY,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
        map_location: object = "cpu",
        **gliner_keywords: Any,
    ) -> "StudentNER":
        """Load the student that a name stands for.

        Args:
            model: The folder of a student, of a training run or of an export; a hub id; or None
                for the open-label student that is installed with the package.
            num_threads: See `StudentNER`.
            max_memory: See `StudentNER`.
            revision: The branch, the tag or the commit of a hub id; None for the main branch.
            token: The token for the hub; None for the one that you are logged in with.
            cache_dir: The folder of the hub's cache; None for the usual one.
            local_files_only: Whether the hub is not asked, but only the cache.
            force_download: Whether files of the hub that are in the cache are downloaded again.
            map_location: A student runs on the CPU; another device gives a warning.
            gliner_keywords: GLiNER's others, such as `load_onnx_model`, which have no effect.

        Raises:
            StudentError: The name leads to no student but a GLiNER, say, or its files are broken.
            HubError: The hub id cannot be downloaded and is not in the cache.
            InputError: A keyword of GLiNER asks for something that a student cannot do.
            TypeError: GLiNER has no such keyword.
        """
        check_loading_keywords(gliner_keywords, cls.from_pretrained)
        warn_unless_cpu(map_location, f"map_location={str(map_location)!r}")
        options = HubOptions(revision, token, cache_dir, local_files_only, force_download)
        folder = locate_student(model, options=options)
        # The bundled student lies in a long path of the installation.
        name = folder.name if model is None else str(model)
        bundle = read_bundle(folder)
        try:
            return cls(bundle, num_threads=num_threads, name=name, max_memory=max_memory)
        except StudentError as error:  # it names the file alone
            raise StudentError(f"{folder}: {error}") from error

    def __repr__(self) -> str:
        bundle = self._finder.bundle
        name = "" if self._name is None else f"{self._name!r}, "
        head, n_parameters = bundle.config.head, bundle.n_parameters
        return f"StudentNER({name}{head} head, {n_parameters:,} parameters, {bundle.precision})"

    @property
    def n_cached_bytes(self) -> int:
        """The bytes of the cached vectors of words and labels."""
        return self._finder.n_cached_bytes

    @property
    def precision(self) -> str:
        """The precision of the graph, `fp32` or `int8`."""
        return self._finder.bundle.precision

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
        patterns: bool = True,
    ) -> list[EntityDict]:
        """Return the entities of one text, in order of position; see `inference`."""
        options = InferenceOptions(
            flat_ner, multi_label, threshold, thresholds, 1, return_class_probs, on_long, patterns
        )
        options.check()
        return answer_texts(self._finder, [text], read_labels(labels, 1), options)[0]

    def redact(
        self,
        text: str,
        labels: LabelSet = PERSONAL_LABELS,
        mode: RedactionMode = "label",
        *,
        threshold: float = 0.5,
        thresholds: Mapping[str, float] | None = None,
        patterns: bool = True,
        key: str | bytes | None = None,
        mapping: MutableMapping[str, str] | None = None,
    ) -> Redaction:
        """Return a text with its entities replaced, personal data unless other labels are given.

        For many texts, pass the answers of `inference` to one `Redactor`, which is faster.

        Args:
            text: The text.
            labels: The labels to redact, as in `inference`.
            mode: The kind of replacement; see `Redactor`, also for `key` and `mapping`.
            threshold: See `inference`; a lower one redacts more.
            thresholds: See `inference`.
            patterns: See `inference`.
            key: The secret for the mode `hash`.
            mapping: The placeholders of earlier texts for the mode `mapping`; new ones are added.

        Raises:
            InputError: An argument has a wrong type or value.
        """
        redactor = Redactor(mode, key=key, mapping=mapping)
        entities = self.predict_entities(
            text, labels, threshold=threshold, thresholds=thresholds, patterns=patterns
        )
        return redactor.redact(text, entities)

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
        patterns: bool = True,
    ) -> list[list[EntityDict]] | Iterator[list[EntityDict]]:
        """Return the entities of several texts: one list per text, in order of position.

        An entity is a dictionary of `start` and `end` (character offsets, end exclusive), `text`,
        `label` and `score`. With a `boundary` head, the scores of a label do not depend on the
        other labels. In 8-bit precision, they may depend on the other texts in the batch.

        Args:
            texts: One text; a list or another collection of texts; or any other iterable, such as
                a generator. In the last case the result is an iterator, which reads a few hundred
                texts ahead and does not keep them.
            labels: The labels to find in all texts, as strings or as a mapping from each label to
                a description that the student reads in its place; or a list with one such list or
                mapping per text. A label that is given twice counts once. Answers have the
                spelling of the label, which makes no other difference (see `clean_label`); two
                spellings of one label, such as "US" and "us", are refused.
            flat_ner: Whether entities may not overlap; if unset, one may lie inside another. Where
                neither overlaps nor several labels are allowed, a student that compares labels
                prefers the more specific of two labels that share a word, whatever their scores.
            threshold: The score that an entity must exceed; 0.5 is a good default, because scores
                are shifted so that the fitted threshold lies there.
            multi_label: Whether a span may have several labels.
            batch_size: The most texts that go through the student at once.
            return_class_probs: Whether each entity has `class_probs`, the scores of the five
                labels that are likeliest for its span.
            thresholds: Other thresholds for some labels. Labels that are not asked are ignored.
            on_long: The treatment of a text of more than 384 words: `window` reads all of it, in
                overlapping windows; `truncate` drops the rest, as a GLiNER does; `error` raises.
            patterns: Whether e-mail addresses, URLs, IP and MAC addresses, IBANs and card numbers
                are also found by checked patterns where a label asks for them. Such an entity has
                the score 1 and `"source": "pattern"`, and replaces those that it overlaps.

        Raises:
            InputError: A text, a label or an option has a wrong type or value; the message says
                which one.
        """
        options = InferenceOptions(
            flat_ner,
            multi_label,
            threshold,
            thresholds,
            batch_size,
            return_class_probs,
            on_long,
            patterns,
        )
        options.check()
        if isinstance(texts, str):
            texts = [texts]
        if isinstance(texts, bytes) or not isinstance(texts, Iterable):
            raise InputError(f"texts is {shorten(texts)}; expected a string or strings")
        asked = read_labels(labels, len(texts) if isinstance(texts, Sequence) else None)
        answers = answer_stream(self._finder, texts, asked, options)
        return list(answers) if isinstance(texts, Sized) else answers

    def predict_words(
        self,
        passages: Sequence[Sequence[str]],
        labels: Sequence[Sequence[str]],
        *,
        threshold: float = 0.5,
    ) -> list[list[Entity]]:
        """Return the entities of passages that are already split into words.

        Args:
            passages: The words of each passage.
            labels: The labels that are asked for each passage.
            threshold: See `inference`.

        Raises:
            InputError: See `inference`.
        """
        options = InferenceOptions(threshold=threshold)
        options.check()
        asked = read_per_text([list(passage_labels) for passage_labels in labels])
        return self._finder.find(passages, asked, options)[0]

    def encode_labels(self, labels: LabelSet) -> EncodedLabels:
        """Return labels with their vectors, for use as `labels` of the other methods.

        The student caches the vectors of thousands of labels anyway, so this method is only needed
        to look at the vectors, or to compute them before the first text arrives.

        Raises:
            InputError: See `inference`.
        """
        return self._finder.encode(read_label_set(labels))

    def word_logits(
        self, passages: Sequence[Sequence[str]], labels: LabelSet
    ) -> list[NDArray[np.float32]]:
        """Return the logits of each passage, as `Student.forward` does.

        They are neither shifted by thresholds nor mapped.

        Args:
            passages: The words of each passage.
            labels: The labels to ask of all passages.
        """
        return self._finder.logits(passages, read_label_set(labels))

    def tune_thresholds(
        self,
        texts: Sequence[str],
        entities: Sequence[Sequence[Mapping[str, Any]]],
        labels: Sequence[str] | None = None,
        *,
        min_recall: float | None = None,
    ) -> dict[str, float]:
        """Fit the threshold of each label to annotated texts, so that its F1 is best at 0.5.

        A label with fewer than five annotated entities gets the threshold that is best for all
        labels together. `save_pretrained` keeps the thresholds. Do not call this while other
        threads use the student.

        With `min_recall`, each label gets the highest threshold at which this share of its entities
        is found, alone or by its pattern. A warning is logged if a label cannot reach it.

        An entity that does not begin and end where words do counts as missed. A warning gives the
        number of such entities.

        Args:
            texts: Texts, preferably not those that the student was trained on.
            entities: The entities of each text, with `start`, `end` and `label` as `inference`
                returns them.
            labels: The labels to tune; None for those of the entities.
            min_recall: The recall to reach, above 0 and at most 1; None for the best F1.

        Returns:
            For each label, the student's own probability that is reported as 0.5 from now on.

        Raises:
            InputError: There are no entities, none of them begins and ends where words do, there
                is not one list of them per text, or `min_recall` is out of range.
            StudentError: The student has no `boundary` head.
        """
        gold = read_gold(texts, entities)
        words = [word_texts(text) for text in texts]
        asked = read_label_set(labels_of(gold) if labels is None else labels)
        certain = [match_words(text, asked) for text in texts] if min_recall else None
        return self._finder.tune(words, gold, labels, min_recall=min_recall, certain=certain)

    def tune_word_thresholds(
        self,
        passages: Sequence[Sequence[str]],
        entities: Sequence[Sequence[Entity]],
        labels: Sequence[str] | None = None,
        *,
        min_gain: float = 0.0,
    ) -> dict[str, float]:
        """Do the same as `tune_thresholds` with passages that are already split into words.

        Args:
            passages: The words of each passage.
            entities: The entities of each passage.
            labels: See `tune_thresholds`.
            min_gain: The F1 that a label must gain before its threshold is changed; with 0, which
                `tune_thresholds` uses, every label gets a new one.

        Raises:
            InputError: See `tune_thresholds`.
            StudentError: The student has no `boundary` head.
        """
        if len(passages) != len(entities):
            raise InputError(
                f"there are {len(passages)} passages, but {len(entities)} lists of entities; give "
                "one list per passage"
            )
        gold = [GoldPassage.from_entities(annotated) for annotated in entities]
        return self._finder.tune(passages, gold, labels, min_gain=min_gain)
