"""The picture of the README: its colors, its text, and that it loads nothing."""

import importlib
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(
    not (ROOT / "recipes").is_dir(), reason="the recipes are in the repository, not in the package"
)


@pytest.fixture(scope="module")
def picture():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "recipes"))
        return importlib.import_module("entities_picture")


def test_draw_shows_the_command_and_the_colors_and_loads_nothing(picture):
    drawn = picture.draw("\x1b[1;32mAda\x1b[0m\x1b[2m (person)\x1b[0m wrote.\n")
    text = "".join(ElementTree.fromstring(drawn).itertext()).replace("\xa0", " ")
    assert "$ gliner-distill predict -l person," in text
    assert "Ada (person) wrote." in re.sub(r"\s*\n\s*", "", text)
    assert len(set(re.findall(r"fill: #\w+", drawn))) > 1
    assert re.findall(r"https?://[^\"' )]+|url\((?!#)", drawn) == ["http://www.w3.org/2000/svg"]


@pytest.mark.slow
def test_the_picture_in_the_docs_is_that_of_the_program(picture):
    shown = (ROOT / "docs" / "entities.svg").read_text(encoding="utf-8")
    assert shown == picture.draw(picture.predict())
