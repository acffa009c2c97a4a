"""The options of a language model: what is refused, and where the help shows them."""

import pytest
import typer

from command_line import assert_fails
from gliner_distill.cli.teachers.language_model import read_llm_settings
from gliner_distill.teacher.llm.settings import LLMSettings, Prices

GIVEN = {
    "price_per_million": None,
    "max_cost": None,
    "answers": 1,
    "temperature": None,
    "check": False,
    "requests": 8,
    "ray": None,
}


def test_options_make_settings():
    teachers = ["models/gliner", "llm:m"]
    options = {"price_per_million": "0.15, 6e-1", "max_cost": 2.5, "answers": 3, "check": True}
    settings = read_llm_settings(teachers, **(GIVEN | options))
    assert settings == LLMSettings(n_answers=3, check=True, prices=Prices(0.15, 0.6), max_cost=2.5)
    assert read_llm_settings(["models/gliner"], **GIVEN) == LLMSettings()


@pytest.mark.parametrize(
    ("teacher", "options", "facts"),
    [
        ("llm:m", {"price_per_million": "5"}, "'5'.*two numbers"),
        ("llm:m", {"price_per_million": "1;2"}, "two numbers"),
        ("llm:m", {"price_per_million": "1,2,3"}, "two numbers"),
        ("llm:m", {"price_per_million": "-1,2"}, "-1"),
        ("llm:m", {"max_cost": 5}, "--price-per-million"),
        ("llm:m", {"max_cost": -5, "price_per_million": "1,2"}, "-5"),
        ("llm:m", {"ray": "local"}, "--ray.*--llm-requests"),
        ("models/gliner", {"answers": 3}, "--teacher llm:MODEL"),
        ("models/gliner", {"max_cost": 3, "price_per_million": "1,2"}, "--teacher llm:MODEL"),
    ],
)
def test_options_that_make_no_sense_are_refused(teacher, options, facts):
    with pytest.raises(typer.BadParameter, match=facts):
        read_llm_settings([teacher], **(GIVEN | options))


@pytest.mark.parametrize("command", ["label", "distill"])
def test_help_shows_the_options_in_one_section_and_an_example(run_cli, command):
    page = run_cli(command, "--help").out
    before, section = page.split("Options for a language model (--teacher llm:MODEL):\n")
    section, examples = section.split("Exit codes:")
    for name in ("--price-per-million IN,OUT", "--max-cost", "--llm-answers", "--llm-check"):
        assert name in section
        assert name not in before
    assert "--skip-bad" in before
    assert "llm:MODEL" in examples


def test_usage_is_checked_before_anything_is_read(run_cli):
    args = ("label", "none.txt", "--labels", "none.txt", "--teacher", "llm:m", "--out", "store")
    assert_fails(run_cli(*args, "--max-cost", 5), "--price-per-million", code=2)
