"""The written passages, read from JSON and from the data set."""

import importlib
import json
from pathlib import Path

import pytest

from gliner_distill.entities import Entity, Passage
from gliner_distill.errors import CorpusError

RECIPES = Path(__file__).resolve().parents[2] / "recipes"

pytestmark = pytest.mark.skipif(
    not RECIPES.is_dir(), reason="the recipes are in the repository, not in the package"
)
ENTRY = {
    "label": "abbess",
    "synonyms": ["mother superior"],
    "broader": ["nun", "person"],
    "siblings": [],
    "descriptions": ["woman in charge of a nunnery", "who led the convent"],
}


def recipe(name):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPES))
        return importlib.import_module(name)


@pytest.fixture(scope="module")
def written_passages():
    """The module of the recipes."""
    return recipe("written_passages")


@pytest.fixture
def folder(tmp_path):
    """A folder with an open passage per source and a thesaurus of one label."""
    inner = tmp_path / "open"
    inner.mkdir()
    for source in ("train", "more", "focus"):
        row = {"tokenized_text": ["in", source], "ner": [[1, 1, "part"], [0, 1, "phrase"]]}
        (inner / f"{source}.json").write_text(json.dumps([row]))
    (inner / "labels.jsonl").write_text(json.dumps(ENTRY) + "\n")
    return tmp_path


@pytest.fixture
def data_set(folder, tmp_path):
    """The data set that the recipe makes of that folder."""
    recipe("dataset").make_data_set(folder, tmp_path / "out")
    return tmp_path / "out"


def test_read_passages_reads_both_forms(written_passages, folder, data_set):
    expected = {
        source: [Passage(("in", source), (Entity(1, 2, "part"), Entity(0, 2, "phrase")))]
        for source in ("train", "more", "focus")
    }
    for place in (folder, folder / "open", data_set):
        found = written_passages.read_passages(place)
        assert found == expected
        assert tuple(found) == written_passages.SOURCES


def test_write_as_json_gives_the_form_that_recipes_read(
    written_passages, folder, data_set, tmp_path
):
    written_passages.write_as_json(data_set, tmp_path / "new" / "open")
    for name in ("train.json", "more.json", "focus.json"):
        texts = [(place / "open" / name).read_text() for place in (folder, tmp_path / "new")]
        assert json.loads(texts[0]) == json.loads(texts[1])
    assert json.loads((tmp_path / "new" / "open" / "labels.jsonl").read_text()) == ENTRY


def test_folders_without_all_files_are_refused(written_passages, folder, data_set):
    (folder / "open" / "focus.json").unlink()
    (data_set / "passages.parquet").unlink()
    for place in (folder, folder / "open", data_set):
        with pytest.raises(CorpusError, match=str(place)) as caught:
            written_passages.read_passages(place)
        assert "passages.parquet" in str(caught.value)
        assert "focus.json" in str(caught.value)
