"""The training set: shares of its sources, targets of annotation, and answers of the teacher."""

import importlib
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from gliner_distill.entities import END, INSIDE, START, Entity, LabeledPassage, Passage, count_words

RECIPES = Path(__file__).resolve().parents[2] / "recipes"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not RECIPES.is_dir(), reason="the recipes are in the repository, not in the package"
    ),
]
LABELS = tuple(f"kind {number}" for number in range(12))


@pytest.fixture(scope="module")
def training_set():
    """The recipe as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPES))
        yield importlib.import_module("training_set")


@pytest.fixture(scope="module")
def modules(training_set):
    return importlib.import_module("open_passages"), importlib.import_module("transfer_set")


@pytest.fixture(scope="module")
def draw(modules):
    """Draws that know one synonym, and many labels that no passage uses."""
    from thesaurus import Thesaurus, ThesaurusEntry

    open_passages, _ = modules
    entry = ThesaurusEntry(("town",), descriptions=("place with a mayor", "large place"))
    thesaurus = Thesaurus({"city": entry})
    passages = [Passage(("a",), (Entity(0, 1, label),)) for label in LABELS]
    return open_passages.Draw.from_passages(passages, thesaurus)


def passages_of(name, n_passages, n_words=10):
    """Return passages of words of their own, each with a river at the second and third word."""
    return [
        Passage(
            tuple(f"{name}-{row}-{place}" for place in range(n_words)), (Entity(1, 3, "river"),)
        )
        for row in range(n_passages)
    ]


@pytest.fixture(scope="module")
def material(modules):
    """Open passages of 400 words, a small set of 20 words and two large ones."""
    _, transfer_set = modules
    sets = {"small": passages_of("small", 2), "big": passages_of("big", 90)}
    sets["large"] = passages_of("large", 80)
    listed = {"small": ["river", "lake"], "big": [], "large": ["river", "sea"]}
    return transfer_set.Material(passages_of("open", 40), sets, listed)


def source_of(labeled):
    return labeled.words[0].split("-")[0]


def answers_to(training_set, passages, value=0.25):
    """Return answers in which every number tells its column."""
    columns = np.arange(len(LABELS), dtype=np.float32) / 64 + value
    return {
        passage.words: training_set.Answer(
            LABELS,
            np.broadcast_to(columns[:, None], (len(passage.words), len(LABELS), 3)).astype(
                np.float16
            ),
        )
        for passage in passages
    }


class TestMakeTrainingSet:
    @pytest.fixture
    def make(self, training_set, material, draw):
        def make(n_words, *, answers=None, joined=None, seed=0):
            return training_set.make_training_set(
                material, draw, answers or {}, joined or {}, n_words, seed
            )

        return make

    def test_make_training_set_takes_a_share_from_sets(self, make):
        found = make(1000)
        n_words = Counter()
        for labeled in found:
            n_words[source_of(labeled)] += len(labeled.words)
        assert n_words["open"] == 650  # each passage once, most of them twice
        assert n_words["small"] == pytest.approx(60, abs=9)  # three times its words
        assert n_words["big"] == pytest.approx(145, abs=60)
        assert n_words["large"] == pytest.approx(145, abs=60)
        assert 990 <= count_words(found) <= 1080

    def test_make_training_set_reads_all_open_text_before_any_twice(self, make):
        counts = Counter(labeled.words for labeled in make(1000) if source_of(labeled) == "open")
        assert len(counts) == 40
        assert set(counts.values()) == {1, 2}

    def test_make_training_set_asks_differently_each_time(self, make):
        asked = {}
        for labeled in make(1000):
            asked.setdefault(labeled.words, []).append(labeled.labels)
        repeated = [rows for rows in asked.values() if len(rows) > 1]
        assert any(len(set(rows)) > 1 for rows in repeated)

    def test_make_training_set_gives_targets_of_annotation(self, make):
        for labeled in make(600):
            with_entities = {entity.label for entity in labeled.passage.entities}
            assert labeled.probs.shape == (len(labeled.words), len(labeled.labels), 3)
            for column, label in enumerate(labeled.labels):
                expected = np.zeros((len(labeled.words), 3))
                for entity in labeled.passage.entities:
                    if entity.label == label:
                        expected[entity.start_word, START] = 1
                        expected[entity.end_word - 1, END] = 1
                        expected[entity.start_word : entity.end_word, INSIDE] = 1
                np.testing.assert_array_equal(labeled.probs[:, column], expected)
            assert with_entities <= set(labeled.labels)

    def test_make_training_set_asks_labels_of_its_own_set(self, make):
        absent = {"small": set(), "big": set(), "large": set()}
        for labeled in make(2000):
            if source_of(labeled) in absent:
                with_entities = {entity.label for entity in labeled.passage.entities}
                absent[source_of(labeled)] |= set(labeled.labels) - with_entities
        assert any("lake" in label for label in absent["small"])
        assert any("sea" in label for label in absent["large"])
        assert not any("lake" in label for label in absent["large"])
        # Where the annotation is not exhaustive, no label is known to be absent.
        assert absent["big"] == set()

    def test_make_training_set_uses_joined_passages_first(self, make, material):
        joined = {"large": passages_of("joined", 4, n_words=15)}
        found = [source_of(labeled) for labeled in make(1000, joined=joined)]
        assert found.count("joined") == 4
        assert "large" in found

    def test_make_training_set_depends_on_the_seed_alone(self, training_set, make, material):
        answers = answers_to(training_set, material.open)
        once, again, other = (
            [
                (labeled.passage, labeled.labels, labeled.probs.tolist())
                for labeled in make(300, answers=answers, seed=seed)
            ]
            for seed in (0, 0, 1)
        )
        assert once == again != other

    def test_make_training_set_needs_no_sets(self, training_set, modules, draw):
        material = modules[1].Material(passages_of("open", 3), {}, {})
        found = training_set.make_training_set(material, draw, {}, {}, 100, 0)
        assert count_words(found) == 100


class TestWithAnswers:
    def make(self, training_set, draw, answers, seed):
        passage = Passage(("in", "paris", "now"), (Entity(1, 2, "capital"),))
        unread = np.full((3, 2, 3), 0.5, np.float32)
        labeled = LabeledPassage(passage, ("capital", "kind 3"), unread)
        return training_set.with_answers(labeled, answers, draw, random.Random(seed))

    def test_with_answers_adds_the_teachers_columns_to_most(self, training_set, draw, monkeypatch):
        for share in ("SYNONYM", "DESCRIPTION", "PLURAL", "WRAPPED"):
            monkeypatch.setattr(importlib.import_module("open_passages"), share, 0.0)
        passage = Passage(("in", "paris", "now"))
        answers = answers_to(training_set, [passage])
        n_with, seen = 0, set()
        for seed in range(300):
            found = self.make(training_set, draw, answers, seed)
            assert found.labels[:2] == ("capital", "kind 3")
            expected = np.zeros((3, 2, 3))
            expected[1, 0] = 1
            np.testing.assert_array_equal(found.probs[:, :2], expected)
            added = found.labels[2:]
            n_with += bool(added)
            # A label that is asked already keeps the target of the annotation.
            assert "kind 3" not in added
            assert len(set(added)) == len(added) <= training_set.N_ASKED
            for column, label in enumerate(added, start=2):
                own = answers[passage.words].probs[:, LABELS.index(label)]
                np.testing.assert_array_equal(found.probs[:, column], own)
            seen |= set(added)
        assert n_with == pytest.approx(300 * training_set.ASKED_SHARE, abs=20)
        assert seen == set(LABELS) - {"kind 3"}

    def test_with_answers_puts_labels_in_other_words(self, training_set, draw):
        probs = np.full((3, 1, 3), 0.75, np.float16)
        answers = {("in", "paris", "now"): training_set.Answer(("city",), probs)}
        wordings = {
            label
            for seed in range(300)
            for label in self.make(training_set, draw, answers, seed).labels[2:]
        }
        assert {"city", "town", "place with a mayor", "cities"} <= wordings

    def test_with_answers_of_no_teacher_leaves_the_labels(self, training_set, draw):
        answers = answers_to(training_set, [Passage(("other", "text"))])
        for seed in range(5):
            found = self.make(training_set, draw, answers, seed)
            assert found.labels == ("capital", "kind 3")


class TestPassages:
    def test_read_answers_finds_them_by_words(self, training_set):
        first, second = passages_of("a", 2)
        probs = np.full((10, 1, 3), 0.5, np.float32)
        stores = [
            [LabeledPassage(first, ("x",), probs)],
            [LabeledPassage(second, ("y",), probs / 2)],
        ]
        answers = training_set.read_answers(stores)
        assert list(answers) == [first.words, second.words]
        assert answers[second.words].labels == ("y",)
        assert float(answers[second.words].probs.max()) == 0.25

    def test_repeat_gives_all_passages_in_each_round(self, training_set):
        passages = passages_of("a", 20)
        endless = training_set.repeat(passages, random.Random(0))
        rounds = [[next(endless) for _ in passages] for _ in range(2)]
        assert all(set(each) == set(passages) for each in rounds)
        assert rounds[0] != rounds[1]
        assert list(training_set.repeat([], random.Random(0))) == []

    def test_set_passages_joins_anew_in_each_round(self, training_set):
        passages, joined = passages_of("a", 30), passages_of("joined", 2)
        endless = training_set.set_passages(passages, joined, random.Random(0))
        assert [next(endless), next(endless)] == joined
        words = Counter()
        while words.total() < 600:
            words.update(next(endless).words)
        assert set(words.values()) <= {1, 2, 3}
        assert len(words) == 300
        assert list(training_set.set_passages([], joined, random.Random(0))) == joined
