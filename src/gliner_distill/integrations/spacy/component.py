"""`StudentComponent`: a student as a component of a spaCy pipeline.

It reads `doc.text` and sets `doc.ents` or `doc.spans`. It changes no tokens, and spaCy does not
train it. Its settings are those of the pipeline's config, and its folder in a saved pipeline is
that of a student.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from gliner_distill.errors import HubError, InputError, StudentError
from gliner_distill.integrations.spacy.annotation import register_score, set_ents, set_spans
from gliner_distill.integrations.spacy.colors import assign_colors
from gliner_distill.integrations.spacy.settings import (
    ComponentLabels,
    ComponentSettings,
    check_labels,
    check_thresholds,
)
from gliner_distill.integrations.spacy.token_spans import expand_to_tokens, resolve_overlaps

if TYPE_CHECKING:
    from spacy.tokens import Doc
    from spacy.training import Example

    from gliner_distill.runtime.ner import StudentNER

ErrorHandler = Callable[[str, Any, list["Doc"], Exception], Any]

_logger = logging.getLogger(__name__)


@final
class StudentComponent:
    """A component that finds entities with a student; `nlp.add_pipe("gliner_distill")` makes it.

    Args:
        name: The name of the component in the pipeline.
        settings: The settings.
        model: The student, as in `StudentNER.from_pretrained`.
        num_threads: See `StudentNER`.

    Attributes:
        name: The name of the component in the pipeline.
        settings: The settings.
    """

    def __init__(
        self,
        name: str,
        settings: ComponentSettings,
        *,
        model: str | None = None,
        num_threads: int | None = None,
    ) -> None:
        self.name = name
        self.settings = settings
        self._model = model
        self._num_threads = num_threads
        self._student: StudentNER | None = None
        self._error_handler: ErrorHandler = _raise_error
        self._has_reported_overlap = False
        if not register_score():
            _logger.warning(
                "component %r: span._.score is a method or has a getter, so scores "
                "are not written there; with style='span', doc.spans[%r].attrs['scores'] has them",
                *(name, settings.spans_key),
            )

    @property
    def student(self) -> "StudentNER":
        """The student, which is loaded at the first use.

        Raises:
            InputError: The name of the model does not lead to a student, or its hub id cannot be
                downloaded and is not in the cache. This is a `ValueError`, like all errors of
                spaCy's settings.
        """
        if self._student is None:
            # Loading takes time, and a pipeline need not use the component.
            from gliner_distill.runtime.ner import StudentNER

            try:
                self._student = StudentNER.from_pretrained(
                    self._model, num_threads=self._num_threads
                )
            except (HubError, StudentError) as error:
                raise InputError(f"component {self.name!r}: {error}") from error
        return self._student

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the config, for `nlp.pipe_labels`."""
        return tuple(self.settings.labels)

    def __call__(
        self,
        doc: "Doc",
        *,
        labels: ComponentLabels | None = None,
        threshold: float | None = None,
        thresholds: Mapping[str, float] | None = None,
    ) -> "Doc":
        """Find the entities of one document, and return the document.

        Args:
            doc: The document, which is changed.
            labels: The labels to find; None for those of the config. spaCy passes the value in
                `component_cfg`.
            threshold: The threshold; None for that of the config.
            thresholds: The thresholds of single labels; None for those of the config.

        Raises:
            InputError: An argument has a wrong value, or a threshold is for a label that this call
                does not look for.
        """
        self._annotate([doc], labels, threshold, thresholds)
        return doc

    def pipe(
        self,
        stream: Iterable["Doc"],
        *,
        batch_size: int = 128,
        labels: ComponentLabels | None = None,
        threshold: float | None = None,
        thresholds: Mapping[str, float] | None = None,
    ) -> Iterator["Doc"]:
        """Find the entities of a stream of documents, and yield them in order.

        Args:
            stream: The documents, which are changed.
            batch_size: The number of documents that are read before the first one is yielded.
            labels: See `__call__`.
            threshold: See `__call__`.
            thresholds: See `__call__`.

        Raises:
            InputError: `batch_size` is less than 1.
        """
        if batch_size < 1:  # spaCy's own components would yield nothing
            raise InputError(f"batch_size is {batch_size}; expected at least 1")
        documents = iter(stream)
        while batch := list(islice(documents, batch_size)):
            try:
                self._annotate(batch, labels, threshold, thresholds)
            except Exception as error:  # spaCy's handler decides which errors end the pipeline
                self._error_handler(self.name, self, batch, error)
            else:
                yield from batch

    def set_error_handler(self, error_handler: ErrorHandler) -> None:
        """Set the function that is called with a batch of documents that raised an error."""
        self._error_handler = error_handler

    def get_error_handler(self) -> ErrorHandler:
        """Return the function that is called with a batch of documents that raised an error."""
        return self._error_handler

    def score(self, examples: Iterable["Example"], **_: Any) -> dict[str, Any]:
        """Return precision, recall and F1 of the entities of examples, for `nlp.evaluate`."""
        from spacy.pipeline.span_ruler import overlapping_labeled_spans_score
        from spacy.scorer import get_ner_prf

        if self.settings.style == "ent":
            return dict(get_ner_prf(examples))
        return dict(overlapping_labeled_spans_score(examples, spans_key=self.settings.spans_key))

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Write the student into a folder, which `StudentNER.from_pretrained` can read, too.

        Args:
            path: The folder; it is created if it does not exist.
            exclude: Accepted because spaCy passes it; there are no parts to leave out.

        Raises:
            StudentError: The folder cannot be written.
        """
        self.student.save_pretrained(path)

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> "StudentComponent":
        """Load the student of a folder in place of that of the config, and return the component.

        Args:
            path: The folder.
            exclude: See `to_disk`.

        Raises:
            StudentError: The folder holds no student, or its files are broken.
        """
        from gliner_distill.runtime.ner import StudentNER

        if not Path(path).is_dir():  # otherwise the path could be taken for a hub id
            raise StudentError(f"{path}: the folder of component {self.name!r} does not exist")
        self._student = StudentNER.from_pretrained(path, num_threads=self._num_threads)
        return self

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """Return the student's files as bytes; see `to_disk`."""
        from gliner_distill.integrations.spacy.student_bytes import pack_student

        return pack_student(self.student)

    def from_bytes(self, data: bytes, *, exclude: Iterable[str] = ()) -> "StudentComponent":
        """Load the student of `to_bytes` in place of that of the config, and return the component.

        Raises:
            StudentError: The bytes are not those of a student.
        """
        from gliner_distill.integrations.spacy.student_bytes import unpack_student

        self._student = unpack_student(data, num_threads=self._num_threads)
        return self

    def _annotate(
        self,
        docs: list["Doc"],
        labels: ComponentLabels | None,
        threshold: float | None,
        thresholds: Mapping[str, float] | None,
    ) -> None:
        settings = self.settings
        if labels is not None:
            check_labels(labels)
            assign_colors(labels)
        asked = settings.labels if labels is None else labels
        # Those of the config may be for labels that this call leaves out.
        if thresholds is not None:
            check_thresholds(thresholds, asked)
        answers = self.student.inference(
            [doc.text for doc in docs],
            asked,
            flat_ner=settings.style == "ent",
            threshold=settings.threshold if threshold is None else threshold,
            thresholds=settings.thresholds if thresholds is None else thresholds,
            patterns=settings.patterns,
        )
        for doc, entities in zip(docs, answers, strict=True):
            spans = expand_to_tokens(doc, entities)
            if settings.style == "span":
                set_spans(doc, spans, key=settings.spans_key)
                continue
            kept, left_out = resolve_overlaps(spans)
            if left_out and not self._has_reported_overlap:
                self._has_reported_overlap = True
                _logger.warning(
                    "component %r: %r (%s) is left out, because it shares a token with an entity "
                    "that has a higher score; with style='span', such entities stay. Further cases "
                    "are not reported",
                    *(self.name, left_out[0].span.text, left_out[0].span.label_),
                )
            set_ents(doc, kept, overwrite=settings.overwrite_ents)


def _raise_error(name: str, component: Any, docs: list["Doc"], error: Exception) -> None:
    raise error
