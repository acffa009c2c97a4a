"""Numbers about requests, in the format of Prometheus; none of them holds a text or a label."""

from typing import Final, final

from gliner_distill.errors import MissingExtraError
from gliner_distill.serve.reader import Reader

try:
    from prometheus_client import (
        CONTENT_TYPE_LATEST,
        CollectorRegistry,
        Counter,
        Gauge,
        Histogram,
        ProcessCollector,
        generate_latest,
    )
except ModuleNotFoundError as error:
    raise MissingExtraError("prometheus-client", "serve") from error

METRICS_TYPE: Final[str] = CONTENT_TYPE_LATEST
"""The media type of the numbers."""

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


@final
class Metrics:
    """The numbers of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "gliner_distill_requests",
            "Requests by route and status; refused ones have the route 'refused'.",
            ("route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "gliner_distill_request_seconds",
            "Seconds from the arrival of a request to its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._batch_texts = Histogram(
            "gliner_distill_batch_texts",
            "Texts that were read together.",
            ("model",),
            buckets=_TEXTS,
            registry=self._registry,
        )
        self._chars = Counter(
            "gliner_distill_characters",
            "Characters of the texts that were read.",
            ("model",),
            registry=self._registry,
        )
        self._waiting = Gauge(
            "gliner_distill_waiting_requests",
            "Requests that wait for a model.",
            ("model",),
            registry=self._registry,
        )
        # A child is looked up once, because that takes longer than to count.
        self._counters: dict[tuple[str, int], Counter] = {}
        self._timers: dict[str, Histogram] = {}

    def watch(self, model: str, reader: Reader) -> None:
        """Count the batches of a model, and show its queue."""
        self._waiting.labels(model).set_function(lambda: reader.n_waiting)
        batch_texts, chars = self._batch_texts.labels(model), self._chars.labels(model)

        def count(n_texts: int, n_chars: int) -> None:
            batch_texts.observe(n_texts)
            chars.inc(n_chars)

        reader.count_batch = count

    def count(self, route: str, status: int, seconds: float) -> None:
        """Count an answer.

        Args:
            route: The path of the route.
            status: The status of the answer.
            seconds: The time that it took.
        """
        self._counter(route, status).inc()
        timer = self._timers.get(route)
        if timer is None:
            timer = self._timers[route] = self._seconds.labels(route)
        timer.observe(seconds)

    def count_refusal(self, status: int) -> None:
        """Count a request that was refused before it reached a route."""
        self._counter("refused", status).inc()

    def write(self) -> bytes:
        """Return all numbers as text."""
        text: bytes = generate_latest(self._registry)
        return text

    def _counter(self, route: str, status: int) -> Counter:
        key = route, status
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = self._requests.labels(route, str(status))
        return counter
