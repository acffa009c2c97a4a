"""Count what became of a language model's answers, and stop a model that mostly gives none."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from gliner_distill.errors import TeacherError
from gliner_distill.teacher.llm.grounding import AMBIGUOUS, Span

_FEW_FAILURES: Final = 5
_MAX_FAILURE_SHARE: Final = 0.1


@dataclass(slots=True)
class Outcome:
    """The end of one question.

    Attributes:
        spans: The probability of each span; None if there was no valid answer.
        n_entities: The number of entities in all valid answers.
        counts: The number of entities dropped for each reason, and of ambiguous ones.
        invalid: The number of invalid answers for each reason.
    """

    spans: dict[Span, float] | None = None
    n_entities: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    invalid: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Tally:
    """The sums over many questions."""

    n_questions: int = 0
    n_failed: int = 0
    n_entities: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    invalid: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """Add a question."""
        self.n_questions += 1
        self.n_failed += outcome.spans is None
        self.n_entities += outcome.n_entities
        self.counts += outcome.counts
        self.invalid += outcome.invalid

    def check(self, name: str, *, is_last: bool) -> None:
        """Stop if too many questions have no valid answer: one in ten, and at least five, or all.

        Args:
            name: The teacher's name.
            is_last: Whether no question follows, and the model has never given a valid answer.

        Raises:
            TeacherError: There are too many; the message has their number and the reasons.
        """
        is_many = self.n_failed >= _FEW_FAILURES
        is_many &= self.n_failed > _MAX_FAILURE_SHARE * self.n_questions
        if is_many or (is_last and self.n_questions == self.n_failed > 0):
            raise TeacherError(
                f"{name}: {self.n_failed:,} of {self.n_questions:,} passages have no valid answer "
                f"({_listed(self.invalid)}); use a model that follows a JSON schema and does not "
                "refuse such text; all valid answers are kept"
            )

    def describe(self) -> str:
        """Return the sums as a clause."""
        dropped = Counter({reason: n for reason, n in self.counts.items() if reason != AMBIGUOUS})
        text = f"{self.n_questions:,} passages with {self.n_entities:,} entities in the answers"
        if dropped:
            text += f", of which {dropped.total():,} were dropped: {_listed(dropped)}"
        if self.counts[AMBIGUOUS]:
            text += f"; {self.counts[AMBIGUOUS]:,} entities fit several places and count at each"
        if self.n_failed:
            text += (
                f"; {self.n_failed:,} passages have no valid answer and count as passages without "
                f"entities ({_listed(self.invalid)})"
            )
        return text


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{n:,} {reason}" for reason, n in sorted(counts.items()))
