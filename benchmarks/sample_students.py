"""Students of the sample that comes with the package, for the studies that build on it.

All students have the architecture of `gliner-distill reproduce` and start from its subword vectors.
They are measured on the same 100 test passages, each asked for its own labels. The threshold of
each student is the one of 0.3, 0.4, 0.5 and 0.6 with the best mean of two values on `dev`: the word
F1 against gold and the word F1 against the teacher.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from gliner_distill.corpus.reader import sample_path
from gliner_distill.entities import LabeledPassage
from gliner_distill.evaluation.evaluate import evaluate
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.runtime.vocabulary import Vocabulary
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.store.subword_vectors import SubwordVectors
from gliner_distill.student.batch import Batch
from gliner_distill.student.heads import Targets, TorchHead, TorchSoftmaxHead
from gliner_distill.student.initialization import initialize_student, load_or_train_vocabulary
from gliner_distill.student.model import Student
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.training.data import EvaluationSplit, make_split
from gliner_distill.training.loop import train_student
from gliner_distill.training.run import read_metrics
from gliner_distill.training.settings import TrainingSettings

THRESHOLDS: Final = (0.3, 0.4, 0.5, 0.6)
MEASURES: Final = (
    "accuracy_vs_teacher",
    "recall_vs_teacher",
    "f1_vs_teacher",
    "span_f1_vs_teacher",
    "f1_vs_gold",
    "span_f1_vs_gold",
)
SMOOTHING: Final = 0.1
"""The share of a smoothed target that is spread evenly over the labels and "none"."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The labeled passages of the sample, and the pieces that students start from."""

    train: list[LabeledPassage]
    dev: EvaluationSplit
    test: EvaluationSplit
    vocabulary: Vocabulary
    vectors: SubwordVectors | None


@cache
def read_sample() -> Sample:
    """Return the sample; each process reads it once."""
    folder = sample_path("train").parent
    stores = folder / "soft_labels"
    train = list(SoftLabelStore(stores / "train"))
    vocabulary, vectors = load_or_train_vocabulary(folder / "subword_vectors", train)
    dev, test = (
        make_split(name, list(SoftLabelStore(stores / name)), vocabulary)
        for name in ("dev", "test")
    )
    return Sample(train, dev, test, vocabulary, vectors)


class SmoothedHead:
    """A softmax head whose gold targets are smoothed (Szegedy et al. 2016).

    Label smoothing makes targets soft, as a teacher does, but knows nothing about the text.
    """

    def __init__(self, smoothing: float = SMOOTHING) -> None:
        self._inner = TorchSoftmaxHead()
        self._smoothing = smoothing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def targets(self, passages: Sequence[LabeledPassage], n_words: int, n_labels: int) -> Targets:
        """Return the targets with smoothed gold."""
        targets = self._inner.targets(passages, n_words, n_labels)
        is_class = targets.teacher > -torch.inf
        even = is_class / is_class.sum(-1, keepdim=True).clamp(min=1)
        gold = (1 - self._smoothing) * targets.gold + self._smoothing * even
        return Targets(targets.teacher, gold)

    def loss(self, logits: Tensor, targets: Targets, batch: Batch, **weights: float) -> Tensor:
        """Return the loss of the softmax head."""
        return self._inner.loss(logits, targets, batch, **weights)  # type: ignore[arg-type]


def train_sample_student(
    passages: Sequence[LabeledPassage],
    training: TrainingSettings,
    *,
    head: TorchHead | None = None,
    has_curve: bool = False,
    start: Callable[[int], Student] | None = None,
) -> dict[str, Any]:
    """Train a student and return its measures on `test`.

    Args:
        passages: The passages to train on.
        training: The loss, the schedule and the seed.
        head: The head whose targets and loss are used; None for the softmax head.
        has_curve: Whether to measure the first 100 training passages and `test` after each epoch
            at a threshold of 0.5, and to return this as `curve`.
        start: A function that returns the student to start from; None for the sample's start.
    """
    sample = read_sample()
    student = _make_start(sample, training.seed) if start is None else start(training.seed)
    if head is not None:
        student.head = head
    probe = make_split("train", passages[:100], sample.vocabulary)
    with tempfile.TemporaryDirectory() as folder:
        splits = [probe, sample.test] if has_curve else []
        train_student(student, sample.vocabulary, passages, Path(folder), training, splits=splits)
        rows = read_metrics(Path(folder)) if has_curve else []
    threshold, scores = _at_best_threshold(student, sample)
    trained = _scores(student, sample.vocabulary, probe, threshold)
    gap = {f"train_{measure}": trained[measure] for measure in MEASURES}
    row = {"threshold": threshold, **scores, **gap}
    return row | ({"curve": [_short(entry) for entry in rows]} if has_curve else {})


def _make_start(sample: Sample, seed: int) -> Student:
    config = StudentConfig(len(sample.vocabulary))
    return initialize_student(sample.vocabulary, sample.vectors, config, seed=seed)


def _at_best_threshold(student: Student, sample: Sample) -> tuple[float, dict[str, float]]:
    def on_dev(threshold: float) -> float:
        scores = _scores(student, sample.vocabulary, sample.dev, threshold)
        return scores["f1_vs_teacher"] + scores["f1_vs_gold"]

    best = max(THRESHOLDS, key=on_dev)
    return best, _scores(student, sample.vocabulary, sample.test, best)


def _scores(
    student: Student, vocabulary: Vocabulary, split: EvaluationSplit, threshold: float
) -> dict[str, float]:
    predictor = StudentPredictor(student, vocabulary, threshold=threshold)
    evaluation = evaluate(
        predictor, split.passages, split.labels, teacher_entities=split.teacher_entities
    ).as_json()
    return {measure: round(evaluation[measure], 5) for measure in MEASURES}


def _short(row: dict[str, Any]) -> dict[str, Any]:
    kept = ("epoch", "split", "loss", *MEASURES)
    return {
        key: round(value, 5) if isinstance(value, float) else value
        for key, value in row.items()
        if key in kept
    }
