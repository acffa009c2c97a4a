"""The command `label`: ask teachers about a corpus and keep their answers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gliner_distill.cli.command import Command
from gliner_distill.cli.options import (
    LABEL_LINES,
    MAX_SEED,
    CorpusArgument,
    RayAddressParser,
    SkipBad,
    Teachers,
    option,
)
from gliner_distill.cli.teachers.cluster import RayOptions
from gliner_distill.cli.teachers.language_model import LLMOptions
from gliner_distill.cli.terminal import quiet_libraries, say, when_stopped

if TYPE_CHECKING:
    from gliner_distill.corpus.statistics import CorpusScan
    from gliner_distill.labeling.policy import LabelPolicy
    from gliner_distill.store.store import SoftLabelStore

OutFolder = Annotated[
    Path, option("--out", metavar="FOLDER", text="The folder for the soft-label store.")
]

Negatives = Annotated[
    int | None,
    option(
        metavar="N",
        text="The number of other labels of the corpus to ask for besides the passage's own. "
        "Frequent labels are sampled more often; labels that overlap in meaning with the "
        "passage's own are left out.",
        min=0,
        show_default="8, or 0 with --labels or --pool",
    ),
]

LabelFile = Annotated[
    Path | None,
    option(
        "--labels",
        metavar="FILE",
        text="Ask for the labels in this file in every passage, instead of the passage's own. "
        f"{LABEL_LINES}",
    ),
]

PoolFile = Annotated[
    Path | None,
    option(
        "--pool",
        metavar="FILE",
        text="Sample labels for each passage from this file, which has the form of --labels, and "
        "ask for them, too.",
    ),
]

FromPool = Annotated[
    int | None,
    option(
        metavar="K",
        text="The number of labels to sample from the pool for each passage.",
        min=1,
        show_default="8 with --pool",
    ),
]

DescriptionFile = Annotated[
    Path | None,
    option(
        "--descriptions",
        metavar="FILE",
        text="Descriptions of the corpus's labels for the teacher, one per line: "
        "`label: description`.",
    ),
]

SamplingSeed = Annotated[
    int,
    option(
        "--seed",
        metavar="N",
        text="The random seed for label sampling.",
        min=0,
        max=MAX_SEED,
    ),
]

KeepIndividual = Annotated[
    bool,
    option(
        "--keep-individual",
        metavar=None,
        text="Keep the answers of each teacher in addition to their mean.",
    ),
]

Quantization = Annotated[
    Literal["compact", "uniform"],
    option(
        "--quantization",
        metavar="CODE",
        text="The form in which probabilities are stored: uniform is exact to 1/512; compact is "
        "as exact for probabilities of 1/8 or more, but coarser below, and takes half the space.",
    ),
]

Device = Annotated[
    str | None,
    option(
        "--device",
        metavar="DEVICE",
        text="The device that the teacher runs on, such as cpu or cuda.",
        show_default="cpu, or cuda for workers with a GPU",
    ),
]

Repair = Annotated[
    bool,
    option(
        "--repair",
        metavar=None,
        text="Read the whole store, and label again what is missing or broken.",
    ),
]


def label(
    corpus: CorpusArgument,
    teacher: Teachers,
    out: OutFolder,
    *,
    negatives: Negatives = None,
    labels: LabelFile = None,
    pool: PoolFile = None,
    from_pool: FromPool = None,
    descriptions: DescriptionFile = None,
    seed: SamplingSeed = 0,
    keep_individual: KeepIndividual = False,
    quantization: Quantization = "compact",
    device: Device = None,
    cluster: RayOptions,
    repair: Repair = False,
    skip_bad: SkipBad = False,
    llm: LLMOptions,
) -> None:
    """Label a corpus with a teacher, and keep its answers in a soft-label store.

    CORPUS is a JSON list or JSON lines in the form of GLiNER's training data, a Parquet file, CoNLL
    columns, or plain text with one document per line; the format is detected from the content.
    Plain text needs --labels or --pool. The corpus is read twice and never held in memory.

    Prints one line with counts and the size of the store. Writes manifest.json, Parquet shards and
    the teacher's subword vectors into OUT; a student starts from these vectors.

    With several teachers, the soft labels of a label are the mean of the teachers that know it.

    When the same command runs again, it continues where it was stopped. A folder with the soft
    labels of another teacher, corpus or choice of labels is refused.
    """
    if pool is None and from_pool is not None:
        raise typer.BadParameter("--from-pool needs a pool to draw from; give it with --pool FILE")
    if labels is not None and (pool is not None or negatives):
        other = "--pool" if pool is not None else "--negatives"
        raise typer.BadParameter(
            f"--labels and {other} cannot be combined, because the labels of --labels replace "
            "those of each passage; use only one of the two"
        )
    if keep_individual and len(teacher) < 2:
        raise typer.BadParameter("--keep-individual needs several teachers; give --teacher again")
    asked = llm.settings(teacher, is_on_ray=cluster.is_given)
    with when_stopped(f"{out} keeps the finished shards; run the same command again to continue"):
        from gliner_distill.corpus.reader import CorpusFile
        from gliner_distill.corpus.statistics import scan_corpus
        from gliner_distill.labeling.pipeline import label_corpus
        from gliner_distill.progress import StageProgress
        from gliner_distill.store.quantization import QUANTIZERS
        from gliner_distill.teacher.opening import open_teachers

        # A missing Ray is reported before the corpus is read and the teacher is loaded.
        workers = cluster.find_workers(teacher, device)
        quiet_libraries()
        policy = _label_policy(negatives, labels, pool, from_pool, descriptions, seed)
        passages = CorpusFile(corpus, skip_bad=skip_bad)
        scan = scan_corpus(passages)
        if not scan.label_counts:  # plain texts, in which nobody expects entities
            passages.notes.passages_without_entities = 0
        for line in passages.notes.lines():
            say(line, err=True)
        # With workers, this process needs the teacher only for its fingerprint and vectors.
        here = device if device is not None and workers is None else "cpu"
        loaded = open_teachers(teacher, device=here, llm=asked)
        with StageProgress() as progress:
            store = label_corpus(
                passages,
                loaded,
                out,
                policy=policy,
                quantizer=QUANTIZERS[quantization],
                keep_individual=keep_individual,
                scan=scan,
                workers=workers,
                repair=repair,
                progress=progress.update,
            )
    say(f"{out}: {_describe_store(store, scan)}")


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
    # A description in the file of labels takes precedence over one in the file of descriptions.
    texts = [*described.items(), *drawn_from.items(), *fixed.items()]
    return LabelPolicy(
        negatives=negatives if negatives is not None else (0 if labels or pool else 8),
        fixed=tuple(fixed),
        pool=tuple(drawn_from),
        from_pool=(from_pool or 8) if pool is not None else 0,
        descriptions={label: text for label, text in texts if text},
        seed=seed,
    )


def _describe_store(store: "SoftLabelStore", scan: "CorpusScan") -> str:
    n_pairs = sum(shard.n_pairs for shard in store.manifest.shards)
    return (
        f"{len(store):,} passages, {scan.n_words:,} words, {n_pairs:,} word-label pairs, "
        f"{store.size_bytes:,} bytes ({store.size_bytes / max(n_pairs, 1):.2f} per pair)"
    )


LABEL = Command(
    label,
    "Label a corpus with a teacher; keep its soft labels.",
    """\
  gliner-distill label train.json --teacher urchade/gliner_medium-v2.1 \\
    --out soft_labels/train
  gliner-distill label notes.txt --labels labels.txt \\
    --teacher models/gliner --out soft_labels/notes
  gliner-distill label notes.txt --labels labels.txt \\
    --teacher fastino/gliner2-base-v1 --out soft_labels/notes
  gliner-distill label notes.txt --labels labels.txt \\
    --teacher python:my_rules:teacher --out soft_labels/notes
  gliner-distill label train.json --teacher models/a --teacher models/b \\
    --ray --workers 4 --out soft_labels/mean
  gliner-distill label notes.txt --labels labels.txt --teacher llm:MODEL \\
    --price-per-million 0.25,2 --max-cost 5 --out soft_labels/llm""",
    work="labeling; finished shards are kept",
    less_memory="cut long passages, ask for fewer labels, or use a smaller teacher",
    parser=RayAddressParser,
)
