"""A teacher in training is asked only for labels whose absence is known."""

import importlib
import random
from pathlib import Path

import pytest

from gliner_distill.entities import Entity, Passage, word_texts

RECIPES = Path(__file__).resolve().parents[2] / "recipes"

pytestmark = pytest.mark.skipif(
    not RECIPES.is_dir(), reason="the recipes are in the repository, not in the package"
)
ROWS = {
    "politician": {
        "synonyms": ("statesman",),
        "broader": ("public figure",),
        "siblings": ("civil servant", "public figure", "activist"),
        "descriptions": ("who holds an office", "member of a parliament"),
    },
    "public figure": {"synonyms": ("celebrity",), "broader": ("person",), "siblings": ("fan",)},
    "country": {
        "synonyms": ("state", "nation"),
        "broader": ("location",),
        "siblings": ("continent", "product", "statesman"),
    },
    "mayor": {"broader": ("politician",)},
}
# A senator is a politician and a country is annotated; the passage says nothing of persons.
PASSAGE = Passage(
    tuple(word_texts("senator lee of france left the town")),
    (
        *(Entity(0, 2, "politician"), Entity(0, 2, "public figure"), Entity(3, 4, "country")),
        Entity(6, 7, "town"),
    ),
)
OWN = {"politician", "public figure", "country", "town"}


@pytest.fixture
def labels(monkeypatch):
    """The recipe as a module."""
    monkeypatch.syspath_prepend(str(RECIPES))
    return importlib.import_module("teacher_labels")


@pytest.fixture
def thesaurus(labels):
    from thesaurus import Thesaurus, ThesaurusEntry

    return Thesaurus({label: ThesaurusEntry(**row) for label, row in ROWS.items()})


@pytest.fixture
def draw(labels, thesaurus):
    """Draws from passages of one label each."""
    names = ("mayor", "statesman", "person", "small town", "gene", "celebrity", "date", "protein")
    passages = [Passage((name,), (Entity(0, 1, name),)) for name in (*names, *OWN)]
    return labels.Draw.from_passages(passages, thesaurus, has_forms=False)


class TestAskOpen:
    def draws(self, labels, draw, passage=PASSAGE):
        return [labels.ask_open(passage, draw, random.Random(seed)) for seed in range(300)]

    def test_absent_labels_are_siblings_and_unrelated_ones(self, labels, draw):
        absent = {
            label
            for drawn in self.draws(labels, draw)
            for label in drawn.labels
            if label not in {entity.label for entity in drawn.entities}
        }
        # The first two are own labels whose words a more specific one took.
        own = {"public figure", "celebrity"}
        assert absent - own == {
            *("civil servant", "activist", "fan", "continent"),
            *("gene", "protein"),
        }

    def test_each_label_is_asked_once(self, labels, draw):
        for drawn in self.draws(labels, draw):
            assert len(set(drawn.labels)) == len(drawn.labels) <= labels.MAX_LABELS
            assert {entity.label for entity in drawn.entities} <= set(drawn.labels)
            assert drawn.words == PASSAGE.words

    def test_labels_are_also_asked_in_other_words(self, labels, draw):
        taught = {
            (entity.start_word, entity.label)
            for drawn in self.draws(labels, draw)
            for entity in drawn.entities
        }
        assert taught == {
            *((0, "politician"), (0, "statesman"), (0, "who holds an office")),
            *((0, "public figure"), (0, "celebrity"), (6, "town")),
            *((3, "country"), (3, "state"), (3, "nation")),
        }

    def test_two_words_for_the_same_are_not_asked_together(self, labels, draw):
        both = Passage(("france",), (Entity(0, 1, "country"), Entity(0, 1, "nation")))
        for drawn in self.draws(labels, draw, both):
            assert len(drawn.entities) == 1
            assert len({"country", "nation", "state"} & set(drawn.labels)) == 1

    def test_a_passage_without_entities_is_asked_for_unrelated_labels(self, labels, draw):
        for drawn in self.draws(labels, draw, Passage(("nothing", "here"))):
            assert drawn.labels
            assert not drawn.entities
            assert {"person", "date"}.isdisjoint(drawn.labels)


class TestAskListed:
    LISTED = ("country", "politician", "gene", "protein")

    def test_any_label_of_the_list_is_asked_and_no_other(self, labels, draw):
        asked, n_absent = set(), set()
        for seed in range(100):
            drawn = labels.ask_listed(PASSAGE, self.LISTED, draw, random.Random(seed))
            asked |= set(drawn.labels)
            assert len(drawn.entities) == 2
            n_absent.add(len(drawn.labels) - 2)
        words = {"state", "nation", "statesman", "who holds an office"}
        assert asked == {*self.LISTED, *words}
        assert n_absent == {1, 2}

    def test_a_long_list_is_cut(self, labels, draw):
        listed = [f"kind {number}" for number in range(100)]
        words = tuple("abcdefghijklmnopqrstuvwxyz")
        own = tuple(Entity(n, n + 1, listed[n]) for n in range(26))
        drawn = labels.ask_listed(Passage(words, own), listed, draw, random.Random(0))
        assert len(drawn.labels) == len(drawn.entities) == labels.MAX_LABELS

    def test_a_set_with_one_label_is_asked_for_it_alone(self, labels, draw):
        drawn = labels.ask_listed(Passage(("a",)), ["gene"], draw, random.Random(0))
        assert drawn.labels == ("gene",)


class TestTeach:
    def labels_taught(self, labels, thesaurus, asked, *own):
        entities = [Entity(0, 1, label) for label in own]
        return [entity.label for entity in labels.teach(entities, asked, thesaurus)]

    def test_only_the_most_specific_asked_label_is_taught(self, labels, thesaurus):
        own = ("person", "politician", "mayor")
        for asked, expected in (
            (own, ["mayor"]),
            (("person", "politician"), ["politician"]),
            (("person",), ["person"]),
            (("gene",), []),
        ):
            assert self.labels_taught(labels, thesaurus, asked, *own) == expected

    def test_the_first_label_is_taught_where_the_thesaurus_is_silent(self, labels, thesaurus):
        assert self.labels_taught(labels, thesaurus, ("x", "y"), "y", "x") == ["y"]

    def test_other_words_keep_their_own_labels(self, labels, thesaurus):
        entities = [Entity(0, 2, "x"), Entity(1, 2, "y")]
        assert list(labels.teach(entities, ("x", "y"), thesaurus)) == entities
