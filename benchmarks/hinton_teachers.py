"""The targets of two teachers, for `hinton.py`: an ensemble, and an expert for some labels.

A second teacher answers the questions that the sample's teacher was asked. Its answers are combined
with those of the first one: their mean, or the answer of the second one for the labels that the
first one confuses with each other.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sample_students import read_sample
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from gliner_distill.corpus.reader import sample_path
from gliner_distill.decoding import decode_entities, sigmoid
from gliner_distill.entities import INSIDE, Entity, LabeledPassage
from gliner_distill.evaluation.evaluate import score_entities
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.labeling.policy import LabelPolicy
from gliner_distill.runtime.heads import NONE
from gliner_distill.store.quantization import COMPACT, UNIFORM
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.student.losses import teacher_word_logits
from gliner_distill.teacher.base import Teacher

MIXTURES: Final = ("second", "mean", "mean of logits", "expert", "control")
"""The uses of the second teacher's answers."""

MIN_PASSAGES: Final = 2
"""A pair of labels is compared if so many passages ask for both."""
MIN_SHARED_WORDS: Final = 1.0
"""A pair of labels is compared if so many words are expected to have both."""
MIN_CONFUSION: Final = 0.2
"""Groups of labels with a mean confusion of at least this are merged."""

FINE: Final = "fine"
"""The first teacher's answers in 256 bins; the sample has only three bins below 1/8."""
TEMPERATURES: Final = (1.0, 2.0, 4.0, 8.0)
LOWEST_BIN: Final = 1 / 32
"""The upper bound of the sample's lowest bin, whose probabilities are all read back as one."""

_RESOLUTION: Final = 1 / 512


def label_sample(teacher: Teacher, folder: Path, *, n_train: int, is_fine: bool = False) -> None:
    """Let a teacher label the first training passages and the test passages.

    Stores that are finished are not labeled again.

    Args:
        teacher: The teacher.
        folder: The folder of the stores.
        n_train: The number of training passages.
        is_fine: Whether to keep small probabilities as precisely as large ones.
    """
    sample = read_sample()
    parts = {"train": [item.passage for item in sample.train[:n_train]]}
    parts["test"] = sample.test.passages
    quantizer = UNIFORM if is_fine else COMPACT
    # The sample's teacher was asked with the same policy: each passage for its own labels.
    policy = LabelPolicy()
    for name, passages in parts.items():
        store = folder / name
        label_corpus(
            passages, teacher, store, policy=policy, quantizer=quantizer, keep_subword_vectors=False
        )


def read_answers(store: Path, first: Sequence[LabeledPassage]) -> list[LabeledPassage]:
    """Return the answers in a store to the questions that the sample's teacher was asked.

    Args:
        store: A store of `label_sample`.
        first: The answers of the sample's teacher about passages of the same part.
    """
    second = list(SoftLabelStore(store))
    if len(second) > len(first):
        raise SystemExit(f"{store} has {len(second)} passages; expected at most {len(first)}")
    pairs = list(zip(second, first, strict=False))
    for mine, theirs in pairs:
        if mine.passage.words != theirs.passage.words or mine.labels != theirs.labels:
            raise SystemExit(f"{store} has other questions than the sample; remove it")
    return second


def combine(
    first: Sequence[LabeledPassage],
    second: Sequence[LabeledPassage],
    mixture: str,
    specialty: Collection[str] = (),
) -> list[LabeledPassage]:
    """Return passages with the probabilities of both teachers combined.

    Args:
        first: Passages with the probabilities of the first teacher.
        second: The same passages with those of the second teacher.
        mixture: One of `MIXTURES`; for the last two, the second teacher answers for some labels.
        specialty: These labels.
    """
    return [
        replace(mine, probs=_combine(mine, theirs.probs, mixture, specialty))
        for mine, theirs in zip(first, second, strict=True)
    ]


def _combine(
    first: LabeledPassage,
    second: NDArray[np.float32],
    mixture: str,
    specialty: Collection[str],
) -> NDArray[np.float32]:
    if mixture == "second":
        return second
    if mixture == "mean":
        return (first.probs + second) / 2
    if mixture == "mean of logits":
        return sigmoid((_logits(first.probs) + _logits(second)) / 2)
    is_special = np.array([label in specialty for label in first.labels], dtype=bool)
    return np.where(is_special[None, :, None], second, first.probs)


def _logits(probs: NDArray[np.float32]) -> NDArray[np.float32]:
    clipped = np.clip(probs, _RESOLUTION, 1 - _RESOLUTION)
    return np.log(clipped) - np.log1p(-clipped)


def specialty_of(passages: Iterable[LabeledPassage]) -> set[str]:
    """Return the labels that a teacher confuses with others."""
    return {label for group in clusters(confusions(passages)) for label in group}


def confusions(passages: Iterable[LabeledPassage]) -> dict[tuple[str, str], float]:
    """Return by how much a teacher confuses two labels, for pairs that share enough words.

    The confusion is the cosine `sum(q_a q_b) / sqrt(sum(q_a²) sum(q_b²))` over the words of all
    passages that ask for both labels, where `q` is the teacher's distribution over the labels of a
    passage and "none". It is 0 if no word has both labels, and 1 if both are always equally likely.
    Like the covariance that Hinton et al. cluster, it needs no gold. Pairs that occur in a single
    passage, or whose `sum(q_a q_b)` is below `MIN_SHARED_WORDS`, are left out.
    """
    sums: dict[tuple[str, str], NDArray[np.float64]] = defaultdict(lambda: np.zeros(4))
    for item in passages:
        logits = teacher_word_logits(item.probs)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        probs = (odds / odds.sum(axis=1, keepdims=True))[:, 1:]
        products = probs.T @ probs
        places = sorted(range(len(item.labels)), key=item.labels.__getitem__)
        for a, b in combinations(places, 2):
            row = (products[a, b], products[a, a], products[b, b], 1)
            sums[item.labels[a], item.labels[b]] += row
    return {
        pair: float(shared / np.sqrt(one * other))
        for pair, (shared, one, other, n_passages) in sums.items()
        if n_passages >= MIN_PASSAGES and shared >= MIN_SHARED_WORDS
    }


def clusters(
    pairs: Mapping[tuple[str, str], float], min_confusion: float = MIN_CONFUSION
) -> list[tuple[str, ...]]:
    """Return groups of at least two labels with a high mean confusion, the largest first.

    Groups are merged, the most similar first (average linkage), as long as the mean confusion
    between them is at least `min_confusion`. A pair that is not given has a confusion of 0.
    """
    labels = sorted({label for pair in pairs for label in pair})
    if not labels:
        return []
    place = {label: number for number, label in enumerate(labels)}
    distances = 1 - np.eye(len(labels))
    for (label, other), confusion in pairs.items():
        distance = 1 - min(confusion, 1.0)
        distances[place[label], place[other]] = distances[place[other], place[label]] = distance
    tree = hierarchy.linkage(squareform(distances), "average")
    numbers = hierarchy.fcluster(tree, 1 - min_confusion, "distance")
    groups: dict[int, list[str]] = defaultdict(list)
    for label, number in zip(labels, numbers, strict=True):
        groups[number].append(label)
    found = [tuple(group) for group in groups.values() if len(group) > 1]
    return sorted(found, key=lambda group: (-len(group), group))


def control_labels(passages: Sequence[LabeledPassage], specialty: Collection[str]) -> set[str]:
    """Return labels outside a specialty that are asked as often as those within it.

    They are drawn in the order of the number of passages that ask for them, every second one, until
    both sets are asked equally often.
    """
    counts: dict[str, int] = defaultdict(int)
    for item in passages:
        for label in item.labels:
            counts[label] += 1
    left = sum(count for label, count in counts.items() if label in specialty)
    chosen: set[str] = set()
    others = sorted(
        (label for label in counts if label not in specialty),
        key=lambda label: (-counts[label], label),
    )
    for label in [*others[::2], *others[1::2]]:
        if counts[label] <= left:
            chosen.add(label)
            left -= counts[label]
    return chosen


def entities_of(passages: Iterable[LabeledPassage]) -> list[list[Entity]]:
    """Return the entities that a teacher finds."""
    return [decode_entities(item.probs, item.labels) for item in passages]


def measure_teachers(stores: Path) -> dict[str, Any]:
    """Return word and span F1 of the teachers and their mixtures against gold.

    Also returns the fingerprints of the teachers, and the clusters of labels that the first one
    confuses with the share of questions that are about them.
    """
    sample = read_sample()
    groups = clusters(confusions(sample.train))
    specialty = {label for group in groups for label in group}
    row: dict[str, Any] = {"clusters": [list(group) for group in groups]}
    parts = {"train": sample.train, "test": [item.labeled for item in sample.test.examples]}
    for part, first in parts.items():
        second = read_answers(stores / "second" / part, first)
        first = first[: len(second)]
        row |= {f"{key}, {part}": round(value, 5) for key, value in darkness(first).items()}
        if (stores / FINE).is_dir():
            fine = darkness(read_answers(stores / FINE / part, first)).items()
            row |= {f"{key}, {FINE}, {part}": round(value, 5) for key, value in fine}
        asked = [label in specialty for item in first for label in item.labels]
        row[f"share_special_{part}"] = round(float(np.mean(asked)), 5)
        for mixture in ("first", *MIXTURES):
            mixed = first
            if mixture != "first":
                chosen = control_labels(first, specialty) if mixture == "control" else specialty
                mixed = combine(first, second, mixture, chosen)
            for measure, value in _scores(mixed, specialty).items():
                row[f"{mixture}, {part}, {measure}"] = value
    manifest = SoftLabelStore(sample_path("train").parent / "soft_labels" / "train").manifest
    second_manifest = SoftLabelStore(stores / "second" / "train").manifest
    row["fingerprints"] = [manifest.teacher_fingerprint, second_manifest.teacher_fingerprint]
    return row


def darkness(passages: Iterable[LabeledPassage]) -> dict[str, float]:
    """Return how much a teacher says besides its likeliest answer.

    Returns:
        `floor`: the share of the inside probabilities below `LOWEST_BIN`.
        `dark`: the mean of the other answers' probability over the words that lie in an entity,
        for each of `TEMPERATURES`.
    """
    n_low = n_all = 0
    rest: dict[float, list[float]] = {temperature: [] for temperature in TEMPERATURES}
    for item in passages:
        inside = item.probs[:, :, INSIDE]
        n_low += int((inside < LOWEST_BIN).sum())
        n_all += inside.size
        logits = teacher_word_logits(item.probs)
        logits = logits[logits.argmax(axis=1) > NONE]
        for temperature, found in rest.items():
            odds = np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature)
            found += (1 - 1 / odds.sum(axis=1)).tolist()
    dark = {
        f"dark, T {temperature:g}": float(np.mean(found)) for temperature, found in rest.items()
    }
    return {"floor": n_low / max(1, n_all)} | dark


def _scores(passages: Sequence[LabeledPassage], specialty: Collection[str]) -> dict[str, float]:
    found = entities_of(passages)
    gold = [item.passage for item in passages]
    scores = score_entities(found, gold, [item.labels for item in passages]).as_json()
    special = [[label for label in item.labels if label in specialty] for item in passages]
    kept = [[entity for entity in row if entity.label in specialty] for row in found]
    scores["f1_vs_gold_special"] = score_entities(kept, gold, special).gold.words.f1
    keys = ("f1_vs_gold", "span_f1_vs_gold", "f1_vs_gold_special")
    return {key: round(scores[key], 5) for key in keys}
