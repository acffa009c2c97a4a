"""Labeling on several processes or machines: the same jobs and shards, through Ray Data.

One task reads the corpus and cuts it into jobs; one actor a worker holds a teacher and turns jobs
into shards; the process that called writes shards and manifest, so workers need no common folder
for what they make. An actor that dies is started again and its job done again; since a job's
shard depends on the job alone, the store is the same.
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
from gliner_distill.labeling.jobs import JobSource, MakeShard, ShardJob, ShardPlan, score_job
from gliner_distill.store.shards import PackedShard
from gliner_distill.teacher.base import Teacher

try:
    import ray
    from ray.data import Datasource, ReadTask
    from ray.data.block import BlockMetadata
except ImportError as error:
    raise MissingExtraError("ray", "ray") from error


LOCAL = "local"
"""The address of a cluster that is started on this machine and stopped at the end."""


# Workers may die as often as they like; a job that kills its worker each time is given up.
_RETRIES = 5


_SECONDS_TO_CONNECT = 10


# What the task that reads the corpus raises of its own; all else is a worker's.
_READING_ERRORS: dict[str, type[DistillError]] = {
    "CorpusError": CorpusError,
    "StoreError": StoreError,
}


_ANSWER = pa.schema(
    [
        *((name, pa.int64()) for name in ("index", "n_passages", "n_words", "n_pairs")),
        ("content", pa.large_binary()),
        ("kind", pa.string()),
        ("error", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class RayWorkers:
    """Scores jobs on a Ray cluster.

    Attributes:
        make_teacher: Loads the teacher on a worker; it must be the one that the store is of.
        n_workers: How many actors, each with a teacher and a core of its own.
        address: Of a running cluster, such as `auto` or `ray://HOST:10001`; or `local`.
        gpus_per_worker: Of a GPU, such as 0.5 for two workers on each; 0 for workers on CPUs.
    """

    make_teacher: Callable[[], Teacher]
    n_workers: int
    address: str = LOCAL
    gpus_per_worker: float = 0.0

    def __post_init__(self) -> None:
        if self.n_workers < 1:
            raise SettingsError(f"workers must be 1 or more; got {self.n_workers}")
        if self.gpus_per_worker < 0:
            raise SettingsError(f"GPUs a worker must be 0 or more; got {self.gpus_per_worker}")

    def pack_shards(
        self, jobs: JobSource, plan: ShardPlan, teacher: Teacher
    ) -> Generator[MakeShard, None, None]:
        """Yield what gives the shard of each job, in the order in which they are done.

        Raises:
            TeacherError: A worker's teacher is another one, or cannot be loaded, or fails.
            CorpusError, StoreError: See `shard_jobs`.
            DistillError: The cluster cannot be had, or fails.
        """
        _connect(self.address, self.n_workers)
        with _small_blocks():
            answers = self._plan_answers(jobs, plan)
            try:
                for answer in answers.iter_rows():
                    _raise_error(answer.pop("kind"), answer.pop("error"))
                    yield partial(PackedShard, **answer)
            except ray.exceptions.RayError as error:
                raise DistillError(f"the Ray cluster failed: {_last_line(error)}") from error

    def _plan_answers(self, jobs: JobSource, plan: ShardPlan) -> Any:
        """Return a Ray data set of answers, which are made when it is iterated over."""
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
                max_task_retries=_RETRIES,
            )


class _JobSource(Datasource):
    """Jobs as rows of `job`, in JSON, or of what went wrong: `kind` and `error`."""

    def __init__(self, jobs: JobSource) -> None:
        self._jobs = jobs

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(self, parallelism: int, *args: Any, **more: Any) -> list[ReadTask]:
        jobs = self._jobs
        metadata = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(lambda: _rows(jobs), metadata)]


def _rows(jobs: JobSource) -> Iterator[pa.Table]:
    try:
        for job in jobs():
            yield _row(job=_job_to_json(job))
    except Exception as error:
        yield _row(**_describe(error))


def _row(*, job: str = "", kind: str = "", error: str = "") -> pa.Table:
    return pa.table({"job": [job], "kind": [kind], "error": [error]})


class _Worker:
    """An actor: a teacher, and for each job a shard.

    What goes wrong is an answer too: Ray would bury it in its own errors, or try again.
    """

    def __init__(self, make_teacher: Callable[[], Teacher], plan: ShardPlan) -> None:
        self._plan = plan
        self._error: dict[str, str] = {}
        try:
            self._teacher = make_teacher()
            _check_teacher(self._teacher, plan)
        except Exception as error:
            self._error = _describe(error)

    def __call__(self, batch: pa.Table) -> pa.Table:
        return pa.Table.from_pylist([self._answer(**row) for row in batch.to_pylist()], _ANSWER)

    def _answer(self, job: str, kind: str, error: str) -> dict[str, Any]:
        if error:
            return {"kind": kind, "error": error}
        if self._error:
            return self._error
        try:
            parsed = _job_from_json(job)
            items = score_job(parsed, self._teacher, self._plan.policy)
            return asdict(self._plan.pack(parsed, items))
        except Exception as raised:
            return _describe(raised)


def _check_teacher(teacher: Teacher, plan: ShardPlan) -> None:
    if teacher.fingerprint != plan.teacher_fingerprint:
        raise TeacherError(
            f"it has teacher {teacher.name} ({teacher.fingerprint[:12]}), the store is of "
            f"{plan.teacher} ({plan.teacher_fingerprint[:12]}); put the same model on every machine"
        )


def _raise_error(kind: str | None, error: str | None) -> None:
    """Raise what an answer says went wrong, if anything did."""
    if error is not None:
        raise _READING_ERRORS.get(kind or "", TeacherError)(error)


def _describe(error: Exception) -> dict[str, str]:
    kind = type(error).__name__
    name = "" if isinstance(error, DistillError) else f"{kind}: "
    return {"kind": kind, "error": f"worker on {os.uname().nodename}: {name}{error}"}


def _job_to_json(job: ShardJob) -> str:
    passages = [
        [
            passage.words,
            [[one.start_word, one.end_word, one.label, one.score] for one in passage.entities],
            passage.labels,
        ]
        for passage in job.passages
    ]
    return json.dumps({"index": job.index, "passages": passages, "labels": job.labels})


def _job_from_json(text: str) -> ShardJob:
    raw = json.loads(text)
    passages = [
        Passage(tuple(words), tuple(Entity(*span) for span in entities), tuple(labels))
        for words, entities, labels in raw["passages"]
    ]
    return ShardJob(raw["index"], passages, [tuple(labels) for labels in raw["labels"]])


def _connect(address: str, n_workers: int) -> None:
    """Connect to a cluster, or start one; one that is connected to already is used.

    The connection stays, as Ray's own do, until the process ends.
    """
    if ray.is_initialized():
        return
    # One core more than workers, for the task that reads the corpus.
    of_local = {"num_cpus": n_workers + 1, "include_dashboard": False} if address == LOCAL else {}
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        _reach(address)
        ray.init(address, logging_level=logging.ERROR, log_to_driver=False, **of_local)  # type: ignore[arg-type]
    except Exception as error:  # of many kinds, from timeouts to version conflicts
        reason = " ".join(str(error).split())[:200]
        raise DistillError(
            f"Ray cluster {address!r} cannot be had: {reason}; expected the address of a running "
            f"cluster (`ray start --head` prints it; if it asks for a token, RAY_AUTH_MODE=token), "
            f"or {LOCAL}"
        ) from error


def _reach(address: str) -> None:
    """Make sure that something listens where an address has a port; Ray would try on and on.

    Raises:
        OSError: Nothing does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_CONNECT).close()


@contextmanager
def _small_blocks() -> Iterator[None]:
    """Have Ray Data hand out each job at once, rather than gather 128 MB of them, and quietly."""
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what it logs is raised as well
    context = ray.data.DataContext.get_current()
    before = context.target_max_block_size, context.enable_progress_bars
    context.target_max_block_size, context.enable_progress_bars = 1, False
    try:
        yield
    finally:
        context.target_max_block_size, context.enable_progress_bars = before


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
