"""Refuse HTTP requests that are not meant for this server, or that are too large.

`RequestGuard` wraps any ASGI application. A page in a browser can send requests to servers
on the same machine, so two checks keep it out: the header `Host` must name this server, which stops
DNS rebinding, and a body must be JSON, which a page of another site may not send without asking.
Every refusal is a JSON object with `error` and `field`.
"""

import base64
import hmac
import ipaddress
import json
import logging
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any, Final, final

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES: Final = 64 * 2**20
"""The size up to which a body is read."""

_LOCAL_NAMES = ("localhost",)
_logger = logging.getLogger(__name__)


@final
class RequestGuard:
    """An ASGI application that checks requests before another one sees them.

    Args:
        app: The other application. It gets bodies as a whole.
        hosts: The host names, without ports, that requests may name besides `localhost`. A numeric
            address is always allowed, because DNS rebinding needs a name.
        credentials: The `USER:PASSWORD` of HTTP basic authentication; None if none are needed.
        max_body_bytes: The size up to which a body is read.
    """

    def __init__(
        self,
        app: App,
        *,
        hosts: Collection[str] = (),
        credentials: str | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._app = app
        self._hosts = {name.lower() for name in (*_LOCAL_NAMES, *hosts)}
        self._max_body_bytes = max_body_bytes
        self._authorization: bytes | None = None
        if credentials is not None:
            self._authorization = b"Basic " + base64.b64encode(credentials.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on; other events of the server are passed on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is None and scope["method"] in ("POST", "PUT", "PATCH"):
            body = await _read_body(receive, self._max_body_bytes)
            if body is None:
                refusal = _Refusal(413, self._too_large(), "body")
            else:
                receive = _replay(body, receive)
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            _logger.warning("%s %s: refused: %s", scope["method"], scope["path"], refusal.error)
            await refusal.send(send)

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> "_Refusal | None":
        host = headers.get(b"host", b"").decode("latin-1")
        if not is_allowed_host(host, self._hosts):
            return _Refusal(
                400,
                f"the host {host!r} is not one of this server's; name it when you start the server",
                "Host",
            )
        given = headers.get(b"authorization", b"")
        if self._authorization and not hmac.compare_digest(given, self._authorization):
            return _Refusal(401, "the user name or the password is wrong", "Authorization")
        if scope["method"] not in ("POST", "PUT", "PATCH"):
            return None
        kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
        if kind != b"application/json":
            message = f"found {kind.decode('latin-1')!r}; expected 'application/json'"
            return _Refusal(415, message, "Content-Type")
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._max_body_bytes:
            return _Refusal(413, self._too_large(), "body")
        return None

    def _too_large(self) -> str:
        return f"the body has more than {self._max_body_bytes:,} bytes; send fewer texts at once"


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


@final
class _Refusal:
    def __init__(self, status: int, problem: str, field: str) -> None:
        self.error = f"{field}: {problem}"
        self._status = status
        self._body = json.dumps({"error": self.error, "field": field}).encode()

    async def send(self, send: Send) -> None:
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(self._body)).encode()),
        ]
        if self._status == 401:
            headers.append((b"www-authenticate", b'Basic realm="gliner-distill"'))
        if self._status == 413:  # the rest of the body is not read
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": self._status, "headers": headers})
        await send({"type": "http.response.body", "body": self._body})


async def _read_body(receive: Receive, max_bytes: int) -> bytes | None:
    """Return the whole body, or None if it is too large."""
    parts: list[bytes] = []
    n_bytes = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":  # the client has left
            return b""
        parts.append(message.get("body", b""))
        n_bytes += len(parts[-1])
        if n_bytes > max_bytes:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


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
