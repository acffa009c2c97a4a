"""Train one student on one soft-label store: the function behind `gliner-distill train`."""

from dataclasses import replace
from pathlib import Path

from gliner_distill.callbacks import Progress, no_progress
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.runtime.vocabulary import TOKENIZER_FILE
from gliner_distill.store.integrity import check_other_files
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.store.subword_vectors import VECTORS_FILE
from gliner_distill.student.initialization import initialize_student, load_or_train_vocabulary
from gliner_distill.student.model import Student
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.teacher.representations import teacher_feature_width
from gliner_distill.training.data import make_split
from gliner_distill.training.loop import train_student
from gliner_distill.training.run import DEV
from gliner_distill.training.settings import TrainingSettings

_PROBE_PASSAGES = 100


def train(
    store: str | Path,
    out: str | Path,
    settings: TrainingSettings | None = None,
    *,
    config: StudentConfig | None = None,
    dev: str | Path | None = None,
    teacher: GLiNERTeacher | None = None,
    resume: bool = False,
    progress: Progress = no_progress,
) -> Student:
    """Train a student on a soft-label store and write its run folder.

    After each epoch the student is measured on the first 100 passages of the store and on `dev`.

    Args:
        store: The folder of a finished soft-label store.
        out: The run folder; it is made if it does not exist.
        settings: The loss, the schedule and the seed; None for the defaults.
        config: The architecture; None for the default. The number of pieces is filled in.
        dev: The folder of another finished store.
        teacher: A GLiNER whose representations the vectors of the student should match; used only
            with a `feature_weight` above 0.
        resume: Whether to continue from a checkpoint in the run folder.
        progress: Called after each step with the words done and the words in all epochs.

    Returns:
        The student, ready to predict.

    Raises:
        DistillError: A store is missing or broken; see `train_student` for the other reasons.
    """
    store, out = Path(store), Path(out)
    settings = settings or TrainingSettings()
    opened = SoftLabelStore(store)
    passages = list(opened)
    check_other_files(store, opened.manifest, (TOKENIZER_FILE, VECTORS_FILE))
    vocabulary, pieces = load_or_train_vocabulary(store, passages)
    splits = [make_split("train", passages[:_PROBE_PASSAGES], vocabulary)]
    if dev is not None:
        splits.append(make_split(DEV, list(SoftLabelStore(Path(dev))), vocabulary))
    config = replace(config or StudentConfig(), n_pieces=len(vocabulary))
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
