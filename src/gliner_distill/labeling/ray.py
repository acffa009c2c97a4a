"""Label with several processes or machines: the same jobs and shards, through Ray Data.

One task reads the corpus and cuts it into jobs. One actor per worker holds a teacher and turns jobs
into shards. The calling process writes the shards and the manifest, so the workers do not need a
shared folder. If an actor dies, Ray starts it again and repeats its job. The store is still the
same, because a shard depends only on its job.
"""

import json
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from gliner_distill.entities import Entity, Passage
from gliner_distill.errors import CorpusError, DistillError, StoreError, TeacherError
from gliner_distill.labeling.cluster import Cluster, describe_error
from gliner_distill.labeling.jobs import JobSource, MakeShard, ShardJob, ShardPlan
from gliner_distill.store.manifest import Shard
from gliner_distill.teacher.base import Teacher

# Errors that the task that reads the corpus may raise; all others come from a worker.
_READING_ERRORS: dict[str, type[DistillError]] = {
    "CorpusError": CorpusError,
    "BadRecordError": CorpusError,
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
        cluster: The cluster. Each of its workers has a teacher of its own.
    """

    make_teacher: Callable[[], Teacher]
    cluster: Cluster

    def pack_shards(
        self, jobs: JobSource, plan: ShardPlan, teacher: Teacher
    ) -> Generator[MakeShard, None, None]:
        """Yield one function per job that returns its shard, in the order in which jobs finish.

        Raises:
            TeacherError: A worker's teacher differs from the store's, does not load, or fails.
            CorpusError, StoreError: See `shard_jobs`. DistillError: The cluster cannot be reached,
            or fails.
        """
        arguments = {"make_teacher": self.make_teacher, "plan": plan}
        for answer in self.cluster.answer(partial(_rows, jobs), _Worker, arguments):
            _raise_error(answer.pop("kind"), answer.pop("error"))
            yield partial(_unpack, answer)


def _unpack(answer: dict[str, Any]) -> tuple[Shard, bytes]:
    record = dict(answer)
    content: bytes = record.pop("content")
    return Shard(**record), content


def _rows(jobs: JobSource) -> Iterator[str]:
    return map(job_to_json, jobs())


class _Worker:
    """An actor that holds a teacher and turns jobs into shards; see `Cluster.answer`."""

    def __init__(self, make_teacher: Callable[[], Teacher], plan: ShardPlan) -> None:
        self._plan = plan
        self._error: dict[str, str] = {}
        try:
            self._teacher = make_teacher()
            _check_teacher(self._teacher, plan)
        except Exception as error:
            # An actor that fails in its constructor would be restarted again and again.
            self._error = describe_error(error)

    def __call__(self, batch: pa.Table) -> pa.Table:
        return pa.Table.from_pylist([self._answer(**row) for row in batch.to_pylist()], _ANSWER)

    def _answer(self, row: str, kind: str, error: str) -> dict[str, Any]:
        if error:
            return {"kind": kind, "error": error}
        if self._error:
            return self._error
        try:
            job = job_from_json(row)
            shard, content = self._plan.pack(job, self._plan.score(job, self._teacher))
            return asdict(shard) | {"content": content}
        except Exception as raised:
            return describe_error(raised)


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
