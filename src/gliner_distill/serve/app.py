"""The HTTP application of `gliner-distill serve`."""

import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from pydantic_core import to_json

from gliner_distill.entities import EntityDict
from gliner_distill.errors import InputError, MissingExtraError
from gliner_distill.evaluation.models import NERModel
from gliner_distill.serve.bounds import Bounds
from gliner_distill.serve.guard import RequestGuard
from gliner_distill.serve.models import ModelShelf
from gliner_distill.serve.page_files import add_page
from gliner_distill.serve.problems import PROBLEM_JSON, RequestError
from gliner_distill.serve.requests import EntitiesRequest, parse_body

try:
    from fastapi import FastAPI, Request, Response
    from starlette.exceptions import HTTPException
except ModuleNotFoundError as error:
    raise MissingExtraError("fastapi", "serve") from error

_logger = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Response]]


def create_app(
    models: Mapping[str, NERModel],
    *,
    bounds: Bounds | None = None,
    n_threads: int = 1,
    hosts: Collection[str] = (),
) -> FastAPI:
    """Return the application."""
    bounds = bounds or Bounds()
    shelf = ModelShelf(models, bounds, n_threads=n_threads)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        shelf.close()

    app = FastAPI(title="gliner-distill", docs_url=None, redoc_url=None, lifespan=lifespan)

    async def entities(request: Request) -> Response:
        asked = parse_body(EntitiesRequest, await request.body())
        served = shelf.find(asked.model)
        pieces = await served.reader.read(asked.question(bounds), asked.all_texts, _render_entities)
        return _answer(served.name, "entities", pieces, is_list=asked.texts is not None)

    async def list_models(request: Request) -> Response:
        return _json({"models": [served.describe() for served in shelf]})

    app.add_api_route("/v1/entities", _guarded(entities), methods=["POST"])
    app.add_api_route("/v1/models", _guarded(list_models), methods=["GET"])
    add_page(app)
    app.add_middleware(RequestGuard, hosts=hosts, max_body_bytes=bounds.max_body_bytes)
    return app


def _render_entities(_text: str, entities: list[EntityDict]) -> bytes:
    return to_json(entities)


def _answer(model: str, field: str, pieces: list[bytes], *, is_list: bool) -> Response:
    """Return an answer whose parts are JSON already."""
    content = b"[" + b",".join(pieces) + b"]" if is_list else pieces[0]
    body = b'{"model":%b,"%b":%b}' % (to_json(model), field.encode(), content)
    return Response(body, media_type="application/json")


def _json(content: Any) -> Response:
    return Response(to_json(content), media_type="application/json")


def _guarded(handler: Handler) -> Handler:
    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except RequestError as error:
            return _problem(error)

    return guarded


def _problem(error: RequestError) -> Response:
    return Response(error.body, error.status, error.headers, PROBLEM_JSON)
