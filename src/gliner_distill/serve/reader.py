"""Read waiting requests together: a queue in front of a model, and the threads that empty it.

A request waits until a thread is free. The thread then takes everything that waits, up to a bound,
so batches grow with the load, and no request waits for others to arrive. The answer for a text does
not depend on the texts beside it. A long request is read in parts, between which other requests
have their turn.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import final

from gliner_distill.evaluation.models import NERModel
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.serve.problems import RequestError
from gliner_distill.serve.questions import Bounds, Question, Render

_PART_CHARS = 50_000
_PART_TEXTS = 256


@dataclass(slots=True, eq=False)
class _Job:
    """A request that waits, or is being read."""

    question: Question
    texts: Sequence[str]
    render: Render
    answer: "asyncio.Future[list[bytes]]"
    n_chars: int
    n_taken: int = 0
    n_missing: int = 0
    pieces: list[bytes] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Part:
    """Texts of a job that are read at once, and the result."""

    job: _Job
    start: int
    texts: Sequence[str]
    pieces: list[bytes] = field(default_factory=list)
    error: Exception | None = None


def _ignore(_n_texts: int, _n_chars: int) -> None:
    """Do nothing with the size of a batch."""


@final
class Reader:
    """A model with a queue of requests; all methods must be called from the event loop.

    Args:
        model: The model.
        n_threads: The number of batches that are read side by side.
        bounds: The bounds of the queue.

    Attributes:
        count_batch: A function that is told the number of texts and of characters of each batch.
    """

    def __init__(
        self,
        model: NERModel,
        *,
        n_threads: int = 1,
        bounds: Bounds | None = None,
    ) -> None:
        self.count_batch: Callable[[int, int], None] = _ignore
        self._model = model
        self._mixes_labels = isinstance(model, StudentNER)
        self._bounds = bounds or Bounds()
        self._jobs: deque[_Job] = deque()
        self._n_chars = 0
        self._n_threads = self._n_free = n_threads
        self._is_scheduled = False
        self._threads: ThreadPoolExecutor | None = None

    @property
    def n_waiting(self) -> int:
        """The number of requests that wait."""
        return len(self._jobs)

    async def read(self, question: Question, texts: Sequence[str], render: Render) -> list[bytes]:
        """Return the rendered answer for each text.

        Args:
            question: The labels and options.
            texts: The texts.
            render: A function that turns a text and its entities into JSON; it runs in a thread.

        Raises:
            RequestError: Too many requests wait, or the time limit has passed.
            Exception: The model's or the function's own error.
        """
        if not texts:
            return []
        n_chars = sum(map(len, texts))
        self._check_room(n_chars)
        loop = asyncio.get_running_loop()
        job = _Job(question, texts, render, loop.create_future(), n_chars)
        job.n_missing = len(texts)
        self._jobs.append(job)
        self._n_chars += n_chars
        self._schedule(loop)
        # A timer is cheaper than a task that waits for the answer.
        timer = loop.call_later(self._bounds.time_limit_s, self._give_up, job)
        try:
            return await job.answer
        finally:
            timer.cancel()

    def close(self) -> None:
        """Wait for the threads; call it when no request waits any more. A new one reopens it."""
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None

    def _check_room(self, n_chars: int) -> None:
        bounds = self._bounds
        if len(self._jobs) >= bounds.max_waiting or self._n_chars + n_chars > max(
            bounds.max_waiting_chars, n_chars
        ):
            raise RequestError(429, "too many requests wait for this model; ask again later")

    def _give_up(self, job: _Job) -> None:
        if not job.answer.done():
            limit = self._bounds.time_limit_s
            error = RequestError(
                503,
                f"there was no answer within {limit:g} seconds; ask again later, or for less text",
            )
            job.answer.set_exception(error)

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take a batch once all requests that have arrived at the same time are in the queue."""
        if not self._is_scheduled and self._n_free and self._jobs:
            self._is_scheduled = True
            loop.call_soon(self._begin, loop)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_scheduled = False
        parts = self._take()
        if not parts:
            return
        self._n_free -= 1
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._n_threads, thread_name_prefix="reader")
        texts = [text for part in parts for text in part.texts]
        self.count_batch(len(texts), sum(map(len, texts)))
        done = loop.run_in_executor(self._threads, self._answer, parts)
        done.add_done_callback(lambda _: self._end(loop, parts))
        self._schedule(loop)

    def _end(self, loop: asyncio.AbstractEventLoop, parts: list[_Part]) -> None:
        self._n_free += 1
        self._schedule(loop)
        for part in parts:
            _deliver(part)

    def _take(self) -> list[_Part]:
        """Return the next parts to read, without those that nobody waits for any more."""
        parts: list[_Part] = []
        room_chars, room_texts = _PART_CHARS, _PART_TEXTS
        for _ in range(len(self._jobs)):
            if room_chars <= 0 or room_texts <= 0:
                break
            job = self._jobs.popleft()
            if job.answer.done():
                self._n_chars -= job.n_chars
                continue
            start = end = job.n_taken
            while end < len(job.texts) and (end == start or room_chars > 0) and room_texts > 0:
                room_chars -= len(job.texts[end])
                room_texts -= 1
                end += 1
            job.n_taken = end
            parts.append(_Part(job, start, job.texts[start:end]))
            if end < len(job.texts):
                self._jobs.append(job)  # the others have their turn first
            else:
                self._n_chars -= job.n_chars
        return parts

    def _answer(self, parts: list[_Part]) -> None:
        """Read parts, those with equal options at once; this runs in a thread."""
        groups: dict[Hashable, list[_Part]] = {}
        for part in parts:
            question = part.job.question
            key = question.options if self._mixes_labels else question
            groups.setdefault(key, []).append(part)
        for group in groups.values():
            try:
                self._answer_group(group)
            except Exception as error:
                if len(group) == 1:
                    group[0].error = error
                    continue
                # One of them is at fault, and the others must not fail because of it.
                for part in group:
                    try:
                        self._answer_group([part])
                    except Exception as own_error:
                        part.error = own_error

    def _answer_group(self, group: list[_Part]) -> None:
        texts = [text for part in group for text in part.texts]
        question, labels = group[0].job.question, None
        if any(part.job.question.labels != question.labels for part in group):
            labels = [part.job.question.labels for part in group for _ in part.texts]
        answers = iter(question.ask(self._model, texts, labels))
        for part in group:
            render = part.job.render
            part.pieces = [render(text, next(answers)) for text in part.texts]


def _deliver(part: _Part) -> None:
    """Give the result of a part to its request, if it is the last one."""
    job = part.job
    if job.answer.done():
        return
    if part.error is not None:
        job.answer.set_exception(part.error)
        return
    if not job.pieces:
        job.pieces = [b""] * len(job.texts)
    job.pieces[part.start : part.start + len(part.pieces)] = part.pieces
    job.n_missing -= len(part.pieces)
    if job.n_missing == 0:
        job.answer.set_result(job.pieces)
