"""The precision in which a teacher labels: the faster one, if it gives nearly the same scores.

A processor with instructions for bfloat16 runs a GLiNER faster in it (docs/LOG.md has figures). The
scores differ a little, so a teacher is first asked about some passages in both precisions. A store
keeps the precision that it began with, since one store must not mix two.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

import numpy as np

from gliner_distill.decoding import decode_entities
from gliner_distill.metrics import score_spans
from gliner_distill.store.manifest import FP32
from gliner_distill.teacher.base import Probabilities, Teacher

N_CHECKED_PASSAGES: Final = 200
"""The number of passages that are scored in both precisions."""

MAX_MEAN_DIFFERENCE: Final = 0.002
"""The largest mean difference between two probabilities that count as the same."""

MIN_AGREEMENT: Final = 0.97
"""The smallest F1 of the entities of one precision against those of the other."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PrecisionCheck:
    """A comparison of the scores of two precisions.

    Attributes:
        n_passages: The number of passages compared.
        mean_difference: The mean absolute difference of the probabilities.
        agreement: The F1 of the entities at a threshold of 0.5; 1 if there are none.
    """

    n_passages: int
    mean_difference: float
    agreement: float

    @property
    def is_same(self) -> bool:
        """Whether the scores are the same within the tolerance."""
        # A comparison with NaN, which a number too large for bfloat16 leads to, is false.
        return self.mean_difference <= MAX_MEAN_DIFFERENCE and self.agreement >= MIN_AGREEMENT

    def describe(self) -> str:
        """Return the figures as the rest of a sentence."""
        return (
            f"on {self.n_passages} passages, probabilities differ by {self.mean_difference:.4f} on "
            f"average (at most {MAX_MEAN_DIFFERENCE} is allowed), and the F1 of the entities "
            f"against those in fp32 is {100 * self.agreement:.1f} (at least "
            f"{100 * MIN_AGREEMENT:.0f} is needed)"
        )


@runtime_checkable
class AdjustableTeacher(Teacher, Protocol):
    """A `Teacher` that can score in another precision than `fp32`."""

    precision_check: PrecisionCheck | None
    """The comparison of the faster precision with `fp32`; None until there was one."""

    @property
    def faster_precision(self) -> str | None:
        """The precision that is faster than `fp32` on this machine; None if there is none."""
        ...

    def set_precision(self, precision: str) -> None:
        """Score in another precision from now on."""
        ...


@contextmanager
def scoring_in(teacher: Teacher, precision: str) -> Iterator[None]:
    """Let a teacher score in a precision, and in single precision again afterward.

    Args:
        teacher: Any teacher; one that is not an `AdjustableTeacher` is left alone.
        precision: The precision.
    """
    if not isinstance(teacher, AdjustableTeacher):
        yield
        return
    teacher.set_precision(precision)
    try:
        yield
    finally:
        teacher.set_precision(FP32)


def choose_precision(
    teacher: Teacher, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
) -> str:
    """Return the precision to label in, after comparing the faster one with `fp32`.

    A teacher that was compared once is not compared again. With fewer than `N_CHECKED_PASSAGES`
    passages, a comparison would take longer than it saves.

    Args:
        teacher: Any teacher.
        passages: The words of the first passages of the corpus.
        labels: The labels to ask about each, as the teacher is asked.

    Raises:
        TeacherError: The teacher refuses the passages.
    """
    if not isinstance(teacher, AdjustableTeacher) or teacher.faster_precision is None:
        return FP32
    faster = teacher.faster_precision
    if teacher.precision_check is None:
        if len(passages) < N_CHECKED_PASSAGES:
            return FP32
        check = compare_precisions(teacher, faster, passages, labels)
        teacher.precision_check = check
        level = logging.INFO if check.is_same else logging.WARNING
        chosen = faster if check.is_same else FP32
        _logger.log(level, "%s labels in %s: %s", teacher.name, chosen, check.describe())
    return faster if teacher.precision_check.is_same else FP32


def compare_precisions(
    teacher: Teacher,
    precision: str,
    passages: Sequence[Sequence[str]],
    labels: Sequence[Sequence[str]],
) -> PrecisionCheck:
    """Compare a teacher's scores in a precision with those in single precision."""
    with scoring_in(teacher, precision):
        fast = teacher.score_passages(passages, labels)
    with scoring_in(teacher, FP32):
        exact = teacher.score_passages(passages, labels)
    n_scores = max(1, sum(probs.size for probs in exact))
    pairs = list(zip(fast, exact, strict=True))
    difference = sum(float(np.abs(ours - theirs).sum()) for ours, theirs in pairs) / n_scores
    return PrecisionCheck(len(passages), difference, _agreement(fast, exact, labels))


def _agreement(
    fast: Sequence[Probabilities], exact: Sequence[Probabilities], labels: Sequence[Sequence[str]]
) -> float:
    found, expected = (
        [decode_entities(probs, asked) for probs, asked in zip(answers, labels, strict=True)]
        for answers in (fast, exact)
    )
    is_empty = not any(found) and not any(expected)
    return 1.0 if is_empty else score_spans(found, expected).f1
