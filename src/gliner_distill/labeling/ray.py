"""Label with several processes or machines: the same jobs and shards, through Ray Data.

One task reads the corpus and cuts it into jobs. One actor per worker holds a teacher and turns jobs
into shards. The calling process writes the shards and the manifest, so the workers do not need a
shared folder. If an actor dies, Ray starts it again and repeats its job. The store is still the
same, because a shard depends only on its job.
"""

import json
import logging
import os
import socket
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from gliner_distill.entities import Entity, Passage
from gliner_distill.errors import (
    CorpusError,
    DistillError,
    MissingExtraError,
    SettingsError,
    StoreError,
    TeacherError,
)
from gliner_distill.labeling.jobs import JobSource, MakeShard, ShardJob, ShardPlan
from gliner_distill.store.manifest import Shard
from gliner_distill.teacher.base import Teacher

try:
    import ray
    from ray.data import Datasource, ReadTask
    from ray.data.block import BlockMetadata
except ImportError as error:
    raise MissingExtraError("ray", "ray") from error


LOCAL = "local"
"""The address of a cluster that is started on this machine and stopped at the end."""

_SECONDS_TO_CONNECT = 10

# Errors that the task that reads the corpus may raise; all others come from a worker.
_READING_ERRORS: dict[str, type[DistillError]] = {
    "CorpusError": CorpusError,
    "StoreError": StoreError,
}

_ANSWER = pa.schema(
    [
        ("file", pa.string()),
        ("n_bytes", pa.int64()),
        ("sha256", pa.string()),
        *((name, pa.int64()) for name in ("index", "n_passages", "n_words", "n_pairs")),
        ("content", pa.large_binary()),
        ("kind", pa.string()),
        ("error", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class RayWorkers:
    """The `Workers` of a Ray cluster.

    Attributes:
        make_teacher: A function that loads the teacher on a worker. It must be the teacher of the
            store.
        n_workers: The number of actors. Each has a teacher and a CPU core of its own.
        address: The address of a running cluster, such as `auto` or `ray://HOST:10001`; or `local`.
        gpus_per_worker: The share of a GPU that a worker takes, such as 0.5 for two workers on each
            GPU; 0 for workers on CPUs.
        max_retries: The number of times that a job is repeated after its worker died. The number
            of deaths in total is not limited, but a job that always kills its worker is given up.
    """

    make_teacher: Callable[[], Teacher]
    n_workers: int
    address: str = LOCAL
    gpus_per_worker: float = 0.0
    max_retries: int = 5

    def __post_init__(self) -> None:
        if self.n_workers < 1:
            raise SettingsError(f"workers must be 1 or more; got {self.n_workers}")
        if self.gpus_per_worker < 0:
            raise SettingsError(f"GPUs per worker must be 0 or more; got {self.gpus_per_worker}")

    def pack_shards(
        self, jobs: JobSource, plan: ShardPlan, teacher: Teacher
    ) -> Generator[MakeShard, None, None]:
        """Yield one function per job that returns its shard, in the order in which jobs finish.

        Raises:
            TeacherError: A worker's teacher differs from the store's, does not load, or fails.
            CorpusError, StoreError: See `shard_jobs`. DistillError: The cluster cannot be reached,
            or fails.
        """
        _connect(self.address, self.n_workers)
        with _small_blocks():
            answers = self._plan_answers(jobs, plan)
            try:
                for answer in answers.iter_rows():
                    _raise_error(answer.pop("kind"), answer.pop("error"))
                    yield partial(_unpack, answer)
            except ray.exceptions.RayError as error:
                raise DistillError(f"the Ray cluster failed: {_last_line(error)}") from error

    def _plan_answers(self, jobs: JobSource, plan: ShardPlan) -> Any:
        """Return a Ray data set of answers, which the workers compute while it is read."""
        with warnings.catch_warnings():
            # Ray 2.60 deprecates `max_task_retries` here, and offers nothing in its place.
            warnings.simplefilter("ignore", DeprecationWarning)
            return ray.data.read_datasource(_JobSource(jobs), override_num_blocks=1).map_batches(
                _Worker,
                batch_size=1,
                batch_format="pyarrow",
                fn_constructor_kwargs={"make_teacher": self.make_teacher, "plan": plan},
                compute=ray.data.ActorPoolStrategy(size=self.n_workers),
                num_cpus=1,
                num_gpus=self.gpus_per_worker or None,
                max_task_retries=self.max_retries,
            )


def _unpack(answer: dict[str, Any]) -> tuple[Shard, bytes]:
    record = dict(answer)
    content: bytes = record.pop("content")
    return Shard(**record), content


class _JobSource(Datasource):
    """The jobs, one row each: `job` in JSON, or the `kind` and the `error` of a failure."""

    def __init__(self, jobs: JobSource) -> None:
        self._jobs = jobs

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(self, parallelism: int, *args: Any, **more: Any) -> list[ReadTask]:
        jobs = self._jobs
        metadata = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        # A single task reads the whole corpus, because jobs depend on positions in it.
        return [ReadTask(lambda: _rows(jobs), metadata)]


def _rows(jobs: JobSource) -> Iterator[pa.Table]:
    try:
        for job in jobs():
            yield _row(job=job_to_json(job))
    except Exception as error:
        yield _row(**_describe(error))


def _row(*, job: str = "", kind: str = "", error: str = "") -> pa.Table:
    return pa.table({"job": [job], "kind": [kind], "error": [error]})


class _Worker:
    """An actor that holds a teacher and turns jobs into shards.

    An error is returned as an answer, because Ray would wrap it in its own errors or repeat the
    job.
    """

    def __init__(self, make_teacher: Callable[[], Teacher], plan: ShardPlan) -> None:
        self._plan = plan
        self._error: dict[str, str] = {}
        try:
            self._teacher = make_teacher()
            _check_teacher(self._teacher, plan)
        except Exception as error:
            # An actor that fails in its constructor would be restarted again and again.
            self._error = _describe(error)

    def __call__(self, batch: pa.Table) -> pa.Table:
        return pa.Table.from_pylist([self._answer(**row) for row in batch.to_pylist()], _ANSWER)

    def _answer(self, job: str, kind: str, error: str) -> dict[str, Any]:
        if error:
            return {"kind": kind, "error": error}
        if self._error:
            return self._error
        try:
            parsed = job_from_json(job)
            shard, content = self._plan.pack(parsed, self._plan.score(parsed, self._teacher))
            return asdict(shard) | {"content": content}
        except Exception as raised:
            return _describe(raised)


def _check_teacher(teacher: Teacher, plan: ShardPlan) -> None:
    if teacher.fingerprint != plan.teacher_fingerprint:
        raise TeacherError(
            f"this worker's teacher is {teacher.name} ({teacher.fingerprint[:12]}), but that of "
            f"the store is {plan.teacher} ({plan.teacher_fingerprint[:12]}); put the same model on "
            "every machine"
        )


def _raise_error(kind: str | None, error: str | None) -> None:
    """Raise the error that an answer reports, if it reports one."""
    if error is not None:
        raise _READING_ERRORS.get(kind or "", TeacherError)(error)


def _describe(error: Exception) -> dict[str, str]:
    kind = type(error).__name__
    name = "" if isinstance(error, DistillError) else f"{kind}: "
    return {"kind": kind, "error": f"worker on {os.uname().nodename}: {name}{error}"}


def job_to_json(job: ShardJob) -> str:
    """Return a job as JSON, which Ray hands to a worker."""
    passages = [
        [
            passage.words,
            [
                [entity.start_word, entity.end_word, entity.label, entity.score]
                for entity in passage.entities
            ],
            passage.labels,
        ]
        for passage in job.passages
    ]
    return json.dumps({"index": job.index, "passages": passages, "labels": job.labels})


def job_from_json(text: str) -> ShardJob:
    """Return the job that `job_to_json` wrote."""
    raw = json.loads(text)
    passages = [
        Passage(tuple(words), tuple(Entity(*span) for span in entities), tuple(labels))
        for words, entities, labels in raw["passages"]
    ]
    return ShardJob(raw["index"], passages, [tuple(labels) for labels in raw["labels"]])


def _connect(address: str, n_workers: int) -> None:
    """Connect to a cluster, or start one, unless this process is connected already.

    The connection stays until the process ends, as Ray's own connections do.
    """
    if ray.is_initialized():
        return
    # The task that reads the corpus takes one more core than the workers.
    local = {"num_cpus": n_workers + 1, "include_dashboard": False} if address == LOCAL else {}
    # Ray reports usage to its makers unless told otherwise.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        _check_reachable(address)
        ray.init(address, logging_level=logging.ERROR, log_to_driver=False, **local)  # type: ignore[arg-type]
    except Exception as error:  # of many classes, from timeouts to version conflicts
        reason = " ".join(str(error).split())[:200]
        raise DistillError(
            f"Ray cluster {address!r} cannot be reached: {reason}; expected the address of a "
            "running cluster (`ray start --head` prints it; set RAY_AUTH_MODE=token if it asks for "
            f"a token), or {LOCAL}"
        ) from error


def _check_reachable(address: str) -> None:
    """Check that something listens at an address with a port; Ray would wait for it without end.

    Raises:
        OSError: Nothing listens there.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_CONNECT).close()


@contextmanager
def _small_blocks() -> Iterator[None]:
    """Make Ray Data pass on each job at once, instead of collecting 128 MB, and log less."""
    logging.getLogger("ray.data").setLevel(
        logging.CRITICAL
    )  # Ray Data logs only errors that it also raises
    context = ray.data.DataContext.get_current()
    before = context.target_max_block_size, context.enable_progress_bars
    # With a block of one byte, each job is a block of its own.
    context.target_max_block_size, context.enable_progress_bars = 1, False
    try:
        yield
    finally:
        context.target_max_block_size, context.enable_progress_bars = before


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # The last line of a Ray error is the cause; the lines before are tracebacks of other machines.
    return lines[-1] if lines else type(error).__name__
