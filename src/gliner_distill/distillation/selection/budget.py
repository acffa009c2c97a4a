"""The part of the texts that a teacher may read, in the words of a user."""

import math
import re
from dataclasses import dataclass
from typing import Final, Literal

from gliner_distill.errors import SettingsError, shorten

_FORM: Final = re.compile(r"(\d[\d,_]*(?:\.\d+)?) *([a-z]*)")
_UNITS: Final = {
    **dict.fromkeys(("", "word", "words"), "words"),
    **dict.fromkeys(("min", "minute", "minutes"), "minutes"),
}


@dataclass(frozen=True, slots=True)
class TeacherBudget:
    """The part of the training texts that a teacher reads.

    Attributes:
        kind: `all` for all of them, `auto` for as many as make the student better, or the unit of
            the amount.
        amount: The number of words or minutes; infinite without a unit.

    >>> TeacherBudget.parse("200,000")
    TeacherBudget(kind='words', amount=200000.0)
    """

    kind: Literal["all", "auto", "words", "minutes"] = "auto"
    amount: float = math.inf

    @classmethod
    def parse(cls, text: str | int) -> "TeacherBudget":
        """Return the budget that a user wrote, such as `auto`, `all`, `200000` or `30min`.

        Raises:
            SettingsError: It has none of these forms, or is not above 0.
        """
        written = str(text).strip().lower()
        if written == "all":
            return cls("all")
        if written == "auto":
            return cls("auto")
        match = _FORM.fullmatch(written)
        unit = _UNITS.get(match[2]) if match else None
        amount = float(match[1].replace(",", "").replace("_", "")) if match else 0.0
        if unit == "words" and amount >= 1:
            return cls("words", amount)
        if unit == "minutes" and amount > 0:
            return cls("minutes", amount)
        raise SettingsError(
            f"teacher budget: got {shorten(text)}; expected auto, all, a number of words such as "
            "200000, or minutes such as 30min"
        )

    def max_words(self, words_per_second: float) -> float:
        """Return the largest number of words to read; infinite without an amount.

        Args:
            words_per_second: The speed of the teacher.
        """
        return 60 * self.amount * words_per_second if self.kind == "minutes" else self.amount

    def __str__(self) -> str:
        if self.kind in ("auto", "all"):
            return self.kind
        return f"{self.amount:,.15g} {self.kind}"


@dataclass(frozen=True, slots=True)
class Pace:
    """The rounds in which a teacher is asked, and the end of an automatic budget.

    Attributes:
        first_share: The part of the budget, or of the texts without one, in the first round.
        growth: The words read after a round, divided by those read before it.
        quick_epochs: The number of epochs of a quick student in a round.
        min_gain: The F1 on dev that quick students must gain in two rounds, or the rounds
            end.
        min_passages: With fewer training passages than this, an automatic budget is `all`.
        min_dev_entities: With fewer entities than this in the teacher's answers on dev, chance
            would decide when to stop, so an automatic budget is `all`.
    """

    first_share: float = 0.1
    growth: float = 1.5
    quick_epochs: int = 2
    min_gain: float = 0.01
    min_passages: int = 1_000
    min_dev_entities: int = 50
