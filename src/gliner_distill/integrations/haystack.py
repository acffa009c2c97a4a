"""Haystack: a component that adds the entities of documents to their metadata.

Source: Haystack's custom components (https://docs.haystack.deepset.ai/docs/custom-components).
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from gliner_distill.errors import MissingExtraError
from gliner_distill.integrations.documents import check_settings, find_entities, plain_name
from gliner_distill.runtime.ner import StudentNER

try:
    from haystack import Document, component, default_from_dict, default_to_dict
except ModuleNotFoundError as error:
    raise MissingExtraError("haystack-ai", "haystack") from error


@component
class GLiNERDistillExtractor:
    """A component that finds entities with a student, and returns copies of the documents.

    `meta["entities"]` of each document is a list of dictionaries with `start` and `end` (character
    offsets in `content`), `text`, `label` and `score`. It is empty for a document without text.

    Args:
        labels: The labels to find, or a mapping from each label to its description.
        model: The folder or the hub id of the student; None for the bundled one.
        threshold: The score that an entity must exceed.
        thresholds: Other thresholds for some labels.
        meta_key: The key of the metadata that gets the entities.

    Raises:
        InputError: A setting has a wrong type or value.
    """

    def __init__(
        self,
        labels: list[str] | dict[str, str],
        model: str | Path | None = None,
        threshold: float = 0.5,
        thresholds: dict[str, float] | None = None,
        meta_key: str = "entities",
    ) -> None:
        check_settings(labels, threshold, thresholds)
        self.labels = labels
        self.model = plain_name(model)
        self.threshold = threshold
        self.thresholds = thresholds
        self.meta_key = meta_key
        self._student: StudentNER | None = None

    def warm_up(self) -> None:
        """Load the student, unless it is loaded; `run` does the same when it is first called.

        Raises:
            StudentError: The name does not lead to a student.
            HubError: The student cannot be downloaded.
        """
        self._loaded()

    def _loaded(self) -> StudentNER:
        if self._student is None:
            self._student = StudentNER.from_pretrained(self.model)
        return self._student

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, list[Document]]:
        """Return the documents, in a dictionary, with their entities.

        Args:
            documents: The documents.

        Raises:
            StudentError: See `warm_up`.
        """
        documents = list(documents)  # a generator can be read only once
        texts = [document.content for document in documents]
        found = find_entities(self._loaded(), texts, self.labels, self.threshold, self.thresholds)
        return {
            "documents": [
                replace(document, meta={**document.meta, self.meta_key: entities})
                for document, entities in zip(documents, found, strict=True)
            ]
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the settings, with which Haystack saves a pipeline."""
        settings: dict[str, Any] = default_to_dict(
            self,
            labels=self.labels,
            model=self.model,
            threshold=self.threshold,
            thresholds=self.thresholds,
            meta_key=self.meta_key,
        )
        return settings

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "GLiNERDistillExtractor":
        """Return the component with the settings of `to_dict`.

        Raises:
            InputError: A setting has a wrong type or value.
        """
        made: GLiNERDistillExtractor = default_from_dict(cls, data)
        return made
