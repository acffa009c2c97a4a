"""Refuse HTTP requests that are not meant for this server, or that are too large.

`RequestGuard` wraps any ASGI application. A page in a browser can send requests to servers on the
same machine, so three checks keep it out: the header `Host` must name this server, which stops DNS
rebinding; the header `Origin`, which browsers send, must name it as well; and a body must be JSON,
which a page of another site may not send without asking.
"""

import asyncio
import base64
import hmac
import ipaddress
import json
import logging
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any, Final, final

from gliner_distill.serve.problems import RequestError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
WriteError = Callable[[RequestError], tuple[str, bytes]]
"""A function that returns the media type and the body of the answer for an error."""

MAX_BODY_BYTES: Final = 64 * 2**20
"""The size up to which a body is read."""

_LOCAL_NAMES = ("localhost",)
_logger = logging.getLogger(__name__)


def write_plain(error: RequestError) -> tuple[str, bytes]:
    """Return a JSON object with `error` and `field`, as the answer for an error."""
    return "application/json", json.dumps({"error": error.detail, "field": error.field}).encode()


@final
class RequestGuard:
    """An ASGI application that checks requests before another one sees them.

    Args:
        app: The other application. It gets bodies as a whole.
        hosts: The host names, without ports, that requests may name besides `localhost`. A numeric
            address is always allowed, because DNS rebinding needs a name.
        origins: Other origins whose pages may send requests, such as `https://example.com`.
        credentials: The `USER:PASSWORD` of HTTP basic authentication; None if none are needed.
        api_key: The key that requests must have in `Authorization: Bearer KEY`; None if none is
            needed. Only one of `credentials` and `api_key` may be given.
        open_paths: The paths that need neither.
        max_body_bytes: The size up to which a body is read.
        max_held_bytes: The size of all bodies together that are being read or answered.
        body_time_limit_s: The seconds within which a body must arrive; None for no limit.
        write_error: A function that writes the answer for a refused request.
        count_refusal: A function that is told the status of each refused request.
    """

    def __init__(
        self,
        app: App,
        *,
        hosts: Collection[str] = (),
        origins: Collection[str] = (),
        credentials: str | None = None,
        api_key: str | None = None,
        open_paths: Collection[str] = (),
        max_body_bytes: int = MAX_BODY_BYTES,
        max_held_bytes: int = 4 * MAX_BODY_BYTES,
        body_time_limit_s: float | None = None,
        write_error: WriteError = write_plain,
        count_refusal: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._app = app
        self._hosts = {name.lower() for name in (*_LOCAL_NAMES, *hosts)}
        self._last_host: bytes | None = None
        self._origins = {origin.lower().encode() for origin in origins}
        self._open_paths = frozenset(open_paths)
        self._max_body_bytes = max_body_bytes
        self._n_held_bytes = 0
        self._max_held_bytes = max_held_bytes
        self._body_time_limit_s = body_time_limit_s
        self._write_error = write_error
        self._count_refusal = count_refusal
        self._authorization: bytes | None = None
        self._challenge = 'Basic realm="gliner-distill"'
        self._missing = "the user name or the password is wrong"
        if credentials is not None:
            self._authorization = b"Basic " + base64.b64encode(credentials.encode())
        elif api_key is not None:
            self._authorization = b"Bearer " + api_key.encode()
            self._challenge = 'Bearer realm="gliner-distill"'
            self._missing = "the API key is missing or wrong; send `Authorization: Bearer KEY`"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on; other events of the server are passed on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = b""
        try:
            self._check(scope, dict(scope["headers"]))
            if scope["method"] in ("POST", "PUT", "PATCH"):
                body = await self._read_body(receive)
                receive = _replay(body, receive)
        except RequestError as error:
            _logger.warning("refused with status %d: %s", error.status, error.detail)
            self._count_refusal(error.status)
            await self._refuse(error, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._n_held_bytes -= len(body)

    def _check(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        """Raise a `RequestError` unless the headers of a request are acceptable."""
        host = headers.get(b"host", b"")
        # Most requests have the same host, and to parse an address takes longer than to compare it.
        if host != self._last_host and not is_allowed_host(host.decode("latin-1"), self._hosts):
            name = host[:60].decode("latin-1")
            message = f"the host {name!r} is not allowed; name it when you start the server"
            raise _refusal(400, message, "Host")
        self._last_host = host
        origin = headers.get(b"origin")
        if origin is not None and not self._is_allowed_origin(origin.lower(), host.lower()):
            raise _refusal(403, "pages of this origin may not use this server", "Origin")
        if self._authorization is not None and scope["path"] not in self._open_paths:
            given = headers.get(b"authorization", b"")
            if not hmac.compare_digest(given, self._authorization):
                raise _refusal(401, self._missing, "Authorization")
        if scope["method"] in ("POST", "PUT", "PATCH"):
            self._check_content(headers)

    def _check_content(self, headers: dict[bytes, bytes]) -> None:
        kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
        if kind != b"application/json":
            found = kind[:60].decode("latin-1")
            raise _refusal(415, f"found {found!r}; expected 'application/json'", "Content-Type")
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > self._max_body_bytes:
            raise self._too_large()

    def _is_allowed_origin(self, origin: bytes, host: bytes) -> bool:
        """Return whether a page belongs to this server, or to one of the other origins."""
        return origin.partition(b"://")[2] == host or origin in self._origins

    async def _read_body(self, receive: Receive) -> bytes:
        """Return the whole body, whose size then counts as held.

        Raises:
            RequestError: It is too large, or does not arrive in time, or other bodies have taken
                the memory.
        """
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_time_limit_s):
                while await self._read_part(receive, body):
                    pass
        except BaseException as error:
            self._n_held_bytes -= len(body)
            if not isinstance(error, TimeoutError):
                raise
            limit = self._body_time_limit_s
            raise _refusal(408, f"it did not arrive within {limit:g} seconds", "body") from None
        return bytes(body)

    async def _read_part(self, receive: Receive, body: bytearray) -> bool:
        """Add a part to a body, and return whether there is more."""
        message = await receive()
        if message["type"] != "http.request":
            raise _refusal(400, "the client has left", "body")
        part = message.get("body", b"")
        body += part
        self._n_held_bytes += len(part)
        if len(body) > self._max_body_bytes:
            raise self._too_large()
        has_more = bool(message.get("more_body", False))
        if has_more and self._n_held_bytes > self._max_held_bytes:
            raise _refusal(503, "there are too many large requests; ask again later", "body")
        return has_more

    def _too_large(self) -> RequestError:
        limit = f"{self._max_body_bytes:,}"
        return _refusal(
            413, f"the body has more than {limit} bytes; send fewer texts at once", "body"
        )

    async def _refuse(self, error: RequestError, send: Send) -> None:
        kind, body = self._write_error(error)
        headers = {"content-type": kind, "content-length": str(len(body)), **error.headers}
        if error.status == 401:
            headers["www-authenticate"] = self._challenge
        pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": error.status, "headers": pairs})
        await send({"type": "http.response.body", "body": body})


def _refusal(status: int, problem: str, field: str) -> RequestError:
    return RequestError(status, f"{field}: {problem}", field)


def is_allowed_host(host: str, names: Collection[str]) -> bool:
    """Return whether a `Host` header names a server: by a numeric address, or by one of the names.

    Args:
        host: The header, with or without a port.
        names: Names in lower case.

    >>> is_allowed_host("127.0.0.1:9090", ()), is_allowed_host("evil.example", ["localhost"])
    (True, False)
    """
    if host.startswith("["):  # an IPv6 address has colons of its own
        name, _, rest = host[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        name, _, port = host.partition(":")
    if port and not port.isdecimal():
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.lower().removesuffix(".") in names
    return True


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a function that gives the body first, and then all later messages."""
    is_given = False

    async def replay() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
