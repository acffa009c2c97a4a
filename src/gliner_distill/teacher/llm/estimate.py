"""Estimate the tokens and the cost of questions before the first of them is asked."""

from typing import Final

from gliner_distill.teacher.llm.costs import estimate_tokens, format_cost
from gliner_distill.teacher.llm.kept_answers import KeptAnswers
from gliner_distill.teacher.llm.questions import Question, count_bytes
from gliner_distill.teacher.llm.settings import LLMSettings

_WRITTEN_SHARE: Final = 1.5
"""The size of an answer, divided by that of its passage: a guess."""


class Estimate:
    """The number of questions and their size.

    Attributes:
        n_open: The number of questions that are not answered yet.
        n_kept: The number of questions whose answers are kept.
    """

    def __init__(self, settings: LLMSettings) -> None:
        self._settings = settings
        self._input_bytes = self._output_bytes = 0.0
        self.n_open = self.n_kept = 0

    def add(self, question: Question, *, is_kept: bool) -> None:
        """Add a question."""
        if is_kept:
            self.n_kept += 1
            return
        self.n_open += 1
        self._input_bytes += count_bytes(question.messages())
        n_answers = self._settings.n_answers
        self._output_bytes += _WRITTEN_SHARE * n_answers * len(question.text.encode())

    def describe(self, url: str, is_local: bool, kept: KeptAnswers) -> str:
        """Return a sentence that says what is sent where, and about what it costs.

        Args:
            url: The address of the endpoint.
            is_local: Whether it is on this machine.
            kept: The answers so far. Where the endpoint has counted their tokens, these are used.
        """
        n_input, n_output = estimate_tokens(self._input_bytes), estimate_tokens(self._output_bytes)
        if kept.n_measured:
            n_input = self.n_open * kept.n_input / kept.n_measured
            n_output = self.n_open * kept.n_output / kept.n_measured
        place = "a server on this machine" if is_local else "a server outside of this machine"
        text = (
            f"the text of {self.n_open:,} passages is sent to {url}, {place}: about "
            f"{n_input:,.0f} tokens to read and {n_output:,.0f} to write"
        )
        if self._settings.check:
            text += ", besides one request per entity to check it"
        prices = self._settings.prices
        if prices is not None:
            text += f", which cost about {format_cost(prices.cost(n_input, n_output))}"
        if self.n_kept:
            text += f"; {self.n_kept:,} more are answered already"
        if prices is None:
            text += "; for an estimate of the cost, give --price-per-million IN,OUT"
        return text
