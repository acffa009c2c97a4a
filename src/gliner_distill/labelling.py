"""Ask a teacher about a corpus and keep its answers: passages in, a soft-label store out.

The corpus is read twice and never held: once to count (`survey_corpus`), once to be cut into jobs
of one shard each (`shard_jobs`), which are scored, encoded and written one after the other. The
next job is read, and the last one encoded and written, while the teacher scores.
"""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from gliner_distill.corpus import CorpusHash
from gliner_distill.entities import Passage
from gliner_distill.errors import CorpusError, StoreError, TeacherError
from gliner_distill.features import TOKENIZER_FILE
from gliner_distill.label_policy import LabelDraw, LabelPolicy
from gliner_distill.mean_teacher import MeanTeacher, mean_probs
from gliner_distill.piece_vectors import VECTORS_FILE, encode_pieces, piece_vector_files
from gliner_distill.score_codes import COMPANDED, ScoreCode
from gliner_distill.shards import LabelledPassage, PackedShard, ShardOrigin, pack_shard
from gliner_distill.soft_labels import Manifest, Shard, SoftLabelStore
from gliner_distill.store_writer import StoreWriter, open_writer
from gliner_distill.teacher import GLiNERTeacher, Probabilities, Teacher

SHARD_PASSAGES = 1000
SHARD_PAIRS = 2_000_000
"""Of probabilities, 24 MB while they are at work."""


@dataclass(frozen=True, slots=True)
class ShardLimits:
    """A shard ends before it would exceed one of these; one passage it always holds."""

    passages: int
    pairs: int


@dataclass(frozen=True, slots=True)
class CorpusSurvey:
    """What must be known of a corpus before it can be labelled.

    Attributes:
        fingerprint: Its `CorpusHash`.
        n_passages: How many there are.
        n_words: How many words they have.
        label_counts: In how many passages each label is one of their own.
    """

    fingerprint: str
    n_passages: int
    n_words: int
    label_counts: dict[str, int]


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
    code: ScoreCode
    store: str
    teacher: str
    teacher_fingerprint: str

    def pack(self, job: ShardJob, items: Sequence[LabelledPassage]) -> PackedShard:
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


class ThisProcess:
    """Scores jobs one after the other, and reads the next meanwhile."""

    def pack_shards(
        self, jobs: JobSource, plan: ShardPlan, teacher: Teacher
    ) -> Generator[MakeShard, None, None]:
        """Yield what makes the shard of each job, in order."""
        for job in _one_ahead(jobs()):
            yield partial(plan.pack, job, score_job(job, teacher, plan.policy))


def survey_corpus(passages: Iterable[Passage]) -> CorpusSurvey:
    """Return a corpus's counts and fingerprint; it is read once, passage by passage."""
    fingerprint, labels = CorpusHash(), Counter[str]()
    n_passages = n_words = 0
    for passage in passages:
        fingerprint.update(passage)
        labels.update(passage.own_labels)
        n_passages += 1
        n_words += len(passage.words)
    return CorpusSurvey(fingerprint.hexdigest(), n_passages, n_words, dict(labels))


def load_teachers(
    sources: Sequence[str], *, device: str = "cpu", keep_each: bool = False
) -> Teacher:
    """Return a GLiNER, or the mean of several; `sources` are folders or hub ids.

    Raises:
        TeacherError: One does not load, or is given twice.
        HubError: One cannot be had from the hub.
    """
    loaded = [GLiNERTeacher.from_pretrained(source, device=device) for source in sources]
    return MeanTeacher(loaded, keep_each=keep_each) if len(loaded) > 1 else loaded[0]


def label_corpus(
    passages: Iterable[Passage],
    teacher: Teacher,
    folder: str | Path,
    *,
    policy: LabelPolicy,
    code: ScoreCode = COMPANDED,
    keep_pieces: bool = True,
    survey: CorpusSurvey | None = None,
    workers: Workers | None = None,
    repair: bool = False,
    on_progress: Callable[[int], None] = lambda n_words: None,
) -> SoftLabelStore:
    """Score passages with a teacher into a store; go on with a store that was left unfinished.

    Args:
        passages: The corpus: a list, or whatever gives the same passages each time it is iterated
            over, such as a `CorpusFile`.
        teacher: Scores words for labels.
        folder: The store; made where it does not exist.
        policy: Which labels to ask.
        code: How to keep probabilities.
        keep_pieces: Whether a GLiNER's vectors of its pieces go into the store, for a student to
            start from.
        survey: What `survey_corpus` said of the passages, if it was asked already.
        workers: Who scores; by default this process.
        repair: Read the whole store first and label again what is broken in it.
        on_progress: Called after each shard with the number of words that it holds; at once, with
            their sum, for the shards that were there already.

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
    survey = survey if survey is not None else survey_corpus(passages)
    _check_labels(survey, policy)
    expected = _plan_manifest(survey, teacher, policy, code)
    folder = Path(folder)
    with open_writer(folder, expected, repair=repair) as writer:
        manifest = writer.manifest
        on_progress(sum(shard.n_words for shard in manifest.shards))
        plan = ShardPlan(policy, code, manifest.origin, teacher.name, teacher.fingerprint)
        jobs = partial(
            shard_jobs,
            passages,
            LabelDraw(policy, survey.label_counts),
            survey.fingerprint,
            ShardLimits(SHARD_PASSAGES, SHARD_PAIRS),
            done={shard.index: shard.n_passages for shard in manifest.shards},
        )
        packed = (workers or ThisProcess()).pack_shards(jobs, plan, teacher)
        # Closed at once when something is raised here, so that nothing is written after that.
        with closing(_write_behind(packed, writer)) as written:
            for shard in written:
                on_progress(shard.n_words)
        if keep_pieces:
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


def _check_labels(survey: CorpusSurvey, policy: LabelPolicy) -> None:
    """Make sure that there is something to ask.

    Raises:
        CorpusError: There is not.
    """
    if not (survey.n_passages and (survey.label_counts or policy.fixed or policy.pool)):
        raise CorpusError(
            "no passage has an entity or a label, so there is nothing to ask the teacher; "
            "give the labels to ask: --labels FILE"
        )


def _plan_manifest(
    survey: CorpusSurvey, teacher: Teacher, policy: LabelPolicy, code: ScoreCode
) -> Manifest:
    """Return the manifest of a store that holds nothing yet."""
    kept = teacher.teachers if isinstance(teacher, MeanTeacher) and teacher.keep_each else ()
    return Manifest(
        teacher=teacher.name,
        teacher_fingerprint=teacher.fingerprint,
        corpus_fingerprint=survey.fingerprint,
        label_policy=policy.as_json(),
        n_passages=survey.n_passages,
        n_words=survey.n_words,
        score_code=code.name,
        each_teacher=[one.name for one in kept],
        teacher_facts=_facts(teacher),
    )


def shard_jobs(
    passages: Iterable[Passage],
    draw: LabelDraw,
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
    passages: Iterable[Passage], draw: LabelDraw, limits: ShardLimits, fingerprint: str
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
        raise CorpusError(
            "the corpus changed while it was labelled; start again with another --out"
        )
    if job.passages:
        yield job


def score_job(job: ShardJob, teacher: Teacher, policy: LabelPolicy) -> list[LabelledPassage]:
    """Return a job's passages with what the teacher says of them.

    Raises:
        TeacherError: Its answer has another shape, or holds what is no probability.
    """
    words = [passage.words for passage in job.passages]
    prompts = [policy.prompts(labels) for labels in job.labels]
    each: Sequence[Sequence[Probabilities]] = [()] * len(words)
    if isinstance(teacher, MeanTeacher) and teacher.keep_each:
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
        LabelledPassage(passage, labels, probs, tuple(of_each))
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


def _add_piece_vectors(writer: StoreWriter, teacher: Teacher, passages: Iterable[Passage]) -> None:
    """Put the vectors of the teacher's pieces into a store, if it is a GLiNER, or its first is."""
    first = teacher.teachers[0] if isinstance(teacher, MeanTeacher) else teacher
    is_there = writer.has_file(TOKENIZER_FILE) and writer.has_file(VECTORS_FILE)
    if isinstance(first, GLiNERTeacher) and not is_there:
        vectors = encode_pieces(first.model, _texts(passages))
        for name, content in piece_vector_files(vectors).items():
            writer.add_file(name, content)


def _texts(passages: Iterable[Passage]) -> Iterator[str]:
    for passage in passages:
        yield from passage.words
        yield from passage.own_labels


def _one_ahead(jobs: Iterator[ShardJob]) -> Iterator[ShardJob]:
    """Yield jobs; while one is worked on, a thread reads the next."""
    with ThreadPoolExecutor(1, thread_name_prefix="corpus") as pool:
        coming = pool.submit(next, jobs, None)
        while (job := coming.result()) is not None:
            coming = pool.submit(next, jobs, None)
            yield job


def _facts(teacher: Teacher) -> dict[str, Any]:
    if isinstance(teacher, MeanTeacher):
        return {
            "teachers": [
                {"name": one.name, "fingerprint": one.fingerprint} | _facts(one)
                for one in teacher.teachers
            ]
        }
    return dict(teacher.facts) if isinstance(teacher, GLiNERTeacher) else {}
