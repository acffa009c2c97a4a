"""Predictions as documented, and scores against counting by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gliner_distill.decoding import decode_entities
from gliner_distill.entities import Entity, Passage
from gliner_distill.evaluation import evaluate as evaluation
from gliner_distill.evaluation.evaluate import TeacherPredictor, evaluate, measure_speed
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.student.predictor import StudentPredictor

LABELS = ("person", "city", "river")


class TableStudent:
    """Gives passages of n words the logits that stand under n in a table."""

    def __init__(self, *tables):
        self.pieces = nn.Linear(1, 1)
        self.config = StudentConfig(1)
        self.tables = {len(table): torch.tensor(table, dtype=torch.float32) for table in tables}

    def eval(self):
        return self

    def __call__(self, batch):
        n_words, n_labels = batch["n_words"].tolist(), batch["label_mask"].shape[1]
        logits = torch.full((len(n_words), max(n_words), 1 + n_labels), 99.0)
        for row, length in enumerate(n_words):
            table = self.tables[length]
            logits[row, :length, : table.shape[1]] = table
        return logits


class FixedPredictor:
    """Has its answers ready, and remembers what it was asked."""

    def __init__(self, answers):
        self.answers = answers
        self.asked = []

    def predict_words(self, passages, labels):
        self.asked.append((list(passages), list(labels)))
        return [self.answers[tuple(words)] for words in passages]


def decode(table, labels=LABELS, *, vocabulary, threshold=0.5):
    predictor = StudentPredictor(TableStudent(table), vocabulary, threshold=threshold)
    return predictor.predict_words([["word"] * len(table)], [labels])[0]


def spans(entities):
    return [(entity.start_word, entity.end_word, entity.label) for entity in entities]


class TestStudentPredictor:
    def test_joins_neighbouring_words_of_one_label_and_no_others(self, small_vocabulary):
        table = [
            [0, 5, 0, 0],
            [0, 9, 0, 0],
            [0, 0, 5, 0],
            [0, -1, -1, -1],
            [0, 0, 5, 0],
        ]
        found = decode(table, vocabulary=small_vocabulary)
        assert spans(found) == [(0, 2, "person"), (2, 3, "city"), (4, 5, "city")]

    def test_scores_an_entity_as_its_least_certain_word(self, small_vocabulary):
        # Odds of 3 and 9 against "none", whatever the other labels have.
        table = [[0, math.log(3), 1, 0], [1, 1 + math.log(9), 2, 0]]
        (entity,) = decode(table, vocabulary=small_vocabulary)
        assert entity.score == pytest.approx(0.75, abs=1e-6)
        (entity,) = decode(table[1:], vocabulary=small_vocabulary)
        assert entity.score == pytest.approx(0.9, abs=1e-6)

    def test_finds_a_word_whose_odds_against_none_exceed_the_thresholds(self, small_vocabulary):
        # Probabilities against "none": 0.25, 0.5, 0.75. The runner-up label has no say.
        table = [[0, -math.log(3), -9, -1.2], [0, 0, -9, -0.1], [0, math.log(3), -9, 1.0]]
        for threshold, words in (
            (0.2, [0, 1, 2]),
            (0.3, [1, 2]),
            (0.5, [2]),
            (0.7, [2]),
            (0.8, []),
        ):
            found = decode(table, vocabulary=small_vocabulary, threshold=threshold)
            covered = [
                word for entity in found for word in range(entity.start_word, entity.end_word)
            ]
            assert covered == words
            assert {entity.label for entity in found} <= {"person"}

    @given(st.lists(st.lists(st.integers(-40, 40), min_size=4, max_size=4), min_size=1, max_size=6))
    def test_gives_each_word_its_likeliest_answer_at_one_half(self, small_vocabulary, table):
        found = decode(table, vocabulary=small_vocabulary)
        for word, logits in enumerate(table):
            own = [entity.label for entity in found if entity.start_word <= word < entity.end_word]
            best = [LABELS[place] for place in range(3) if logits[1 + place] == max(logits)]
            if logits[0] == max(logits):
                assert own == []
            else:
                assert own == best[:1]  # the first of equals

    def test_is_sure_without_warnings_at_extreme_logits(self, small_vocabulary):
        table = [[500, -500, -600, -700], [-500, 500, 0, 0]]
        (entity,) = decode(table, vocabulary=small_vocabulary)
        assert entity == Entity(1, 2, "person")
        assert entity.score == 1.0

    def test_finds_nothing_without_words_or_labels(self, small_vocabulary, build_student):
        predictor = StudentPredictor(build_student(), small_vocabulary)
        assert predictor.predict_words([], []) == []
        assert predictor.predict_words([[]], [LABELS]) == [[]]
        assert predictor.predict_words([["paris"]], [()]) == [[]]
        assert predictor.predict_words([[], ["paris"], []], [(), (), LABELS]) == [[], [], []]

    def test_keeps_the_order_of_passages_across_batches(
        self, small_vocabulary, build_student, monkeypatch
    ):
        passages = [["paris"] * 3, [], ["mary", "left"], ["the"] * 9, ["rhine"]]
        labels = [LABELS, LABELS, ("city",), LABELS[:2], ()]
        predictor = StudentPredictor(build_student(), small_vocabulary, threshold=0.2)
        whole, entities = (
            predictor.score(passages, labels),
            predictor.predict_words(passages, labels),
        )
        assert [scores.shape for scores in whole] == [(3, 4), (0, 4), (2, 2), (9, 3), (1, 1)]
        assert any(entities)
        monkeypatch.setattr(evaluation, "_BATCH_WORDS", 4)
        for scores, again in zip(whole, predictor.score(passages, labels), strict=True):
            np.testing.assert_allclose(again, scores, rtol=0, atol=1e-6)
        assert predictor.predict_words(passages, labels) == entities

    def test_cuts_batches_at_their_size_with_padding(self, monkeypatch):
        monkeypatch.setattr(evaluation, "_BATCH_WORDS", 10)
        batches = evaluation._batches_by_words([5, 2, 0, 3, 11, 5, 3])
        assert batches == [[1, 3, 6], [0, 5], [4]]


class TestTeacherPredictor:
    @pytest.mark.parametrize("threshold", [0.5, 0.85])
    def test_is_decode_entities(self, lexicon_teacher, threshold):
        teacher = lexicon_teacher({"paris": "city", "mary": "person", "x": "river"})
        passages = [["mary", "saw", "paris"], ["x"], ["nothing"]]
        labels = [("city", "person"), ("river",), ()]
        found = TeacherPredictor(teacher, threshold=threshold).predict_words(passages, labels)
        scores = teacher.score_passages(passages, labels)
        assert found == [
            decode_entities(probs, asked, threshold=threshold)
            for probs, asked in zip(scores, labels, strict=True)
        ]
        # END is 0.8 + length / 256: 0.816, 0.820, 0.804.
        assert [len(entities) for entities in found] == ([2, 1, 0] if threshold == 0.5 else [0] * 3)


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
        return scores

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

    def test_equals_brute_force_against_gold_and_teacher(self):
        scores = self.evaluate(teacher_entities=self.teacher)
        asked_gold = (list(self.passages[0].entities[:2]), list(self.passages[1].entities), [])
        expected = {
            f"{name}_vs_{side}": pytest.approx(value)
            for side, reference in (("gold", asked_gold), ("teacher", self.teacher))
            for name, value in self.brute_force(reference).items()
        }
        assert {key: value for key, value in scores.items() if "by_label" not in key} == expected

    def test_has_rows_by_label_of_what_was_asked(self):
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

    def test_leaves_the_teacher_out_where_there_is_none(self):
        assert not any("teacher" in key for key in self.evaluate())


class TestMeasureSpeed:
    def test_asks_one_to_warm_up_then_each_then_all(self):
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
        assert speed.keys() == {"ms_per_passage", "words_per_second"}
        assert all(value > 0 and math.isfinite(value) for value in speed.values())

    def test_is_the_median_of_passages_and_the_words_of_all_by_the_clock(self, monkeypatch):
        # Three passages take 1, 2 and 9 seconds; all of them, 4 words, take 2.
        ticks = iter([0.0, 1.0, 10.0, 12.0, 20.0, 29.0, 30.0, 32.0])
        monkeypatch.setattr(evaluation.time, "perf_counter", lambda: next(ticks))
        passages = [Passage(("a", "b")), Passage(("c",)), Passage(("d",))]
        predictor = FixedPredictor({passage.words: [] for passage in passages})
        speed = measure_speed(predictor, passages, [("city",)] * 3)
        assert speed == {"ms_per_passage": 2000.0, "words_per_second": 2.0}


class TestBoundaryStudent:
    def test_decodes_as_a_teacher_with_its_probabilities_would(
        self, build_student, small_vocabulary
    ):
        student = build_student(head="boundary")
        with torch.no_grad():
            student.bias.fill_(0.0)  # or nothing would be found by a student that knows nothing
        predictor = StudentPredictor(student, small_vocabulary, threshold=0.45)
        words = [["mary", "saw", "paris"], ["rhine"], []]
        labels = [("person", "city"), ("river", "city", "company"), ("city",)]
        logits = predictor.score(words, labels)
        assert [scores.shape for scores in logits] == [(3, 2, 3), (1, 3, 3), (0, 1, 3)]
        found = predictor.predict_words(words, labels)
        assert any(found)
        for entities, scores, asked in zip(found, logits, labels, strict=True):
            probs = 1 / (1 + np.exp(-scores.astype(np.float64)))
            expected = decode_entities(probs, asked, threshold=0.45)
            assert entities == expected
            assert [one.score for one in entities] == pytest.approx(
                [one.score for one in expected], abs=1e-6
            )
