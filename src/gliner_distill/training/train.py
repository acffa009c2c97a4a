"""One student from one store: what `gliner-distill train` does."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gliner_distill.callbacks import Progress
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.student.initialization import initialize_student, load_or_train_vocabulary
from gliner_distill.student.model import Student
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.teacher.representations import teacher_feature_width
from gliner_distill.training.data import make_split
from gliner_distill.training.loop import train_student
from gliner_distill.training.settings import TrainingSettings

_PROBE_PASSAGES = 100


def train_on_store(
    store: Path,
    out: Path,
    settings: TrainingSettings,
    *,
    make_config: Callable[[int], StudentConfig],
    dev: Path | None = None,
    teacher: GLiNERTeacher | None = None,
    resume: bool = False,
    progress: Progress,
) -> Student:
    """Train a student on a store; measure it on the first 100 passages and on `dev`.

    Args:
        store: A finished soft-label store.
        out: The run folder.
        settings: Loss, schedule and seed.
        make_config: Returns the student's shape for a number of pieces.
        dev: Another finished store.
        teacher: Whose representations to match, with a `feature_weight` above 0.
        resume: Go on from the run folder's checkpoint.
        progress: Called with a stage's name, words done, words in all, and a short text.

    Raises:
        DistillError: Whatever is wrong with the stores, the settings or the folder.
    """
    opened = SoftLabelStore(store)
    passages = list(opened)
    vocabulary, pieces = load_or_train_vocabulary(store, passages)
    splits = [make_split("train", passages[:_PROBE_PASSAGES], vocabulary)]
    if dev is not None:
        splits.append(make_split("dev", list(SoftLabelStore(dev)), vocabulary))
    config = make_config(len(vocabulary))
    if teacher is not None and settings.feature_weight:
        config = replace(config, feature_width=teacher_feature_width(teacher))
    student = initialize_student(vocabulary, pieces, config, seed=settings.seed)
    manifest = opened.manifest
    return train_student(
        student,
        vocabulary,
        passages,
        out,
        settings,
        splits=splits,
        teacher=teacher,
        metadata={
            "teacher": manifest.teacher,
            "teacher_fingerprint": manifest.teacher_fingerprint,
            "corpus_fingerprint": manifest.corpus_fingerprint,
        },
        resume=resume,
        progress=progress,
    )
