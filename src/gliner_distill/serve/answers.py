"""The answers of this package's own routes: from the body of a request to that of its answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar, final

from gliner_distill.entities import EntityDict
from gliner_distill.errors import MissingExtraError
from gliner_distill.redaction.redactor import RedactionMode, Redactor
from gliner_distill.serve.models import ModelShelf, ServedModel
from gliner_distill.serve.problems import RequestError
from gliner_distill.serve.questions import Bounds, Question, Render
from gliner_distill.serve.requests import EntitiesRequest, RedactRequest, parse_body
from gliner_distill.serve.review.disagreements import Review

try:
    from fastapi import Response
    from pydantic import BaseModel
    from pydantic_core import to_json
except ModuleNotFoundError as error:
    raise MissingExtraError("fastapi", "serve") from error

_MODES: dict[str, RedactionMode] = {"replace": "label", "mask": "mask", "hash": "hash"}
# Parsing a larger body could keep the event loop from other requests for some milliseconds.
_LARGE_BODY_BYTES = 20_000

Body = TypeVar("Body", bound=BaseModel)


@final
@dataclass(frozen=True, slots=True)
class Service:
    """The models and settings that all answers need.

    Attributes:
        models: The models.
        bounds: The bounds of requests.
        hash_key: The secret for hashes in redacted texts; None if there is none.
        review: The disagreements of a distillation; None if the server shows none.
        turn: Large bodies are parsed one after the other, because one that is full of errors takes
            many times its size.
    """

    models: ModelShelf
    bounds: Bounds
    hash_key: bytes | None = None
    review: Review | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def parse(self, kind: type[Body], content: bytes) -> Body:
        """Return a body as an object; see `parse_body`."""
        if len(content) < _LARGE_BODY_BYTES:
            return parse_body(kind, content)
        async with self.turn:
            return await asyncio.to_thread(parse_body, kind, content)


async def answer_entities(service: Service, content: bytes) -> Response:
    """Return the entities of texts."""
    asked = await service.parse(EntitiesRequest, content)
    served = service.models.find(asked.model)
    question = asked.question(service.bounds)
    pieces = await read_texts(served, question, asked.all_texts, render_entities)
    return _join(served, b"entities", pieces, is_list=asked.texts is not None)


async def answer_redaction(service: Service, content: bytes) -> Response:
    """Return texts in which entities are replaced."""
    asked = await service.parse(RedactRequest, content)
    served = service.models.find(asked.model)
    if asked.mode == "hash" and service.hash_key is None:
        message = "mode: this server has no key for hashes; start it with --hash-key-file"
        raise RequestError(422, message, "mode")
    key = service.hash_key if asked.mode == "hash" else None
    redactor = Redactor(_MODES[asked.mode], key=key)

    def render(text: str, entities: list[EntityDict]) -> bytes:
        redaction = redactor.redact(text, entities)
        return to_json({"text": redaction.text, "entities": redaction.entities})

    question = asked.question(service.bounds)
    pieces = await read_texts(served, question, asked.all_texts, render)
    return _join(served, b"redacted", pieces, is_list=asked.texts is not None)


async def read_texts(
    served: ServedModel, question: Question, texts: Sequence[str], render: Render
) -> list[bytes]:
    """Return the answer of a model for each text; see `Reader.read`.

    Raises:
        RequestError: The model takes no thresholds for single labels; or see `Reader.read`.
    """
    if question.thresholds and not served.is_student:
        message = "thresholds: only students take thresholds for single labels; give threshold"
        raise RequestError(422, message, "thresholds")
    return await served.reader.read(question, texts, render)


def render_entities(_text: str, entities: list[EntityDict]) -> bytes:
    """Return entities as JSON."""
    return to_json(entities)


def json_response(content: bytes) -> Response:
    """Return an answer that is JSON already."""
    return Response(content, media_type="application/json")


def _join(served: ServedModel, field: bytes, pieces: list[bytes], *, is_list: bool) -> Response:
    """Return an answer whose parts are JSON already."""
    content = b"[%b]" % b",".join(pieces) if is_list else pieces[0]
    return json_response(b'{"model":%b,"%b":%b}' % (to_json(served.name), field, content))
