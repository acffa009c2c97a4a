"""The settings of a language model that teaches: how it is asked, and what that may cost."""

import math
from dataclasses import dataclass

from gliner_distill.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Prices:
    """The prices of a million tokens, in any currency.

    Attributes:
        input_tokens: The price of a million tokens that the model reads.
        output_tokens: The price of a million tokens that the model writes.

    Raises:
        SettingsError: A price is negative or not finite.
    """

    input_tokens: float
    output_tokens: float

    def __post_init__(self) -> None:
        for price in (self.input_tokens, self.output_tokens):
            if not (math.isfinite(price) and price >= 0):
                raise SettingsError(f"a price must be a number of at least 0; got {price}")

    def cost(self, n_input: float, n_output: float) -> float:
        """Return the price of numbers of tokens.

        >>> Prices(0.5, 2.0).cost(1_000_000, 500_000)
        1.5
        """
        return (n_input * self.input_tokens + n_output * self.output_tokens) / 1e6


@dataclass(frozen=True, slots=True)
class LLMSettings:
    """The way in which a language model is asked; the defaults suit most models.

    Attributes:
        n_answers: The number of answers per passage. With several, an entity's probability is the
            share of the answers that have it. With one, it is that of the tokens that name it, or 1
            where the endpoint gives no log-probabilities.
        temperature: The temperature of the answers; None for 0 with one answer and 1 with several.
        check: Whether the model is also asked, for each entity, whether it is one.
        n_requests: The number of requests that run at the same time.
        prices: The prices of tokens, for the estimate and for `max_cost`.
        max_cost: The most that the requests of this process may cost; None for no limit.
        timeout_seconds: The seconds after which a request without an answer is given up.
        n_retries: How often a request is repeated after a rate limit, an error of the server, or a
            failed connection.
        max_answer_bytes: The size of the largest answer that is read.
        max_words: The longest passage that is asked about as a whole; longer ones are cut into
            overlapping windows.

    Raises:
        SettingsError: A value is out of range, or there is a `max_cost` without prices.
    """

    n_answers: int = 1
    temperature: float | None = None
    check: bool = False
    n_requests: int = 8
    prices: Prices | None = None
    max_cost: float | None = None
    timeout_seconds: float = 180.0
    n_retries: int = 5
    max_answer_bytes: int = 8 * 2**20
    max_words: int = 400

    def __post_init__(self) -> None:
        for name in ("n_answers", "n_requests", "max_words"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} must be 1 or more; got {getattr(self, name)}")
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise SettingsError(f"temperature must be from 0 to 2; got {self.temperature}")
        if self.max_cost is not None and not (math.isfinite(self.max_cost) and self.max_cost > 0):
            raise SettingsError(f"max_cost must be a number above 0; got {self.max_cost}")
        if self.max_cost is not None and self.prices is None:
            raise SettingsError(
                "max_cost needs the prices of tokens; give them (--price-per-million IN,OUT)"
            )

    @property
    def sampling_temperature(self) -> float:
        """The temperature that is sent."""
        if self.temperature is not None:
            return self.temperature
        return 0.0 if self.n_answers == 1 else 1.0
