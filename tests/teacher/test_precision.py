"""The precision in which a teacher labels: chosen by comparison, and only while it labels."""

import logging

import numpy as np
import pytest

from gliner_distill.teacher.ensemble import TeacherEnsemble
from gliner_distill.teacher.precision import (
    N_CHECKED_PASSAGES,
    AdjustableTeacher,
    PrecisionCheck,
    choose_precision,
    compare_precisions,
    scoring_in,
)

PASSAGES = [("mary", "saw", "paris")] * N_CHECKED_PASSAGES
LABELS = [("person", "city")] * N_CHECKED_PASSAGES


class RoundingTeacher:
    """A teacher whose scores in bf16 differ by a number."""

    def __init__(self, lexicon_teacher, error=0.001, faster_precision="bf16", fingerprint="a" * 64):
        self.name, self.fingerprint = "rounding", fingerprint
        self.faster_precision, self.precision_check = faster_precision, None
        self.precision, self.asked = "fp32", []
        self._exact, self._error = lexicon_teacher({"mary": "person", "paris": "city"}), error

    def set_precision(self, precision):
        self.precision = precision

    def score_passages(self, passages, labels):
        self.asked.append((self.precision, len(passages)))
        probs = self._exact.score_passages(passages, labels)
        is_exact = self.precision == "fp32"
        return probs if is_exact else [np.abs(part - np.float32(self._error)) for part in probs]


@pytest.fixture
def rounding(lexicon_teacher):
    return lambda *args, **options: RoundingTeacher(lexicon_teacher, *args, **options)


def test_choose_precision_takes_the_faster_one_if_the_scores_are_the_same(rounding, caplog):
    teacher = rounding()
    with caplog.at_level(logging.INFO):
        assert choose_precision(teacher, PASSAGES, LABELS) == "bf16"
    assert teacher.precision == "fp32"
    assert teacher.asked == [("bf16", 200), ("fp32", 200)]
    assert len(caplog.records) == 1
    assert "rounding labels in bf16: on 200 passages" in caplog.text
    assert "differ by 0.0010 on average" in caplog.text


@pytest.mark.parametrize("error", [0.01, 0.6, np.nan])
def test_choose_precision_stays_in_fp32_if_the_scores_differ(rounding, caplog, error):
    assert choose_precision(rounding(error), PASSAGES, LABELS) == "fp32"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "labels in fp32" in caplog.text


def test_choose_precision_compares_a_teacher_once(rounding):
    teacher = rounding()
    choose_precision(teacher, PASSAGES, LABELS)
    assert choose_precision(teacher, PASSAGES[:5], LABELS[:5]) == "bf16"
    assert len(teacher.asked) == 2


def test_choose_precision_does_not_compare_on_few_passages(rounding):
    teacher = rounding()
    assert choose_precision(teacher, PASSAGES[1:], LABELS[1:]) == "fp32"
    assert teacher.asked == []


def test_choose_precision_stays_in_fp32_where_nothing_is_faster(rounding, lexicon_teacher):
    for teacher in (rounding(faster_precision=None), lexicon_teacher({})):
        assert choose_precision(teacher, PASSAGES, LABELS) == "fp32"
        assert not teacher.asked


def test_compare_precisions_counts_other_entities(rounding):
    check = compare_precisions(rounding(0.45), "bf16", PASSAGES[:2], LABELS[:2])
    assert check.agreement == 0.0
    assert not check.is_same
    # Without entities on either side, nothing differs.
    assert compare_precisions(rounding(0.0), "bf16", [("saw",)], [("city",)]).agreement == 1.0


def test_precision_check_is_the_same_up_to_its_limits():
    assert PrecisionCheck(200, 0.002, 0.97).is_same
    assert not PrecisionCheck(200, 0.0021, 0.97).is_same
    assert not PrecisionCheck(200, 0.002, 0.96).is_same


def test_scoring_in_resets_the_precision_after_an_error(rounding):
    teacher = rounding()
    with pytest.raises(TypeError, match="not iterable"), scoring_in(teacher, "bf16"):
        teacher.score_passages(PASSAGES, None)
    assert teacher.asked == [("bf16", 200)]
    assert teacher.precision == "fp32"


def test_ensemble_scores_in_bf16_if_all_of_its_teachers_do(rounding, lexicon_teacher):
    teachers = [rounding(fingerprint=letter * 64) for letter in "ab"]
    ensemble = TeacherEnsemble(teachers)
    assert isinstance(ensemble, AdjustableTeacher)
    assert choose_precision(ensemble, PASSAGES, LABELS) == "bf16"
    assert {precision for teacher in teachers for precision, _ in teacher.asked} == {"bf16", "fp32"}
    assert TeacherEnsemble([teachers[0], lexicon_teacher({})]).faster_precision is None
