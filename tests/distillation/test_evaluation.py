"""Measuring a student: agreement, gold, speed, the curve and disagreements."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gliner_distill.corpus.reader import read_passages, sample_path
from gliner_distill.distillation.evaluation import (
    evaluate_student,
    student_teacher_disagreements,
)
from gliner_distill.distillation.job import Plan
from gliner_distill.distillation.measurements import (
    STUDENT,
    STUDENT_FP32,
    TEACHER,
    EpochFigures,
    Reading,
)
from gliner_distill.distillation.stages import Exported, Labeled, Trained
from gliner_distill.entities import Entity, LabeledPassage, Passage

LABELS = ("person", "a|b", "<c>")
LEXICON = {"mary": "person", "john": "person", "acme": "a|b", "paris": "<c>"}


class LexiconStudent:
    """A stand-in for `StudentNER` that looks words up."""

    def __init__(self, lexicon):
        self.lexicon = lexicon

    def predict_words(self, passages, labels):
        return [
            [
                Entity(place, place + 1, self.lexicon[word], 0.9)
                for place, word in enumerate(words)
                if self.lexicon.get(word) in asked
            ]
            for words, asked in zip(passages, labels, strict=True)
        ]

    def inference(self, texts, labels):
        return [[] for _ in texts]


def label_text(teacher, text, *entities):
    words = tuple(text.split())
    [probs] = teacher.score_passages([words], [LABELS])
    return LabeledPassage(Passage(words, entities), LABELS, probs)


@pytest.fixture
def evaluate(lexicon_teacher, tmp_path, settings):
    """A function that measures a student that knows a lexicon."""
    row = '{"epoch": %d, "split": "%s", "loss": 0.5, "span_f1_vs_teacher": 0.25}\n'
    (tmp_path / "metrics.jsonl").write_text(
        "".join(row % (epoch, split) for epoch in (1, 2) for split in ("training", "dev"))
    )
    teacher = lexicon_teacher(LEXICON)

    def run(
        test=(),
        *,
        gold=(),
        lexicon=LEXICON,
        warnings=(),
        settings=settings,
        labels=LABELS,
        start=None,
    ):
        text = {split: [label_text(teacher, "mary left")] for split in ("train", "dev")}
        text["test"] = [label_text(teacher, passage) for passage in test]
        annotated = {"train": [], "dev": [], "test": [label_text(teacher, *row) for row in gold]}
        labeled = Labeled(text, annotated, 0, Plan(), Reading(2, 2), tmp_path, 1.0, ())
        seconds = {"labeling": 1.0, "training": 2.0}
        trained = Trained(labeled, text["dev"], tmp_path, tmp_path / "student", seconds, ())
        exported = Exported(
            trained,
            folders={STUDENT: Path("out"), STUDENT_FP32: Path("out/fp32")},
            n_bytes={STUDENT: 6_000_000, STUDENT_FP32: 12_000_000},
            precision="int8",
            warnings=tuple(warnings),
        )
        return evaluate_student(
            exported,
            labels,
            {name: LexiconStudent(lexicon) for name in exported.folders},
            teacher,
            settings,
            teacher_name="a_teacher",
            teacher_bytes=None,
            start_student=start,
        )

    return run


class TestEvaluateStudent:
    def test_evaluate_student_measures_the_test_passages(self, evaluate):
        lexicon = {"mary": "person", "saw": "a|b"}
        measured = evaluate(["mary saw acme", "john left"], lexicon=lexicon, warnings=["careful"])
        assert measured.labels == list(LABELS)
        assert measured.passages == {"train": 1, "dev": 1, "test": 2}
        assert measured.n_test_passages == 2
        assert measured.words == {"train": 2, "dev": 2, "test": 5}
        agreement = measured.agreement
        assert (agreement.n_found, agreement.n_reference) == (2, 3)
        assert (agreement.precision, agreement.recall) == (0.5, pytest.approx(1 / 3))
        assert agreement.f1 == pytest.approx(0.4)
        by_label = measured.agreement_by_label
        counts = {label: (row.n_found, row.n_reference) for label, row in by_label.items()}
        assert counts == {"a|b": (1, 1), "person": (1, 2)}
        assert measured.gold is None
        assert measured.curve == [EpochFigures(epoch, 0.5, 0.25) for epoch in (1, 2)]
        assert measured.warnings == ("careful",)
        assert measured.seconds == {"labeling": 1.0, "training": 2.0}
        assert (measured.teacher, measured.size_bytes[TEACHER]) == ("a_teacher", None)

    def test_evaluate_student_reports_labels_in_the_users_spelling(self, evaluate):
        gold = [("mary saw acme", Entity(0, 1, "person"), Entity(1, 2, "a|b"))]
        lexicon = {"mary": "PERSON", "saw": "A|B"}
        measured = evaluate(gold=gold, lexicon=lexicon, labels=("PERSON", "A|B", "<c>"))
        assert measured.labels == ["PERSON", "A|B", "<c>"]
        assert set(measured.agreement_by_label) == set(measured.gold.by_label) == {"PERSON", "A|B"}
        assert {row.student for row in measured.disagreements} == {"A|B", None}
        assert measured.gold.student.f1 == 1.0

    def test_evaluate_student_times_all_models(self, evaluate, settings):
        measured = evaluate(["mary saw acme"], settings=replace(settings, timed_rounds=2))
        assert list(measured.speed) == [STUDENT, STUDENT_FP32, TEACHER]
        for speed in measured.speed.values():
            assert 0 < speed.lowest <= speed.words_per_second <= speed.highest

    def test_evaluate_student_compares_both_models_with_gold(self, evaluate):
        gold = [("mary saw acme", Entity(0, 1, "person"), Entity(1, 2, "a|b"))]
        measured = evaluate(["john left"], gold=gold, lexicon={"mary": "person", "saw": "<c>"})
        assert measured.gold_passages["test"] == 1
        assert measured.agreement.n_reference == 3
        assert measured.gold.student.f1 == pytest.approx(0.5)
        assert measured.gold.teacher.f1 == pytest.approx(0.5)
        by_label = measured.gold.by_label
        assert list(by_label) == ["<c>", "a|b", "person"]
        # Only the student finds one, and wrongly: the teacher has nothing wrong there.
        assert (by_label["<c>"]["student"].f1, by_label["<c>"]["teacher"].f1) == (0.0, 1.0)
        assert by_label["person"]["student"] == by_label["person"]["teacher"]

    @pytest.mark.parametrize("test", [[], ["nothing here", "nor here"]])
    def test_evaluate_student_without_an_entity_divides_by_nothing(self, evaluate, test):
        measured = evaluate(test, gold=[("nothing there",)])
        assert measured.agreement.f1 == 1.0
        assert measured.gold is None
        assert measured.disagreements == []

    def test_evaluate_student_compares_it_with_its_start_on_other_labels(self, evaluate):
        """The start knows all entities of one word, and the student has forgotten them."""
        start = {
            passage.words[entity.start_word]: entity.label
            for passage in read_passages(sample_path("dev"))
            for entity in passage.entities
            if entity.end_word == entity.start_word + 1
        }
        measured = evaluate(["mary left"], lexicon=LEXICON, start=LexiconStudent(start))
        others = measured.other_labels
        assert 0 == others.student_f1 < others.start_f1
        assert others.difference_interval[1] < 0
        assert others.n_passages > 100
        assert others.sentence in measured.verdict
        alone = evaluate(["mary left"]).other_labels
        assert (alone.start_f1, alone.difference_interval) == (None, None)


class TestDisagreements:
    def rows(self, student, teacher, text="a b c d", **options):
        passages = [
            LabeledPassage(Passage(tuple(text.split())), ("x",), np.zeros((4, 1, 3), np.float32))
            for _ in student
        ]
        return student_teacher_disagreements(passages, student, teacher, **options)

    def test_disagreements_come_the_surest_first(self):
        student = [[Entity(0, 1, "x", 0.6), Entity(2, 3, "x", 0.7)], [Entity(1, 3, "x", 0.9)]]
        teacher = [[Entity(2, 3, "x", 0.99)], [Entity(1, 2, "x", 0.8)]]
        rows = self.rows(student, teacher)
        assert [(row.span, row.student, row.teacher, row.score) for row in rows] == [
            ("b c", "x", None, 0.9),
            ("b", None, "x", 0.8),
            ("a", "x", None, 0.6),
        ]
        assert (rows[0].before, rows[0].after) == ("a", "d")

    def test_disagreements_have_a_span_with_two_labels_once(self):
        rows = self.rows([[Entity(0, 1, "x", 0.6)]], [[Entity(0, 1, "y", 0.9)]])
        assert [(row.student, row.teacher, row.score) for row in rows] == [("x", "y", 0.9)]

    def test_disagreements_are_at_most_30_with_12_words_on_each_side(self):
        words = " ".join(f"w{place}" for place in range(100))
        student = [[Entity(place, place + 1, "x", 0.5 + place / 1000) for place in range(100)]]
        rows = self.rows(student, [[]], words)
        assert [row.span for row in rows] == [f"w{place}" for place in range(99, 69, -1)]
        assert len(rows[15].before.split()) == len(rows[15].after.split()) == 12
        assert self.rows(student, [[]], words, limit=2) == rows[:2]

    def test_disagreements_of_the_same_answers_are_empty(self):
        student, teacher = [[Entity(0, 1, "x", 0.6)]], [[Entity(0, 1, "x", 0.9)]]
        assert self.rows(student, teacher) == []
