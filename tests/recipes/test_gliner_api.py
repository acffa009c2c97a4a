"""The page that compares GLiNER's names with a student's: complete, and not stale."""

import importlib
import inspect
import re
from pathlib import Path

import gliner
import pytest
from gliner.model import BaseBiEncoderGLiNER, UniEncoderSpanRelexGLiNER

from gliner_distill.compat.gliner import __version__
from gliner_distill.errors import InputError
from gliner_distill.runtime.ner import StudentNER

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "recipes"
PAGE = ROOT / "docs" / "gliner_api.md"

pytestmark = pytest.mark.skipif(
    not RECIPES.is_dir(), reason="the recipes are in the repository, not in the package"
)


@pytest.fixture(scope="module")
def recipe():
    """The module of the recipes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPES))
        return importlib.import_module("gliner_api")


@pytest.fixture(scope="module")
def rows():
    """The names in the first cells of all tables."""
    cells = re.findall(r"^\| (`[^|]+) \| .*\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    found = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert len(found) > 100
    return set(found)


def test_page_is_what_the_recipe_writes(recipe):
    text = PAGE.read_text(encoding="utf-8")
    if f"gliner {gliner.__version__}" not in text:
        pytest.skip("the page is of another version of gliner")
    assert recipe.render() == text, "run: python recipes/gliner_api.py docs/gliner_api.md"


def test_stand_in_has_the_version_of_the_page():
    assert f"wrote this page from gliner {__version__}." in PAGE.read_text(encoding="utf-8")


def test_page_has_all_members_of_gliners_classes(recipe, rows):
    assert set(recipe.member_names()) - rows == set()
    for kind in (gliner.GLiNER, BaseBiEncoderGLiNER, UniEncoderSpanRelexGLiNER):
        own = {name for base in kind.__mro__ for name in vars(base) if "gliner" in base.__module__}
        assert {name for name in own if not name.startswith("_")} - rows == set()


@pytest.mark.parametrize(
    "method",
    [
        *(gliner.GLiNER.from_pretrained, BaseBiEncoderGLiNER.inference),
        *(BaseBiEncoderGLiNER.predict_entities, BaseBiEncoderGLiNER.encode_labels),
        *(UniEncoderSpanRelexGLiNER.inference, UniEncoderSpanRelexGLiNER.evaluate),
    ],
)
def test_page_has_all_keywords_of_a_method(rows, method):
    parameters = inspect.signature(method).parameters.values()
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    names = {item.name for item in parameters if item.kind not in several} - {"self"}
    assert names - rows == set()


def test_page_has_all_names_of_the_package(rows):
    assert set(gliner.__all__) - rows == set()


def test_members_that_are_said_to_be_here_exist(recipe):
    student = StudentNER.from_pretrained(num_threads=1)
    for name in [*recipe.member_names(), *recipe.ATTRIBUTES]:
        is_here = name in recipe.ATTRIBUTES or not recipe.explain_member(name).startswith("not")
        assert hasattr(student, name) == is_here, name


def test_keywords_are_taken_or_refused_as_the_page_says(recipe):
    student = StudentNER.from_pretrained(num_threads=1)
    asked = {
        "inference": [["Ada left."], ["person"]],
        "predict_entities": ["Ada left.", ["person"]],
    }
    for name, members, said in recipe.explain_keywords():
        for member in set(members) & set(asked):
            if said.startswith("must be None, False or empty: "):
                getattr(student, member)(*asked[member], **{name: None})
                with pytest.raises(InputError, match=f"^{name} is "):
                    getattr(student, member)(*asked[member], **{name: ["x"]})
            elif said == "has no effect":
                getattr(student, member)(*asked[member], **{name: 0.5})


def test_page_is_refused_if_a_name_has_no_explanation(recipe, monkeypatch):
    monkeypatch.delitem(recipe.MEMBERS, "predict_entities")
    with pytest.raises(KeyError, match="predict_entities"):
        recipe.render()
