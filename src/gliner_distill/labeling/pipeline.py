"""Ask a teacher about a corpus and keep its answers: passages in, a soft-label store out.

The corpus is read twice and never held: once to count (`scan_corpus`), once to be cut into jobs
of one shard each (`shard_jobs`), which are scored, encoded and written one after the other. The
next job is read, and the last one encoded and written, while the teacher scores.
"""

from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from gliner_distill.callbacks import Progress, no_progress
from gliner_distill.corpus.statistics import CorpusScan, scan_corpus
from gliner_distill.entities import Passage
from gliner_distill.errors import CorpusError
from gliner_distill.labeling.jobs import (
    SHARD_PAIRS,
    SHARD_PASSAGES,
    LocalWorkers,
    MakeShard,
    ShardLimits,
    ShardPlan,
    Workers,
    shard_jobs,
)
from gliner_distill.labeling.policy import LabelPolicy, LabelSampler
from gliner_distill.runtime.vocabulary import TOKENIZER_FILE
from gliner_distill.store.manifest import Manifest, Shard
from gliner_distill.store.quantization import COMPACT, Quantizer
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.store.subword_vectors import VECTORS_FILE, piece_vector_files
from gliner_distill.store.writer import StoreWriter, open_writer
from gliner_distill.teacher.base import Teacher
from gliner_distill.teacher.ensemble import TeacherEnsemble
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.teacher.representations import encode_pieces


def label_corpus(
    passages: Iterable[Passage],
    teacher: Teacher,
    folder: str | Path,
    *,
    policy: LabelPolicy,
    code: Quantizer = COMPACT,
    keep_subword_vectors: bool = True,
    scan: CorpusScan | None = None,
    workers: Workers | None = None,
    repair: bool = False,
    progress: Progress = no_progress,
    stage: str = "labeling",
) -> SoftLabelStore:
    """Score passages with a teacher into a store; go on with a store that was left unfinished.

    Args:
        passages: The corpus: a list, or whatever gives the same passages each time it is iterated
            over, such as a `CorpusFile`.
        teacher: Scores words for labels.
        folder: The store; made where it does not exist.
        policy: Which labels to ask.
        code: How to keep probabilities.
        keep_subword_vectors: Whether to store the teacher's subword vectors, from which a
            student's embeddings can start.
        scan: What `scan_corpus` said of the passages, if it was asked already.
        workers: Who scores; by default this process.
        repair: Read the whole store first and label again what is broken in it.
        progress: Told the words that are labeled so far, at the start and after each shard.
        stage: The stage that `progress` is told.

    Raises:
        StoreError: The folder holds something else, or soft labels of another teacher, corpus,
            label policy or code; or is broken; or cannot be written; or another process is
            writing it.
        TeacherError: The teacher's answer has another shape, or holds what is no probability.
        CorpusError: No passage has a label to ask about, or the corpus changes while it is read.
        TypeError: The passages can be iterated over once only.
    """
    if isinstance(passages, Iterator):
        raise TypeError("passages are read twice: give a list or a CorpusFile, not an iterator")
    scan = scan if scan is not None else scan_corpus(passages)
    _check_labels(scan, policy)
    expected = _plan_manifest(scan, teacher, policy, code)
    folder = Path(folder)
    with open_writer(folder, expected, repair=repair) as writer:
        manifest = writer.manifest
        n_done = sum(shard.n_words for shard in manifest.shards)
        progress(stage, n_done, scan.n_words)
        plan = ShardPlan(policy, code, manifest.origin, teacher.name, teacher.fingerprint)
        jobs = partial(
            shard_jobs,
            passages,
            LabelSampler(policy, scan.label_counts),
            scan.fingerprint,
            ShardLimits(SHARD_PASSAGES, SHARD_PAIRS),
            done={shard.index: shard.n_passages for shard in manifest.shards},
        )
        packed = (workers or LocalWorkers()).pack_shards(jobs, plan, teacher)
        # Closed at once when something is raised here, so that nothing is written after that.
        with closing(_write_behind(packed, writer)) as written:
            for shard in written:
                n_done += shard.n_words
                progress(stage, n_done, scan.n_words)
        if keep_subword_vectors:
            _add_piece_vectors(writer, teacher, passages)
    return SoftLabelStore(folder)


def _write_behind(
    packed: Generator[MakeShard, None, None], writer: StoreWriter
) -> Generator[Shard, None, None]:
    """Yield the record of each shard; while one is encoded and written, the next is scored."""

    def write(make: MakeShard) -> Shard:
        return writer.add(make())

    with closing(packed), ThreadPoolExecutor(1, thread_name_prefix="store") as pool:
        last: Future[Shard] | None = None
        for make in packed:
            if last is not None:
                yield last.result()
            last = pool.submit(write, make)
        if last is not None:
            yield last.result()


def _check_labels(scan: CorpusScan, policy: LabelPolicy) -> None:
    """Make sure that there is something to ask.

    Raises:
        CorpusError: There is not.
    """
    if not (scan.n_passages and (scan.label_counts or policy.fixed or policy.pool)):
        raise CorpusError(
            "no passage has an entity or a label, so there is nothing to ask the teacher; "
            "give the labels to ask: --labels FILE"
        )


def _plan_manifest(
    scan: CorpusScan, teacher: Teacher, policy: LabelPolicy, code: Quantizer
) -> Manifest:
    """Return the manifest of a store that holds nothing yet."""
    kept = (
        teacher.teachers if isinstance(teacher, TeacherEnsemble) and teacher.keep_individual else ()
    )
    return Manifest(
        teacher=teacher.name,
        teacher_fingerprint=teacher.fingerprint,
        corpus_fingerprint=scan.fingerprint,
        label_policy=policy.as_json(),
        n_passages=scan.n_passages,
        n_words=scan.n_words,
        quantization=code.name,
        individual_teachers=[one.name for one in kept],
        teacher_metadata=_facts(teacher),
    )


def _add_piece_vectors(writer: StoreWriter, teacher: Teacher, passages: Iterable[Passage]) -> None:
    """Put the vectors of the teacher's pieces into a store, if it is a GLiNER, or its first is."""
    first = teacher.teachers[0] if isinstance(teacher, TeacherEnsemble) else teacher
    is_there = writer.has_file(TOKENIZER_FILE) and writer.has_file(VECTORS_FILE)
    if isinstance(first, GLiNERTeacher) and not is_there:
        vectors = encode_pieces(first.model, _texts(passages))
        for name, content in piece_vector_files(vectors).items():
            writer.add_file(name, content)


def _texts(passages: Iterable[Passage]) -> Iterator[str]:
    for passage in passages:
        yield from passage.words
        yield from passage.own_labels


def _facts(teacher: Teacher) -> dict[str, Any]:
    if isinstance(teacher, TeacherEnsemble):
        return {
            "teachers": [
                {"name": one.name, "fingerprint": one.fingerprint} | _facts(one)
                for one in teacher.teachers
            ]
        }
    return dict(teacher.metadata) if isinstance(teacher, GLiNERTeacher) else {}
