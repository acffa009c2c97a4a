"""The map of scores that is fitted to the number of entities of the teacher."""

import math
from dataclasses import replace

import numpy as np
import pytest

from gliner_distill.entities import LabeledPassage, Passage
from gliner_distill.runtime.bundle import read_bundle
from gliner_distill.runtime.locate import bundled_student_path
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.runtime.score_map import ScoreMap
from gliner_distill.student.score_fitting import (
    COUNTED_THRESHOLDS,
    count_by_threshold,
    fit_bundle_scores,
    fit_score_map,
)

TEXTS = (
    "Mary Smith flew from Paris to London in May",
    "The Rhine flows through Germany to the sea",
    "Acme was bought by Globex for two million dollars",
    "John Brown met Ann in Berlin",
)
LABELS = ("person", "city", "country", "company", "river", "date")


@pytest.fixture(scope="module")
def passages():
    return [Passage(tuple(text.split()), (), LABELS) for text in TEXTS] * 8


@pytest.fixture(scope="module")
def bundle():
    return replace(read_bundle(bundled_student_path()), score_map=None)


def probability(logit):
    return 1 / (1 + math.exp(-logit))


def logit(probability):
    return math.log(probability / (1 - probability))


def counts_of(scale):
    """Return a student's counts, which halve with each step of so many logits."""
    logits = np.arange(-12, 13) / 2
    return {probability(logit): round(10_000 * 2 ** (-logit / scale)) for logit in logits}


class TestFitScoreMap:
    @pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
    def test_fit_score_map_turns_the_students_counts_into_the_teachers(self, scale):
        wanted = {threshold: n for threshold, n in counts_of(1.0).items() if 0.1 < threshold < 0.9}
        fitted = fit_score_map(counts_of(scale), wanted)
        assert fitted.logits == pytest.approx((-scale, 0.0, scale), rel=0.03)
        assert fitted.reported == (-1.0, 0.0, 1.0)

    def test_fit_score_map_leaves_a_side_without_counts_as_it_is(self):
        fitted = fit_score_map(counts_of(2.0), {0.2: 26_000, 0.5: 10_000})
        assert fitted.logits[0] == pytest.approx(-2.0, rel=0.05)
        assert fitted.logits[2] == 1.0


class TestCountByThreshold:
    def test_count_by_threshold_counts_the_entities_above_each(self):
        probs = np.zeros((3, 1, 3), np.float32)
        probs[0], probs[1], probs[2] = 0.35, 0.15, 0.75
        counts = count_by_threshold([LabeledPassage(Passage(("a", "b", "c")), ("x",), probs)])
        assert list(counts) == list(COUNTED_THRESHOLDS)
        # At the lowest threshold the three neighbors make one entity, or three: what decoding says.
        assert counts[0.8] == 0
        assert counts[0.7] == counts[0.4] == 1
        assert counts[0.3] == 2


@pytest.mark.slow
class TestFitBundleScores:
    @staticmethod
    def count(bundle, passages, threshold):
        student = StudentNER(bundle)
        words, labels = [p.words for p in passages], [p.own_labels for p in passages]
        return sum(map(len, student.predict_words(words, labels, threshold=threshold)))

    def test_fit_bundle_scores_finds_as_much_as_the_teacher(self, bundle, passages):
        # A teacher whose low scores are less low than the student's finds more at low thresholds.
        teacher = replace(bundle, score_map=ScoreMap((-4.0, 0.0, 2.0), (-1.0, 0.0, 1.0)))
        wanted = {step: self.count(teacher, passages, step) for step in COUNTED_THRESHOLDS}
        fitted = fit_bundle_scores(bundle, passages, wanted)
        assert self.count(bundle, passages, 0.2) < 0.8 * wanted[0.2]
        for threshold in (0.2, 0.5, 0.8):
            ratio = self.count(fitted, passages, threshold) / wanted[threshold]
            assert 0.9 <= ratio <= 1.1, threshold
        assert self.count(fitted, passages, 0.5) == self.count(bundle, passages, 0.5)

    def test_fit_bundle_scores_ignores_a_few_entities(self, bundle, passages):
        assert fit_bundle_scores(bundle, passages, dict.fromkeys(COUNTED_THRESHOLDS, 29)) is (
            bundle
        )
        few_above = dict.fromkeys(COUNTED_THRESHOLDS, 29) | {0.2: 200}
        assert fit_bundle_scores(bundle, passages, few_above).score_map.logits[2] == 1.0

    def test_fit_bundle_scores_moves_every_threshold_toward_more_entities(self, bundle, passages):
        strict = replace(bundle, threshold=0.9, label_thresholds={"person": 0.95})
        expected = StudentNER(bundle).predict_words(
            [p.words for p in passages], [p.own_labels for p in passages]
        )
        answered = [replace(p, entities=tuple(e)) for p, e in zip(passages, expected, strict=True)]
        wanted = {0.5: sum(map(len, expected))}
        fitted = fit_bundle_scores(strict, answered, wanted)
        shift = logit(fitted.threshold) - logit(0.9)
        assert shift < -0.15
        assert logit(fitted.label_thresholds["person"]) - logit(0.95) == pytest.approx(
            shift, abs=0.01
        )
        lost = abs(self.count(fitted, passages, 0.5) - wanted[0.5])
        assert lost < abs(self.count(strict, passages, 0.5) - wanted[0.5])
