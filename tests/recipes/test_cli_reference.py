"""The page about the command line is what the program says."""

import importlib
from pathlib import Path

import pytest

from gliner_distill.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "recipes"
PAGE = ROOT / "docs" / "cli.md"

pytestmark = pytest.mark.skipif(
    not RECIPES.is_dir(), reason="the recipes are in the repository, not in the package"
)


@pytest.fixture(scope="module")
def page():
    """The page as the recipe renders it now."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPES))
        patch.delenv("OMP_NUM_THREADS", raising=False)
        return importlib.import_module("cli_reference").render()


def test_page_is_what_the_recipe_writes(page):
    text = PAGE.read_text(encoding="utf-8")
    assert page == text, "run: python recipes/cli_reference.py docs/cli.md"


def test_page_has_a_section_with_the_options_of_each_command(page):
    sections = page.split("\n## ")[1:]
    names = [command.run.__name__.replace("_", "-") for command in COMMANDS]
    assert [section.splitlines()[0] for section in sections] == names
    assert all("\n| `--help` |" in section for section in sections)
