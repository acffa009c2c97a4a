"""Ask a teacher about a corpus and keep its answers: passages in, a soft-label store out.

Decides which labels to ask of each passage (`LabelPolicy`) and drives teacher and store shard by
shard, so that a killed run goes on where it was.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from gliner_distill.corpus import corpus_fingerprint
from gliner_distill.corpus_records import clean_label
from gliner_distill.entities import Passage
from gliner_distill.errors import CorpusError, SettingsError, StoreError, TeacherError
from gliner_distill.piece_vectors import VECTORS_FILE, encode_pieces, write_piece_vectors
from gliner_distill.soft_labels import (
    MANIFEST,
    PART_SUFFIX,
    LabelledPassage,
    Manifest,
    SoftLabelStore,
    check_same_origin,
    read_manifest,
    write_manifest,
    write_shard,
)
from gliner_distill.teacher import GLiNERTeacher, Teacher

SHARD_PASSAGES = 250


@dataclass(frozen=True, slots=True)
class LabelPolicy:
    """Which labels are asked of a passage.

    Attributes:
        negatives: With the passage's own labels, so many others of the corpus, drawn without
            replacement with weights of the square root of their number of passages.
        fixed: Ask these of every passage instead, where given.
        seed: Of the draw. The draw of a passage depends on the seed and its position alone.
    """

    negatives: int = 0
    fixed: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if self.negatives < 0:
            raise SettingsError(f"negatives must be 0 or more; got {self.negatives}")
        if self.fixed and self.negatives:
            raise SettingsError("a fixed label list leaves no room for negatives: give one of them")

    def choose(self, passages: Sequence[Passage]) -> list[tuple[str, ...]]:
        """Return the labels to ask of each passage: its own first, then the negatives."""
        if self.fixed:
            return [self.fixed] * len(passages)
        counts = Counter(label for passage in passages for label in passage.own_labels)
        labels = sorted(counts)
        weights = [counts[label] ** 0.5 for label in labels]
        return [
            passage.own_labels
            + self._draw_negatives(position, set(passage.own_labels), labels, weights)
            for position, passage in enumerate(passages)
        ]

    def _draw_negatives(
        self, position: int, own: set[str], labels: list[str], weights: list[float]
    ) -> tuple[str, ...]:
        if not self.negatives:
            return ()
        # Efraimidis and Spirakis 2006: the largest u**(1/w) are a weighted draw without
        # replacement.
        draw = random.Random(f"{self.seed}/{position}")
        weighted = zip(weights, labels, strict=True)
        keys = [(draw.random() ** (1 / weight), label) for weight, label in weighted]
        others = (label for _, label in sorted(keys, reverse=True) if label not in own)
        return tuple(islice(others, self.negatives))


def read_labels(path: str | Path) -> tuple[str, ...]:
    """Return the labels of a file, one a line, cleaned as a corpus's are; blank lines are skipped.

    Raises:
        CorpusError: The file cannot be read, holds no label, or the same label twice.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    labels: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        label = clean_label(line)
        if label in labels:
            raise CorpusError(
                f"{path}: line {number}: label {label!r} stands on line {labels[label]} already"
            )
        if label:
            labels[label] = number
    if not labels:
        raise CorpusError(f"{path}: no label in it; expected one a line")
    return tuple(labels)


def label_corpus(
    passages: Sequence[Passage],
    teacher: Teacher,
    folder: str | Path,
    *,
    policy: LabelPolicy,
    on_progress: Callable[[int], None] = lambda n_words: None,
) -> SoftLabelStore:
    """Score passages with a teacher into a store; go on with a store that was left unfinished.

    Args:
        passages: The corpus, whole.
        teacher: Scores words for labels.
        folder: The store; made where it does not exist.
        policy: Which labels to ask.
        on_progress: Called after each shard with the number of words that it holds; at once, with
            their sum, for the shards that were there already.

    Raises:
        StoreError: The folder holds something else, or soft labels of another teacher, corpus or
            label policy; or it cannot be written.
        TeacherError: The teacher's answer has another shape, or holds what is no probability.
        CorpusError: No passage has a label to ask about.
    """
    folder = Path(folder)
    asked = policy.choose(passages)
    if not any(asked):
        raise CorpusError(
            "no passage has an entity or a label, so there is nothing to ask the teacher; "
            "give the labels to ask: --labels FILE"
        )
    expected = Manifest(
        teacher=teacher.name,
        teacher_fingerprint=teacher.fingerprint,
        corpus_fingerprint=corpus_fingerprint(passages),
        label_policy=asdict(policy) | {"fixed": list(policy.fixed)},
        n_passages=len(passages),
        teacher_facts=teacher.facts if isinstance(teacher, GLiNERTeacher) else {},
    )
    manifest = _open_or_start(folder, expected)
    if isinstance(teacher, GLiNERTeacher) and not (folder / VECTORS_FILE).exists():
        write_piece_vectors(folder, encode_pieces(teacher.model, _texts(passages)))
    on_progress(sum(shard.n_words for shard in manifest.shards))
    while not manifest.is_complete:
        started = time.perf_counter()
        part = slice(manifest.n_labelled, manifest.n_labelled + SHARD_PASSAGES)
        labelled = _label_part(passages[part], asked[part], teacher)
        shard = write_shard(folder, len(manifest.shards), labelled)
        manifest.shards.append(shard)
        manifest.seconds += time.perf_counter() - started
        write_manifest(folder, manifest)
        on_progress(shard.n_words)
    return SoftLabelStore(folder)


def _open_or_start(folder: Path, expected: Manifest) -> Manifest:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_new = not (folder / MANIFEST).exists()
        # A run that was killed in its first write leaves half a manifest: that is no foreign file.
        if is_new and any(path.name != MANIFEST + PART_SUFFIX for path in folder.iterdir()):
            raise StoreError(
                f"{folder}: is not empty and holds no soft-label store; choose another"
            )
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written: {error.strerror or error}") from error
    if is_new:
        write_manifest(folder, expected)
        return expected
    found = read_manifest(folder)
    check_same_origin(folder, found, expected)
    return found


def _texts(passages: Sequence[Passage]) -> Iterator[str]:
    for passage in passages:
        yield from passage.words
        yield from passage.own_labels


def _label_part(
    passages: Sequence[Passage], asked: Sequence[tuple[str, ...]], teacher: Teacher
) -> list[LabelledPassage]:
    scores = teacher.score_passages([passage.words for passage in passages], asked)
    for passage, labels, probs in zip(passages, asked, scores, strict=True):
        shape = (len(passage.words), len(labels), 3)
        if probs.shape != shape or not bool(((probs >= 0) & (probs <= 1)).all()):
            raise TeacherError(
                f"{teacher.name}: answered the passage {' '.join(passage.words)[:60]!r} with an "
                f"array of shape {probs.shape}; expected {shape}, every number in [0, 1]"
            )
    return [
        LabelledPassage(passage, labels, probs)
        for passage, labels, probs in zip(passages, asked, scores, strict=True)
    ]
