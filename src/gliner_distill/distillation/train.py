"""TODO-DOC."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from gliner_distill.callbacks import Progress
from gliner_distill.distillation.few_shot import mix_gold_targets
from gliner_distill.entities import LabeledPassage, Passage
from gliner_distill.student.files import load_student
from gliner_distill.student.model import Student
from gliner_distill.training.data import make_split
from gliner_distill.training.loop import train_student
from gliner_distill.training.run import CHECKPOINT_FILE, STUDENT_FOLDER
from gliner_distill.training.settings import TrainingSettings

EPOCHS = 8


LEARNING_RATE = 5e-3


GOLD_FOLDER = "gold"
"""In the folder of a run: what was tuned on annotated passages, and its answers."""


GOLD_SHARE, MAX_GOLD_REPEATS = 0.2, 8
"""Gold passages are repeated until they are a fifth of the others, at most eight times."""


def training_settings(*, epochs: int = EPOCHS, seed: int = 0) -> TrainingSettings:
    """Return how students of a domain are trained: from the soft labels, to the best on dev."""
    return TrainingSettings(
        alpha=1.0,
        epochs=epochs,
        patience=3,
        learning_rate=LEARNING_RATE,
        seed=seed,
        precision="bf16" if computes_in_bf16() else "fp32",
    )


def train_on(
    run: Path,
    items: Mapping[str, Sequence[LabeledPassage]],
    gold: Mapping[str, Sequence[LabeledPassage]],
    settings: TrainingSettings,
    *,
    start: Path,
    progress: Progress,
) -> Student:
    """Train a student from another one's weights into a run folder, or go on with it.

    Args:
        run: The run folder.
        items: With their targets, by part; `dev` decides which epoch is best.
        gold: Annotated passages by part, used as those are.
        settings: See `training_settings`.
        start: The folder of the student to start from.
        progress: As in `distil`.

    Raises:
        DistillError: As `train_student`.
    """
    student, vocabulary = load_student(start)
    train = gold_among(items["train"], gold["train"])
    dev = [without_gold(item) for item in items["dev"]]
    dev += [mix_gold_targets(item) for item in gold["dev"]]
    return train_student(
        student,
        vocabulary,
        train,
        run,
        settings,
        splits=[make_split("dev", dev, vocabulary)],
        metadata={
            "started_from": start.parent.name if start.name == STUDENT_FOLDER else start.name
        },
        resume=(run / CHECKPOINT_FILE).exists(),
        progress=progress,
    )


def gold_among(
    items: Sequence[LabeledPassage], gold: Sequence[LabeledPassage]
) -> list[LabeledPassage]:
    """Return an epoch's passages: the text, and gold as often as a few need not to drown in it."""
    wanted = GOLD_SHARE * len(items) / max(len(gold), 1)
    repeats = min(MAX_GOLD_REPEATS, max(1, round(wanted)))
    return [without_gold(item) for item in items] + [
        mix_gold_targets(item) for item in gold
    ] * repeats


def _count_words(items: Sequence[LabeledPassage]) -> int:
    return sum(len(item.passage.words) for item in items)


def without_gold(item: LabeledPassage) -> LabeledPassage:
    """Return a passage with the teacher's answers alone."""
    return replace(item, passage=Passage(item.passage.words))


def computes_in_bf16() -> bool:
    """Say whether this processor multiplies bfloat16 by itself, so that training is quicker."""
    info = Path("/proc/cpuinfo")
    if torch.cuda.is_available() or not info.is_file():
        return torch.cuda.is_available()
    flags = info.read_text(encoding="utf-8", errors="replace")
    return "avx512_bf16" in flags or "amx_bf16" in flags
