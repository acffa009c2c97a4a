"""TODO-DOC."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from gliner_distill.corpus.statistics import CorpusHash
from gliner_distill.entities import LabeledPassage, Passage
from gliner_distill.errors import CorpusError, StoreError, TeacherError
from gliner_distill.labeling.policy import LabelPolicy, LabelSampler
from gliner_distill.store.quantization import Quantizer
from gliner_distill.store.shards import PackedShard, ShardOrigin, pack_shard
from gliner_distill.teacher.base import Probabilities, Teacher
from gliner_distill.teacher.ensemble import TeacherEnsemble, mean_probs

SHARD_PASSAGES = 1000


SHARD_PAIRS = 2_000_000
"""Of probabilities, 24 MB while they are at work."""


@dataclass(frozen=True, slots=True)
class ShardLimits:
    """A shard ends before it would exceed one of these; one passage it always holds."""

    passages: int
    pairs: int


@dataclass(slots=True)
class ShardJob:
    """The passages of one shard and the labels to ask of each."""

    index: int
    passages: list[Passage] = field(default_factory=list)
    labels: list[tuple[str, ...]] = field(default_factory=list)


JobSource = Callable[[], Iterator[ShardJob]]
"""Returns the jobs anew; whoever scores them calls it, perhaps on another machine."""


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """What a worker must know, beside its teacher, to make shards of a store out of jobs.

    Attributes:
        policy: How labels are put to the teacher.
        code: How to keep probabilities.
        store: Hash of what the store is made from.
        teacher: The teacher's name.
        teacher_fingerprint: Of the teacher that the worker must have.
    """

    policy: LabelPolicy
    code: Quantizer
    store: str
    teacher: str
    teacher_fingerprint: str

    def pack(self, job: ShardJob, items: Sequence[LabeledPassage]) -> PackedShard:
        """Return a scored job as a shard."""
        return pack_shard(items, self.code, ShardOrigin(self.store, self.teacher, job.index))


MakeShard = Callable[[], PackedShard]
"""Returns a shard whose passages are scored; the encoding may still be to do."""


class Workers(Protocol):
    """Whoever scores jobs: this process, or a cluster."""

    def pack_shards(
        self, jobs: JobSource, plan: ShardPlan, teacher: Teacher
    ) -> Generator[MakeShard, None, None]:
        """Yield what makes the shard of each job, in any order; when closed, stop working."""
        ...


class LocalWorkers:
    """Scores jobs one after the other, and reads the next meanwhile."""

    def pack_shards(
        self, jobs: JobSource, plan: ShardPlan, teacher: Teacher
    ) -> Generator[MakeShard, None, None]:
        """Yield what makes the shard of each job, in order."""
        for job in _one_ahead(jobs()):
            yield partial(plan.pack, job, score_job(job, teacher, plan.policy))


def shard_jobs(
    passages: Iterable[Passage],
    draw: LabelSampler,
    fingerprint: str,
    limits: ShardLimits,
    *,
    done: Mapping[int, int],
) -> Iterator[ShardJob]:
    """Yield the jobs of the shards that are not done yet, in the order of the corpus.

    Where a shard ends depends on passages, draw and limits alone, so a run that goes on cuts the
    corpus as the run before it did.

    Args:
        passages: The corpus.
        draw: Chooses labels.
        fingerprint: Of the corpus, as it was surveyed.
        limits: How large a shard may be.
        done: Number of passages of each shard that is done, by its index.

    Raises:
        CorpusError: The corpus is not the one that was surveyed.
        StoreError: A shard that is done holds other passages than it should.
    """
    for job in _cut(passages, draw, limits, fingerprint):
        if job.index not in done:
            yield job
        elif done[job.index] != len(job.passages):
            raise StoreError(
                f"shard {job.index} holds {done[job.index]} passages, expected "
                f"{len(job.passages)}: another release cut this store; go on with that one, or "
                f"choose another --out"
            )


def _cut(
    passages: Iterable[Passage], draw: LabelSampler, limits: ShardLimits, fingerprint: str
) -> Iterator[ShardJob]:
    read = CorpusHash()
    job, n_pairs = ShardJob(0), 0
    for position, passage in enumerate(passages):
        read.update(passage)
        labels = draw.choose(position, passage)
        pairs = len(passage.words) * len(labels)
        is_full = len(job.passages) == limits.passages or n_pairs + pairs > limits.pairs
        if job.passages and is_full:
            yield job
            job, n_pairs = ShardJob(job.index + 1), 0
        job.passages.append(passage)
        job.labels.append(labels)
        n_pairs += pairs
    if read.hexdigest() != fingerprint:  # said before the last shard: the store stays unfinished
        raise CorpusError("the corpus changed while it was labeled; start again with another --out")
    if job.passages:
        yield job


def score_job(job: ShardJob, teacher: Teacher, policy: LabelPolicy) -> list[LabeledPassage]:
    """Return a job's passages with what the teacher says of them.

    Raises:
        TeacherError: Its answer has another shape, or holds what is no probability.
    """
    words = [passage.words for passage in job.passages]
    prompts = [policy.prompts(labels) for labels in job.labels]
    each: Sequence[Sequence[Probabilities]] = [()] * len(words)
    if isinstance(teacher, TeacherEnsemble) and teacher.keep_individual:
        each = teacher.score_each(words, prompts)
        scores = [mean_probs(probs) for probs in each]
    else:
        scores = teacher.score_passages(words, prompts)
    if len(scores) != len(words):
        raise TeacherError(f"{teacher.name}: answered {len(scores)} of {len(words)} passages")
    for passage, labels, probs in zip(job.passages, job.labels, scores, strict=True):
        _check_answer(teacher, passage, labels, probs)
    rows = zip(job.passages, job.labels, scores, each, strict=True)
    return [
        LabeledPassage(passage, labels, probs, tuple(of_each))
        for passage, labels, probs, of_each in rows
    ]


def _check_answer(
    teacher: Teacher, passage: Passage, labels: Sequence[str], probs: Probabilities
) -> None:
    shape = (len(passage.words), len(labels), 3)
    if probs.shape != shape or not bool(((probs >= 0) & (probs <= 1)).all()):
        raise TeacherError(
            f"{teacher.name}: answered the passage {' '.join(passage.words)[:60]!r} with an "
            f"array of shape {probs.shape}; expected {shape}, every number in [0, 1]"
        )


def _one_ahead(jobs: Iterator[ShardJob]) -> Iterator[ShardJob]:
    """Yield jobs; while one is worked on, a thread reads the next."""
    with ThreadPoolExecutor(1, thread_name_prefix="corpus") as pool:
        coming = pool.submit(next, jobs, None)
        while (job := coming.result()) is not None:
            coming = pool.submit(next, jobs, None)
            yield job
