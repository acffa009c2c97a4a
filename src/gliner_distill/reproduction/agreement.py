"""Students that are to agree with a teacher: where they start, and how their agreement is measured.

The threshold of a student is chosen on passages that are neither trained on nor tested, so that the
test decides nothing.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gliner_distill.entities import Entity, LabeledPassage
from gliner_distill.evaluation.evaluate import Evaluation, score_entities
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.runtime.heads import head_named
from gliner_distill.runtime.locate import bundled_student_path
from gliner_distill.runtime.vocabulary import Vocabulary
from gliner_distill.student.files import load_student
from gliner_distill.student.model import Student
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.training.data import EvaluationSplit

THRESHOLDS: Final = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)

_OF_RELATIONS: Final = "label_kind."


def load_bundled() -> tuple[Student, Vocabulary]:
    """Return the bundled student as a start for training, with its vocabulary.

    It no longer compares labels to prefer the more specific one: a teacher that does not do so is
    copied better without.
    """
    bundled, vocabulary = load_student(bundled_student_path())
    student = Student(replace(bundled.config, relation_width=0))
    weights = bundled.state_dict()
    student.load_state_dict(
        {name: weight for name, weight in weights.items() if not name.startswith(_OF_RELATIONS)}
    )
    return student.eval(), vocabulary


def only_annotated(labeled: LabeledPassage) -> LabeledPassage:
    """Return a passage that asks only for the labels of its own annotation."""
    annotated = {entity.label for entity in labeled.passage.entities}
    rows = [row for row, label in enumerate(labeled.labels) if label in annotated]
    labels = tuple(labeled.labels[row] for row in rows)
    return LabeledPassage(labeled.passage, labels, labeled.probs[:, rows])


def agreement_at_best_threshold(
    student: Student, vocabulary: Vocabulary, dev: EvaluationSplit, test: EvaluationSplit
) -> tuple[float, Evaluation]:
    """Return the threshold that is best on `dev`, and the evaluation on `test` at it.

    The best threshold of `THRESHOLDS` is the one with the highest word F1 against the teacher.
    """
    of_dev = _logits(student, vocabulary, dev)

    def on_dev(threshold: float) -> float:
        agreement = _evaluate(student.config, of_dev, dev, threshold).teacher
        return 0.0 if agreement is None else agreement.words.f1

    best = max(THRESHOLDS, key=on_dev)
    return best, _evaluate(student.config, _logits(student, vocabulary, test), test, best)


def _logits(
    student: Student, vocabulary: Vocabulary, split: EvaluationSplit
) -> list[NDArray[np.float32]]:
    words = [passage.words for passage in split.passages]
    return StudentPredictor(student, vocabulary).logits(words, split.labels)


def _evaluate(
    config: StudentConfig,
    logits: Sequence[NDArray[np.float32]],
    split: EvaluationSplit,
    threshold: float,
) -> Evaluation:
    head = head_named(config.head)
    found: list[list[Entity]] = [
        head.decode(item, labels, threshold=threshold)
        for item, labels in zip(logits, split.labels, strict=True)
    ]
    return score_entities(
        found, split.passages, split.labels, teacher_entities=split.teacher_entities
    )
