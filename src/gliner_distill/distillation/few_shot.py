"""Refine soft labels with a few annotated passages.

The targets of the rest of the text become a weighted mean of the answers of two models: the
teacher, and a student tuned on the annotated passages alone. Farina et al. (2023) tune the teacher
before it labels; here a student is tuned instead, which takes seconds. Its weight is chosen by
cross-validation, on annotated passages that it was not tuned on. All results are kept in a folder,
so a run that was stopped can continue.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gliner_distill.callbacks import Progress
from gliner_distill.decoding import decode_entities, sigmoid
from gliner_distill.distillation.job import DistillSettings
from gliner_distill.distillation.train import (
    Splits,
    mean_probs,
    mix_gold_targets,
    saved_training_settings,
)
from gliner_distill.entities import Entity, LabeledPassage, Passage
from gliner_distill.errors import DistillError
from gliner_distill.json_files import (
    COUNT,
    SHARE,
    check_fields,
    read_sealed_json,
    write_sealed_json,
)
from gliner_distill.labeling.jobs import ShardLimits
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.labeling.policy import LabelPolicy
from gliner_distill.metrics import score_spans
from gliner_distill.runtime.config import TORCH_WEIGHTS_FILE
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.student.files import load_student
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.teacher.base import Probabilities
from gliner_distill.training.loop import train_student
from gliner_distill.training.run import CHECKPOINT_FILE, STUDENT_FOLDER
from gliner_distill.training.settings import TrainingSettings

GOLD_FOLDER: Final = "gold"
"""The folder in a run folder that holds the tuned students, their answers and their weight."""

_WEIGHT_FILE: Final = "weight.json"

_WEIGHT_KINDS: Final = {
    **dict.fromkeys(("share", "threshold", "tuned_f1", "teacher_f1"), SHARE),
    "n_passages": COUNT,
}


@dataclass(frozen=True, slots=True)
class EnsembleWeight:
    """The weight of the tuned student in a mean with the teacher, and the F1 values behind it.

    Attributes:
        share: The student's weight in a target, from 0 to below 1; the rest is the teacher's.
        threshold: The threshold at which the weighted mean is decoded. Targets are shifted so that
            it becomes 0.5.
        tuned_f1: The exact-span F1 of the tuned students, each on the fold that it was not tuned
            on.
        teacher_f1: The teacher's F1 on the same passages.
        n_passages: The number of these passages.
    """

    share: float
    threshold: float
    tuned_f1: float
    teacher_f1: float
    n_passages: int

    def mix(
        self, probs: Probabilities, tuned: Probabilities, is_known: NDArray[np.bool_]
    ) -> Probabilities:
        """Return the targets of a passage: the weighted mean, shifted so that its threshold is 0.5.

        Args:
            probs: The teacher's probabilities, shape `(words, labels, 3)`.
            tuned: The tuned student's, of the same shape.
            is_known: Shape `(labels,)`: whether the tuned student may answer for a label; if not,
                the target is the teacher's answer.
        """
        # Without the limits, the odds of 0 and 1 would be 0 and infinite.
        mean = np.clip(mean_probs(probs, tuned, self.share), 1e-4, 1 - 1e-4)
        # Dividing the odds by those of the threshold moves the threshold to 0.5.
        odds = mean / (1 - mean) * (1 - self.threshold) / self.threshold
        targets = np.where(is_known[:, np.newaxis], odds / (1 + odds), probs)
        return targets.astype(np.float32)

    def describe(self) -> str:
        """Return the measurements and the weight as a sentence for the user."""
        return (
            f"on the {self.n_passages} annotated passages, the teacher has an F1 of "
            f"{100 * self.teacher_f1:.1f}, and students that were tuned on the rest of them have "
            f"{100 * self.tuned_f1:.1f}; so the other texts are learned from a mean of both, in "
            f"which a tuned student has {100 * self.share:.0f}% of the weight"
        )


def refine_soft_labels(
    folder: Path,
    text: Splits,
    gold: Sequence[LabeledPassage],
    training: TrainingSettings,
    settings: DistillSettings,
    *,
    progress: Progress,
) -> tuple[dict[str, list[LabeledPassage]], EnsembleWeight | None]:
    """Return the passages of text with their targets, and the weight of the tuned student.

    With fewer than `min_gold_passages` annotated passages, the targets are the teacher's soft
    labels and the weight is None. Labels that neither the annotation nor the teacher has
    `min_label_count` times in the annotated passages keep the teacher's soft labels, too.

    Args:
        folder: The folder that keeps tuned students and their answers.
        text: The passages of `train` and `dev` with the teacher's soft labels.
        gold: The annotated training passages with the teacher's soft labels.
        training: The training settings of the student; tuning uses its seed, learning rate and
            precision.
        settings: The settings of the distillation.
        progress: Told how far each stage is.

    Raises:
        DistillError: The folder holds other work, or cannot be written.
    """
    targets = {split: list(text[split]) for split in ("train", "dev")}
    if sum(bool(_asked_entities(passage)) for passage in gold) < settings.min_gold_passages:
        return targets, None
    weight = _measure_weight(folder, gold, training, settings, progress)
    if weight.share == 0:
        return targets, weight
    is_known = _known_labels(gold, settings.min_label_count)
    tuned = fine_tune_on_gold(folder / "tuned", gold, training, settings, progress=progress)
    for split, passages in targets.items():
        answers = _ask_tuned(tuned, passages, folder / f"labels-{split}", settings, progress)
        targets[split] = [
            replace(passage, probs=weight.mix(passage.probs, answer.probs, is_known))
            for passage, answer in zip(passages, answers, strict=True)
        ]
    return targets, weight


class StudentTeacher:
    """A student with a boundary head as a `Teacher`: it answers with its probabilities."""

    def __init__(self, folder: Path) -> None:
        """Load a student.

        Raises:
            StudentError: The folder does not hold a student, or a broken one.
        """
        self._predictor = StudentPredictor(*load_student(folder))
        self.name = folder.name
        self.fingerprint = hashlib.sha256((folder / TORCH_WEIGHTS_FILE).read_bytes()).hexdigest()

    def score_passages(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[Probabilities]:
        """Return one array per passage, shape `(words, labels, 3)`, float32, in [0, 1]."""
        logits = self._predictor.logits(passages, labels)
        return [sigmoid(scores).astype(np.float32) for scores in logits]


def fine_tune_on_gold(
    folder: Path,
    gold: Sequence[LabeledPassage],
    training: TrainingSettings,
    settings: DistillSettings,
    *,
    progress: Progress,
) -> StudentTeacher:
    """Train the start student on annotated passages alone; continue if this was stopped before.

    Args:
        folder: The run folder; a run in it keeps the settings that it began with.
        gold: The annotated passages with the teacher's soft labels.
        training: See `refine_soft_labels`.
        settings: The settings of the distillation.
        progress: Told how far tuning is.

    Raises:
        DistillError: See `train_student`; or the settings of an earlier run cannot be read.
    """
    # Tuning never starts from the student of an earlier run, which has learned from the same
    # passages on which the tuned student is measured.
    student, vocabulary = load_student(settings.start_folder)
    fresh = replace(training, epochs=tuning_epochs(len(gold), settings), patience=0)
    train_student(
        student,
        vocabulary,
        [mix_gold_targets(passage, settings.gold_weight) for passage in gold],
        folder,
        saved_training_settings(folder) or fresh,
        keep_relations=True,
        resume=(folder / CHECKPOINT_FILE).exists(),
        progress=progress,
        stage=f"tuning on gold ({folder.name})",
    )
    return StudentTeacher(folder / STUDENT_FOLDER)


def tuning_epochs(n_passages: int, settings: DistillSettings) -> int:
    """Return the number of epochs of tuning: more for fewer passages.

    >>> tuning_epochs(40, DistillSettings()), tuning_epochs(1000, DistillSettings())
    (50, 6)
    """
    epochs = settings.tuning_passages // n_passages
    return min(settings.max_tuning_epochs, max(settings.min_tuning_epochs, epochs))


def choose_weight(
    gold: Sequence[LabeledPassage], tuned: Sequence[Probabilities], settings: DistillSettings
) -> EnsembleWeight:
    """Return the largest weight of the tuned students whose F1 against gold is nearly the best.

    Each weight comes with the threshold that is best for it, the first of equally good ones.

    Args:
        gold: The annotated passages with the teacher's soft labels.
        tuned: The answers of students that were not tuned on them, of the soft labels' shapes.
        settings: The shares and thresholds to choose from.
    """
    reference = [_asked_entities(passage) for passage in gold]

    def f1_of(share: float, threshold: float = 0.5) -> float:
        means = [
            mean_probs(passage.probs, probs, share)
            for passage, probs in zip(gold, tuned, strict=True)
        ]
        predicted = [
            decode_entities(probs, passage.labels, threshold=threshold)
            for probs, passage in zip(means, gold, strict=True)
        ]
        return score_spans(predicted, reference).f1

    thresholds, reached = {}, {}
    for share in settings.ensemble_shares:
        # With weight 0 the targets are the teacher's own answers, so the threshold stays at 0.5.
        candidates = settings.ensemble_thresholds if share else (0.5,)
        measured = {threshold: f1_of(share, threshold) for threshold in candidates}
        thresholds[share] = max(measured, key=measured.__getitem__)
        reached[share] = measured[thresholds[share]]
    enough = settings.min_f1_share * max(reached.values())
    share = max(share for share, f1 in reached.items() if f1 >= enough)
    return EnsembleWeight(share, thresholds[share], f1_of(1.0), reached[0.0], len(gold))


def _measure_weight(
    folder: Path,
    gold: Sequence[LabeledPassage],
    training: TrainingSettings,
    settings: DistillSettings,
    progress: Progress,
) -> EnsembleWeight:
    """Return the weight that cross-validation chooses, from its file if it was measured before."""
    path = folder / _WEIGHT_FILE
    if path.exists():
        return _read_weight(path)
    unseen, answers = list[LabeledPassage](), list[Probabilities]()
    n_folds = settings.n_folds
    for fold in range(n_folds):
        # Every n-th passage is left out, so that each fold covers the whole text.
        seen = [passage for place, passage in enumerate(gold) if place % n_folds != fold]
        left_out = [passage for place, passage in enumerate(gold) if place % n_folds == fold]
        tuned = fine_tune_on_gold(
            folder / f"fold-{fold}", seen, training, settings, progress=progress
        )
        unseen += left_out
        answers += tuned.score_passages(
            [passage.words for passage in left_out],
            [passage.labels for passage in left_out],
        )
    weight = choose_weight(unseen, answers, settings)
    write_sealed_json(path, asdict(weight))
    return weight


def _read_weight(path: Path) -> EnsembleWeight:
    advice = "remove the file to measure the weight again"
    saved = read_sealed_json(path, advice=advice)
    try:
        check_fields(saved, _WEIGHT_KINDS)
    except ValueError as error:
        raise DistillError(f"{path}: {error}; {advice}") from error
    return EnsembleWeight(**saved)


def _ask_tuned(
    tuned: StudentTeacher,
    passages: Sequence[LabeledPassage],
    store: Path,
    settings: DistillSettings,
    progress: Progress,
) -> SoftLabelStore | list[LabeledPassage]:
    """Return the tuned student's answers, kept in a store for a run that continues."""
    if not passages:
        return []
    return label_corpus(
        [Passage(passage.words) for passage in passages],
        tuned,
        store,
        policy=LabelPolicy(fixed=passages[0].labels),
        keep_subword_vectors=False,
        limits=ShardLimits(passages=settings.shard_passages),
        progress=progress,
        stage=f"asking the tuned student ({store.name})",
    )


def _asked_entities(passage: LabeledPassage) -> list[Entity]:
    """Return the annotated entities whose labels the teacher was asked for."""
    return [entity for entity in passage.passage.entities if entity.label in passage.labels]


def _known_labels(gold: Sequence[LabeledPassage], min_count: int) -> NDArray[np.bool_]:
    """Return for each label whether annotation and teacher together have it often enough in gold.

    A label that is rare everywhere may be missing from the annotated passages by chance. A student
    tuned on them would never find it, so the teacher's answers are kept for such labels.
    """
    counts = Counter(
        entity.label
        for passage in gold
        for entity in [
            *passage.passage.entities,
            *decode_entities(passage.probs, passage.labels),
        ]
    )
    return np.array([counts[label] >= min_count for label in gold[0].labels])
