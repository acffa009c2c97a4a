"""Presidio: a recognizer that finds entities with a student, alone or in batches.

`GLiNERDistillRecognizer` is a recognizer like those of Presidio. Presidio's analyzers ask a
recognizer about one text at a time. `BatchingNlpEngine` reads ahead for them, so that the student
still reads many texts at once.

Presidio finds the classes that its YAML files name among the subclasses of `EntityRecognizer`, and
drops the settings of classes that are not in its table of configurations. The import of this
module registers the class in both places.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

from gliner_distill import __version__
from gliner_distill.entities import EntityDict
from gliner_distill.errors import HubError, InputError, MissingExtraError, StudentError, shorten
from gliner_distill.labels import clean_label
from gliner_distill.patterns.labels import pattern_for
from gliner_distill.runtime.inputs import InferenceOptions
from gliner_distill.runtime.labels import check_asked, read_label_set
from gliner_distill.runtime.ner import StudentNER

try:
    from presidio_analyzer import AnalysisExplanation, LocalRecognizer, RecognizerResult
    from presidio_analyzer.input_validation.yaml_recognizer_models import (
        CONFIG_MODEL_MAP,
        PredefinedRecognizerConfig,
    )
    from presidio_analyzer.nlp_engine import NlpArtifacts, NlpEngine
    from pydantic import ConfigDict
except ModuleNotFoundError as error:
    raise MissingExtraError("presidio-analyzer", "presidio") from error

_logger = logging.getLogger("presidio-analyzer")
_LANGUAGE_OF_BUNDLED_STUDENT = "en"
# Presidio's batch analyzer passes the empty cells of a table on as these words.
_EMPTY_CELLS = ("None", "nan")

DEFAULT_MAPPING: Final = {
    "person": "PERSON",
    "organization": "ORGANIZATION",
    "location": "LOCATION",
    "street address": "LOCATION",
    "date": "DATE_TIME",
    "date of birth": "DATE_TIME",
    "phone number": "PHONE_NUMBER",
    "email address": "EMAIL_ADDRESS",
    "url": "URL",
    "ip address": "IP_ADDRESS",
    "mac address": "MAC_ADDRESS",
    "card number": "CREDIT_CARD",
    "iban": "IBAN_CODE",
}
"""The labels that the student is asked for by default, each with Presidio's name of the entity."""
DEFAULT_THRESHOLD: Final = 0.5
"""The score that an entity must exceed by default; see docs/integrations/presidio.md."""
CHECKED_THRESHOLD: Final = 0.9
"""The lowest default threshold of labels that have a checked pattern.

An entity that the pattern finds has the score 1, so a guess of the student rarely counts beside it.
"""


class GLiNERDistillRecognizer(LocalRecognizer):
    """A recognizer of Presidio that finds entities with a student.

    Args:
        supported_entities: The entities to find, of those in the mapping; None for all of them.
        name: The name of the recognizer in results; None for that of the class.
        supported_language: The language of the texts. The bundled student knows only English.
        version: The version of the recognizer.
        context: Words that raise the score of an entity near them, as Presidio describes it.
        entity_mapping: Each label that the student is asked for, with the name of the entity in
            Presidio; None for `DEFAULT_MAPPING`. Several labels may stand for one entity.
        model: The student, as in `StudentNER.from_pretrained`.
        threshold: The score that an entity must exceed, from 0 to 1.
        thresholds: Other thresholds for single labels of the mapping; None for at least
            `CHECKED_THRESHOLD` where a label has a checked pattern.
        num_threads: The number of threads of the student; None for `OMP_NUM_THREADS`, or else one
            per processor.

    Attributes:
        student: The student.

    Raises:
        InputError: An argument has a wrong type or value, or an entity has no label. It is a
            `ValueError`.
        StudentError: The name of the model does not lead to a student.
        HubError: The hub id cannot be downloaded and is not in the cache.
    """

    def __init__(
        self,
        supported_entities: Sequence[str] | None = None,
        name: str | None = None,
        supported_language: str = _LANGUAGE_OF_BUNDLED_STUDENT,
        version: str = __version__,
        context: list[str] | None = None,
        entity_mapping: Mapping[str, str] | None = None,
        model: str | Path | None = None,
        threshold: float = DEFAULT_THRESHOLD,
        thresholds: Mapping[str, float] | None = None,
        num_threads: int | None = None,
    ) -> None:
        InferenceOptions(threshold=threshold, thresholds=thresholds).check()
        mapping = DEFAULT_MAPPING if entity_mapping is None else entity_mapping
        _check_mapping(mapping)
        self.entity_mapping = _restrict(mapping, supported_entities)
        self.model = model
        self.threshold = threshold
        self.thresholds = (
            dict.fromkeys(
                filter(pattern_for, self.entity_mapping), max(threshold, CHECKED_THRESHOLD)
            )
            if thresholds is None
            else _restrict_thresholds(thresholds, mapping, self.entity_mapping)
        )
        self.num_threads = num_threads
        super().__init__(
            supported_entities=list(dict.fromkeys(self.entity_mapping.values())),
            name=name,
            supported_language=supported_language,
            version=version,
            context=context,
        )
        if model is None and supported_language != _LANGUAGE_OF_BUNDLED_STUDENT:
            _logger.warning(
                "%s: the language is %r, but the student that is installed with the package knows "
                "only English; give the student of this language as `model`",
                self.name,
                supported_language,
            )

    def load(self) -> None:
        """Load the student; Presidio calls this, and its log has the error if there is one."""
        try:
            self.student = StudentNER.from_pretrained(self.model, num_threads=self.num_threads)
        except (HubError, StudentError) as error:
            _logger.error("%s: the student cannot be loaded: %s", self.name, error)
            raise

    def analyze(
        self,
        text: str,
        entities: str | Sequence[str] | None = None,
        nlp_artifacts: NlpArtifacts | None = None,
    ) -> list[RecognizerResult]:
        """Return the entities of a text; the student is asked only for their labels.

        Args:
            text: The text.
            entities: The entities to find; those that this recognizer does not know are ignored.
                None or an empty list stands for all.
            nlp_artifacts: What Presidio's NLP engine found in the text. If it comes from a
                `BatchingNlpEngine`, the student reads all texts of the batch at the first request.
        """
        wanted = {entities} if isinstance(entities, str) else set(entities or ())
        labels = [
            label for label, entity in self.entity_mapping.items() if not wanted or entity in wanted
        ]
        if not labels or text in _EMPTY_CELLS:
            return []
        batch = _batch_of(text, nlp_artifacts)
        found = self.find([text], labels)[0] if batch is None else batch.ask(self, labels)[text]
        return [self._result_of(entity) for entity in found]

    def find(self, texts: Sequence[str], labels: Sequence[str]) -> list[list[EntityDict]]:
        """Return what the student finds in texts, as `StudentNER.inference` does."""
        return self.student.inference(
            list(texts), list(labels), threshold=self.threshold, thresholds=self.thresholds
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the arguments of the constructor, as values that JSON and YAML can hold."""
        return {
            **super().to_dict(),
            "context": list(self.context),
            "entity_mapping": dict(self.entity_mapping),
            "model": None if self.model is None else str(self.model),
            "threshold": self.threshold,
            "thresholds": dict(self.thresholds),
            "num_threads": self.num_threads,
        }

    def _result_of(self, entity: EntityDict) -> RecognizerResult:
        label, score = entity["label"], entity["score"]
        finder = "a checked pattern" if entity.get("source") == "pattern" else "the student"
        return RecognizerResult(
            entity_type=self.entity_mapping[label],
            start=entity["start"],
            end=entity["end"],
            score=score,
            analysis_explanation=AnalysisExplanation(
                recognizer=self.name,
                original_score=score,
                textual_explanation=f"Found by {finder} for the label {label!r}",
            ),
            recognition_metadata={
                RecognizerResult.RECOGNIZER_NAME_KEY: self.name,
                RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: self.id,
            },
        )


class GLiNERDistillRecognizerConfig(PredefinedRecognizerConfig):
    """The settings of the recognizer in a YAML file; its constructor checks them."""

    model_config = ConfigDict(extra="allow")


CONFIG_MODEL_MAP[GLiNERDistillRecognizer.__name__] = GLiNERDistillRecognizerConfig


class BatchingNlpEngine(NlpEngine):
    """An NLP engine that lets a `GLiNERDistillRecognizer` read many texts at once.

    Put it in the place of the engine of an existing analyzer; nothing else changes:
    `analyzer.nlp_engine = BatchingNlpEngine(analyzer.nlp_engine)`.

    Args:
        nlp_engine: The engine that does the work.
        n_texts: The number of texts that are read ahead and kept in memory.

    Raises:
        InputError: `n_texts` is not a whole number of at least 1.
    """

    def __init__(self, nlp_engine: NlpEngine, n_texts: int = 64) -> None:
        InferenceOptions(batch_size=n_texts).check()
        self.nlp_engine = nlp_engine
        self.n_texts = n_texts

    def process_batch(
        self, texts: Iterable[Any], language: str, *args: Any, **kwargs: Any
    ) -> Iterator[tuple[Any, ...]]:
        """Yield what the engine yields for each text, and remember which texts belong together."""
        answers = iter(self.nlp_engine.process_batch(texts, language, *args, **kwargs))
        while group := list(islice(answers, self.n_texts)):
            batch = _Batch([text for text, *_ in group])
            for answer in group:
                _batches[answer[1]] = batch
                yield answer

    def process_text(self, text: str, language: str) -> NlpArtifacts:
        """Return what the engine finds in one text."""
        return self.nlp_engine.process_text(text, language)

    def load(self) -> None:
        """Load the engine."""
        self.nlp_engine.load()

    def is_loaded(self) -> bool:
        """Return whether the engine is loaded."""
        return bool(self.nlp_engine.is_loaded())

    def is_stopword(self, word: str, language: str) -> bool:
        """Return whether the engine takes a word for a stop word."""
        return bool(self.nlp_engine.is_stopword(word, language))

    def is_punct(self, word: str, language: str) -> bool:
        """Return whether the engine takes a word for punctuation."""
        return bool(self.nlp_engine.is_punct(word, language))

    def get_supported_entities(self) -> list[str]:
        """Return the entities of the engine."""
        return list(self.nlp_engine.get_supported_entities())

    def get_supported_languages(self) -> list[str]:
        """Return the languages of the engine."""
        return list(self.nlp_engine.get_supported_languages())

    def __getattr__(self, name: str) -> Any:
        """Return an attribute that only the engine has, such as `get_nlp` of spaCy's."""
        if name == "nlp_engine":  # while an object is copied, it has none yet
            raise AttributeError(name)
        return getattr(self.nlp_engine, name)


class _Batch:
    """Texts that were read together, with what each recognizer has found in them so far."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = dict.fromkeys(texts)
        self._found: dict[
            tuple[GLiNERDistillRecognizer, tuple[str, ...]], dict[str, list[EntityDict]]
        ] = {}

    def __contains__(self, text: str) -> bool:
        return text in self._texts

    def ask(
        self, recognizer: GLiNERDistillRecognizer, labels: Sequence[str]
    ) -> dict[str, list[EntityDict]]:
        """Return the entities of each text; the student reads the texts at the first call."""
        key = recognizer, tuple(labels)
        if key not in self._found:
            found = recognizer.find(list(self._texts), labels)
            self._found[key] = dict(zip(self._texts, found, strict=True))
        return self._found[key]


# Presidio writes all attributes of the artifacts to its trace as JSON, so the batch cannot be one
# of them.
_batches: WeakKeyDictionary[NlpArtifacts, _Batch] = WeakKeyDictionary()


def _batch_of(text: str, nlp_artifacts: NlpArtifacts | None) -> _Batch | None:
    """Return the batch of a text, or None if the artifacts are of no batch or of another text."""
    batch = None if nlp_artifacts is None else _batches.get(nlp_artifacts)
    return batch if batch is not None and text in batch else None


def _check_mapping(mapping: Mapping[str, str]) -> None:
    """Raise an `InputError` for a mapping that is empty or holds anything but names."""
    if not isinstance(mapping, Mapping) or not mapping:
        raise InputError(
            f"entity_mapping is {shorten(mapping)}; expected at least one label with its entity, "
            "such as {'person': 'PERSON'}"
        )
    read_label_set(list(mapping), where="entity_mapping")
    for label, entity in mapping.items():
        if not isinstance(entity, str) or not entity.strip():
            raise InputError(
                f"entity_mapping: the entity of the label {shorten(label)} is {shorten(entity)}; "
                "expected a name such as 'PERSON'"
            )


def _restrict_thresholds(
    thresholds: Mapping[str, float], mapping: Mapping[str, str], kept: Mapping[str, str]
) -> dict[str, float]:
    """Return the thresholds of the labels that are kept.

    Raises:
        InputError: One is for another name, so that it would have no effect; or for Presidio's
            name of an entity, which may stand for several labels.
    """
    for name in thresholds:
        if name in mapping.values() and name not in mapping:
            labels = ", ".join(repr(label) for label, entity in mapping.items() if entity == name)
            raise InputError(
                f"thresholds: {shorten(name)} is the name of an entity; give the threshold to the "
                f"labels that stand for it in entity_mapping: {labels}"
            )
    check_asked(thresholds, mapping, where="entity_mapping")
    asked = {clean_label(label) for label in kept}
    return {label: value for label, value in thresholds.items() if clean_label(label) in asked}


def _restrict(mapping: Mapping[str, str], entities: Sequence[str] | None) -> dict[str, str]:
    """Return the part of a mapping whose values are among some entities; all of it for None."""
    if entities is None:
        return dict(mapping)
    if isinstance(entities, str) or not entities:
        raise InputError(
            f"supported_entities is {shorten(entities)}; expected a list of entities, or None for "
            "all of the mapping"
        )
    unknown = [entity for entity in entities if entity not in mapping.values()]
    if unknown:
        known = ", ".join(dict.fromkeys(mapping.values()))
        raise InputError(
            f"supported_entities: no label is known for {shorten(unknown[0])}; choose from "
            f"{known}, or give its label in entity_mapping, such as "
            f"{{{clean_label(str(unknown[0]))!r}: {shorten(unknown[0])}}}"
        )
    return {label: entity for label, entity in mapping.items() if entity in entities}
