"""The thesaurus: its two files, and the relations between labels."""

import importlib
import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from gliner_distill.errors import CorpusError
from gliner_distill.labels import clean_label

RECIPES = Path(__file__).resolve().parents[2] / "recipes"

pytestmark = pytest.mark.skipif(
    not RECIPES.is_dir(), reason="the recipes are in the repository, not in the package"
)
ABBESS = {
    "label": "Abbess",
    "synonyms": ["mother_superior"],
    "broader": ["nun", "person"],
    "siblings": [],
    "descriptions": ["Woman in charge of a nunnery", "who led the convent"],
}
NUN = {"label": "nun", "synonyms": [], "broader": ["person"], "siblings": [], "descriptions": []}


@pytest.fixture(scope="module")
def recipe():
    """The module of the recipes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPES))
        yield importlib.import_module("thesaurus")


def write_json_lines(folder, *rows):
    folder.mkdir(exist_ok=True)
    path = folder / "labels.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_parquet(folder, *rows):
    folder.mkdir(exist_ok=True)
    path = folder / "thesaurus.parquet"
    parquet.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


class TestReadThesaurus:
    @pytest.mark.parametrize("write", [write_json_lines, write_parquet])
    @pytest.mark.parametrize("place", [".", "open"])
    def test_both_forms_give_the_same_clean_entries(self, recipe, tmp_path, write, place):
        write(tmp_path / place, ABBESS, NUN)
        entries = recipe.read_thesaurus(tmp_path)
        assert list(entries) == ["abbess", "nun"]
        assert entries["abbess"] == recipe.ThesaurusEntry(
            synonyms=("mother superior",),
            broader=("nun", "person"),
            siblings=(),
            descriptions=("woman in charge of a nunnery", "who led the convent"),
        )
        assert entries["nun"] == recipe.ThesaurusEntry(broader=("person",))

    def test_an_empty_file_has_no_entries(self, recipe, tmp_path):
        write_json_lines(tmp_path)
        assert recipe.read_thesaurus(tmp_path) == {}

    @pytest.mark.parametrize(
        "line",
        [
            *("{", "[]", "3", "", '{"label": "x"}', '{"label": 3}'),
            json.dumps(NUN | {"label": 3}),
            json.dumps(NUN | {"broader": "person"}),
            json.dumps(NUN | {"siblings": [3]}),
            json.dumps(NUN | {"synonyms": None}),
        ],
    )
    def test_a_broken_line_is_named(self, recipe, tmp_path, line):
        path = write_json_lines(tmp_path, ABBESS)
        path.write_text(path.read_text() + line + "\n")
        with pytest.raises(CorpusError) as error:
            recipe.read_thesaurus(tmp_path)
        message = str(error.value)
        assert message.startswith(f"{path}: line 2: ")
        assert repr(line[:60]) in message
        assert "\n" not in message

    @pytest.mark.parametrize("rows", [[NUN, NUN | {"broader": None}], [{"label": "nun"}]])
    def test_a_broken_row_is_named(self, recipe, tmp_path, rows):
        path = write_parquet(tmp_path, *rows)
        with pytest.raises(CorpusError) as error:
            recipe.read_thesaurus(tmp_path)
        assert str(error.value).startswith(f"{path}: row {len(rows)}: ")

    def test_a_label_with_two_entries_is_named(self, recipe, tmp_path):
        path = write_json_lines(tmp_path, NUN, ABBESS, NUN | {"label": "Nun"})
        with pytest.raises(CorpusError) as error:
            recipe.read_thesaurus(tmp_path)
        assert str(error.value).startswith(f"{path}: line 3: ")
        assert "'nun'" in str(error.value)

    @pytest.mark.parametrize("name", ["labels.jsonl", "thesaurus.parquet"])
    def test_a_file_that_cannot_be_read_is_named(self, recipe, tmp_path, name):
        (tmp_path / name).write_bytes(b"\xff\xfe")
        with pytest.raises(CorpusError, match=name) as error:
            recipe.read_thesaurus(tmp_path)
        assert "\n" not in str(error.value)

    def test_a_folder_without_a_thesaurus_is_named(self, recipe, tmp_path):
        with pytest.raises(CorpusError) as error:
            recipe.read_thesaurus(tmp_path)
        for fact in (str(tmp_path), "thesaurus.parquet", "labels.jsonl"):
            assert fact in str(error.value)


class TestThesaurusEntry:
    def test_forms_of_the_benchmark_are_not_trained_on(self, recipe):
        entry = recipe.ThesaurusEntry(
            synonyms=("quay entity", "pier", "quay mention"),
            descriptions=("where ships lie", "place to land"),
        )
        assert entry.trained_synonyms == ("pier",)
        assert entry.trained_description == "where ships lie"

    def test_an_empty_entry_has_no_words_to_train_on(self, recipe):
        assert recipe.ThesaurusEntry().trained_synonyms == ()
        assert recipe.ThesaurusEntry().trained_description == ""


@pytest.fixture(scope="module")
def thesaurus(recipe):
    """A thesaurus of politics and vessels."""
    entry = recipe.ThesaurusEntry
    return recipe.Thesaurus(
        {
            "politician": entry(("statesman", "officeholder"), broader=("public figure",)),
            "mayor": entry(("head of a town",), broader=("politician",)),
            "public figure": entry(broader=("person",)),
            "number": entry(broader=("quantity",)),
            "quantity": entry(broader=("number",)),
            "ferry": entry(("ship",), broader=("vessel",)),
            "steamer": entry(("ship",), siblings=("train",)),
        }
    )


class TestThesaurus:
    def test_find_knows_labels_and_their_own_synonyms(self, thesaurus):
        assert thesaurus.find("mayor").broader == ("politician",)
        assert thesaurus.find("statesman") is thesaurus.find("politician")
        assert thesaurus.find("ship") is None  # a synonym of two labels leads to neither
        assert thesaurus.find("unheard of") is None

    @pytest.mark.parametrize(
        ("label", "expected"),
        [
            ("mayor", {"politician", "public figure", "person"}),
            ("head of a town", {"politician", "public figure", "person"}),
            ("number", {"quantity"}),  # the circle ends, and a label is not broader than itself
            ("person", set()),
        ],
    )
    def test_all_broader_follows_every_step(self, thesaurus, label, expected):
        assert thesaurus.all_broader(label) == expected

    @pytest.mark.parametrize(
        ("label", "own", "expected"),
        [
            *(("person", "mayor", True), ("mayor", "person", False), ("mayor", "mayor", True)),
            *(("statesman", "officeholder", True), ("statesman", "mayor", True)),
            *(("voter", "mayor", False), ("new", "new", True), ("new", "other", False)),
        ],
    )
    def test_is_same_or_broader_looks_up_from_the_own_label(self, thesaurus, label, own, expected):
        assert thesaurus.is_same_or_broader(label, own) is expected

    @pytest.mark.parametrize(
        ("label", "other", "expected"),
        [
            *(("statesman", "politician", True), ("number", "quantity", True)),
            *(("mayor", "politician", False), ("politician", "mayor", False)),
        ],
    )
    def test_mean_the_same_needs_both_directions(self, thesaurus, label, other, expected):
        assert thesaurus.mean_the_same(label, other) is expected

    def test_are_related_looks_both_ways_and_at_the_words(self, thesaurus):
        assert thesaurus.are_related("mayor", "person")
        assert thesaurus.are_related("person", "mayor")
        assert thesaurus.are_related("old city", "city")
        assert not thesaurus.are_related("mayor", "ferry")


def test_common_labels_are_clean_and_in_both_spellings(recipe):
    assert {label for label in recipe.COMMON if clean_label(label) != label} == set()
    assert {"person", "location", "organization", "organization".replace("z", "s")} < recipe.COMMON
