"""The options of a language model, which `label` and `distill` share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import typer

from gliner_distill.cli.options import option
from gliner_distill.errors import SettingsError
from gliner_distill.teacher.llm.settings import LLMSettings, Prices

_PANEL: Final = "Options for a language model (--teacher llm:MODEL)"
_DEFAULTS: Final = LLMSettings()

PricePerMillion = Annotated[
    str | None,
    option(
        "--price-per-million",
        metavar="IN,OUT",
        text="The prices of a million tokens that the model reads and writes, such as 0.15,0.60, "
        "to see what labeling costs.",
        rich_help_panel=_PANEL,
    ),
]

MaxCost = Annotated[
    float | None,
    option(
        "--max-cost",
        metavar="COST",
        text="Stop before this run costs more. All answers are kept, and the same command "
        "continues. Needs --price-per-million.",
        rich_help_panel=_PANEL,
    ),
]

Answers = Annotated[
    int,
    option(
        "--llm-answers",
        metavar="K",
        text="The number of answers per passage. With several, an entity's probability is the "
        "share of the answers that have it; with one, it comes from log-probabilities, where the "
        "endpoint gives them.",
        min=1,
        max=100,
        rich_help_panel=_PANEL,
    ),
]

Temperature = Annotated[
    float | None,
    option(
        "--llm-temperature",
        metavar="T",
        text="The temperature of the answers.",
        min=0,
        max=2,
        show_default="0, or 1 for several answers",
        rich_help_panel=_PANEL,
    ),
]

Check = Annotated[
    bool,
    option(
        "--llm-check",
        metavar=None,
        text="Ask the model about each entity again whether it is one, in a request of its own.",
        rich_help_panel=_PANEL,
    ),
]

Requests = Annotated[
    int,
    option(
        "--llm-requests",
        metavar="N",
        text="The number of requests that run at the same time.",
        min=1,
        max=256,
        rich_help_panel=_PANEL,
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LLMOptions:
    """The options of a language model, as they were given."""

    price_per_million: PricePerMillion = None
    max_cost: MaxCost = None
    llm_answers: Answers = _DEFAULTS.n_answers
    llm_temperature: Temperature = _DEFAULTS.temperature
    llm_check: Check = _DEFAULTS.check
    llm_requests: Requests = _DEFAULTS.n_requests

    def settings(self, teachers: Sequence[str], *, is_on_ray: bool) -> LLMSettings:
        """Return the settings of the language models among the teachers.

        Args:
            teachers: The names of the teachers.
            is_on_ray: Whether a Ray cluster labels; it does not ask language models.

        Raises:
            BadParameter: The options contradict each other, or the language model is missing.
        """
        prices = self.price_per_million
        try:
            settings = LLMSettings(
                n_answers=self.llm_answers,
                temperature=self.llm_temperature,
                check=self.llm_check,
                n_requests=self.llm_requests,
                prices=None if prices is None else _read_prices(prices),
                max_cost=self.max_cost,
            )
        except SettingsError as error:
            raise typer.BadParameter(str(error)) from error
        from gliner_distill.teacher.opening import LLM_PREFIX  # imports much

        has_llm = any(name.startswith(LLM_PREFIX) for name in teachers)
        if settings != _DEFAULTS and not has_llm:
            raise typer.BadParameter(
                "--price-per-million, --max-cost and the options --llm-... have no effect without "
                "a language model; give --teacher llm:MODEL"
            )
        if is_on_ray and has_llm:
            raise typer.BadParameter(
                "a language model is asked from this machine alone; leave --ray out, and give "
                "--llm-requests N for more requests at the same time"
            )
        return settings


def _read_prices(text: str) -> Prices:
    try:
        n_input, n_output = map(float, text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"--price-per-million: got {text!r}; expected two numbers with a comma between them, "
            "such as 0.15,0.60"
        ) from None
    return Prices(n_input, n_output)
