"""`StudentNER`: a student with GLiNER's own methods, on numpy and a kernel of our own.

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

from gliner_distill.entities import Entity, EntityDict
from gliner_distill.errors import StudentError
from gliner_distill.hub.options import HubOptions
from gliner_distill.redaction.labels import PERSONAL_LABELS
from gliner_distill.redaction.redactor import Redaction, RedactionMode, Redactor
from gliner_distill.runtime.answers import answer_stream
from gliner_distill.runtime.bundle import Bundle, read_bundle
from gliner_distill.runtime.finder import EntityFinder
from gliner_distill.runtime.gliner_api.keywords import (
    check_call_keywords,
    check_loading_keywords,
    check_passed_keywords,
    pop_model,
    refuse_keywords,
    warn_unless_cpu,
)
from gliner_distill.runtime.gliner_api.methods import GLiNERMethods
from gliner_distill.runtime.inputs import InferenceOptions, OnBad, OnLong, check_texts
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
from gliner_distill.runtime.tuning import ThresholdTuning


class StudentNER(GLiNERMethods, ThresholdTuning, SharedStudent):
    """A student that finds entities of any label; several threads may share one.

    `StudentNER.from_pretrained()` loads the student that is installed with the package, and
    `StudentNER.from_pretrained(folder)` one of yours.

    Args:
        bundle: The files of a student, as `from_pretrained` reads them.
        num_threads: The number of threads that compute; None for `OMP_NUM_THREADS` if that is set,
            and otherwise for one per processor that this process may use.
        name: The student's name in its `repr`, such as its folder.
        max_memory: The memory that the process may take, in bytes or as a size such as `2GB`. It
            bounds what is cached and compared at once, and changes no answer; see `memory`.

    Attributes:
        report: The path of the report of the distillation that made this student; None if
            `distill` did not make it in this process.

    Raises:
        StudentError: The weights do not fit the student.
        InputError: `num_threads` is below 1, or `max_memory` is not a size of at least 192 MB.
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
                or `bundled` for the open-label student that is installed with the package.
            num_threads: See `StudentNER`.
            max_memory: See `StudentNER`.
            revision: The branch, the tag or the commit of a hub id; None for the main branch.
            token: The token for the hub; None for the one that you are logged in with.
            cache_dir: The folder of the hub's cache; None for the usual one.
            local_files_only: Whether only the cache is used, and not the hub.
            force_download: Whether files of the hub that are in the cache are downloaded again.
            map_location: A student runs on the CPU; another device gives a warning.
            gliner_keywords: Other keywords of GLiNER. Some have no effect, such as
                `load_onnx_model`; docs/gliner_api.md lists all of them.

        Raises:
            StudentError: The name does not lead to a student, or the student's files are broken.
            HubError: The hub id cannot be downloaded and is not in the cache.
            InputError: A keyword of GLiNER asks for something that a student cannot do.
            TypeError: GLiNER has no such keyword.
        """
        model = pop_model(model, gliner_keywords)
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
        """The precision of the computation, `fp32` or `int8`."""
        return self._finder.bundle.precision

    def predict_entities(
        self,
        text: str | None,
        labels: LabelSet,
        flat_ner: bool = True,
        threshold: float = 0.5,
        multi_label: bool = False,
        return_class_probs: bool = False,
        *,
        batch_size: int = 1,
        **keywords: Any,
    ) -> list[EntityDict]:
        """Return the entities of one text, in order of position.

        See `inference`, which explains the parameters and takes the other keywords.
        """
        check_passed_keywords(keywords, self.inference, name="predict_entities")
        return self.inference(
            [text],
            labels,
            flat_ner,
            threshold,
            multi_label,
            batch_size,
            return_class_probs=return_class_probs,
            **keywords,
        )[0]

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
            text,
            labels,
            threshold=threshold,
            thresholds=thresholds,
            patterns=patterns,
            on_bad="error",
        )
        return redactor.redact(text, entities)

    @overload
    def inference(
        self,
        texts: str | list[Any] | tuple[Any, ...],
        labels: Labels,
        *args: Any,
        **kwargs: Any,
    ) -> list[list[EntityDict]]: ...

    @overload
    def inference(
        self, texts: Iterable[Any], labels: Labels, *args: Any, **kwargs: Any
    ) -> Iterator[list[EntityDict]]: ...

    def inference(
        self,
        texts: str | Iterable[Any],
        labels: Labels,
        flat_ner: bool = True,
        threshold: float = 0.5,
        multi_label: bool = False,
        batch_size: int = 64,
        packing_config: None = None,
        input_spans: None = None,
        return_class_probs: bool = False,
        *,
        thresholds: Mapping[str, float] | None = None,
        on_long: OnLong = "window",
        on_bad: OnBad = "skip",
        patterns: bool = True,
        **gliner_keywords: Any,
    ) -> list[list[EntityDict]] | Iterator[list[EntityDict]]:
        """Return the entities of several texts: one list per text, in order of position.

        An entity is a dictionary of `start` and `end` (character offsets, end exclusive), `text`,
        `label` and `score`. With a `boundary` head, the scores of a label do not depend on the
        other labels. The entities of a text and their scores never depend on the other texts.

        Args:
            texts: One text; a list or another collection of texts; or any other iterable, such as
                a generator. In the last case the result is an iterator, which reads a few hundred
                texts ahead and does not keep them. See `on_bad` for texts that are missing.
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
            packing_config: A keyword of GLiNER that must be None: a student needs no packing.
            input_spans: A keyword of GLiNER that must be None: a student chooses the spans.
            return_class_probs: Whether each entity has `class_probs`, the scores of the five
                labels that are likeliest for its span.
            thresholds: Other thresholds for some labels. Labels that are not asked are ignored.
            on_long: The treatment of a text of more than 384 words: `window` reads all of it, in
                overlapping windows; `truncate` drops the rest, as a GLiNER does; `error` raises.
            on_bad: The treatment of a text that is None or NaN: `skip` returns no entities for it,
                and logs one warning per call that counts such texts; `error` raises.
            patterns: Whether e-mail addresses, URLs, IP and MAC addresses, IBANs and card numbers
                are also found by checked patterns where a label asks for them. Such an entity has
                the score 1 and `"source": "pattern"`, and replaces those that it overlaps.
            gliner_keywords: GLiNER's other keywords, such as `relations`, which must be empty.

        Raises:
            InputError: A text, a label or an option has a wrong type or value; the message says
                which one.
            TypeError: GLiNER has no such keyword.
        """
        foreign = {"packing_config": packing_config, "input_spans": input_spans, **gliner_keywords}
        check_call_keywords(foreign, self.inference)
        options = InferenceOptions(
            flat_ner,
            multi_label,
            threshold,
            thresholds,
            batch_size,
            return_class_probs,
            on_long,
            patterns,
            on_bad,
        )
        options.check()
        if isinstance(texts, str):
            texts = [texts]
        check_texts(texts)
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

    def encode_labels(self, labels: LabelSet, batch_size: int = 8, **unknown: Any) -> EncodedLabels:
        """Return labels with their vectors, for use as `labels` of the other methods.

        The student caches the vectors of thousands of labels anyway, so this method is only needed
        to look at the vectors, or to compute them before the first text arrives. GLiNER's
        `batch_size` has no effect.

        Raises:
            InputError: See `inference`.
            TypeError: Another keyword is given.
        """
        refuse_keywords(unknown, self.encode_labels)
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
