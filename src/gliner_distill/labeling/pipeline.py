"""Ask a teacher about a corpus and keep its answers: passages in, a soft-label store out.

The corpus is read twice and never held in memory: once to count it (`scan_corpus`), and once to
cut it into jobs of one shard each (`shard_jobs`), which are scored, encoded and written one after
the other. While the teacher scores a job, the next one is read and the one before it is encoded
and written.
"""

from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path

from gliner_distill.callbacks import Progress, no_progress
from gliner_distill.corpus.statistics import CorpusScan, scan_corpus
from gliner_distill.entities import Passage
from gliner_distill.errors import CorpusError, SettingsError
from gliner_distill.labeling.jobs import (
    DEFAULT_LIMITS,
    LocalWorkers,
    MakeShard,
    ShardLimits,
    ShardPlan,
    Workers,
    list_questions,
    shard_jobs,
)
from gliner_distill.labeling.policy import LabelPolicy, LabelSampler
from gliner_distill.runtime.vocabulary import TOKENIZER_FILE
from gliner_distill.store.manifest import FP32, Manifest, Shard
from gliner_distill.store.quantization import COMPACT, Quantizer
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.store.subword_vectors import VECTORS_FILE, subword_vector_files
from gliner_distill.store.writer import StoreWriter, open_writer
from gliner_distill.teacher.base import (
    Teacher,
    individual_teachers,
    subword_vectors,
    teacher_metadata,
)
from gliner_distill.teacher.checkpoints import name_without_path
from gliner_distill.teacher.paid import keep_answers
from gliner_distill.teacher.precision import N_CHECKED_PASSAGES, AdjustableTeacher, choose_precision


def label_corpus(
    passages: Iterable[Passage],
    teacher: Teacher,
    folder: str | Path,
    *,
    policy: LabelPolicy,
    quantizer: Quantizer = COMPACT,
    keep_individual: bool = False,
    keep_subword_vectors: bool = True,
    scan: CorpusScan | None = None,
    workers: Workers | None = None,
    repair: bool = False,
    limits: ShardLimits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
    stage: str = "labeling",
) -> SoftLabelStore:
    """Score passages with a teacher and write a store; resume a store that is unfinished.

    Args:
        passages: The corpus: a list, or any object that gives the same passages each time it is
            iterated over, such as a `CorpusFile`.
        teacher: The model that scores words for labels.
        folder: The store's folder. It is created if it does not exist.
        policy: The labels to ask; see `LabelPolicy`.
        quantizer: The encoding of the probabilities. `COMPACT` is a good default; `UNIFORM` stores
            small probabilities more precisely, but takes more space.
        keep_individual: Whether to keep the probabilities of each teacher of an ensemble besides
            their mean.
        keep_subword_vectors: Whether to keep the teacher's subword vectors, if it offers some; a
            student's embeddings can start from them.
        scan: The result of `scan_corpus` for these passages, if it is already known.
        workers: The workers that score the jobs; by default this process.
        repair: Whether to read the whole store first, and to label the broken shards again.
        limits: The limits of a shard. A store must be resumed with the limits it was made with.
        progress: Receives the number of words labeled so far, at the start and after each shard.
        stage: The name of the stage in the reports to `progress`.

    Raises:
        StoreError: The folder holds something else, or soft labels of another teacher, corpus,
            label policy or quantization; or the store is broken; or it cannot be written; or
            another process is writing it.
        TeacherError: The teacher's answer has a wrong shape, or values that are not probabilities.
        CorpusError: No passage has a label to ask about, or the corpus changes while it is read.
        SettingsError: `keep_individual` is true, but the teacher is a single one.
        TypeError: The passages can be iterated over only once.
    """
    # An iterator would be used up by the scan, and nothing would be labeled.
    if isinstance(passages, Iterator):
        raise TypeError("passages are read twice: give a list or a CorpusFile, not an iterator")
    scan = scan if scan is not None else scan_corpus(passages)
    _check_labels(scan, policy)
    expected = _plan_manifest(scan, teacher, policy, quantizer, keep_individual=keep_individual)
    folder = Path(folder)
    with open_writer(folder, expected, repair=repair) as writer:
        manifest = writer.manifest
        n_done = sum(shard.n_words for shard in manifest.shards)
        progress(stage, n_done, scan.n_words)
        sampler = LabelSampler(policy, scan.label_counts)
        if not manifest.shards:
            manifest.precision = _choose_precision(teacher, passages, sampler, policy)
        plan = ShardPlan(
            policy=policy,
            quantizer=quantizer,
            keep_individual=keep_individual,
            store=manifest.origin,
            teacher=manifest.teacher,
            teacher_fingerprint=teacher.fingerprint,
            precision=manifest.precision,
        )
        jobs = partial(
            shard_jobs,
            passages,
            sampler,
            scan.fingerprint,
            limits,
            done={shard.index: shard.n_passages for shard in manifest.shards},
        )
        made = (workers or LocalWorkers()).pack_shards(jobs, plan, teacher)
        # If the block raises an error, the work is closed at once, so that nothing is written after
        # it.
        with (
            keep_answers(teacher, folder, partial(list_questions, jobs, policy)),
            closing(_write_behind(made, writer)) as written,
        ):
            for shard in written:
                n_done += shard.n_words
                progress(stage, n_done, scan.n_words)
        if keep_subword_vectors:
            _add_subword_vectors(writer, teacher, passages)
    return SoftLabelStore(folder)


def _choose_precision(
    teacher: Teacher, passages: Iterable[Passage], sampler: LabelSampler, policy: LabelPolicy
) -> str:
    """Return the precision of a new store, after a comparison on its first passages."""
    if not isinstance(teacher, AdjustableTeacher):
        return FP32
    first = list(islice(passages, N_CHECKED_PASSAGES))
    labels = [policy.prompts(sampler.choose(*item)) for item in enumerate(first)]
    return choose_precision(teacher, [passage.words for passage in first], labels)


def _write_behind(
    made: Generator[MakeShard, None, None], writer: StoreWriter
) -> Generator[Shard, None, None]:
    """Yield the record of each shard; the next one is scored while one is encoded and written."""

    def write(make: MakeShard) -> Shard:
        shard, content = make()
        writer.add(shard, content)
        return shard

    with closing(made), ThreadPoolExecutor(1, thread_name_prefix="store") as pool:
        # One shard at most waits, so that memory stays bounded when the disk is slow.
        last: Future[Shard] | None = None
        for make in made:
            if last is not None:
                yield last.result()
            last = pool.submit(write, make)
        if last is not None:
            yield last.result()


def _check_labels(scan: CorpusScan, policy: LabelPolicy) -> None:
    """Make sure that there is a label to ask about.

    Raises:
        CorpusError: The corpus is empty, or neither a passage nor the policy has a label.
    """
    if not (scan.n_passages and (scan.label_counts or policy.fixed or policy.pool)):
        raise CorpusError(
            "no passage has an entity or a label, so there is nothing to ask the teacher; "
            "give the labels to ask: --labels FILE"
        )


def _plan_manifest(
    scan: CorpusScan,
    teacher: Teacher,
    policy: LabelPolicy,
    quantizer: Quantizer,
    *,
    keep_individual: bool,
) -> Manifest:
    """Return the manifest of a store that does not hold anything yet.

    Raises:
        SettingsError: Individual probabilities are wanted from a single teacher.
    """
    kept = individual_teachers(teacher) if keep_individual else ()
    if keep_individual and not kept:
        raise SettingsError(
            f"keep_individual needs several teachers, but {teacher.name} is a single one; give a "
            f"TeacherEnsemble, or leave keep_individual out"
        )
    return Manifest(
        # Stores are shared, and the path of a local teacher is private.
        teacher=name_without_path(teacher.name),
        teacher_fingerprint=teacher.fingerprint,
        corpus_fingerprint=scan.fingerprint,
        label_policy=policy.as_json(),
        n_passages=scan.n_passages,
        n_words=scan.n_words,
        quantization=quantizer.name,
        individual_teachers=[name_without_path(individual.name) for individual in kept],
        teacher_metadata=teacher_metadata(teacher),
    )


def _add_subword_vectors(
    writer: StoreWriter, teacher: Teacher, passages: Iterable[Passage]
) -> None:
    """Add the teacher's subword vectors to a store, if the teacher offers them."""
    # A resumed run does not compute the vectors again.
    if writer.has_file(TOKENIZER_FILE) and writer.has_file(VECTORS_FILE):
        return
    vectors = subword_vectors(teacher, _texts(passages))
    if vectors is not None:
        for name, content in subword_vector_files(vectors).items():
            writer.add_file(name, content)


def _texts(passages: Iterable[Passage]) -> Iterator[str]:
    for passage in passages:
        yield from passage.words
        yield from passage.own_labels
