"""Several teachers as one: a `TeacherEnsemble` returns the mean of their probabilities.

A teacher is asked only for the labels that it knows, and counts only in their means. So a teacher
that knows a few labels well, such as a dictionary, does not make the others' labels less likely.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliner_distill.errors import TeacherError
from gliner_distill.runtime.vocabulary import Vocabulary
from gliner_distill.store.subword_vectors import SubwordVectors
from gliner_distill.teacher.base import (
    Probabilities,
    Teacher,
    check_answers,
    equal_weights,
    knows_label,
    mean_probs,
    subword_vectors,
    teacher_metadata,
)
from gliner_distill.teacher.checkpoints import name_without_path
from gliner_distill.teacher.precision import AdjustableTeacher, PrecisionCheck


class TeacherEnsemble:
    """A `Teacher` that returns, for each label, the mean of those teachers that know it.

    Attributes:
        name: The names of the teachers, joined: `A + B`.
        fingerprint: A SHA-256 over the fingerprints of the teachers, in order.
        teachers: The teachers, in order: at least two, all different.
        precision_check: The comparison of their faster precision with fp32, if there was one.
    """

    def __init__(self, teachers: Sequence[Teacher]) -> None:
        """Join teachers that are already loaded.

        Raises:
            TeacherError: There are fewer than two, or two have the same fingerprint.
        """
        _check_distinct(teachers)
        self.teachers = tuple(teachers)
        self.precision_check: PrecisionCheck | None = None
        self.name = " + ".join(teacher.name for teacher in teachers)
        fingerprints = "\n".join(teacher.fingerprint for teacher in teachers)
        self.fingerprint = hashlib.sha256(fingerprints.encode()).hexdigest()

    @property
    def metadata(self) -> dict[str, Any]:
        """The name, fingerprint and metadata of each teacher, under `teachers`.

        A store keeps them, so a local teacher is named without its path.
        """
        return {
            "teachers": [
                {"name": name_without_path(teacher.name), "fingerprint": teacher.fingerprint}
                | teacher_metadata(teacher)
                for teacher in self.teachers
            ]
        }

    @property
    def faster_precision(self) -> str | None:
        """The precision in which every teacher is faster than in fp32; None if there is none."""
        names = {
            teacher.faster_precision if isinstance(teacher, AdjustableTeacher) else None
            for teacher in self.teachers
        }
        return names.pop() if len(names) == 1 else None

    def set_precision(self, precision: str) -> None:
        """Let all teachers score in another precision from now on; see `GLiNERTeacher`."""
        for teacher in self.teachers:
            if isinstance(teacher, AdjustableTeacher):
                teacher.set_precision(precision)

    def subword_vectors(self, texts: Iterable[str]) -> SubwordVectors | None:
        """Return the subword vectors of the first teacher; None if it does not offer any."""
        return subword_vectors(self.teachers[0], texts)

    def knows_label(self, label: str) -> bool:
        """Return whether any of the teachers can answer for a label."""
        return any(knows_label(teacher, label) for teacher in self.teachers)

    def prune_vocabulary(self, texts: Iterable[str], *, max_pieces: int) -> Vocabulary | None:
        """Return the pieces of the first teacher that occur in texts; None if it has none."""
        offered = getattr(self.teachers[0], "prune_vocabulary", None)
        pruned: Vocabulary | None = (
            None if offered is None else offered(texts, max_pieces=max_pieces)
        )
        return pruned

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32] | None:
        """Return the first teacher's vectors of short texts; None if it does not offer any."""
        offered = getattr(self.teachers[0], "encode_texts", None)
        vectors: NDArray[np.float32] | None = None if offered is None else offered(texts)
        return vectors

    def score_passages(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[Probabilities]:
        """Return the mean for each passage, shape `(words, labels, 3)`, float32, in [0, 1].

        Raises:
            TeacherError: See `score_individually`.
        """
        return [
            mean_probs(answers, equal_weights(self.teachers, asked))
            for answers, asked in zip(
                self.score_individually(passages, labels), labels, strict=True
            )
        ]

    def score_individually(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[list[Probabilities]]:
        """Return the answer of each teacher: per passage a list with one array per teacher.

        The arrays are in the order of the teachers, all of shape `(words, labels, 3)`, float32. For
        labels that a teacher does not know, they hold 0.

        Raises:
            TeacherError: A teacher refuses the passages, or its answer has a wrong shape or values
                that are not probabilities; the message names the teacher.
        """
        answers = [_ask(teacher, passages, labels) for teacher in self.teachers]
        return [list(individual_probs) for individual_probs in zip(*answers, strict=True)]


def _check_distinct(teachers: Sequence[Teacher]) -> None:
    if len(teachers) < 2:
        names = ", ".join(teacher.name for teacher in teachers) or "none"
        raise TeacherError(f"an ensemble needs at least two teachers; got {names}")
    names_seen: dict[str, str] = {}
    for teacher in teachers:
        if teacher.fingerprint in names_seen:
            raise TeacherError(
                f"{names_seen[teacher.fingerprint]} and {teacher.name} are the same teacher (their "
                f"fingerprints are equal); name each teacher once"
            )
        names_seen[teacher.fingerprint] = teacher.name


def _ask(
    teacher: Teacher, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
) -> list[Probabilities]:
    known = [
        [place for place, label in enumerate(asked) if knows_label(teacher, label)]
        for asked in labels
    ]
    asked = [
        [labels_of[place] for place in places]
        for labels_of, places in zip(labels, known, strict=True)
    ]
    answers = teacher.score_passages(passages, asked)
    # Each answer is checked by itself, because a mean can hide values that are not probabilities.
    check_answers(teacher.name, passages, asked, answers)
    scores = []
    for words, labels_of, places, probs in zip(passages, labels, known, answers, strict=True):
        complete = np.zeros((len(words), len(labels_of), 3), dtype=np.float32)
        complete[:, places] = probs
        scores.append(complete)
    return scores
