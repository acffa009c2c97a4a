"""Several teachers as one: the mean of what they say.

`TeacherEnsemble` asks each of its teachers about the same words and labels and answers with the
mean of their probabilities. It can also return the answers one by one.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from gliner_distill.errors import TeacherError
from gliner_distill.teacher.base import Probabilities, Teacher
from gliner_distill.teacher.gliner import GLiNERTeacher


class TeacherEnsemble:
    """A `Teacher` that answers with the mean of other teachers' probabilities.

    Attributes:
        name: The teachers' names, joined: `A + B`.
        fingerprint: SHA-256 over the teachers' fingerprints, in order.
        teachers: Those asked, in order; at least two, all different.
        keep_individual: Whether a store shall keep what each teacher said, beside the mean.
    """

    def __init__(self, teachers: Sequence[Teacher], *, keep_individual: bool = False) -> None:
        """Join teachers that are loaded already.

        Raises:
            TeacherError: There are fewer than two, or two have the same fingerprint.
        """
        _check_differ(teachers)
        self.teachers = tuple(teachers)
        self.keep_individual = keep_individual
        self.name = " + ".join(teacher.name for teacher in teachers)
        fingerprints = "\n".join(teacher.fingerprint for teacher in teachers)
        self.fingerprint = hashlib.sha256(fingerprints.encode()).hexdigest()

    def score_passages(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[Probabilities]:
        """Return the mean for each passage, shape `(words, labels, 3)`, float32, in [0, 1].

        Raises:
            TeacherError: See `score_each`.
        """
        return [mean_probs(probs_of_each) for probs_of_each in self.score_each(passages, labels)]

    def score_each(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[list[Probabilities]]:
        """Return what each teacher says: a list for each passage, in it an array for each teacher.

        The arrays are in the order of the teachers, all of shape `(words, labels, 3)`, float32.

        Raises:
            TeacherError: A teacher refuses, or its answer has another shape or holds what is no
                probability; the message names it.
        """
        answers = [_ask(teacher, passages, labels) for teacher in self.teachers]
        return [list(probs_of_each) for probs_of_each in zip(*answers, strict=True)]


def mean_probs(probs_of_each: Sequence[Probabilities]) -> Probabilities:
    """Return the mean of several teachers' answers, of their shape, float32."""
    mean: Probabilities = np.mean(probs_of_each, axis=0, dtype=np.float32)
    return mean


def _check_differ(teachers: Sequence[Teacher]) -> None:
    if len(teachers) < 2:
        names = ", ".join(teacher.name for teacher in teachers) or "none"
        raise TeacherError(f"a mean needs two teachers or more; got {names}")
    name_of: dict[str, str] = {}
    for teacher in teachers:
        if teacher.fingerprint in name_of:
            raise TeacherError(
                f"{name_of[teacher.fingerprint]} and {teacher.name} are the same teacher (their "
                f"fingerprints are equal), so their mean says no more than one; give each once"
            )
        name_of[teacher.fingerprint] = teacher.name


def _ask(
    teacher: Teacher, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
) -> list[Probabilities]:
    answer = teacher.score_passages(passages, labels)
    if len(answer) != len(passages):
        raise TeacherError(
            f"{teacher.name}: answered with {len(answer)} arrays; expected {len(passages)}, one a "
            f"passage"
        )
    for words, asked, probs in zip(passages, labels, answer, strict=True):
        shape = (len(words), len(asked), 3)
        # A mean may hide what is no probability, so each answer is looked at.
        if probs.shape != shape or not bool(((probs >= 0) & (probs <= 1)).all()):
            raise TeacherError(
                f"{teacher.name}: answered the passage {' '.join(words)[:60]!r} with an array of "
                f"shape {probs.shape}; expected {shape}, every number in [0, 1]"
            )
    return [probs.astype(np.float32, copy=False) for probs in answer]


def load_teachers(
    sources: Sequence[str], *, device: str = "cpu", keep_individual: bool = False
) -> Teacher:
    """Return a GLiNER, or the mean of several; `sources` are folders or hub ids.

    Raises:
        TeacherError: One does not load, or is given twice.
        HubError: One cannot be had from the hub.
    """
    loaded = [GLiNERTeacher.from_pretrained(source, device=device) for source in sources]
    return (
        TeacherEnsemble(loaded, keep_individual=keep_individual) if len(loaded) > 1 else loaded[0]
    )
