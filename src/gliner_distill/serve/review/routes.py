"""The routes by which the page shows and judges the disagreements of a distillation."""

from typing import Annotated, Any, Final, final

from gliner_distill.errors import CorpusError, MissingExtraError
from gliner_distill.serve.answers import Service, json_response
from gliner_distill.serve.problems import RequestError
from gliner_distill.serve.review.disagreements import Review

try:
    from fastapi import Response
    from fastapi.concurrency import run_in_threadpool
    from pydantic import BaseModel, ConfigDict, Field
    from pydantic_core import to_json
except ModuleNotFoundError as error:
    raise MissingExtraError("fastapi", "serve") from error

REPORT_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
"""The report is one file with its own style and pictures, and it runs no script."""


@final
class JudgmentRequest(BaseModel):
    """A judgment on a passage."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: Annotated[int, Field(ge=0, le=2**31)] = Field(description="The number of the passage.")
    verdicts: Annotated[list[bool], Field(max_length=10_000)] = Field(
        description="Whether each of its entities is right; an empty list skips the passage."
    )


async def answer_next_passage(service: Service, _content: bytes) -> Response:
    """Return the next passage on which student and teacher disagree."""
    return json_response(to_json(_review(service).next()))


async def answer_judgment(service: Service, content: bytes) -> Response:
    """Keep a judged passage as gold."""
    asked = await service.parse(JudgmentRequest, content)
    try:
        await run_in_threadpool(_review(service).judge, asked.id, asked.verdicts)
    except CorpusError as error:  # it names a file of the person who judges, and no text
        raise RequestError(503, str(error)) from error
    return json_response(b'{"status":"ok"}')


async def show_report(service: Service, _content: bytes) -> Response:
    """Return the report of the distillation."""
    return Response(_review(service).report, 200, REPORT_HEADERS, "text/html; charset=utf-8")


REVIEW_ROUTES: Final[dict[tuple[str, str], Any]] = {
    ("GET", "/v1/review"): answer_next_passage,
    ("POST", "/v1/review"): answer_judgment,
    ("GET", "/report"): show_report,
}
"""The functions behind each method and path."""


def _review(service: Service) -> Review:
    if service.review is None:
        raise RequestError(404, "this server shows no distillation; start it with --distillation")
    return service.review
