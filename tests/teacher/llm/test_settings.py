"""The settings of a language model."""

import pytest

from gliner_distill.errors import SettingsError
from gliner_distill.teacher.llm.settings import LLMSettings, Prices


@pytest.mark.parametrize(
    ("values", "facts"),
    [
        ({"n_answers": 0}, "n_answers.*1"),
        ({"n_requests": 0}, "n_requests"),
        ({"temperature": 2.5}, "temperature.*2.5"),
        ({"temperature": float("nan")}, "temperature"),
        ({"prices": Prices(1, 1), "max_cost": 0}, "max_cost"),
        ({"prices": Prices(1, 1), "max_cost": float("inf")}, "max_cost"),
        ({"max_cost": 1.0}, "--price-per-million"),
    ],
)
def test_settings_refuse_values_out_of_range(values, facts):
    with pytest.raises(SettingsError, match=facts):
        LLMSettings(**values)


@pytest.mark.parametrize("prices", [(-1, 0), (0, float("nan")), (float("inf"), 1)])
def test_prices_are_numbers_of_at_least_0(prices):
    with pytest.raises(SettingsError, match="price"):
        Prices(*prices)


def test_settings_sample_at_a_temperature_where_answers_are_compared():
    assert LLMSettings().sampling_temperature == 0.0
    assert LLMSettings(n_answers=3).sampling_temperature == 1.0
    assert LLMSettings(n_answers=3, temperature=0.5).sampling_temperature == 0.5
