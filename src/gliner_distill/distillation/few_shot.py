"""What a few annotated passages say of all the others.

In: text with the teacher's soft labels, and annotated passages. Out: the text with targets that are
a mean of two teachers: the one that was given, and the bundled student tuned on the annotated
passages alone. Farina et al. (2023) tune the teacher before it labels; here it is a
student, which takes seconds. How much it counts is measured on annotated passages that it
was not tuned on. Whatever is there already is not made again.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gliner_distill.callbacks import Progress
from gliner_distill.decoding import decode_entities
from gliner_distill.entities import Entity, LabeledPassage, Passage
from gliner_distill.errors import DistillError, SettingsError
from gliner_distill.files import replace_file
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.labeling.policy import LabelPolicy
from gliner_distill.metrics import score_spans
from gliner_distill.runtime.config import TORCH_WEIGHTS_FILE
from gliner_distill.runtime.locate import bundled_student_path
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.student.files import load_student
from gliner_distill.student.losses import gold_boundaries
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.teacher.base import Probabilities
from gliner_distill.training.loop import train_student
from gliner_distill.training.run import CHECKPOINT_FILE, STUDENT_FOLDER
from gliner_distill.training.settings import TrainingSettings

MIN_GOLD = 12
"""Annotated passages with an entity of the labels asked that it takes."""


TEACHER_SHARE_OF_GOLD = 0.15
"""Weight of the teacher in an annotated passage's targets; the rest is the annotation's."""


_FOLDS = 3


_SHARES = (0.0, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9)


# Where two doubt different things their mean is seldom above 0.5.
_THRESHOLDS = (0.5, 0.4, 0.35, 0.3, 0.25)


# A fold is tuned on two thirds of what the student will see, so a near tie speaks for it.
_NEAR_TIE = 0.98


_MIN_SEEN = 3


_PASSAGES_TO_TUNE_ON, _MIN_EPOCHS, _MAX_EPOCHS = 2_000, 6, 60


_WEIGHT_FILE = "weight.json"


@dataclass(frozen=True, slots=True)
class EnsembleWeight:
    """How much the tuned student counts beside the teacher.

    Attributes:
        share: Its weight in a target, 0 to 0.9; the rest is the teacher's.
        threshold: Above which such a mean is an entity; targets are moved so that it lies at 0.5.
        tuned_f1: F1 of exact spans of students tuned on two thirds of the annotated passages, on
            the other third.
        teacher_f1: The teacher's, on the same passages.
        n_passages: How many those are.
    """

    share: float
    threshold: float
    tuned_f1: float
    teacher_f1: float
    n_passages: int

    def mix(
        self, probs: Probabilities, tuned: Probabilities, is_known: NDArray[np.bool_]
    ) -> Probabilities:
        """Return the targets of what a teacher and a tuned student say of a passage.

        Args:
            probs: The teacher's, shape `(words, labels, 3)`.
            tuned: The student's, of the same shape.
            is_known: Of each label whether it is mixed at all.
        """
        mean = np.clip(_mean(probs, tuned, self.share), 1e-4, 1 - 1e-4)
        odds = mean / (1 - mean) * (1 - self.threshold) / self.threshold
        targets = np.where(is_known[:, np.newaxis], odds / (1 + odds), probs)
        return targets.astype(np.float32)

    def note(self) -> str:
        """Return what a user should know of it."""
        return (
            f"on {self.n_passages} annotated passages the teacher has an F1 of "
            f"{100 * self.teacher_f1:.1f}, students tuned on two thirds of them "
            f"{100 * self.tuned_f1:.1f} on the rest, so in the targets of the other text a tuned "
            f"student counts {100 * self.share:.0f}% beside the teacher"
        )


def refine_soft_labels(
    folder: Path,
    items: Mapping[str, Sequence[LabeledPassage]],
    gold: Sequence[LabeledPassage],
    settings: TrainingSettings,
    *,
    progress: Progress,
) -> tuple[dict[str, list[LabeledPassage]], EnsembleWeight | None]:
    """Return the passages to learn from with their targets, and the weight that was measured.

    Of fewer than 12 annotated passages too little can be learned: the targets are the teacher's
    answers, and there is no weight. So are those of a label that neither annotation nor teacher
    has three times in the annotated passages.

    Args:
        folder: Where tuned students and what they answer are kept.
        items: Text by part, with the teacher's soft labels.
        gold: The annotated passages to learn from, with the teacher's soft labels.
        settings: How the student will be trained; seed, rate and precision hold for tuning, too.
        progress: Called with a stage's name, words done, words in all, and a short text.

    Raises:
        DistillError: The folder holds other work, or cannot be written.
    """
    learned = {part: list(items[part]) for part in ("train", "dev")}
    if sum(bool(_entities_asked(item)) for item in gold) < MIN_GOLD:
        return learned, None
    weight = _weigh(folder, gold, settings, progress)
    if weight.share == 0:
        return learned, weight
    is_known = _is_known(gold)
    tuned = fine_tune_on_gold(folder / "tuned", gold, settings, progress=progress)
    for part, of_part in learned.items():
        answers = _ask(tuned, of_part, folder / f"labels-{part}", progress)
        learned[part] = [
            replace(item, probs=weight.mix(item.probs, answer.probs, is_known))
            for item, answer in zip(of_part, answers, strict=True)
        ]
    return learned, weight


def mix_gold_targets(item: LabeledPassage) -> LabeledPassage:
    """Return an annotated passage whose targets are 0.15 teacher, 0.85 annotation.

    Cross-entropy is linear in its target, so this is Hinton's mix of both losses. Of the labels
    asked, the annotation names every entity; what it does not name is absent.
    """
    passage = item.passage
    told = gold_boundaries(passage.entities, item.labels, len(passage.words))
    mixed = _mean(np.nan_to_num(told, nan=0.0), item.probs, TEACHER_SHARE_OF_GOLD)
    return replace(item, passage=Passage(passage.words), probs=mixed)


class StudentTeacher:
    """A student of the boundary head as a `Teacher`: it answers with its probabilities."""

    def __init__(self, folder: Path) -> None:
        """Load a student.

        Raises:
            StudentError: The folder holds none, or a broken one.
        """
        self._predictor = StudentPredictor(*load_student(folder))
        self.name = folder.name
        self.fingerprint = hashlib.sha256((folder / TORCH_WEIGHTS_FILE).read_bytes()).hexdigest()

    def score_passages(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[Probabilities]:
        """Return one array a passage, shape `(words, labels, 3)`, float32, in [0, 1]."""
        logits = self._predictor.logits(passages, labels)
        probs = (1.0 / (1.0 + np.exp(-np.clip(each, -80.0, 80.0))) for each in logits)
        return [each.astype(np.float32) for each in probs]


def _weigh(
    folder: Path,
    gold: Sequence[LabeledPassage],
    settings: TrainingSettings,
    progress: Progress,
) -> EnsembleWeight:
    path = folder / _WEIGHT_FILE
    try:
        return EnsembleWeight(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        pass
    except (OSError, ValueError, TypeError) as error:
        raise DistillError(f"{path}: cannot be read: {error}; choose another --out") from error
    unseen, answers = list[LabeledPassage](), list[Probabilities]()
    for fold in range(_FOLDS):
        seen = [item for place, item in enumerate(gold) if place % _FOLDS != fold]
        rest = [item for place, item in enumerate(gold) if place % _FOLDS == fold]
        tuned = fine_tune_on_gold(folder / f"fold-{fold}", seen, settings, progress=progress)
        unseen += rest
        answers += tuned.score_passages(
            [item.passage.words for item in rest], [item.labels for item in rest]
        )
    weight = choose_weight(unseen, answers)
    content = json.dumps({name: getattr(weight, name) for name in EnsembleWeight.__slots__})
    try:
        replace_file(path, content.encode())
    except OSError as error:
        raise DistillError(f"{path}: cannot be written: {error.strerror or error}") from error
    return weight


def choose_weight(gold: Sequence[LabeledPassage], tuned: Sequence[Probabilities]) -> EnsembleWeight:
    """Return the largest weight of the tuned students whose F1 against gold is nearly the best.

    Each weight has the threshold that is best for it, the first of those as good.

    Args:
        gold: Annotated passages with the teacher's soft labels.
        tuned: What students say that were not tuned on them, arrays of the soft labels' shapes.
    """
    asked = [_entities_asked(item) for item in gold]

    def f1_with(share: float, threshold: float = 0.5) -> float:
        means = [_mean(item.probs, probs, share) for item, probs in zip(gold, tuned, strict=True)]
        found = [
            decode_entities(probs, item.labels, threshold=threshold)
            for probs, item in zip(means, gold, strict=True)
        ]
        return score_spans(found, asked).f1

    thresholds = {
        share: max(_THRESHOLDS if share else (0.5,), key=lambda one: f1_with(share, one))
        for share in _SHARES
    }
    reached = {share: f1_with(share, threshold) for share, threshold in thresholds.items()}
    enough = _NEAR_TIE * max(reached.values())
    share = max(share for share, f1 in reached.items() if f1 >= enough)
    return EnsembleWeight(share, thresholds[share], f1_with(1.0), reached[0.0], len(gold))


def fine_tune_on_gold(
    folder: Path,
    gold: Sequence[LabeledPassage],
    settings: TrainingSettings,
    *,
    progress: Progress,
) -> StudentTeacher:
    """Return the bundled student trained on annotated passages alone, or go on with that.

    Args:
        folder: The run folder; one that was begun keeps its settings.
        gold: Annotated passages with the teacher's soft labels.
        settings: As in `refine_soft_labels`.
        progress: As in `refine_soft_labels`.

    Raises:
        DistillError: As `train_student`; or the folder's settings cannot be read.
    """
    # Always from the bundled student: an earlier run's has seen the passages to measure on.
    student, vocabulary = load_student(bundled_student_path())
    fresh = replace(settings, epochs=_n_epochs(gold), patience=0)
    settings = started_settings(folder) or fresh
    train_student(
        student,
        vocabulary,
        [mix_gold_targets(item) for item in gold],
        folder,
        settings,
        resume=(folder / CHECKPOINT_FILE).exists(),
        progress=progress,
        stage=f"tuning on gold ({folder.name})",
    )
    return StudentTeacher(folder / STUDENT_FOLDER)


def started_settings(run: Path) -> TrainingSettings | None:
    """Return how a run that has a checkpoint is trained, so that it can go on.

    Another machine, or less time, would ask for others.

    Raises:
        SettingsError: They cannot be read.
    """
    if not (run / CHECKPOINT_FILE).is_file():
        return None
    path = run / "config.json"
    try:
        return TrainingSettings(**json.loads(path.read_text(encoding="utf-8"))["training"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}; choose another --out") from error


def _n_epochs(gold: Sequence[LabeledPassage]) -> int:
    return min(_MAX_EPOCHS, max(_MIN_EPOCHS, _PASSAGES_TO_TUNE_ON // len(gold)))


def _entities_asked(item: LabeledPassage) -> list[Entity]:
    return [entity for entity in item.passage.entities if entity.label in item.labels]


def _ask(
    tuned: StudentTeacher,
    items: Sequence[LabeledPassage],
    store: Path,
    progress: Progress,
) -> SoftLabelStore | list[LabeledPassage]:
    """Return what the tuned student says of passages; kept, so that a run that goes on has it."""
    if not items:
        return []
    passages = [Passage(item.passage.words) for item in items]
    return label_corpus(
        passages,
        tuned,
        store,
        policy=LabelPolicy(fixed=items[0].labels),
        keep_subword_vectors=False,
        progress=progress,
        stage=f"asking the tuned student, {store.name}",
    )


def _is_known(gold: Sequence[LabeledPassage]) -> NDArray[np.bool_]:
    """Return of each label asked whether annotation and teacher have it often enough in gold.

    What is rare in all the text may be in none of the annotated passages, and a student tuned on
    them finds none anywhere; where the teacher found some there, none of them right, it is right.
    """
    seen = Counter(
        entity.label
        for item in gold
        for entity in [*item.passage.entities, *decode_entities(item.probs, item.labels)]
    )
    return np.array([seen[label] >= _MIN_SEEN for label in gold[0].labels])


def _mean(probs: Probabilities, other: Probabilities, share: float) -> Probabilities:
    """Return `(1 - share) · probs + share · other`, float32."""
    mixed: Probabilities = ((1 - share) * probs + share * other).astype(np.float32)
    return mixed
