"""Routes for clients of other servers: those of `gliner.serve`, and of vLLM Factory's `/pooling`.

Sources: gliner 0.2.29 (`gliner/serve`), and the plugin `deberta_gliner2` of vLLM Factory
(https://github.com/ddickmann/vllm-factory), with which gliner-haystack 0.2.1 speaks. Fields that
only the other servers need are ignored.
"""

from typing import Any, Final, final

from gliner_distill.entities import EntityDict
from gliner_distill.errors import MissingExtraError
from gliner_distill.serve.answers import (
    Service,
    json_response,
    read_texts,
    render_entities,
)
from gliner_distill.serve.problems import RequestError
from gliner_distill.serve.requests import Labels, Probability, Strings, check_question

try:
    from fastapi import Response
    from pydantic import BaseModel, ConfigDict, Field
    from pydantic_core import to_json
except ModuleNotFoundError as error:
    raise MissingExtraError("pydantic", "serve") from error

DEFAULT_POOLING_MODEL: Final = "/models/current"
"""The name by which clients of vLLM Factory call the only model of a server."""

_STRICT = ConfigDict(strict=True, allow_inf_nan=False, extra="ignore")


@final
class GLiNERServeRequest(BaseModel):
    """A request of `gliner.serve.GLiNERClient`."""

    model_config = _STRICT

    text: str
    labels: Labels
    threshold: Probability | None = None
    flat_ner: bool = True
    multi_label: bool = False
    relations: Strings | None = Field(None, description="Must be empty.")
    adapter_id: str | None = Field(None, description="Must be empty.")


@final
class PoolingSchema(BaseModel):
    """The labels of a request to `/pooling`; the other tasks of GLiNER2 must be empty."""

    model_config = _STRICT

    entities: Labels
    classifications: list[Any] | None = None
    relations: Strings | dict[str, Any] | None = None
    structures: dict[str, Any] | None = None


@final
class PoolingData(BaseModel):
    """The content of a request to `/pooling`."""

    model_config = _STRICT

    text: str
    labels: Labels | None = Field(None, description="The labels, if `schema` is left out.")
    task_schema: PoolingSchema | None = Field(None, alias="schema")
    threshold: Probability = 0.5
    include_confidence: bool = False
    include_spans: bool = False


@final
class PoolingRequest(BaseModel):
    """A request of vLLM Factory's clients."""

    model_config = _STRICT

    data: PoolingData
    model: str | None = Field(
        None, description=f"The name of a model; `{DEFAULT_POOLING_MODEL}` is the first one."
    )


async def answer_gliner_serve(service: Service, content: bytes) -> Response:
    """Answer a request of `gliner.serve.GLiNERClient`."""
    asked = await service.parse(GLiNERServeRequest, content)
    for field, value in (("relations", asked.relations), ("adapter_id", asked.adapter_id)):
        if value:
            raise RequestError(422, f"{field}: this server supports none; leave it out", field)
    question = check_question(
        service.bounds,
        [asked.text],
        asked.labels,
        threshold=0.5 if asked.threshold is None else asked.threshold,
        nested=not asked.flat_ner,
        multi_label=asked.multi_label,
    )
    [piece] = await read_texts(service.models.first, question, [asked.text], render_entities)
    return json_response(b'{"entities":%b}' % piece)


async def answer_adapter_cache(_service: Service, _content: bytes) -> Response:
    """Answer that there are no adapters, as `gliner.serve` does when it has none."""
    return json_response(b'{"enabled":false,"base_adapter_id":"__base__"}')


async def answer_pooling(service: Service, content: bytes) -> Response:
    """Answer a request of vLLM Factory's clients."""
    asked = await service.parse(PoolingRequest, content)
    data = asked.data
    served = service.models.find(None if asked.model == DEFAULT_POOLING_MODEL else asked.model)
    labels, field = _pooling_labels(data)
    question = check_question(
        service.bounds, [data.text], labels, label_field=field, threshold=data.threshold
    )

    def render(_text: str, entities: list[EntityDict]) -> bytes:
        by_label: dict[str, list[Any]] = {label: [] for label, _ in question.labels}
        for entity in entities:
            by_label[entity["label"]].append(_pooling_record(entity, data))
        return to_json({"data": {"entities": by_label}})

    [piece] = await read_texts(served, question, [data.text], render)
    return json_response(piece)


def _pooling_labels(data: PoolingData) -> tuple[Labels, str]:
    """Return the labels of a request and the name of their field.

    Raises:
        RequestError: There are none, or other tasks are asked for.
    """
    schema = data.task_schema
    if schema is None:
        if data.labels is None:
            message = "data.schema is missing; give data.schema.entities"
            raise RequestError(422, message, "data.schema")
        return data.labels, "data.labels"
    for task in ("classifications", "relations", "structures"):
        if getattr(schema, task):
            field = f"data.schema.{task}"
            raise RequestError(422, f"{field}: this server finds only entities", field)
    labels = schema.entities
    if isinstance(labels, dict):  # an empty description stands for none
        labels = {label: description or label for label, description in labels.items()}
    return labels, "data.schema.entities"


def _pooling_record(entity: EntityDict, data: PoolingData) -> Any:
    """Return an entity with the fields that were asked for."""
    if not data.include_confidence and not data.include_spans:
        return entity["text"]
    record: dict[str, Any] = {"text": entity["text"]}
    if data.include_confidence:
        record["confidence"] = entity["score"]
    if data.include_spans:
        record |= {"start": entity["start"], "end": entity["end"]}
    return record
