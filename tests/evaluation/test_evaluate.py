"""Scores against counting by hand, and speed by a clock that the test sets."""

import math

import numpy as np
import pytest

from gliner_distill.entities import Entity, Passage
from gliner_distill.evaluation import evaluate as evaluation
from gliner_distill.evaluation.evaluate import (
    Speed,
    evaluate,
    measure_model,
    measure_speed,
    score_entities,
)
from gliner_distill.evaluation.models import TeacherNER


class FixedPredictor:
    """Has its answers ready, and remembers what it was asked."""

    def __init__(self, answers):
        self.answers = answers
        self.asked = []

    def predict_words(self, passages, labels):
        self.asked.append((list(passages), list(labels)))
        return [self.answers[tuple(words)] for words in passages]


class TestEvaluate:
    passages = (
        Passage(tuple("abcdef"), (Entity(0, 2, "city"), Entity(1, 2, "river"), Entity(3, 4, "x"))),
        Passage(tuple("gh"), (Entity(0, 1, "person"),)),
        Passage(tuple("ijk")),
    )
    labels = (("city", "river", "person"), ("person",), ("city",))
    predicted = (
        [Entity(0, 2, "city"), Entity(3, 4, "person"), Entity(4, 6, "city")],
        [],
        [Entity(2, 3, "city")],
    )
    teacher = ([Entity(0, 1, "city"), Entity(4, 6, "city")], [], [Entity(2, 3, "city")])

    def evaluate(self, **arguments):
        answers = {
            passage.words: entities
            for passage, entities in zip(self.passages, self.predicted, strict=True)
        }
        predictor = FixedPredictor(answers)
        scores = evaluate(predictor, self.passages, self.labels, **arguments)
        assert predictor.asked == [
            ([passage.words for passage in self.passages], list(self.labels))
        ]
        return scores.as_json()

    def brute_force(self, reference):
        """Count over every word and over every span there can be."""
        agree = correct = n_predicted = n_reference = n_words = 0
        spans = np.zeros(3, dtype=int)  # correct, predicted, in the reference
        for passage, found, expected in zip(self.passages, self.predicted, reference, strict=True):
            length = len(passage.words)
            for word in range(length):
                own = {e.label for e in found if e.start_word <= word < e.end_word}
                ref = {e.label for e in expected if e.start_word <= word < e.end_word}
                n_words += 1
                agree += bool(own & ref) or (not own and not ref)
                correct += bool(own & ref)
                n_predicted += bool(own)
                n_reference += bool(ref)
            for start in range(length):
                for end in range(start + 1, length + 1):
                    for label in ("person", "city", "river", "x"):
                        span = Entity(start, end, label)
                        spans += [
                            span in found and span in expected,
                            span in found,
                            span in expected,
                        ]
        shares = [agree / n_words, correct / n_predicted, correct / n_reference]
        shares.append(2 * correct / (n_predicted + n_reference))
        shares += [spans[0] / spans[1], spans[0] / spans[2], 2 * spans[0] / (spans[1] + spans[2])]
        names = ("accuracy", "precision", "recall", "f1")
        return dict(
            zip([*names, *(f"span_{name}" for name in names[1:])], map(float, shares), strict=True)
        )

    def test_evaluate_equals_brute_force_against_gold_and_teacher(self):
        scores = self.evaluate(teacher_entities=self.teacher)
        asked_gold = (list(self.passages[0].entities[:2]), list(self.passages[1].entities), [])
        expected = {
            f"{name}_vs_{side}": pytest.approx(value)
            for side, reference in (("gold", asked_gold), ("teacher", self.teacher))
            for name, value in self.brute_force(reference).items()
        }
        assert {key: value for key, value in scores.items() if "by_label" not in key} == expected

    def test_evaluate_has_rows_per_label_that_was_asked(self):
        scores = self.evaluate(teacher_entities=self.teacher)
        # The gold entity of label x was not asked for.
        assert scores["span_by_label_vs_gold"] == {
            "city": [0.3333, 1.0, 0.5, 1],
            "person": [0.0, 0.0, 0.0, 1],
            "river": [0.0, 0.0, 0.0, 1],
        }
        assert scores["span_by_label_vs_teacher"] == {
            "city": [0.6667, 0.6667, 0.6667, 3],
            "person": [0.0, 0.0, 0.0, 0],
        }

    def test_evaluation_as_json_leaves_out_a_missing_teacher(self):
        assert not any("teacher" in key for key in self.evaluate())


class TestScoreEntities:
    def test_score_entities_finds_perfect_agreement_of_the_gold_with_itself(self):
        passages = [Passage(("mary", "left"), (Entity(0, 1, "person"),))]
        evaluation = score_entities([passages[0].entities], passages, [["person"]])
        assert evaluation.gold.spans.f1 == evaluation.gold.words.f1 == 1.0
        assert evaluation.gold.spans.n_reference == 1
        assert evaluation.teacher is None

    def test_agreement_as_json_names_every_share_after_its_reference(self):
        passages = [Passage(tuple("abcd"), (Entity(0, 2, "city"),))]
        nothing = score_entities([[]], [Passage(("a",))], [["city"]], teacher_entities=[[]])
        scores = score_entities([[Entity(0, 1, "city")]], passages, [["city"]])
        assert scores.gold.as_json("gold") == {
            "accuracy_vs_gold": 0.75,
            "precision_vs_gold": 1.0,
            "recall_vs_gold": 0.5,
            "f1_vs_gold": pytest.approx(2 / 3),
            "span_precision_vs_gold": 0.0,
            "span_recall_vs_gold": 0.0,
            "span_f1_vs_gold": 0.0,
            "span_by_label_vs_gold": {"city": [0.0, 0.0, 0.0, 1]},
        }
        shares = nothing.teacher.as_json("teacher")
        assert shares.pop("span_by_label_vs_teacher") == {}
        assert set(shares.values()) == {1.0}

    def test_agreement_as_json_rounds_rows_per_label_for_storage(self):
        predicted = [[Entity(0, 1, "city"), Entity(1, 2, "city"), Entity(2, 3, "city")]]
        passages = [Passage(tuple("abcde"), (Entity(0, 1, "city"), Entity(4, 5, "river")))]
        scores = score_entities(predicted, passages, [["city", "river"]])
        assert scores.as_json()["span_by_label_vs_gold"] == {
            "city": [0.3333, 1.0, 0.5, 1],
            "river": [0.0, 0.0, 0.0, 1],
        }

    def test_score_entities_refuses_passages_without_labels(self):
        with pytest.raises(ValueError, match="shorter"):
            score_entities([[]], [Passage(("mary",))], [])


class TestMeasureModel:
    passages = (
        Passage(("mary", "left"), (Entity(0, 1, "person"),)),
        Passage(("paris",), (Entity(0, 1, "city"),)),
    )

    def measure(self, lexicon_teacher, labels, **options):
        teacher = lexicon_teacher({"mary": "person", "paris": "city"})
        return measure_model(TeacherNER(teacher), self.passages, labels, **options), teacher

    def test_measure_model_asks_each_passage_for_its_own_labels(self, lexicon_teacher):
        measured, teacher = self.measure(lexicon_teacher, None)
        assert teacher.asked[:2] == [(("mary", "left"), ("person",)), (("paris",), ("city",))]
        figures = measured.as_json()
        assert (figures["n_passages"], figures["n_words"], figures["n_entities"]) == (2, 3, 2)
        assert figures["span_f1_vs_gold"] == 1.0
        assert figures["words_per_second"] > 0

    def test_measure_model_asks_for_fixed_labels_above_a_threshold(self, lexicon_teacher):
        measured, teacher = self.measure(lexicon_teacher, ["city"])
        assert {labels for _, labels in teacher.asked} == {("city",)}
        assert measured.evaluation.gold.spans.n_reference == 1
        strict, _ = self.measure(lexicon_teacher, ["city"], threshold=0.99)
        assert strict.evaluation.gold.spans.n_predicted == 0


class TestMeasureSpeed:
    def test_measure_speed_warms_up_then_asks_each_then_all(self):
        passages = [Passage(("a", "b")), Passage(("c",))]
        labels = [("city",), ("river", "person")]
        predictor = FixedPredictor({passage.words: [] for passage in passages})
        speed = measure_speed(predictor, passages, labels)
        assert predictor.asked == [
            ([("a", "b")], [("city",)]),
            ([("a", "b")], [("city",)]),
            ([("c",)], [("river", "person")]),
            ([("a", "b"), ("c",)], labels),
        ]
        assert speed.as_json().keys() == {"ms_per_passage", "words_per_second"}
        assert all(value > 0 and math.isfinite(value) for value in speed.as_json().values())

    def test_measure_speed_divides_by_the_clock(self, monkeypatch):
        # Three passages take 1, 2 and 9 seconds; all of them, 4 words, take 2.
        ticks = iter([0.0, 1.0, 10.0, 12.0, 20.0, 29.0, 30.0, 32.0])
        monkeypatch.setattr(evaluation.time, "perf_counter", lambda: next(ticks))
        passages = [Passage(("a", "b")), Passage(("c",)), Passage(("d",))]
        predictor = FixedPredictor({passage.words: [] for passage in passages})
        speed = measure_speed(predictor, passages, [("city",)] * 3)
        assert speed == Speed(ms_per_passage=2000.0, words_per_second=2.0)


def test_evaluation_as_json_names_every_share_after_its_reference():
    passage = Passage(("a", "b", "c", "d"), (Entity(0, 2, "city"),))
    scores = score_entities([[Entity(0, 1, "city")]], [passage], [("city",)]).as_json()
    assert scores.pop("span_by_label_vs_gold") == {"city": [0.0, 0.0, 0.0, 1]}
    assert scores == {
        "accuracy_vs_gold": 0.75,
        "precision_vs_gold": 1.0,
        "recall_vs_gold": 0.5,
        "f1_vs_gold": pytest.approx(2 / 3),
        "span_precision_vs_gold": 0.0,
        "span_recall_vs_gold": 0.0,
        "span_f1_vs_gold": 0.0,
    }


def test_evaluation_as_json_rounds_the_scores_of_each_label_for_storage():
    predicted = [[Entity(0, 1, "city"), Entity(1, 2, "city"), Entity(2, 3, "city")]]
    passage = Passage(tuple("abcde"), (Entity(0, 1, "city"), Entity(4, 5, "river")))
    scores = score_entities(predicted, [passage], [("city", "river")]).as_json()
    assert scores["span_by_label_vs_gold"] == {
        "city": [0.3333, 1.0, 0.5, 1],
        "river": [0.0, 0.0, 0.0, 1],
    }
