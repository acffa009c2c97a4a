"""The options of a language model: what is refused, and where the help shows them."""

import pytest
import typer

from command_line import assert_fails
from gliner_distill.cli.teachers.language_model import LLMOptions
from gliner_distill.teacher.llm.settings import LLMSettings, Prices


def test_options_make_settings():
    teachers = ["models/gliner", "llm:m"]
    options = LLMOptions(
        price_per_million="0.15, 6e-1", max_cost=2.5, llm_answers=3, llm_check=True
    )
    settings = options.settings(teachers, is_on_ray=False)
    assert settings == LLMSettings(n_answers=3, check=True, prices=Prices(0.15, 0.6), max_cost=2.5)
    assert LLMOptions().settings(["models/gliner"], is_on_ray=True) == LLMSettings()


@pytest.mark.parametrize(
    ("teacher", "options", "facts"),
    [
        ("llm:m", {"price_per_million": "5"}, "'5'.*two numbers"),
        ("llm:m", {"price_per_million": "1;2"}, "two numbers"),
        ("llm:m", {"price_per_million": "1,2,3"}, "two numbers"),
        ("llm:m", {"price_per_million": "-1,2"}, "-1"),
        ("llm:m", {"max_cost": 5}, "--price-per-million"),
        ("llm:m", {"max_cost": -5, "price_per_million": "1,2"}, "-5"),
        ("models/gliner", {"llm_answers": 3}, "--teacher llm:MODEL"),
        ("models/gliner", {"max_cost": 3, "price_per_million": "1,2"}, "--teacher llm:MODEL"),
    ],
)
def test_options_that_make_no_sense_are_refused(teacher, options, facts):
    with pytest.raises(typer.BadParameter, match=facts):
        LLMOptions(**options).settings([teacher], is_on_ray=False)


def test_a_language_model_on_a_cluster_is_refused():
    with pytest.raises(typer.BadParameter, match=r"--ray.*--llm-requests"):
        LLMOptions().settings(["llm:m"], is_on_ray=True)


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
