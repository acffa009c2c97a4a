"""Entities in a FastAPI application of your own: `uvicorn fastapi_app:app` in this folder.

Install `pip install 'gliner-distill[serve]'` first, then ask:

    curl localhost:8000/entities -H 'Content-Type: application/json' \
      -d '{"texts": ["Ada Lovelace lived in London."], "labels": ["person", "city"]}'

The student is loaded once, when the application starts, and `/health` answers from then on. Each
request has a list of texts, which the student reads together. All sizes are bounded, so that no
request takes all memory or minutes. `gliner-distill serve` is a finished server, with access
control and metrics; copy this file to add entities to what your application already does.
"""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gliner_distill import InputError, StudentNER

MODEL = None  # the bundled student; or the folder or the hub id of another one
MOST_TEXTS = 32
MOST_CHARS = 20_000  # of one text
MOST_LABELS = 50
MOST_LABEL_CHARS = 200
MOST_BYTES = 4_000_000  # of a request

_SIZE = re.compile("[0-9]{1,18}")

Text = Annotated[str, StringConstraints(max_length=MOST_CHARS)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=MOST_LABEL_CHARS)]


class Question(BaseModel):
    """The texts of a request, and the labels to find in all of them."""

    model_config = ConfigDict(extra="forbid")  # a misspelled field is an error

    texts: list[Text] = Field(min_length=1, max_length=MOST_TEXTS)
    labels: list[Label] = Field(min_length=1, max_length=MOST_LABELS)
    threshold: float = Field(default=0.5, ge=0, le=1)


class FoundEntity(BaseModel):
    """An entity of a text; positions count characters, and `end` is exclusive."""

    start: int
    end: int
    text: str
    label: str
    score: float


class Answer(BaseModel):
    """The entities of each text, in the order of the texts."""

    entities: list[list[FoundEntity]]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Load the student before the first request."""
    app.state.student = StudentNER.from_pretrained(MODEL)
    app.state.student.predict_entities("A first text fills the caches.", ["label"])
    yield


app = FastAPI(title="Entities", lifespan=lifespan)


@app.middleware("http")
async def refuse_large_requests(
    request: Request, respond: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Refuse a request by its announced size, before its body is read."""
    if request.method == "POST":
        announced = request.headers.get("content-length", "")
        # A body in chunks may be longer than the size that its header announces.
        if not _SIZE.fullmatch(announced) or "transfer-encoding" in request.headers:
            message = "send the body as a whole, and its bytes in the header Content-Length"
            return JSONResponse({"detail": message}, status_code=411)
        if int(announced) > MOST_BYTES:
            message = f"the request has {announced} bytes; at most {MOST_BYTES} are allowed"
            return JSONResponse({"detail": message}, status_code=413)
    return await respond(request)


@app.exception_handler(RequestValidationError)
async def name_wrong_fields(request: Request, error: RequestValidationError) -> Response:
    """Name each wrong field without its value: NaN or half of an emoji would break the answer."""
    wrong = [{"loc": item["loc"], "msg": item["msg"]} for item in error.errors()]
    return Response(json.dumps({"detail": wrong}), 422, media_type="application/json")


# A plain function: FastAPI runs it in a thread, so that the server stays responsive meanwhile.
@app.post("/entities")
def find_entities(question: Question, request: Request) -> Answer:
    """Return the entities of all texts. Several threads may share the student."""
    student: StudentNER = request.app.state.student
    try:
        found = student.inference(question.texts, question.labels, threshold=question.threshold)
    except InputError as error:  # such as a label that is given twice
        raise HTTPException(422, str(error)) from error
    return Answer(entities=[[FoundEntity(**entity) for entity in own] for own in found])


@app.get("/health")
def health() -> dict[str, str]:
    """Say that the student is loaded and answers can be expected."""
    return {"status": "ok"}
