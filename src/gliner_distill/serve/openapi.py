"""The description of the interface (OpenAPI): the shapes of answers, and an example per route."""

from typing import Any, Final

from gliner_distill.errors import MissingExtraError
from gliner_distill.serve.other_clients import GLiNERServeRequest, PoolingRequest
from gliner_distill.serve.problems import PROBLEM_JSON
from gliner_distill.serve.requests import EntitiesRequest, RedactRequest

try:
    from fastapi import FastAPI
    from fastapi.openapi.utils import get_openapi
    from pydantic import BaseModel, ConfigDict, Field
    from pydantic.json_schema import models_json_schema
except ModuleNotFoundError as error:
    raise MissingExtraError("pydantic", "serve") from error


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FoundEntity(_Answer):
    """An entity of a text; positions count characters (Unicode code points)."""

    start: int
    end: int = Field(description="The character after the last one.")
    text: str
    label: str
    score: float
    source: str | None = Field(None, description="`pattern` if a checked pattern has found it.")


class EntitiesAnswer(_Answer):
    """The entities of `text`, or a list of entities for each of `texts`."""

    model: str
    entities: list[FoundEntity] | list[list[FoundEntity]]


class ReplacedEntity(_Answer):
    """An entity that was replaced, with its positions in both texts."""

    start: int
    end: int
    redacted_start: int
    redacted_end: int
    label: str
    score: float
    source: str | None = None


class RedactedText(_Answer):
    """A text in which entities are replaced."""

    text: str
    entities: list[ReplacedEntity]


class RedactionAnswer(_Answer):
    """The redacted text, or one for each of `texts`."""

    model: str
    redacted: RedactedText | list[RedactedText]


class ModelDescription(_Answer):
    """A model of the server."""

    name: str
    kind: str = Field(description="`student`, or `teacher` for a GLiNER.")


class ModelsAnswer(_Answer):
    """The models of the server; the first one answers requests that name none."""

    models: list[ModelDescription]


class StatusAnswer(_Answer):
    """The state of the server."""

    status: str


class GLiNERServeAnswer(_Answer):
    """The entities of a text, as `gliner.serve` returns them."""

    entities: list[FoundEntity]


class PoolingEntities(_Answer):
    """The entities of each label."""

    entities: dict[str, list[Any]]


class PoolingAnswer(_Answer):
    """The entities of a text, as vLLM Factory returns them."""

    data: PoolingEntities


class FieldProblem(_Answer):
    """A field of a request that is wrong."""

    field: str
    detail: str


class Problem(_Answer):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    field: str | None = None
    errors: list[FieldProblem] | None = None


_STATUSES: Final = {
    400: "The body is not JSON, or the header Host is wrong.",
    401: "The API key is missing or wrong.",
    403: "The page that sent the request belongs to another origin.",
    404: "The model or the path does not exist.",
    408: "The body did not arrive in time.",
    413: "The request is larger than the server allows.",
    415: "The body is not declared as JSON.",
    422: "A field is missing or wrong.",
    429: "Too many requests wait.",
    503: "There was no answer in time, or the server is about to stop.",
}

_TEXT = "Marie Curie was born in Warsaw in 1867."
_LABELS = ["person", "city", "year"]
EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "/v1/entities": {
        "one text": {"text": _TEXT, "labels": _LABELS},
        "several texts, descriptions": {
            "texts": [_TEXT, "She died in Passy."],
            "labels": {"person": "name of a person", "city": "city or town"},
            "threshold": 0.4,
            "thresholds": {"city": 0.6},
            "nested": True,
        },
    },
    "/v1/redact": {
        "personal data": {"text": "Write to Maria Lopez, maria.lopez@example.com."},
        "mask": {"text": "Maria lives in Sevilla.", "labels": ["person"], "mode": "mask"},
    },
    "/gliner": {"gliner.serve": {"text": _TEXT, "labels": _LABELS, "threshold": 0.5}},
    "/pooling": {
        "gliner-haystack": {
            "model": "/models/current",
            "data": {
                "text": _TEXT,
                "schema": {"entities": {"person": "", "city": ""}},
                "threshold": 0.5,
                "include_spans": True,
                "include_confidence": True,
            },
        }
    },
}
"""Bodies of requests for each route, by a short name."""

_BODIES: Final[dict[str, type[BaseModel]]] = {
    "/v1/entities": EntitiesRequest,
    "/v1/redact": RedactRequest,
    "/gliner": GLiNERServeRequest,
    "/pooling": PoolingRequest,
}
_ANSWERS: Final[dict[str, type[BaseModel]]] = {
    "/v1/entities": EntitiesAnswer,
    "/v1/redact": RedactionAnswer,
    "/v1/models": ModelsAnswer,
    "/health": StatusAnswer,
    "/ready": StatusAnswer,
    "/gliner": GLiNERServeAnswer,
    "/pooling": PoolingAnswer,
}
_REFERENCE = "#/components/schemas/{model}"


def describe_route(path: str) -> dict[str, Any]:
    """Return the parts of a route's description that FastAPI cannot know."""
    extra: dict[str, Any] = {}
    if path in _BODIES:
        schema = {"$ref": _REFERENCE.format(model=_BODIES[path].__name__)}
        examples = {name: {"value": body} for name, body in EXAMPLES[path].items()}
        content = {"application/json": {"schema": schema, "examples": examples}}
        extra["requestBody"] = {"required": True, "content": content}
    return extra


def describe_answers(path: str) -> dict[int | str, dict[str, Any]]:
    """Return the shapes of a route's answers, by status."""
    problem = {"schema": {"$ref": _REFERENCE.format(model="Problem")}}
    answers: dict[int | str, dict[str, Any]] = {
        status: {"description": text, "content": {PROBLEM_JSON: problem}}
        for status, text in _STATUSES.items()
        if path in _BODIES or status in (400, 401, 403, 503)
    }
    if path in _ANSWERS:
        schema = {"$ref": _REFERENCE.format(model=_ANSWERS[path].__name__)}
        content = {"application/json": {"schema": schema}}
        answers[200] = {"description": "The answer.", "content": content}
    elif path == "/metrics":
        content = {"text/plain": {"schema": {"type": "string"}}}
        answers[200] = {"description": "All numbers.", "content": content}
    return answers


def build_openapi(app: FastAPI) -> dict[str, Any]:
    """Return the description of all routes of an application."""
    schema: dict[str, Any] = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    shapes: list[type[BaseModel]] = [*_BODIES.values(), *_ANSWERS.values(), Problem]
    _, definitions = models_json_schema(
        [(shape, "validation") for shape in shapes], ref_template=_REFERENCE
    )
    components = schema.setdefault("components", {})
    components.setdefault("schemas", {}).update(definitions["$defs"])
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    schema["security"] = [{}, {"key": []}]
    return schema
