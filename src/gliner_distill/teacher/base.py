"""The `Teacher` protocol, its optional members, and the check of a teacher's answer.

A teacher is any object with a name, a fingerprint and `score_passages`. This module needs only
numpy: torch is imported only where a GLiNER is loaded.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from gliner_distill.errors import TeacherError, shorten
from gliner_distill.files import reason_of
from gliner_distill.store.subword_vectors import SubwordVectors

Probabilities = NDArray[np.float32]
"""Shape `(words, labels, 3)`, values in [0, 1]: the probabilities that a word starts, ends and lies
inside an entity of a label."""

Weights = NDArray[np.floating]
"""Shape `(teachers, labels)`: the share of each teacher in the mean for each label."""

_SHOWN_CHARS = 60


class Teacher(Protocol):
    """A model that tells how likely each word starts, ends or lies inside an entity of a label.

    A teacher may have more members, each of which is optional:

    - `metadata`, a mapping of plain JSON values that a store keeps, such as the number of
      parameters;
    - those of `teacher.precision.AdjustableTeacher`, if it can score in another precision;
    - `subword_vectors(texts)`, which returns the `SubwordVectors` that a student's embeddings can
      start from, or None;
    - `knows_label(label)`, which returns whether the teacher can answer for a label; if not, its
      answer does not count in a mean of several teachers. Without it, a teacher answers for all;
    - `prune_vocabulary(texts, max_pieces=N)`, which returns those of its subword pieces that occur
      in texts, as a `Vocabulary`, or None; and `encode_texts(texts)`, which returns its vectors of
      short texts, or None: a student for another language than English starts from them;
    - `score_individually(passages, labels)` beside an attribute `teachers`, if the teacher averages
      several others: for each passage, one array of probabilities per teacher.

    A teacher whose answers cost money may have further members; see `paid`.
    """

    name: str
    """The name for people, in messages and records: a path or a hub id."""

    fingerprint: str
    """A hash that changes whenever the scores may change; a store is tied to it."""

    def score_passages(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[Probabilities]:
        """Return one array per passage, shape `(words, labels, 3)`, float32, in [0, 1].

        Args:
            passages: The words of each passage. A passage may be longer than the teacher's window.
            labels: The labels to ask about each passage, without duplicates. They may differ
                between passages.
        """
        ...


_MEMBERS: Final = ("name", "fingerprint", "score_passages")


def fault_of(teacher: object) -> str | None:
    """Return why an object cannot be used as a teacher, or None if it can."""
    if isinstance(teacher, type):
        return f"it is the class {teacher.__name__}; expected an object with {', '.join(_MEMBERS)}"
    missing = [name for name in _MEMBERS if not hasattr(teacher, name)]
    if missing:
        return (
            f"it is {shorten(teacher)} and has no {' and no '.join(missing)}; expected an object "
            f"with {', '.join(_MEMBERS)}"
        )
    for name in _MEMBERS[:2]:
        if not isinstance(getattr(teacher, name), str):
            return f"its {name} is {shorten(getattr(teacher, name))}; expected a string"
    for name in (*_MEMBERS[:2], "metadata"):
        problem = _json_problem(getattr(teacher, name, {}))
        if problem:
            return f"its {name} cannot be written as JSON: {problem}"
    if not isinstance(getattr(teacher, "metadata", {}), Mapping):
        return f"its metadata is {shorten(getattr(teacher, 'metadata', {}))}; expected a mapping"
    if not callable(teacher.score_passages):  # type: ignore[attr-defined]
        return "its score_passages is not a method"
    return None


def _json_problem(value: object) -> str:
    """Return why a store cannot keep a value; empty if it can."""
    try:
        json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        return reason_of(error)
    return ""


def knows_label(teacher: Teacher, label: str) -> bool:
    """Return whether a teacher can answer for a label; True if it does not say.

    Args:
        teacher: Any teacher.
        label: The label as the teacher is asked for it, with its description if it has one.
    """
    offered = getattr(teacher, "knows_label", None)
    return True if offered is None else bool(offered(label))


def teacher_metadata(teacher: Teacher) -> dict[str, Any]:
    """Return the optional `metadata` of a teacher; an empty mapping if it has none."""
    return dict(getattr(teacher, "metadata", {}))


def individual_teachers(teacher: Teacher) -> tuple[Teacher, ...]:
    """Return the teachers whose mean a teacher returns; an empty tuple for a single teacher."""
    return tuple(getattr(teacher, "teachers", ()))


def subword_vectors(teacher: Teacher, texts: Iterable[str]) -> SubwordVectors | None:
    """Return a teacher's vectors of subword pieces; None if it does not offer any.

    Args:
        teacher: Any teacher.
        texts: The words and labels of a corpus, as often as they occur.
    """
    # Optional members are looked up by name, since a protocol cannot declare them optional.
    offered = getattr(teacher, "subword_vectors", None)
    vectors: SubwordVectors | None = None if offered is None else offered(texts)
    return vectors


def score_individually(
    teacher: Teacher, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
) -> list[list[Probabilities]]:
    """Return the answers of each teacher of an ensemble: one list of arrays per passage.

    Raises:
        TeacherError: The teacher does not average others, or one of them gives a bad answer.
    """
    offered = getattr(teacher, "score_individually", None)
    if offered is None or not individual_teachers(teacher):
        raise TeacherError(
            f"{teacher.name}: is a single teacher, so there are no individual probabilities to "
            f"keep; expected a TeacherEnsemble"
        )
    answers: list[list[Probabilities]] = offered(passages, labels)
    return answers


def equal_weights(teachers: Sequence[Teacher], labels: Sequence[str]) -> Weights:
    """Return the weight of each teacher in the mean for each label, shape `(teachers, labels)`.

    It is the same for all teachers that know a label, and 0 for the others. If no teacher knows a
    label, all its weights are 0, so that nothing is found.

    Args:
        teachers: The teachers.
        labels: The labels as the teachers are asked for them.
    """
    known = np.array(
        [[knows_label(teacher, label) for label in labels] for teacher in teachers],
        dtype=np.float64,
    ).reshape(len(teachers), len(labels))
    weights: Weights = known / np.maximum(known.sum(axis=0), 1)
    return weights


def mean_probs(individual_probs: Sequence[Probabilities], weights: Weights) -> Probabilities:
    """Return the weighted mean of several teachers' answers, in their shape, float32.

    Args:
        individual_probs: One array of shape `(words, labels, 3)` per teacher.
        weights: Shape `(teachers, labels)`; for each label, the sum is 1, or 0 to find nothing.
    """
    mean = np.zeros(individual_probs[0].shape)
    for probs, shares in zip(individual_probs, weights, strict=True):
        mean += probs * shares[np.newaxis, :, np.newaxis]
    return np.clip(mean, 0, 1).astype(np.float32)


def check_answers(
    name: str,
    passages: Sequence[Sequence[str]],
    labels: Sequence[Sequence[str]],
    answers: Sequence[Probabilities],
) -> None:
    """Make sure that a teacher's answers are probabilities of the expected shapes.

    Args:
        name: The teacher's name.
        passages: The words of each passage.
        labels: The labels asked about each passage.
        answers: The arrays that the teacher returned.

    Raises:
        TeacherError: The number of arrays, a shape or a value is wrong; the message names the
            teacher and the passage.
    """
    if not isinstance(answers, Sequence | np.ndarray) or not all(
        isinstance(probs, np.ndarray) for probs in answers
    ):
        raise TeacherError(f"{name}: returned {shorten(answers)}; expected a list of numpy arrays")
    if len(answers) != len(passages):
        raise TeacherError(
            f"{name}: returned {len(answers)} arrays for {len(passages)} passages; expected one "
            f"array per passage"
        )
    for words, asked, probs in zip(passages, labels, answers, strict=True):
        if probs.dtype.kind not in "fiub":
            raise TeacherError(
                f"{name}: returned an array of the type {probs.dtype}; expected float32"
            )
        shape = (len(words), len(asked), 3)
        # NaN fails both comparisons, so it is refused here as well.
        if probs.shape != shape or not bool(((probs >= 0) & (probs <= 1)).all()):
            raise TeacherError(
                f"{name}: returned an array of shape {probs.shape} for the passage "
                f"{' '.join(words)[:_SHOWN_CHARS]!r}; expected shape {shape} and every value in "
                f"[0, 1]"
            )
