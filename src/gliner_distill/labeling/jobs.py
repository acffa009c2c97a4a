"""The work of labeling, one shard at a time: cut a corpus into jobs, score a job, pack its shard.

Jobs are scored by an implementation of `Workers`: this process (`LocalWorkers`) or a Ray cluster
(`labeling.ray`). A job holds the words of its passages and the labels to ask, so its shard depends
only on the job and the teacher.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from gliner_distill.corpus.statistics import CorpusHash
from gliner_distill.entities import LabeledPassage, Passage
from gliner_distill.errors import CorpusError, StoreError
from gliner_distill.labeling.policy import LabelPolicy, LabelSampler
from gliner_distill.store.manifest import FP32, Shard
from gliner_distill.store.quantization import Quantizer
from gliner_distill.store.shards import ShardOrigin, pack_shard
from gliner_distill.teacher.base import (
    Probabilities,
    Teacher,
    check_answers,
    equal_weights,
    individual_teachers,
    mean_probs,
    score_individually,
)
from gliner_distill.teacher.paid import Asked
from gliner_distill.teacher.precision import scoring_in


@dataclass(frozen=True, slots=True)
class ShardLimits:
    """The limits of a shard, which ends before it would exceed one; it holds at least one passage.

    Attributes:
        passages: The most passages.
        pairs: The most pairs of a word and a label. Two million of them take 24 MB for their
            probabilities while they are scored.
    """

    passages: int = 1000
    pairs: int = 2_000_000


DEFAULT_LIMITS = ShardLimits()


@dataclass(slots=True)
class ShardJob:
    """The passages of one shard and the labels to ask about each.

    Attributes:
        index: The number of the shard.
        passages: The passages, in the order of the corpus.
        labels: The labels to ask about each passage.
    """

    index: int
    passages: list[Passage] = field(default_factory=list)
    labels: list[tuple[str, ...]] = field(default_factory=list)


JobSource = Callable[[], Iterator[ShardJob]]
"""A function that returns the jobs from the start; a worker may call it on another machine."""

MakeShard = Callable[[], tuple[Shard, bytes]]
"""A function that returns a shard's record and bytes. Its passages are already scored; the call
encodes them, which takes a while."""


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """The settings that a worker needs, besides its teacher, to turn jobs into shards of a store.

    Attributes:
        policy: The wording of the labels for the teacher.
        quantizer: The encoding of the probabilities.
        keep_individual: Whether the probabilities of each teacher of an ensemble are kept, too.
        store: The hash of everything that the store is made from.
        teacher: The teacher's name.
        teacher_fingerprint: The fingerprint that the worker's teacher must have.
        precision: The precision in which the teacher scores.
    """

    policy: LabelPolicy
    quantizer: Quantizer
    keep_individual: bool
    store: str
    teacher: str
    teacher_fingerprint: str
    precision: str = FP32

    def score(self, job: ShardJob, teacher: Teacher) -> list[LabeledPassage]:
        """Return the passages of a job with the teacher's probabilities; see `score_job`."""
        with scoring_in(teacher, self.precision):
            return score_job(job, teacher, self.policy, keep_individual=self.keep_individual)

    def pack(self, job: ShardJob, items: Sequence[LabeledPassage]) -> tuple[Shard, bytes]:
        """Return a scored job as a shard: its record and its bytes."""
        return pack_shard(items, self.quantizer, ShardOrigin(self.store, self.teacher, job.index))


class Workers(Protocol):
    """An object that turns jobs into shards: this process, or a cluster."""

    def pack_shards(
        self, jobs: JobSource, plan: ShardPlan, teacher: Teacher
    ) -> Generator[MakeShard, None, None]:
        """Yield one function per job, in any order, that makes its shard; stop when closed."""
        ...


class LocalWorkers:
    """The `Workers` of this process: jobs are scored in order while a thread reads the next."""

    def pack_shards(
        self, jobs: JobSource, plan: ShardPlan, teacher: Teacher
    ) -> Generator[MakeShard, None, None]:
        """Yield one function per job, in order, that makes its shard."""
        for job in _read_ahead(jobs()):
            yield partial(plan.pack, job, plan.score(job, teacher))


def shard_jobs(
    passages: Iterable[Passage],
    sampler: LabelSampler,
    fingerprint: str,
    limits: ShardLimits,
    *,
    done: Mapping[int, int],
) -> Iterator[ShardJob]:
    """Yield the jobs of the shards that are still missing, in the order of the corpus.

    The end of a shard depends only on the passages, the sampler and the limits, so a run that
    resumes cuts the corpus at the same places as the previous run.

    Args:
        passages: The corpus.
        sampler: Chooses the labels of each passage.
        fingerprint: The corpus fingerprint of the earlier scan.
        limits: The largest shard.
        done: The number of passages in each finished shard, by the shard's index.

    Raises:
        CorpusError: The corpus differs from the one that was scanned.
        StoreError: A finished shard holds a wrong number of passages.
    """
    for job in _cut(passages, sampler, limits, fingerprint):
        if job.index not in done:
            yield job
        elif done[job.index] != len(job.passages):
            raise StoreError(
                f"shard {job.index} holds {done[job.index]} passages; expected "
                f"{len(job.passages)}, so another version of gliner-distill began this store; "
                "continue with that version, or choose another --out"
            )


def list_questions(jobs: JobSource, policy: LabelPolicy) -> Iterator[Asked]:
    """Yield the words of each passage in some jobs, and the labels in the wording for a teacher."""
    for job in jobs():
        for passage, labels in zip(job.passages, job.labels, strict=True):
            yield passage.words, policy.prompts(labels)


def score_job(
    job: ShardJob, teacher: Teacher, policy: LabelPolicy, *, keep_individual: bool = False
) -> list[LabeledPassage]:
    """Return the passages of a job with the teacher's probabilities.

    Args:
        job: The passages and their labels.
        teacher: Any teacher; an ensemble if `keep_individual` is true.
        policy: The wording of the labels for the teacher.
        keep_individual: Whether to return the probabilities of each teacher besides their mean.

    Raises:
        TeacherError: The answer has a wrong shape, or values that are not probabilities; or
            `keep_individual` is true and the teacher is a single one.
    """
    words = [passage.words for passage in job.passages]
    prompts = [policy.prompts(labels) for labels in job.labels]
    # Without individual answers, each passage gets an empty tuple.
    individual_probs: Sequence[Sequence[Probabilities]] = [()] * len(words)
    if keep_individual:
        individual_probs = score_individually(teacher, words, prompts)
        answers = [
            mean_probs(probs, equal_weights(individual_teachers(teacher), asked))
            for probs, asked in zip(individual_probs, prompts, strict=True)
        ]
    else:
        answers = teacher.score_passages(words, prompts)
    check_answers(teacher.name, words, prompts, answers)
    rows = zip(job.passages, job.labels, answers, individual_probs, strict=True)
    return [
        LabeledPassage(passage, labels, probs, tuple(individual))
        for passage, labels, probs, individual in rows
    ]


def _cut(
    passages: Iterable[Passage], sampler: LabelSampler, limits: ShardLimits, fingerprint: str
) -> Iterator[ShardJob]:
    corpus_hash = CorpusHash()
    job, n_pairs = ShardJob(0), 0
    for position, passage in enumerate(passages):
        corpus_hash.update(passage)
        labels = sampler.choose(position, passage)
        pairs = len(passage.words) * len(labels)
        is_full = len(job.passages) == limits.passages or n_pairs + pairs > limits.pairs
        if job.passages and is_full:
            yield job
            job, n_pairs = ShardJob(job.index + 1), 0
        job.passages.append(passage)
        job.labels.append(labels)
        n_pairs += pairs
    # Raised before the last shard, so that the store of a changed corpus is never complete.
    if corpus_hash.hexdigest() != fingerprint:
        raise CorpusError("the corpus changed while it was labeled; start again with another --out")
    if job.passages:
        yield job


def _read_ahead(jobs: Iterator[ShardJob]) -> Iterator[ShardJob]:
    """Yield jobs; while one is scored, a thread reads the next one."""
    with ThreadPoolExecutor(1, thread_name_prefix="corpus") as pool:
        coming = pool.submit(next, jobs, None)
        while (job := coming.result()) is not None:
            coming = pool.submit(next, jobs, None)
            yield job
