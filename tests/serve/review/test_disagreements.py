"""Disagreements of student and teacher, and the judgments on them."""

import json
import os

import pytest

from gliner_distill.corpus.reader import read_passages
from gliner_distill.entities import Entity
from gliner_distill.errors import DistillError, StoreError
from gliner_distill.serve.problems import RequestError
from gliner_distill.serve.review.disagreements import (
    DisputedPassage,
    Review,
    compare,
    find_disputed,
)

WORDS = ("Ada", "left", "Paris", ".")


class FixedStudent:
    """A student whose answers are given."""

    def __init__(self, answers):
        self.answers = answers

    def predict_words(self, passages, labels):
        return [self.answers.get(" ".join(words), []) for words in passages]


@pytest.fixture
def folder(tmp_path, lexicon_teacher):
    """The folder of a distillation with three labeled passages."""
    from gliner_distill.entities import Passage
    from gliner_distill.labeling.pipeline import label_corpus
    from gliner_distill.labeling.policy import LabelPolicy

    out = tmp_path / "out"
    texts = ["Ada left Paris .", "Bo saw Rome .", "nobody came ."]
    label_corpus(
        [Passage(tuple(text.split())) for text in texts],
        lexicon_teacher({"Ada": "person", "Paris": "city", "Rome": "city"}),
        out / "work" / "text-0" / "labels-train",
        policy=LabelPolicy(fixed=("person", "city")),
        keep_subword_vectors=False,
    )
    (out / "report.html").write_text("<h1>report</h1>")
    return out


@pytest.fixture
def student():
    """A student that misses Paris and takes Rome for a person."""
    return FixedStudent(
        {
            "Ada left Paris .": [Entity(0, 1, "person", 0.9)],
            "Bo saw Rome .": [Entity(2, 3, "person", 0.6)],
        }
    )


class TestCompare:
    def test_compare_names_who_found_each_entity(self):
        ours = [Entity(0, 1, "person", 0.9), Entity(2, 3, "person", 0.6)]
        theirs = [Entity(0, 1, "person", 0.8), Entity(2, 3, "city", 0.7)]
        assert compare(ours, theirs) == (
            (Entity(0, 1, "person", 0.9), "both"),
            (Entity(2, 3, "city", 0.7), "teacher"),
            (Entity(2, 3, "person", 0.6), "student"),
        )


class TestDisputedPassage:
    def test_describe_gives_characters_of_the_joined_words(self):
        passage = DisputedPassage(7, WORDS, ((Entity(2, 4, "city", 0.5), "teacher"),))
        described = passage.describe()
        assert described["id"] == 7
        [row] = described["entities"]
        assert described["text"][row["start"] : row["end"]] == row["text"] == "Paris ."
        assert row["found_by"] == "teacher"


class TestReview:
    def test_next_is_the_surest_disagreement(self, folder, student):
        review = Review(folder, student)
        found = review.next()
        assert (found["left"], found["judged"]) == (2, 0)
        assert found["passage"]["text"] == "Ada left Paris ."
        assert [row["found_by"] for row in found["passage"]["entities"]] == ["both", "teacher"]

    def test_find_disputed_leaves_agreement_out(self, folder, student):
        from gliner_distill.store.store import SoftLabelStore

        store = SoftLabelStore(folder / "work" / "text-0" / "labels-train")
        assert {each.words[0] for each in find_disputed([store], student)} == {"Ada", "Bo"}

    def test_judge_writes_the_right_entities_as_gold(self, folder, student):
        review = Review(folder, student)
        passage = review.next()["passage"]
        review.judge(passage["id"], [False, True])
        [gold] = read_passages(folder / "judged.json")
        assert gold.words == WORDS
        assert [(e.start_word, e.end_word, e.label) for e in gold.entities] == [(2, 3, "city")]
        assert review.next()["left"] == 1

    def test_judged_passages_do_not_come_again(self, folder, student):
        first = Review(folder, student)
        first.judge(first.next()["passage"]["id"], [True, True])
        second = Review(folder, student)
        found = second.next()
        assert (found["left"], found["judged"]) == (1, 1)
        assert found["passage"]["text"] == "Bo saw Rome ."

    def test_judge_keeps_what_another_server_has_judged(self, folder, student):
        first, second = Review(folder, student), Review(folder, student)
        ada = first.next()["passage"]["id"]
        first.judge(ada, [True, True])
        second.judge(ada, [False, True])
        second.judge(second.next()["passage"]["id"], [False, False])
        ada_gold, bo_gold = read_passages(folder / "judged.json")
        assert (ada_gold.words, bo_gold.words[0]) == (WORDS, "Bo")
        assert [entity.label for entity in ada_gold.entities] == ["city"]

    def test_next_knows_passages_that_were_read_in_rounds(self, folder, student):
        text = folder / "work" / "text-0"
        (text / "round-0").mkdir()
        (text / "labels-train").rename(text / "round-0" / "labels")
        assert Review(folder, student).next()["left"] == 2

    def test_a_skipped_passage_is_not_gold(self, folder, student):
        review = Review(folder, student)
        review.judge(review.next()["passage"]["id"], [])
        assert not (folder / "judged.json").exists()
        assert review.next()["left"] == 1

    def test_judge_refuses_other_numbers_of_verdicts(self, folder, student):
        review = Review(folder, student)
        number = review.next()["passage"]["id"]
        with pytest.raises(RequestError, match="3 were given; expected 2") as raised:
            review.judge(number, [True, True, True])
        assert raised.value.status == 422
        with pytest.raises(RequestError) as raised:
            review.judge(99, [True])
        assert raised.value.status == 404

    def test_review_refuses_a_folder_without_a_distillation(self, tmp_path, student):
        with pytest.raises(DistillError, match=r"report\.html"):
            Review(tmp_path, student)
        (tmp_path / "report.html").write_text("")
        with pytest.raises(StoreError, match="distill"):
            Review(tmp_path, student)

    def test_a_damaged_file_of_judgments_is_an_error(self, folder, student):
        (folder / "judged.json").write_text(json.dumps({"tokenized_text": 3}))
        with pytest.raises(DistillError, match=r"judged\.json"):
            Review(folder, student)

    def test_a_pipe_in_place_of_the_judgments_is_an_error(self, folder, student):
        os.mkfifo(folder / "judged.json")
        with pytest.raises(DistillError, match=r"judged\.json: .* not a regular file"):
            Review(folder, student)
