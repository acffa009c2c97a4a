"""The HTTP application of `gliner-distill serve`: its routes, its checks and its errors.

Source for errors: RFC 9457. Neither texts nor labels nor entities are logged.
"""

import asyncio
import logging
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, final

from gliner_distill import __version__
from gliner_distill.errors import InputError, MissingExtraError, is_out_of_memory
from gliner_distill.evaluation.models import NERModel
from gliner_distill.serve.answers import (
    Service,
    answer_entities,
    answer_redaction,
    json_response,
)
from gliner_distill.serve.guard import App, Receive, RequestGuard, Scope, Send
from gliner_distill.serve.metrics import METRICS_TYPE, Metrics
from gliner_distill.serve.models import ModelShelf
from gliner_distill.serve.openapi import build_openapi, describe_answers, describe_route
from gliner_distill.serve.other_clients import (
    answer_adapter_cache,
    answer_gliner_serve,
    answer_pooling,
)
from gliner_distill.serve.page_files import page_files
from gliner_distill.serve.problems import PROBLEM_JSON, RequestError
from gliner_distill.serve.questions import Bounds
from gliner_distill.serve.review.disagreements import Review
from gliner_distill.serve.review.routes import REVIEW_ROUTES

try:
    from fastapi import FastAPI, Request, Response
    from pydantic_core import to_json
    from starlette.exceptions import HTTPException
    from starlette.middleware.cors import CORSMiddleware
except ModuleNotFoundError as error:
    raise MissingExtraError("fastapi", "serve") from error

_logger = logging.getLogger(__name__)

Answer = Callable[[Service, bytes], Awaitable[Response]]
Respond = Callable[[bytes], Awaitable[Response]]

_POST_ROUTES: Final[dict[str, Answer]] = {
    "/v1/entities": answer_entities,
    "/v1/redact": answer_redaction,
    "/gliner": answer_gliner_serve,
    "/pooling": answer_pooling,
}
_WATCHED_AFTER_S = 0.1
_OPEN_PATHS: Final = ("/health", "/ready")


@dataclass(frozen=True, slots=True)
class Access:
    """Who may send requests; see `RequestGuard`.

    Attributes:
        hosts: The host names, besides `localhost`, that requests may name.
        origins: The other origins whose pages may send requests.
        api_key: The key that requests must have; None if they need none.
    """

    hosts: Collection[str] = ()
    origins: Collection[str] = ()
    api_key: str | None = None


@final
class ServeApp(FastAPI):
    """The application, with the state that the server around it changes.

    Attributes:
        is_stopping: Whether the server is about to stop. `/ready` then says so, and each answer
            closes its connection.
        entrance: The checks of requests, and behind them all routes.
    """

    is_stopping = False
    entrance: App

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        try:
            await self.entrance(scope, receive, send)
        except asyncio.CancelledError:
            if scope["type"] != "http" or not self.is_stopping:
                raise
            # A second Ctrl-C does not wait for answers.
            response = _problem(RequestError(503, "the server has stopped; ask again later"))
            await response(scope, receive, send)

    async def route(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that has been checked."""
        await super().__call__(scope, receive, send)

    @cached_property
    def _description(self) -> dict[str, Any]:
        return build_openapi(self)

    def openapi(self) -> dict[str, Any]:
        """Return the description of the interface."""
        return self._description


def create_app(
    models: Mapping[str, NERModel],
    *,
    bounds: Bounds | None = None,
    access: Access | None = None,
    hash_key: bytes | None = None,
    review: Review | None = None,
    n_threads: int = 1,
) -> ServeApp:
    """Return the application.

    Args:
        models: The models by name; the first one answers requests that name none.
        bounds: The bounds of requests.
        access: Who may send requests.
        hash_key: The secret for hashes in redacted texts; None to refuse them.
        review: The disagreements that the page shows; None for a page without them.
        n_threads: The number of batches that each student reads side by side.
    """
    bounds, access = bounds or Bounds(), access or Access()
    shelf = ModelShelf(models, bounds, n_threads=n_threads)
    service = Service(shelf, bounds, hash_key, review)
    metrics = Metrics()
    for served in shelf:
        metrics.watch(served.name, served.reader)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        shelf.close()

    app = ServeApp(
        title="gliner-distill",
        version=__version__,
        description="Finds entities of any label in texts, and redacts them.",
        docs_url=None,  # these pages would load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        exception_handlers={HTTPException: _answer_http_error},
    )
    shortcuts = _add_routes(app, service, metrics)
    if review is not None:
        for (method, path), answer in REVIEW_ROUTES.items():
            endpoint = _endpoint(_respond(app, path, answer, service, metrics))
            app.add_api_route(path, endpoint, methods=[method], include_in_schema=False)
    page = page_files()
    for path, response in page.items():
        app.add_api_route(path, _always(response), methods=["GET"], include_in_schema=False)
    guard = RequestGuard(
        _Shortcuts(shortcuts, app.route),
        hosts=access.hosts,
        origins=access.origins,
        api_key=access.api_key,
        open_paths=(*_OPEN_PATHS, *page),
        max_body_bytes=bounds.max_body_bytes,
        max_held_bytes=16 * bounds.max_body_bytes,
        body_time_limit_s=bounds.time_limit_s,
        write_error=_write_problem,
        count_refusal=metrics.count_refusal,
    )
    app.entrance = _allow_origins(guard, access.origins) if access.origins else guard
    return app


@final
class _Shortcuts:
    """A shortcut around the framework for the routes that get most of the requests.

    Half of the time of a short request would otherwise be spent in the framework's layers, none of
    which these routes need.
    """

    def __init__(self, routes: Mapping[str, Respond], others: App) -> None:
        self._routes = routes
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        respond = self._routes.get(scope["path"]) if scope["type"] == "http" else None
        if respond is None or scope["method"] != "POST":
            await self._others(scope, receive, send)
            return
        body = (await receive())["body"]  # the guard has read it as a whole
        response = await _answer_unless_left(respond(body), receive)
        if response is not None:
            await response(scope, receive, send)


async def _answer_unless_left(answer: Awaitable[Response], receive: Receive) -> Response | None:
    """Return an answer, or None as soon as the client has left.

    No model then works on an answer that nobody waits for. The connection is watched only after a
    moment, because most requests are answered sooner.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    watch: asyncio.Task[None] | None = None
    has_left = False

    async def wait_for_the_end() -> None:
        nonlocal has_left
        while (await receive())["type"] != "http.disconnect":
            pass
        has_left = True
        task.cancel()

    def start_watch() -> None:
        nonlocal watch
        watch = loop.create_task(wait_for_the_end())

    timer = loop.call_later(_WATCHED_AFTER_S, start_watch)
    try:
        return await answer
    except asyncio.CancelledError:
        if not has_left:
            raise
        task.uncancel()
        return None
    finally:
        timer.cancel()
        if watch is not None:
            watch.cancel()


def _add_routes(app: ServeApp, service: Service, metrics: Metrics) -> dict[str, Respond]:
    """Add all routes but those of the page, and return the functions behind those for `POST`."""
    described = {"models": [served.describe() for served in service.models]}
    models = to_json(described | ({"review": True} if service.review else {}))

    async def list_models(_service: Service, _content: bytes) -> Response:
        return json_response(models)

    async def say_health(_service: Service, _content: bytes) -> Response:
        return json_response(b'{"status":"ok"}')

    async def say_ready(_service: Service, _content: bytes) -> Response:
        if app.is_stopping:
            raise RequestError(503, "the server is about to stop")
        return json_response(b'{"status":"ready"}')

    async def write_metrics(_service: Service, _content: bytes) -> Response:
        return Response(metrics.write(), media_type=METRICS_TYPE)

    get_routes: dict[str, Answer] = {
        "/v1/models": list_models,
        "/health": say_health,
        "/ready": say_ready,
        "/metrics": write_metrics,
        "/gliner/adapter-cache": answer_adapter_cache,
    }
    shortcuts: dict[str, Respond] = {}
    for method, routes in (("POST", _POST_ROUTES), ("GET", get_routes)):
        for path, answer in routes.items():
            respond = _respond(app, path, answer, service, metrics)
            if method == "POST":
                shortcuts[path] = respond
            app.add_api_route(
                path,
                _endpoint(respond),
                methods=[method],
                name=path.removeprefix("/v1").strip("/"),
                summary=(answer.__doc__ or "").split("\n")[0] or None,
                include_in_schema=path != "/gliner/adapter-cache",
                responses=describe_answers(path),
                openapi_extra=describe_route(path),
            )
    return shortcuts


def _respond(
    app: ServeApp, path: str, answer: Answer, service: Service, metrics: Metrics
) -> Respond:
    """Return a function that answers bodies, turns errors into problems, and counts requests."""

    async def respond(body: bytes) -> Response:
        began = time.perf_counter()
        try:
            response = await answer(service, body)
        except Exception as error:
            response = _problem(_explain(error))
        if app.is_stopping:
            response.headers["Connection"] = "close"
        seconds = time.perf_counter() - began
        response.headers["Server-Timing"] = f"answer;dur={1000 * seconds:.2f}"
        metrics.count(path, response.status_code, seconds)
        return response

    return respond


def _endpoint(respond: Respond) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await respond(await request.body())

    return endpoint


def _explain(error: Exception) -> RequestError:
    """Return the error that is sent to the client."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, InputError):
        return RequestError(422, str(error))
    # The message of an unexpected error may hold a text, so only its place is logged.
    place = "".join(traceback.format_tb(error.__traceback__))
    _logger.error("%s while answering a request, at\n%s", type(error).__name__, place)
    if is_out_of_memory(error):
        return RequestError(
            503, "there is not enough memory now; ask again later, or for less text"
        )
    return RequestError(500, "the server failed at this request; its log says where")


def _problem(error: RequestError) -> Response:
    return Response(error.body, error.status, error.headers, PROBLEM_JSON)


async def _answer_http_error(_request: Request, error: Exception) -> Response:
    """Answer a path or a method that does not exist."""
    assert isinstance(error, HTTPException)
    response = _problem(RequestError(error.status_code, str(error.detail)))
    response.headers.update(error.headers or {})
    return response


def _always(response: Response) -> Callable[[], Awaitable[Response]]:
    """Return an endpoint that always has the same answer."""

    async def endpoint() -> Response:
        return response

    return endpoint


def _write_problem(error: RequestError) -> tuple[str, bytes]:
    return PROBLEM_JSON, error.body


def _allow_origins(app: App, origins: Collection[str]) -> App:
    """Return an application that answers browsers which ask before a page sends its request."""
    allowing: App = CORSMiddleware(
        app,
        allow_origins=list(origins),
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type"],
        expose_headers=["Retry-After"],
    )
    return allowing
