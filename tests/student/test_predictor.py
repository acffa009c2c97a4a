"""The entities that a torch student predicts, for both heads."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gliner_distill.decoding import decode_entities, sigmoid
from gliner_distill.entities import Entity
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.specificity import LabelKinds
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.student.relations import kind_rows

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
        n_words, n_labels = batch.n_words.tolist(), batch.label_mask.shape[1]
        logits = torch.full((len(n_words), max(n_words), 1 + n_labels), 99.0)
        for row, length in enumerate(n_words):
            table = self.tables[length]
            logits[row, :length, : table.shape[1]] = table
        return logits


def decode(table, labels=LABELS, *, vocabulary, threshold=0.5):
    predictor = StudentPredictor(TableStudent(table), vocabulary, threshold=threshold)
    return predictor.predict_words([["word"] * len(table)], [labels])[0]


def spans(entities):
    return [(entity.start_word, entity.end_word, entity.label) for entity in entities]


class TestStudentPredictor:
    def test_predict_words_joins_neighboring_words_of_one_label(self, small_vocabulary):
        table = [
            [0, 5, 0, 0],
            [0, 9, 0, 0],
            [0, 0, 5, 0],
            [0, -1, -1, -1],
            [0, 0, 5, 0],
        ]
        found = decode(table, vocabulary=small_vocabulary)
        assert spans(found) == [(0, 2, "person"), (2, 3, "city"), (4, 5, "city")]

    def test_predict_words_scores_an_entity_as_its_least_certain_word(self, small_vocabulary):
        # Odds of 3 and 9 against "none", whatever the other labels have.
        table = [[0, math.log(3), 1, 0], [1, 1 + math.log(9), 2, 0]]
        (entity,) = decode(table, vocabulary=small_vocabulary)
        assert entity.score == pytest.approx(0.75, abs=1e-6)
        (entity,) = decode(table[1:], vocabulary=small_vocabulary)
        assert entity.score == pytest.approx(0.9, abs=1e-6)

    def test_predict_words_compares_odds_against_none_with_the_threshold(self, small_vocabulary):
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

    @pytest.mark.slow
    @given(st.lists(st.lists(st.integers(-40, 40), min_size=4, max_size=4), min_size=1, max_size=6))
    def test_predict_words_gives_each_word_its_likeliest_answer(self, small_vocabulary, table):
        found = decode(table, vocabulary=small_vocabulary)
        for word, logits in enumerate(table):
            own = [entity.label for entity in found if entity.start_word <= word < entity.end_word]
            best = [LABELS[place] for place in range(3) if logits[1 + place] == max(logits)]
            if logits[0] == max(logits):
                assert own == []
            else:
                assert own == best[:1]  # the first of equals

    def test_predict_words_takes_extreme_logits(self, small_vocabulary):
        table = [[500, -500, -600, -700], [-500, 500, 0, 0]]
        (entity,) = decode(table, vocabulary=small_vocabulary)
        assert entity == Entity(1, 2, "person")
        assert entity.score == 1.0

    def test_predict_words_finds_nothing_without_words_or_labels(
        self, small_vocabulary, build_student
    ):
        predictor = StudentPredictor(build_student(), small_vocabulary)
        assert predictor.predict_words([], []) == []
        assert predictor.predict_words([[]], [LABELS]) == [[]]
        assert predictor.predict_words([["paris"]], [()]) == [[]]
        assert predictor.predict_words([[], ["paris"], []], [(), (), LABELS]) == [[], [], []]

    def test_predict_words_keeps_the_order_of_passages_across_batches(
        self, small_vocabulary, build_student
    ):
        passages = [["paris"] * 3, [], ["mary", "left"], ["the"] * 9, ["rhine"]]
        labels = [LABELS, LABELS, ("city",), LABELS[:2], ()]
        predictor = StudentPredictor(build_student(), small_vocabulary, threshold=0.2)
        whole, entities = (
            predictor.logits(passages, labels),
            predictor.predict_words(passages, labels),
        )
        assert [scores.shape for scores in whole] == [(3, 4), (0, 4), (2, 2), (9, 3), (1, 1)]
        assert any(entities)
        small = StudentPredictor(
            build_student(), small_vocabulary, threshold=0.2, max_batch_words=4
        )
        for scores, again in zip(whole, small.logits(passages, labels), strict=True):
            np.testing.assert_allclose(again, scores, rtol=0, atol=1e-6)
        assert small.predict_words(passages, labels) == entities

    def test_logits_reads_batches_of_like_length_up_to_a_size(
        self, small_vocabulary, build_student
    ):
        student, read = build_student(), []
        student.register_forward_pre_hook(
            lambda _, arguments: read.append(arguments[0].n_words.tolist())
        )
        predictor = StudentPredictor(student, small_vocabulary, max_batch_words=10)
        lengths = [5, 2, 0, 3, 11, 5, 3]
        predictor.logits([["the"] * length for length in lengths], [LABELS] * len(lengths))
        assert read == [[2, 3, 3], [5, 5], [11]]


class TestBoundaryStudent:
    def test_predict_words_decodes_a_boundary_student_like_a_teacher(
        self, build_student, small_vocabulary
    ):
        student = build_student(head="boundary")
        with torch.no_grad():
            student.bias.fill_(0.0)  # or nothing would be found by a student that knows nothing
        predictor = StudentPredictor(student, small_vocabulary, threshold=0.45)
        words = [["mary", "saw", "paris"], ["rhine"], []]
        labels = [("person", "city"), ("river", "city", "company"), ("city",)]
        logits = predictor.logits(words, labels)
        assert [scores.shape for scores in logits] == [(3, 2, 3), (1, 3, 3), (0, 1, 3)]
        found = predictor.predict_words(words, labels)
        assert any(found)
        for entities, scores, asked in zip(found, logits, labels, strict=True):
            probs = 1 / (1 + np.exp(-scores.astype(np.float64)))
            expected = decode_entities(probs, asked, threshold=0.45)
            assert entities == expected
            assert [entity.score for entity in entities] == pytest.approx(
                [entity.score for entity in expected], abs=1e-6
            )

    def test_predict_words_keeps_the_specific_label_among_those_of_a_passage(
        self, build_comparer, small_vocabulary, draw_words
    ):
        student = build_comparer(seed=7)
        predictor = StudentPredictor(student, small_vocabulary)
        words = draw_words(0, 40)
        labels = [LABELS[: 2 + row % 2] if row % 3 else LABELS[::-1] for row in range(len(words))]
        found = predictor.predict_words(words, labels)
        plain = []
        for passage, asked, logits in zip(
            found, labels, predictor.logits(words, labels), strict=True
        ):
            kinds = LabelKinds.from_rows(kind_rows(student, small_vocabulary, asked))
            assert passage == decode_entities(sigmoid(logits), asked, kinds=kinds)
            plain.append(decode_entities(sigmoid(logits), asked))
        assert found != plain
