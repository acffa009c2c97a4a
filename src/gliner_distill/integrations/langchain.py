"""LangChain: a document transformer that adds the entities of a text to its metadata.

Source: `langchain_core.documents.BaseDocumentTransformer`.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from gliner_distill.errors import MissingExtraError
from gliner_distill.integrations.documents import check_settings, find_entities, plain_name
from gliner_distill.runtime.ner import StudentNER

try:
    from langchain_core.documents import BaseDocumentTransformer, Document
    from langchain_core.load import Serializable
    from pydantic import AfterValidator, ConfigDict, model_validator
except ModuleNotFoundError as error:
    raise MissingExtraError("langchain-core", "langchain") from error


class GLiNERDistillTransformer(BaseDocumentTransformer, Serializable):
    """A document transformer that finds entities with a student.

    It returns copies of the documents. Their metadata has the list of entities, each of them a
    dictionary with `start` and `end` (character offsets in `page_content`), `text`, `label` and
    `score`. `langchain_core.load.dumps` saves the settings.

    Attributes:
        labels: The labels to find, or a mapping from each label to its description.
        model: The folder or the hub id of the student; None for the bundled one.
        threshold: The score that an entity must exceed.
        thresholds: Other thresholds for some labels.
        metadata_key: The key of the metadata that gets the entities.

    Raises:
        ValidationError: A setting has a wrong type or value, or is unknown (pydantic's error, which
            is a `ValueError`).
    """

    labels: list[str] | dict[str, str]
    model: Annotated[str | Path | None, AfterValidator(plain_name)] = None
    threshold: float = 0.5
    thresholds: dict[str, float] | None = None
    metadata_key: str = "entities"

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="after")
    def _check(self) -> "GLiNERDistillTransformer":
        check_settings(self.labels, self.threshold, self.thresholds)
        return self

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Return whether LangChain may save this class; it may."""
        return True

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        """Return the path of this module, from which LangChain loads the class."""
        return cls.__module__.split(".")

    @cached_property
    def student(self) -> StudentNER:
        """The student, which is loaded when it is first used.

        Raises:
            StudentError: The name does not lead to a student.
            HubError: The student cannot be downloaded.
        """
        return StudentNER.from_pretrained(self.model)

    def transform_documents(
        self, documents: Sequence[Document], **kwargs: Any
    ) -> Sequence[Document]:
        """Return copies of documents with their entities in the metadata.

        Args:
            documents: The documents.
            kwargs: Ignored, as in other transformers.

        Raises:
            StudentError: See `student`.
        """
        documents = list(documents)  # other transformers take generators, too
        texts = [document.page_content for document in documents]
        found = find_entities(self.student, texts, self.labels, self.threshold, self.thresholds)
        return [
            document.model_copy(
                update={"metadata": {**document.metadata, self.metadata_key: entities}}
            )
            for document, entities in zip(documents, found, strict=True)
        ]
