"""The HTTP application that Label Studio calls, with `/setup`, `/predict`, `/webhook` and the like.

Source: Label Studio (https://labelstud.io/guide/ml_create) and what its package 1.23.2 sends. An
answer that refuses a request is a JSON object with `error` and, if a field is wrong, `field`.
Neither texts nor entities are logged.
"""

import logging
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Final

from gliner_distill.errors import CorpusError, DistillError, MissingExtraError
from gliner_distill.integrations.label_studio.gold import GoldFile
from gliner_distill.integrations.label_studio.labeling_config import read_labeling_config
from gliner_distill.integrations.label_studio.payloads import PayloadError, member, read_object
from gliner_distill.integrations.label_studio.predictions import Predictor, check_tasks
from gliner_distill.integrations.label_studio.webhook import take_event
from gliner_distill.serve.guard import RequestGuard

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.responses import JSONResponse

MAX_TASKS: Final = 10_000
"""The most tasks that are answered at once."""

Body = dict[str, Any]

_logger = logging.getLogger(__name__)


def create_app(
    predictor: Predictor,
    *,
    gold: GoldFile | None = None,
    hosts: Collection[str] = (),
    credentials: str | None = None,
) -> "FastAPI":
    """Return the application.

    Args:
        predictor: The model that answers tasks.
        gold: The file that gets the annotations; None to keep nothing.
        hosts: The host names that requests may name; see `RequestGuard`.
        credentials: The `USER:PASSWORD` that requests must have; None if they need none. For
            webhooks, Label Studio must be told to send them in a header.

    Raises:
        MissingExtraError: FastAPI is not installed.
    """
    try:
        from fastapi import FastAPI
    except ModuleNotFoundError as error:
        raise MissingExtraError("fastapi", "label-studio") from error

    # The pages about the interface would load scripts from elsewhere.
    app = FastAPI(title="gliner-distill", docs_url=None, redoc_url=None, openapi_url=None)
    health = {"status": "UP", "model_class": "gliner-distill", "model_version": predictor.version}
    versions = {"versions": [predictor.version]}
    app.add_api_route("/", lambda: health, methods=["GET"])
    app.add_api_route("/health", lambda: health, methods=["GET"])
    app.add_api_route("/versions", lambda: versions, methods=["GET"])

    def setup(body: Body) -> Body:
        read_labeling_config(member(body, "schema", str), field="schema")
        return {"model_version": predictor.version, "status": "ok"}

    def predict(body: Body) -> Body:
        tasks = check_tasks(member(body, "tasks", list), max_tasks=MAX_TASKS)
        config = read_labeling_config(member(body, "label_config", str))
        results = predictor.predict(tasks, config)
        n_bad = sum("error" in result for result in results)
        if n_bad:
            _logger.warning("%d of %d tasks have no text to label", n_bad, len(tasks))
        return {"results": results, "model_version": predictor.version}

    def webhook(body: Body) -> Body:
        return take_event(body, gold)

    for path, answer in (("/setup", setup), ("/predict", predict), ("/webhook", webhook)):
        _add_route(app, path, answer)
    app.add_middleware(RequestGuard, hosts=hosts, credentials=credentials)
    return app


def _add_route(app: "FastAPI", path: str, answer: Callable[[Body], Body]) -> None:
    from fastapi import Request
    from fastapi.concurrency import run_in_threadpool
    from fastapi.responses import JSONResponse

    def respond(content: bytes) -> "JSONResponse":
        try:
            return JSONResponse(answer(read_object(content)))
        except PayloadError as error:
            _logger.warning("%s: refused: %s", path, error.field if error.quotes_text else error)
            return JSONResponse({"error": str(error), "field": error.field}, status_code=422)
        except DistillError as error:
            status = 507 if isinstance(error, CorpusError) else 422
            _logger.warning("%s: %s", path, error)
            return JSONResponse({"error": str(error)}, status_code=status)

    async def endpoint(request: Request) -> JSONResponse:
        return await run_in_threadpool(respond, await request.body())

    app.add_api_route(path, endpoint, methods=["POST"])
