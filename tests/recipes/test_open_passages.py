"""The labels that a student is asked for: no wrong absences, and wordings that are not measured."""

import importlib
import random
from collections import Counter
from pathlib import Path

import pytest

from gliner_distill.entities import Entity, Passage

RECIPES = Path(__file__).resolve().parents[2] / "recipes"

pytestmark = pytest.mark.skipif(
    not RECIPES.is_dir(), reason="the recipes are in the repository, not in the package"
)


@pytest.fixture(scope="module")
def recipe():
    """The module of the recipes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPES))
        yield importlib.import_module("open_passages")


@pytest.fixture(scope="module")
def thesaurus(recipe):
    """A thesaurus of politics and vessels."""
    from thesaurus import Thesaurus
    from thesaurus import ThesaurusEntry as Entry

    entries = {
        "politician": Entry(
            synonyms=("statesman", "officeholder"),
            broader=("public figure",),
            siblings=("voter", "journalist", "party", "mayor", "person"),
            descriptions=("one who holds an office", "one who governs"),
        ),
        "mayor": Entry(synonyms=("head of a town",), broader=("politician",)),
        "public figure": Entry(broader=("person",)),
        "number": Entry(broader=("quantity",)),
        "quantity": Entry(broader=("number",)),
        "ferry": Entry(synonyms=("ship",), broader=("vessel",)),
        "steamer": Entry(synonyms=("ship",), siblings=("train",)),
    }
    return Thesaurus(entries)


def passage_of(*labels):
    """Return a passage of a word per label, each with an entity."""
    words = tuple(f"w{place}" for place in range(len(labels)))
    return Passage(
        words, tuple(Entity(place, place + 1, label) for place, label in enumerate(labels))
    )


@pytest.fixture(scope="module")
def draw(recipe, thesaurus):
    labels = ("person", "mayor", "ferry", "steamer", "river", "public figure", "old river")
    return recipe.Draw.from_passages(map(passage_of, labels), thesaurus)


class TestDraws:
    def absent(self, labeled, own):
        with_entities = {entity.label for entity in labeled.passage.entities}
        return set(labeled.labels) - with_entities - set(own)

    def test_from_passages_weighs_by_the_square_root(self, recipe, thesaurus):
        passages = [passage_of("river", "river", "city")] * 4 + [passage_of("city", "person")] * 5
        draw = recipe.Draw.from_passages(passages, thesaurus)
        assert draw.labels == ("city", "river")  # `person` may be anywhere, so it is never absent
        assert draw.totals == (3.0, 5.0)

    def test_random_labels_follow_the_weights(self, recipe, thesaurus):
        draw = recipe.Draw(thesaurus, ("a", "b"), (1.0, 4.0))
        counts = Counter(draw.random_labels(2000, random.Random(0)))
        assert counts["b"] == pytest.approx(1500, abs=100)

    def test_open_asks_for_siblings_and_unrelated_labels(self, draw, recipe, monkeypatch):
        for share in ("SYNONYM", "DESCRIPTION", "PLURAL", "WRAPPED"):
            monkeypatch.setattr(recipe, share, 0.0)
        own = ("politician", "public figure")
        seen = Counter()
        for seed in range(200):
            labeled = draw.open(passage_of(*own), random.Random(seed))
            assert labeled.passage.entities == passage_of(*own).entities
            absent = self.absent(labeled, own)
            assert set(labeled.labels) - absent == set(own)
            assert len(absent) <= recipe.N_SIBLINGS + recipe.N_UNRELATED
            seen.update(absent)
        # `person` may be anywhere; a mayor is a politician, but not every politician is one.
        assert set(seen) == {
            *("voter", "journalist", "party", "mayor"),
            *("ferry", "steamer", "river", "old river"),
        }

    def test_open_draws_no_label_that_is_true_of_the_own_ones(self, draw):
        for seed in range(200):
            labeled = draw.open(passage_of("head of a town"), random.Random(seed))
            absent = self.absent(labeled, ())
            assert absent.isdisjoint({"mayor", "politician", "public figure", "person"})

    def test_open_takes_ten_own_labels_at_most(self, draw, recipe):
        own = tuple(f"kind {number}" for number in range(15))
        labeled = draw.open(passage_of(*own), random.Random(0))
        assert len(labeled.passage.entities) == recipe.N_OWN
        assert {entity.label for entity in labeled.passage.entities} <= set(labeled.labels)

    def test_listed_asks_for_absent_labels_of_the_list_alone(self, draw, recipe, monkeypatch):
        for share in ("SYNONYM", "DESCRIPTION", "PLURAL", "WRAPPED"):
            monkeypatch.setattr(recipe, share, 0.0)
        listed = ["river", *(f"kind {number}" for number in range(9))]
        labeled = draw.listed(passage_of("river"), listed, random.Random(0))
        absent = self.absent(labeled, ())
        assert set(labeled.labels) - absent == {"river"}
        assert absent < set(listed)
        assert len(absent) == recipe.N_LISTED
        assert draw.listed(passage_of("river"), [], random.Random(0)).labels == ("river",)

    def test_asked_gives_entities_the_words_of_their_labels(self, draw):
        passage = passage_of("politician", "mayor", "politician", "ferry")
        orders = set()
        for seed in range(60):
            labeled = draw.asked(passage, ("politician", "mayor"), ("train",), random.Random(seed))
            assert len(set(labeled.labels)) == 3
            first, second, third = labeled.passage.entities
            assert (first.start_word, second.start_word, third.start_word) == (0, 1, 2)
            assert first.label == third.label != second.label
            assert {first.label, second.label} < set(labeled.labels)
            assert labeled.probs.shape == (4, 3, 3)
            orders.add(labeled.labels.index(first.label))
        assert orders == {0, 1, 2}

    @pytest.mark.parametrize("n", [1, 3])
    def test_siblings_and_unrelated_labels_are_as_many_as_wanted_at_most(self, draw, n):
        for seed in range(50):
            own, rng = ("politician",), random.Random(seed)
            assert len(draw.siblings(own, n, rng)) == n
            assert len(draw.unrelated(own, n, rng)) <= n
        assert draw.siblings(("river",), n, random.Random(0)) == []

    def test_asked_never_gives_two_labels_the_same_words(self, recipe, thesaurus):
        # Both have `ship` as their only synonym, and the passage has `ship` as well.
        draw = recipe.Draw(thesaurus, (), ())
        for seed in range(100):
            passage = passage_of("ferry", "steamer", "ship")
            labeled = draw.asked(passage, passage.own_labels, (), random.Random(seed))
            assert len(set(labeled.labels)) == 3
            assert [entity.start_word for entity in labeled.passage.entities] == [0, 1, 2]
            assert labeled.passage.entities[0].label != "ship"

    def test_draws_depend_on_the_random_numbers_alone(self, draw):
        passage = passage_of("politician", "mayor")
        once, again, other = (draw.open(passage, random.Random(seed)) for seed in (0, 0, 1))
        assert (once.labels, once.passage) == (again.labels, again.passage)
        assert once.labels != other.labels


@pytest.fixture(scope="module")
def words(draw):
    """A function that counts the wordings of a label."""

    def count(label, n=4000):
        rng = random.Random(0)
        return Counter(draw.reword(label, rng) for _ in range(n))

    return count


class TestReword:
    def test_reword_draws_each_kind_of_wording_as_often_as_planned(self, recipe, words):
        counts = words("politician")
        wrapped = {wrapper.format("politician") for wrapper in recipe.WRAPPERS}
        shares = {
            recipe.SYNONYM: counts["statesman"] + counts["officeholder"],
            recipe.DESCRIPTION: counts["one who holds an office"],
            recipe.PLURAL: counts["politicians"],
            recipe.WRAPPED: sum(counts[each] for each in wrapped),
        }
        for share, count in shares.items():
            assert count / counts.total() == pytest.approx(share, abs=0.03)
        assert counts["politician"] == counts.total() - sum(shares.values())
        assert wrapped <= set(counts)

    def test_reword_draws_no_forms_where_the_draws_have_none(self, recipe, thesaurus):
        draw = recipe.Draw.from_passages([passage_of("mayor")], thesaurus, has_forms=False)
        rng = random.Random(0)
        counts = Counter(draw.reword("politician", rng) for _ in range(2000))
        assert set(counts) == {
            *("politician", "statesman", "officeholder", "one who holds an office"),
        }
        assert counts["politician"] / 2000 == pytest.approx(0.6, abs=0.04)

    def test_reword_leaves_the_second_description_to_the_benchmark(self, words):
        assert "one who governs" not in words("politician")

    def test_reword_draws_no_synonym_in_a_form_of_the_benchmark(self, recipe, monkeypatch):
        from thesaurus import Thesaurus, ThesaurusEntry

        monkeypatch.setattr(recipe, "SYNONYM", 1.0)
        synonyms = ("quay entity", "pier", "quay mention")
        entries = {
            "quay": ThesaurusEntry(synonyms),
            "pole": ThesaurusEntry(("pole entity",)),
        }
        draw, rng = recipe.Draw(Thesaurus(entries), (), ()), random.Random(0)
        assert {draw.reword("quay", rng) for _ in range(60)} == {"pier"}
        assert draw.reword("pole", rng) == "pole"

    def test_reword_keeps_a_label_of_which_nothing_is_known(self, recipe, words):
        counts = words("quay", 1000)
        others = {"quays", *(wrapper.format("quay") for wrapper in recipe.WRAPPERS)}
        assert set(counts) <= {"quay", *others}
        assert counts["quay"] / 1000 == pytest.approx(0.88, abs=0.04)

    @pytest.mark.parametrize(
        ("label", "expected"),
        [
            *(("city", "cities"), ("day", "days"), ("key", "keys"), ("person", "persons")),
            *(("class", "class"), ("box", "boxes"), ("branch", "branches"), ("dish", "dishes")),
            *(("works", "works"), ("y", "ys"), ("body of water", "body of waters")),
        ],
    )
    def test_plural_is_regular(self, recipe, label, expected):
        assert recipe.plural(label) == expected

    @pytest.mark.slow
    def test_no_phrase_of_the_benchmark_is_trained_on(self, recipe, monkeypatch):
        monkeypatch.syspath_prepend(str(RECIPES.parent / "benchmarks"))
        robustness = importlib.import_module("robustness")
        forms = robustness.WORDINGS | {"name": robustness.SPELLINGS["labels as 'name of X'"]}
        for label in ("river", "work of art", "actor"):
            trained = {wrapper.format(label) for wrapper in recipe.WRAPPERS}
            assert trained.isdisjoint(form(label) for form in forms.values())
