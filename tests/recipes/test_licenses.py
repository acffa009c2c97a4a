"""The licenses of the sets that taught a student."""

import doctest
import importlib
import json
from pathlib import Path

import pytest

from gliner_distill.errors import CorpusError

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "recipes"
SHARED = ROOT.parent / "shared" / "data"

pytestmark = pytest.mark.skipif(
    not RECIPES.is_dir(), reason="the recipes are in the repository, not in the package"
)
HEADER = "| name | origin | licence found | words |\n| --- | --- | --- | ---: |\n"


@pytest.fixture(scope="module")
def recipe():
    """The module of the recipes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPES))
        return importlib.import_module("licenses")


@pytest.fixture
def read(recipe, tmp_path):
    """A function that reads two tables, and a review of one of their sets."""

    def read(*rows, review=None):
        (tmp_path / "review.json").write_text(json.dumps(review or {}))
        (tmp_path / "SOURCES_A.md").write_text("# A\n\n" + HEADER + rows[0] + "\n\nTogether: 1.\n")
        (tmp_path / "SOURCES_B.md").write_text(HEADER + "\n".join(rows[1:]) + "\n")
        return recipe.read_licenses(tmp_path, review=tmp_path / "review.json")

    return read


@pytest.fixture(scope="module")
def permitted():
    """The names in permissive.json."""
    return json.loads((SHARED / "permissive.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def licenses(recipe):
    """The licenses of all sets."""
    return recipe.read_licenses(SHARED / "corpora")


def test_read_licenses_reads_all_tables(recipe, read):
    found = read("| one | me/a | MIT | 7 |", "| two | me/b; me/c | own licence | 8 |")
    assert found == {
        "one": recipe.SetLicense("me/a", "MIT", "no"),
        "two": recipe.SetLicense("me/b; me/c", "own license", "no"),
    }


@pytest.mark.parametrize(
    ("statement", "share_alike"),
    [
        ("CC BY-SA 4.0", "yes"),
        ("repository MIT; the set itself CC BY-SA 3.0", "yes"),
        ("CC BY-NC-SA 4.0", "no"),
        ("CC BY 4.0", "no"),
        ("CC BY 4.0 or as each corpus says (repository LICENSE.md)", "not known"),
        ("MIT (repository); corpora as their authors say", "not known"),
        ("none stated", "not known"),
    ],
)
def test_read_licenses_marks_share_alike(read, statement, share_alike):
    found = read(f"| one | me/a | {statement} |", "| two | me/b | MIT |")
    assert found["one"].share_alike == share_alike


def test_read_licenses_adds_the_review(recipe, read):
    review = {"one": {"share_alike": "yes", "note": "text of Wikipedia"}}
    found = read("| one | me/a | MIT |", "| two | me/b | MIT |", review=review)
    assert found["one"] == recipe.SetLicense("me/a", "MIT; text of Wikipedia", "yes")
    assert found["two"].share_alike == "no"


def test_read_licenses_refuses_a_folder_without_tables(recipe, tmp_path):
    with pytest.raises(CorpusError, match=str(tmp_path)):
        recipe.read_licenses(tmp_path)


def test_taught_sets_are_in_order_and_have_their_licenses(recipe, read):
    licenses = read("| one | me/a | MIT |", "| two | me/b | CC BY-SA 4.0 |", "| three | x | MIT |")
    words = {"two": 5, "open and sample": 9, "one": 7}
    found = recipe.taught_sets(words, licenses, ["one", "two", "three"])
    assert [(item.name, item.n_words) for item in found] == [
        ("open and sample", 9),
        ("two", 5),
        ("one", 7),
    ]
    assert [item.license.statement for item in found] == ["CC0 1.0", "CC BY-SA 4.0", "MIT"]


def test_taught_sets_refuse_a_set_that_is_not_permitted(recipe, read):
    licenses = read("| one | me/a | MIT |", "| two | me/b | none stated |")
    with pytest.raises(CorpusError, match=r"does not list two, "):
        recipe.taught_sets({"one": 1, "two": 2}, licenses, ["one"])


def test_taught_sets_refuse_a_set_without_a_license(recipe, read):
    licenses = read("| one | me/a | MIT |", "| two | me/b | MIT |")
    with pytest.raises(CorpusError, match=r"no row for four, three;"):
        recipe.taught_sets({"one": 1, "three": 2, "four": 2}, licenses, ["one", "three", "four"])


def test_examples_of_the_module_hold(recipe):
    assert doctest.testmod(recipe).attempted > 0
    assert doctest.testmod(recipe).failed == 0


@pytest.mark.skipif(not SHARED.is_dir(), reason="the sets are not part of the repository")
class TestPermittedSets:
    def test_every_permitted_set_has_a_license_that_allows_weights(self, permitted, licenses):
        allowed = ("CC0", "CC BY", "MIT", "Apache")
        for name in permitted:
            assert licenses[name].origin
            assert any(kind in licenses[name].statement for kind in allowed), name
            assert "NC" not in licenses[name].statement

    def test_every_reviewed_set_is_permitted(self, recipe, permitted):
        reviewed = json.loads(recipe.REVIEW.read_text(encoding="utf-8"))
        assert reviewed
        assert set(reviewed) <= set(permitted)

    def test_sets_of_unclear_origin_are_refused(self, recipe, permitted, licenses):
        for name in ("ebm_pico", "mtod_en", "verspoor_variome"):
            with pytest.raises(CorpusError, match=name):
                recipe.taught_sets({name: 1}, licenses, permitted)

    def test_all_permitted_sets_make_a_table(self, recipe, permitted, licenses):
        found = recipe.taught_sets(dict.fromkeys(permitted, 1), licenses, permitted)
        assert [item.name for item in found] == sorted(permitted)
        marked = {item.name for item in found if item.license.share_alike == "yes"}
        assert {"fewnerd_a", "sgd", "uner_en", "annoctr", "bgs_geology", "cellfinder"} <= marked
        assert {"snips", "slurp", "skillspan"}.isdisjoint(marked)

    @pytest.mark.slow
    def test_real_words_knows_the_set_of_every_passage(self, recipe, permitted):
        rows = json.loads((SHARED / "open" / "real.json").read_text(encoding="utf-8"))
        counts = recipe.real_words(rows)
        assert set(counts) <= set(permitted)
        assert counts.total() == sum(len(row["tokenized_text"]) for row in rows)
