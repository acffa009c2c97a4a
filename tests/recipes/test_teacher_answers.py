"""The teacher is asked for what annotation leaves open, never for two related labels at once."""

import importlib
import random
from pathlib import Path

import pytest

from gliner_distill.callbacks import no_progress
from gliner_distill.entities import Entity, Passage

RECIPES = Path(__file__).resolve().parents[2] / "recipes"

pytestmark = pytest.mark.skipif(
    not RECIPES.is_dir(), reason="the recipes are in the repository, not in the package"
)


@pytest.fixture(scope="module")
def recipes():
    """The modules for questions and for labels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPES))
        yield tuple(map(importlib.import_module, ("teacher_answers", "open_passages")))


def passage_of(*labels):
    words = tuple(f"w{place}" for place in range(len(labels)))
    return Passage(
        words, tuple(Entity(place, place + 1, label) for place, label in enumerate(labels))
    )


BESIDE = ("court", "verdict", "witness")


@pytest.fixture(scope="module")
def thesaurus(recipes):
    from thesaurus import Thesaurus, ThesaurusEntry

    return Thesaurus(
        {
            "judge": ThesaurusEntry(synonyms=("magistrate",), broader=("lawyer",)),
            "lawyer": ThesaurusEntry(synonyms=("jurist",), broader=("professional", "person")),
            "city": ThesaurusEntry(broader=("location",)),
            "company": ThesaurusEntry(synonyms=("firm",), broader=("organization",)),
        }
    )


@pytest.fixture(scope="module")
def questions(recipes, thesaurus):
    """Questions about passages of judges, each with labels beside, and about others."""
    teacher_answers, open_passages = recipes
    passages = [passage_of("judge", *BESIDE, "rare")] + [passage_of("judge", *BESIDE)] * 9
    passages += [passage_of(f"kind {number}") for number in range(40)]
    passages += [passage_of("magistrate", "firm", "jurist")] * 20
    draw = open_passages.Draw.from_passages(passages, thesaurus)
    return teacher_answers.QuestionMaker(passages, draw)


def choose_often(questions, passage, n=150):
    return [questions.choose(passage, random.Random(seed)) for seed in range(n)]


class TestChoose:
    def test_choose_returns_new_labels_that_are_not_related(self, recipes, questions, thesaurus):
        teacher_answers, _ = recipes
        passage = passage_of("judge", "date", "company")
        for asked in choose_often(questions, passage):
            assert 8 <= len(asked) <= teacher_answers.N_LABELS
            assert set(asked).isdisjoint(passage.own_labels)
            for label in asked:
                broader = [other for other in asked if thesaurus.is_same_or_broader(other, label)]
                assert broader == [label]

    def test_choose_asks_for_broader_labels_that_are_not_common(self, questions):
        asked = {label for row in choose_often(questions, passage_of("judge")) for label in row}
        assert {"lawyer", "professional"} <= asked

    def test_choose_asks_for_labels_that_stand_beside_own_ones(self, questions):
        near, far = (
            sum(len(set(BESIDE).intersection(row)) for row in choose_often(questions, passage))
            for passage in (passage_of("judge"), passage_of("kind 1"))
        )
        assert near > 2 * far > 0

    def test_choose_takes_rare_labels_from_all_passages_alone(self, questions):
        asked = [label for row in choose_often(questions, passage_of("judge")) for label in row]
        assert 0 < asked.count("rare") < asked.count("verdict") / 3

    def test_choose_starts_with_two_labels_that_are_common_everywhere(self, recipes, questions):
        teacher_answers, _ = recipes
        firsts = set()
        for asked in choose_often(questions, passage_of("judge", "person")):
            assert set(asked[:2]) <= set(teacher_answers.EVERYWHERE) - {"person"}
            firsts |= set(asked[:2])
        assert len(firsts) > 10

    def test_choose_depends_on_the_random_numbers_alone(self, questions):
        passage = passage_of("judge")
        once, again, other = (questions.choose(passage, random.Random(seed)) for seed in (0, 0, 1))
        assert once == again != other


@pytest.mark.slow
class TestAskTeacher:
    def ask(self, recipes, questions, teacher, folder, seed=0):
        passages = [passage_of("judge"), passage_of("firm", "judge"), passage_of("kind 3")]
        ask_teacher = recipes[0].ask_teacher
        return passages, ask_teacher(
            passages, questions, teacher, folder, seed, progress=no_progress
        )

    def test_ask_teacher_answers_for_each_passage_in_order(
        self, recipes, questions, lexicon_teacher, tmp_path
    ):
        teacher = lexicon_teacher({})
        passages, store = self.ask(recipes, questions, teacher, tmp_path / "open")
        rows = list(store)
        assert [row.words for row in rows] == [passage.words for passage in passages]
        for row, passage in zip(rows, passages, strict=True):
            assert 8 <= len(row.labels) <= recipes[0].N_LABELS
            assert set(row.labels).isdisjoint(passage.own_labels)
            assert row.probs.shape == (len(row.words), len(row.labels), 3)

    def test_ask_teacher_asks_the_same_again_and_does_not_repeat_it(
        self, recipes, questions, lexicon_teacher, tmp_path
    ):
        first, second, third = (lexicon_teacher({}) for _ in range(3))
        self.ask(recipes, questions, first, tmp_path / "once")
        self.ask(recipes, questions, second, tmp_path / "once")
        self.ask(recipes, questions, third, tmp_path / "again")
        assert second.asked == []
        assert first.asked == third.asked != []
        fourth = lexicon_teacher({})
        self.ask(recipes, questions, fourth, tmp_path / "other", seed=1)
        assert fourth.asked != first.asked
