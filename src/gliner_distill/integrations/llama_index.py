"""LlamaIndex: an extractor that writes the entities of a node into its metadata.

Source: `llama_index.core.extractors.BaseExtractor`.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from gliner_distill.entities import EntityDict
from gliner_distill.errors import InputError, MissingExtraError
from gliner_distill.integrations.documents import check_settings, find_entities, plain_name
from gliner_distill.runtime.ner import StudentNER

try:
    from llama_index.core.bridge.pydantic import Field, PrivateAttr, model_validator
    from llama_index.core.extractors import BaseExtractor
    from llama_index.core.schema import BaseNode, MetadataMode
    from pydantic import AfterValidator
except ModuleNotFoundError as error:
    raise MissingExtraError("llama-index-core", "llama-index") from error


class GLiNERDistillExtractor(BaseExtractor):
    """An extractor that finds entities with a student.

    Each label that is found becomes a field of the metadata: a list of the texts of its entities
    without duplicates, in order of appearance. Filters can use such a field, and language models
    and embeddings read it. With `metadata_key`, this one field gets all entities instead, each as a
    dictionary with `start` and `end` (character offsets in the node's text), `text`, `label` and
    `score`.

    The student reads the text of a node without its metadata (`metadata_mode`).

    Raises:
        ValidationError: A setting has a wrong type or value, or is unknown (pydantic's error, which
            is a `ValueError`).
    """

    labels: list[str] | dict[str, str] = Field(
        description="The labels to find, or a mapping from each label to its description."
    )
    model: Annotated[str | Path | None, AfterValidator(plain_name)] = Field(
        default=None,
        description="The folder or the hub id of the student; None for the bundled one.",
    )
    threshold: float = Field(default=0.5, description="The score that an entity must exceed.")
    thresholds: dict[str, float] | None = Field(
        default=None, description="Other thresholds for some labels."
    )
    metadata_key: str | None = Field(
        default=None, description="One field for all entities; None for one field per label."
    )
    metadata_mode: MetadataMode = Field(
        default=MetadataMode.NONE, description="Which metadata the student reads with the text."
    )
    disable_template_rewrite: bool = Field(
        default=True, description="Whether the template of a node's text stays as it is."
    )

    _student: StudentNER | None = PrivateAttr(default=None)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, settings: Any) -> Any:
        # LlamaIndex ignores them, and adds the name of the class to what it saves.
        if isinstance(settings, dict):
            for name in settings.keys() - cls.model_fields.keys() - {"class_name"}:
                known = ", ".join(sorted(cls.model_fields))
                raise InputError(f"{cls.class_name()} has no setting {name}; expected {known}")
        return settings

    @model_validator(mode="after")
    def _check(self) -> "GLiNERDistillExtractor":
        check_settings(self.labels, self.threshold, self.thresholds)
        return self

    @classmethod
    def class_name(cls) -> str:
        """Return the name under which LlamaIndex saves the extractor."""
        return cls.__name__

    async def aextract(self, nodes: Sequence[BaseNode]) -> list[dict[str, Any]]:
        """Return the metadata of each node; the student reads all nodes in another thread.

        Args:
            nodes: The nodes.

        Raises:
            StudentError: The name of the model does not lead to a student.
            HubError: The student cannot be downloaded.
        """
        texts = [node.get_content(metadata_mode=self.metadata_mode) for node in nodes]
        found = await asyncio.to_thread(self._find, texts)
        if self.metadata_key is not None:
            return [{self.metadata_key: entities} for entities in found]
        return [_texts_by_label(entities) for entities in found]

    def _find(self, texts: Sequence[str]) -> list[list[EntityDict]]:
        if self._student is None:
            self._student = StudentNER.from_pretrained(self.model)
        return find_entities(self._student, texts, self.labels, self.threshold, self.thresholds)


def _texts_by_label(entities: Sequence[EntityDict]) -> dict[str, list[str]]:
    texts: dict[str, dict[str, None]] = {}
    for entity in entities:
        texts.setdefault(entity["label"], {})[entity["text"]] = None
    return {label: list(found) for label, found in texts.items()}
