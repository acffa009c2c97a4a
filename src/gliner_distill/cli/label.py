"""The commands on soft labels: `label` makes a store of them, `inspect` says what one holds."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gliner_distill.cli import options as given
from gliner_distill.cli.terminal import quiet_libraries, when_stopped

if TYPE_CHECKING:
    from gliner_distill.labeling.policy import LabelPolicy


def label(
    corpus: given.CorpusArgument,
    teacher: given.TeacherOption,
    out: given.StoreFolder,
    negatives: given.Negatives = None,
    labels: given.LabelFile = None,
    pool: given.PoolFile = None,
    from_pool: given.FromPool = None,
    descriptions: given.DescriptionFile = None,
    seed: given.DrawSeed = 0,
    keep_individual: given.KeepEach = False,
    quantization: given.ScoreCodeName = "compact",
    device: given.TeacherDevice = None,
    ray: given.RayAddress = None,
    workers: given.WorkerCount = None,
    gpus_per_worker: given.GpuShare = 0.0,
    repair: given.Repair = False,
    skip_bad: given.SkipBad = False,
) -> None:
    """Ask a teacher about a corpus and keep its answers in a soft-label store.

    CORPUS is a JSON list or JSON lines in the form of GLiNER's training data, CoNLL columns, or
    plain text, one document a line; the form is recognized. Plain text needs --labels or --pool.
    It is read twice and never held in memory.

    Prints one line with counts and size. Writes manifest.json and Parquet shards into OUT, and
    the teacher's vectors of the pieces that a student starts from.

    A run that was stopped goes on when the same command runs again. A folder that holds the soft
    labels of another teacher, corpus or choice of labels is refused.
    """
    _check_usage(ray=ray, workers=workers, share=gpus_per_worker, pool=pool, from_pool=from_pool)
    if keep_individual and len(teacher) < 2:
        raise typer.BadParameter("--keep-individual is for several teachers; give --teacher again")
    with when_stopped(f"{out} keeps the finished shards; the same command goes on from there"):
        from functools import partial

        from gliner_distill.corpus.reader import CorpusFile
        from gliner_distill.corpus.statistics import scan_corpus
        from gliner_distill.labeling.pipeline import label_corpus
        from gliner_distill.progress import StageProgress
        from gliner_distill.store.quantization import QUANTIZERS
        from gliner_distill.teacher.ensemble import load_teachers

        if ray is not None:  # said to be missing before the teacher is loaded
            from gliner_distill.labeling.ray import RayWorkers
        quiet_libraries()
        policy = _label_policy(negatives, labels, pool, from_pool, descriptions, seed)
        passages = CorpusFile(corpus, skip_bad=skip_bad)
        scan = scan_corpus(passages)
        for line in passages.notes.lines():
            typer.echo(line, err=True)
        # Beside workers this process needs the teacher for its fingerprint and piece vectors alone.
        here = device if device is not None and ray is None else "cpu"
        loaded = load_teachers(teacher, device=here, keep_individual=keep_individual)
        cluster = None
        if ray is not None:
            there = device or ("cuda" if gpus_per_worker else "cpu")
            make = partial(load_teachers, teacher, device=there, keep_individual=keep_individual)
            cluster = RayWorkers(make, workers or 2, ray, gpus_per_worker)
        with StageProgress() as progress:
            store = label_corpus(
                passages,
                loaded,
                out,
                policy=policy,
                code=QUANTIZERS[quantization],
                scan=scan,
                workers=cluster,
                repair=repair,
                progress=progress.update,
            )
    n_pairs = sum(shard.n_pairs for shard in store.manifest.shards)
    typer.echo(
        f"{out}: {len(store):,} passages, {scan.n_words:,} words, {n_pairs:,} word-label pairs, "
        f"{store.size_bytes:,} bytes ({store.size_bytes / max(n_pairs, 1):.2f} a pair)"
    )


def _check_usage(
    *, ray: str | None, workers: int | None, share: float, pool: Path | None, from_pool: int | None
) -> None:
    if ray is None and (workers is not None or share):
        raise typer.BadParameter("--workers and --gpus-per-worker are for --ray; give it as well")
    if pool is None and from_pool is not None:
        raise typer.BadParameter("--from-pool draws from a pool; give it with --pool FILE")


def _label_policy(
    negatives: int | None,
    labels: Path | None,
    pool: Path | None,
    from_pool: int | None,
    descriptions: Path | None,
    seed: int,
) -> "LabelPolicy":
    from gliner_distill.corpus.labels import read_labels
    from gliner_distill.labeling.policy import LabelPolicy

    fixed = read_labels(labels) if labels is not None else {}
    drawn_from = read_labels(pool) if pool is not None else {}
    described = read_labels(descriptions) if descriptions is not None else {}
    texts = [*described.items(), *drawn_from.items(), *fixed.items()]
    return LabelPolicy(
        negatives=negatives if negatives is not None else (0 if labels or pool else 8),
        fixed=tuple(fixed),
        pool=tuple(drawn_from),
        from_pool=(from_pool or 8) if pool is not None else 0,
        descriptions={label: text for label, text in texts if text},
        seed=seed,
    )
