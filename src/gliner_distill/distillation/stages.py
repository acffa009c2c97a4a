"""The results that each step of a distillation passes to the next one.

Each result contains the warnings of all steps so far.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gliner_distill.distillation.few_shot import EnsembleWeight
from gliner_distill.distillation.job import Plan
from gliner_distill.distillation.measurements import Measurements, Reading, TeacherWeights
from gliner_distill.distillation.train import Splits
from gliner_distill.distillation.workspace import PassageFolder
from gliner_distill.entities import LabeledPassage


@dataclass(frozen=True, slots=True)
class Collected:
    """The passages of all documents read so far, in the folders that hold them.

    Attributes:
        text: The folders of text.
        gold: The folders of annotated passages.
        run: The number of the training run on all of them.
        plan: How the time is divided.
        warnings: What a user should know about the documents.
    """

    text: Sequence[PassageFolder]
    gold: Sequence[PassageFolder]
    run: int
    plan: Plan
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Labeled:
    """All passages with the teacher's soft labels, by split.

    Attributes:
        text: The passages of text. None of them is among the annotated ones.
        gold: The annotated passages, with annotation and soft labels.
        run: The number of the training run.
        plan: How the time is divided.
        reading: How much of the training text the teacher read.
        start: The folder of the student that training starts from.
        seconds: The time that labeling took in this process.
        warnings: What a user should know so far.
        teacher_weights: The shares of the teachers, if there are several; otherwise None.
    """

    text: Splits
    gold: Splits
    run: int
    plan: Plan
    reading: Reading
    start: Path
    seconds: float
    warnings: tuple[str, ...]
    teacher_weights: TeacherWeights | None = None


@dataclass(frozen=True, slots=True)
class Refined:
    """The passages of text with the targets that the student learns.

    Attributes:
        labeled: The passages with the teacher's soft labels.
        targets: The passages of text of `train` and `dev` with their targets.
        weight: The weight of a student tuned on annotated passages; None with too few of them.
        seconds: The time that tuning took in this process.
        warnings: What a user should know so far.
    """

    labeled: Labeled
    targets: Splits
    weight: EnsembleWeight | None
    seconds: float
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained student.

    Attributes:
        labeled: The passages with the teacher's soft labels.
        dev: The passages of text of `dev` with their targets.
        run: The run folder.
        student: The folder of the student, with torch's weights.
        seconds: The time that each stage took in this process.
        warnings: What a user should know so far.
    """

    labeled: Labeled
    dev: Sequence[LabeledPassage]
    run: Path
    student: Path
    seconds: Mapping[str, float]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exported:
    """A student that runs without torch.

    Attributes:
        trained: The trained student.
        folders: The folder of each export, by the name that the report gives it.
        n_bytes: The size of each export's files.
        precision: The precision of the smallest export, `fp32` or `int8`.
        warnings: What a user should know.
    """

    trained: Trained
    folders: Mapping[str, Path]
    n_bytes: Mapping[str, int]
    precision: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A student that was measured.

    Attributes:
        exported: The student.
        measurements: Its measurements, with all warnings.
    """

    exported: Exported
    measurements: Measurements
