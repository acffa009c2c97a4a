"""Errors of requests, and the JSON in which a client gets them (RFC 9457, "problem details")."""

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final, final

from gliner_distill.errors import DistillError

PROBLEM_JSON: Final = "application/problem+json"
"""The media type of every error."""

RETRY_AFTER_S: Final = 1
"""The seconds after which a client that was turned away should ask again."""

_RETRIED = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


@final
class RequestError(DistillError):
    """A request that cannot be answered.

    Args:
        status: The status of the answer.
        detail: One sentence that says what is wrong, what was expected, and what to do.
        field: The field of the request that is wrong, such as `labels[2]`; None if it is not one.
        others: Further fields that are wrong, each with its sentence.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        field: str | None = None,
        others: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.field = field
        self._others = others

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments of the constructor."""
        return type(self), (self.status, self.detail, self.field, self._others)

    @property
    def body(self) -> bytes:
        """The JSON of the answer."""
        content: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.field is not None:
            content["field"] = self.field
        if self._others:
            errors = [(self.field, self.detail), *self._others]
            content["errors"] = [{"field": field, "detail": detail} for field, detail in errors]
        return json.dumps(content).encode()

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the answer, apart from its type and length."""
        headers = {}
        if self.status in _RETRIED:
            headers["Retry-After"] = str(RETRY_AFTER_S)
        if self.status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE):
            headers["Connection"] = "close"  # the rest of the body is not read
        return headers
