"""The process around an application: its socket, its time limits for clients, and its stop."""

import asyncio
import math
import signal
import socket
from contextlib import suppress
from typing import Any, Final, final

from gliner_distill.errors import DistillError, MissingExtraError
from gliner_distill.serve.app import ServeApp

try:
    from uvicorn import Config, Server
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
except ModuleNotFoundError as error:
    raise MissingExtraError("uvicorn", "serve") from error

HEADER_TIME_LIMIT_S: Final = 10.0
"""The seconds within which the headers of a request must arrive, from its first byte on."""

# A read may bring a part of the body together with the headers.
_MAX_HEADER_BYTES = 2**20
# Longer than proxies and clients keep an idle connection, so that they are the ones to end it.
_IDLE_S = 75
_STOP_S = 1.0
_TICK_S = 0.05


@final
class PatientProtocol(HttpToolsProtocol):
    """A connection that ends if the headers of a request are too slow or too large."""

    _timer: asyncio.TimerHandle | None = None
    _n_header_bytes = 0

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what a client has sent."""
        if self._timer is not None:
            self._n_header_bytes += len(data)
            if self._n_header_bytes > _MAX_HEADER_BYTES:
                self.transport.close()
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Wait for the headers of a request that has begun."""
        self._start_timer()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Start to answer."""
        self._stop_timer()
        super().on_headers_complete()

    def _start_timer(self) -> None:
        if self._timer is None:
            self._n_header_bytes = 0
            self._timer = self.loop.call_later(HEADER_TIME_LIMIT_S, self.transport.close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


@final
class StoppingServer(Server):
    """A server that loses no request when it stops.

    After a signal it still answers for a second, but each answer closes its connection, so that
    clients notice between two requests that it stops. Then it finishes the requests that it has.
    """

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting connections, and finish all requests."""
        app = self.config.app
        if isinstance(app, ServeApp):
            app.is_stopping = True
        ticks = math.ceil(_STOP_S / _TICK_S)
        while ticks and self.server_state.connections and not self.force_exit:
            await asyncio.sleep(_TICK_S)
            ticks -= 1
        await super().shutdown(sockets)


def run_server(app: ServeApp, listener: socket.socket, *, time_limit_s: float) -> None:
    """Answer requests until SIGTERM or Ctrl-C; a second Ctrl-C stops at once.

    Args:
        app: The application.
        listener: The socket, see `listen`.
        time_limit_s: The seconds until a request must be answered.
    """
    config = Config(
        app,
        http=PatientProtocol,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_IDLE_S,
        timeout_graceful_shutdown=math.ceil(time_limit_s) + 5,
    )
    # The server passes signals on to these handlers at its end, where they must not kill it.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with suppress(KeyboardInterrupt):
            StoppingServer(config).run(sockets=[listener])
    finally:
        signal.signal(signal.SIGTERM, before)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address.

    Raises:
        DistillError: The address is not one of this machine, or another program uses the port.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise DistillError(
            f"{host}, port {port}: cannot listen there: {error.strerror or error}; give another "
            "--host or --port"
        ) from error
