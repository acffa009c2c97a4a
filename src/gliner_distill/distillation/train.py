"""Train a student on passages with soft labels and on annotated passages."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from gliner_distill.callbacks import Progress
from gliner_distill.distillation.job import DistillSettings
from gliner_distill.entities import LabeledPassage, Passage
from gliner_distill.errors import SettingsError
from gliner_distill.files import reason_of
from gliner_distill.processors import has_bf16_instructions
from gliner_distill.student.files import load_student
from gliner_distill.student.losses import gold_boundaries
from gliner_distill.student.model import Student
from gliner_distill.teacher.base import Probabilities
from gliner_distill.training.checkpoint import read_checkpoint
from gliner_distill.training.data import make_split
from gliner_distill.training.loop import train_student
from gliner_distill.training.run import CHECKPOINT_FILE, STUDENT_FOLDER
from gliner_distill.training.settings import TrainingSettings

Splits = Mapping[str, Sequence[LabeledPassage]]
"""The passages of each split, with the soft labels of a teacher or with targets."""


def training_settings(settings: DistillSettings) -> TrainingSettings:
    """Return the settings of a training run on soft labels alone, with early stopping on dev."""
    precision = settings.precision
    if precision == "auto":
        precision = "bf16" if computes_in_bf16() else "fp32"
    return TrainingSettings(
        alpha=1.0,
        epochs=settings.epochs,
        patience=settings.patience,
        learning_rate=settings.learning_rate,
        seed=settings.seed,
        precision=precision,
    )


def saved_training_settings(run: Path) -> TrainingSettings | None:
    """Return the settings of a run that has a checkpoint; None if it has none.

    A run continues with the settings that it started with, even if the machine or the time that is
    left would now lead to others.

    Raises:
        StudentError: The checkpoint cannot be read, or has changed.
        SettingsError: Its settings are not those of this version.
    """
    path = run / CHECKPOINT_FILE
    if not path.is_file():
        return None
    try:
        # The checkpoint has a checksum of the settings, which config.json has not.
        return TrainingSettings(**read_checkpoint(path).run["training"])
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{path}: its settings cannot be used: {reason_of(error)}; choose another --out"
        ) from error


def train_on_targets(
    run: Path,
    targets: Splits,
    gold: Splits,
    training: TrainingSettings,
    settings: DistillSettings,
    *,
    start: Path,
    progress: Progress,
    stage: str = "training",
) -> Student:
    """Train a student from the weights of another one into a run folder, or continue a run.

    Args:
        run: The run folder.
        targets: The passages of text with their targets; `dev` decides which epoch is the best.
        gold: The annotated passages with the teacher's soft labels, used in the same splits.
        training: The settings of the training run; see `training_settings`.
        settings: The settings of the distillation.
        start: The folder of the student to start from.
        progress: Told how far training is.
        stage: The name of the stage in the reports to `progress`.

    Raises:
        DistillError: See `train_student`.
    """
    student, vocabulary = load_student(start)
    dev = [without_gold(passage) for passage in targets["dev"]]
    dev += [mix_gold_targets(passage, settings.gold_weight) for passage in gold["dev"]]
    return train_student(
        student,
        vocabulary,
        epoch_passages(targets["train"], gold["train"], settings),
        run,
        training,
        splits=[make_split("dev", dev, vocabulary)],
        metadata={
            "started_from": start.parent.name if start.name == STUDENT_FOLDER else start.name
        },
        keep_relations=True,
        resume=(run / CHECKPOINT_FILE).exists(),
        progress=progress,
        stage=stage,
    )


def epoch_passages(
    text: Sequence[LabeledPassage], gold: Sequence[LabeledPassage], settings: DistillSettings
) -> list[LabeledPassage]:
    """Return the passages of an epoch: the text, and the annotated passages several times.

    A few annotated passages would have no effect among thousands of others, so they are repeated
    until their ratio to the others is `gold_share`, at most `max_gold_repeats` times.
    """
    wanted = settings.gold_share * len(text) / max(len(gold), 1)
    repeats = min(settings.max_gold_repeats, max(1, round(wanted)))
    mixed = [mix_gold_targets(passage, settings.gold_weight) for passage in gold]
    return [without_gold(passage) for passage in text] + mixed * repeats


def mix_gold_targets(passage: LabeledPassage, gold_weight: float) -> LabeledPassage:
    """Return an annotated passage whose targets are a mean of annotation and teacher.

    Cross-entropy is linear in its target, so this equals Hinton's weighted sum of both losses. The
    annotation is complete: a label that was asked and is not annotated is absent.

    Args:
        passage: The annotated passage with the teacher's soft labels.
        gold_weight: The weight of the annotation, 0 to 1.
    """
    annotated = gold_boundaries(passage.passage.entities, passage.labels, len(passage.words))
    # Labels without annotation are NaN; here the annotation is complete, so they are absent.
    mixed = mean_probs(np.nan_to_num(annotated, nan=0.0), passage.probs, 1 - gold_weight)
    return replace(passage, passage=Passage(passage.words), probs=mixed)


def without_gold(passage: LabeledPassage) -> LabeledPassage:
    """Return a passage with its targets alone, without its annotation."""
    return replace(passage, passage=Passage(passage.words))


def mean_probs(probs: Probabilities, other: Probabilities, share: float) -> Probabilities:
    """Return `(1 - share) · probs + share · other`, float32."""
    mean: Probabilities = ((1 - share) * probs + share * other).astype(np.float32)
    return mean


def computes_in_bf16() -> bool:
    """Say whether this machine computes in bfloat16 natively, which makes training faster."""
    return torch.cuda.is_available() or has_bf16_instructions()
