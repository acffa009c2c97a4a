"""Count tokens and their cost, and keep requests within a limit.

Tokens are estimated from characters until the endpoint says how many they are.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition
from typing import Final

from gliner_distill.errors import TeacherError
from gliner_distill.teacher.llm.settings import Prices

_BYTES_PER_TOKEN: Final = 4.0
_FEWEST_BYTES_PER_TOKEN: Final = 2.0


def estimate_tokens(n_bytes: float) -> float:
    """Return about how many tokens a text has, from its size in UTF-8.

    In English, a byte is a character, and a token has about four of them.
    """
    return n_bytes / _BYTES_PER_TOKEN


@dataclass(slots=True)
class Charge:
    """The tokens of one request; None until it is answered."""

    tokens: tuple[int, int] | None = None


class Bill:
    """The tokens of all requests of this process, and their limit; threads may share it.

    Attributes:
        n_input: The tokens that the model has read.
        n_output: The tokens that it has written.
    """

    def __init__(self, name: str, prices: Prices | None, max_cost: float | None) -> None:
        """Start with nothing.

        Args:
            name: The teacher's name, for messages.
            prices: The prices of tokens, if they are known.
            max_cost: The most that all requests may cost; it needs prices.
        """
        self._name = name
        self._prices = prices
        self._max_cost = max_cost
        self._reserved = 0.0
        self._condition = Condition()
        self.n_input = self.n_output = 0

    @property
    def cost(self) -> float | None:
        """The cost so far; None without prices."""
        return None if self._prices is None else self._prices.cost(self.n_input, self.n_output)

    @contextmanager
    def request(self, n_input_bytes: int, max_output_tokens: int) -> Iterator[Charge]:
        """Allow a request within the limit: the block sends it and sets the tokens of the charge.

        The most that it may cost is reserved, so that requests that run at the same time do not
        exceed the limit together. If it does not fit, this waits for requests that are under way,
        which mostly cost less than was reserved for them.

        Args:
            n_input_bytes: The size of what the model reads.
            max_output_tokens: The most tokens that it may write.

        Raises:
            TeacherError: The request may exceed the limit.
        """
        charge = Charge()
        reserved = self._reserve(n_input_bytes, max_output_tokens)
        try:
            yield charge
        finally:
            with self._condition:
                self._reserved -= reserved
                if charge.tokens is not None:
                    self.n_input += charge.tokens[0]
                    self.n_output += charge.tokens[1]
                self._condition.notify_all()

    def describe(self) -> str:
        """Return the tokens so far and their cost as a clause."""
        text = f"{self.n_input:,} tokens read and {self.n_output:,} written in this run"
        return text if self.cost is None else f"{text}, which cost {format_cost(self.cost)}"

    def _reserve(self, n_input_bytes: int, max_output_tokens: int) -> float:
        if self._prices is None or self._max_cost is None:
            return 0.0
        most = self._prices.cost(n_input_bytes / _FEWEST_BYTES_PER_TOKEN, max_output_tokens)
        with self._condition:
            while (self.cost or 0.0) + self._reserved + most > self._max_cost:
                if self._reserved <= 0:
                    raise TeacherError(
                        f"{self._name}: the next request may cost up to {format_cost(most)}, which "
                        f"may exceed the limit of {format_cost(self._max_cost)} "
                        f"({self.describe()}); all answers are kept, so run the same command again "
                        "to continue, with the same --max-cost or a higher one"
                    )
                self._condition.wait()
            self._reserved += most
        return most


def format_cost(cost: float) -> str:
    """Return a cost with two digits after the point, or with two significant ones if it is small.

    >>> format_cost(12.3456), format_cost(0.00123), format_cost(0)
    ('12.35', '0.0012', '0.00')
    """
    return f"{cost:.2f}" if cost >= 0.1 or not cost else f"{cost:.2g}"
