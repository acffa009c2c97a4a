"""The verdict on a student, and what `results.json` holds."""

import json
from dataclasses import replace

import pytest

from gliner_distill.distillation.measurements import (
    STUDENT,
    TEACHER,
    GoldFigures,
    Measurements,
    Reading,
    ReadingSpeed,
    RoundFigures,
    SpanFigures,
)
from gliner_distill.evaluation.other_labels import OtherLabels


def spans(f1=1.0, n_reference=1):
    return SpanFigures(f1, f1, f1, n_found=n_reference, n_reference=n_reference)


def gold(student_f1, teacher_f1, n_reference=50):
    student, teacher = spans(student_f1, n_reference), spans(teacher_f1, n_reference)
    return GoldFigures(student, teacher, {"x": {STUDENT: student, TEACHER: teacher}})


def measured(*, f1=1.0, n_reference=100, gold=None, teacher_bytes=600_000_000, n_test=20):
    return Measurements(
        labels=["x"],
        passages={"train": 100, "dev": 40, "test": 0 if gold is None else 40},
        gold_passages={"train": 20, "dev": 2, "test": n_test},
        words={"train": 1000, "dev": 400, "test": 400},
        agreement=spans(f1, n_reference),
        agreement_by_label={"x": spans(f1, n_reference)},
        gold=gold,
        speed={STUDENT: ReadingSpeed(100.0, 90.0, 110.0), TEACHER: ReadingSpeed(2.0, 1.0, 3.0)},
        machine="a machine",
        threads=2,
        size_bytes={STUDENT: 6_250_000, TEACHER: teacher_bytes},
        curve=[],
        disagreements=[],
        warnings=("a warning",),
        seconds={"labeling": 1.0, "training": 2.0},
        date="2026-01-01",
        teacher="teacher",
        version="1.0",
    )


@pytest.mark.parametrize(
    ("f1", "n_reference", "interval"),
    # From Wilson's formula, computed with another program.
    [
        (0.5, 10, (0.237, 0.763)),
        (1.0, 4, (0.51, 1.0)),
        (0.0, 4, (0.0, 0.49)),
        (0.9, 100, (0.826, 0.945)),
    ],
)
def test_f1_interval_equals_wilsons(f1, n_reference, interval):
    assert spans(f1, n_reference).f1_interval == pytest.approx(interval, abs=5e-4)


class TestVerdict:
    def test_verdict_has_agreement_gold_cost_and_recommendation(self):
        agreement, against_gold, cost, recommendation = measured(gold=gold(0.5, 0.625)).verdict
        assert "F1 100.0" in agreement
        assert "60 test passages" in agreement
        for part in ("F1 50.0", "62.5", "50 entities", "20 test passages"):
            assert part in against_gold
        for part in ("50 times", "6.2 MB", "600 MB"):
            assert part in cost
        assert recommendation.startswith("Recommendation: ")

    @pytest.mark.parametrize(
        ("f1", "advice"),
        [
            (0.9, "in place of its teacher."),
            (0.8999, "where a few misses do no harm."),
            (0.75, "where a few misses do no harm."),
            (0.7499, "more text before"),
        ],
    )
    def test_verdict_recommends_by_agreement_without_gold(self, f1, advice):
        *_, against_gold, _, recommendation = measured(f1=f1).verdict
        assert "not measured" in against_gold
        assert advice in recommendation

    @pytest.mark.parametrize(
        ("f1", "advice"),
        [
            (0.582, "in place of its teacher."),
            (0.581, "where a few misses do no harm."),
            (0.54, "where a few misses do no harm."),
            (0.539, "more text before"),
        ],
    )
    def test_verdict_recommends_by_gold_where_there_is_some(self, f1, advice):
        assert advice in measured(f1=0.1, gold=gold(f1, 0.6)).verdict[-1]

    @pytest.mark.parametrize(
        ("n_reference", "n_passages", "is_doubted"),
        [(49, 10, True), (50, 9, True), (50, 10, False)],
    )
    @pytest.mark.parametrize("has_gold", [True, False])
    def test_verdict_does_not_judge_by_few_passages_or_entities(
        self, n_reference, n_passages, is_doubted, has_gold
    ):
        against_gold = gold(0.6, 0.6, n_reference) if has_gold else None
        found = measured(n_reference=n_reference, gold=against_gold, n_test=n_passages)
        counted = f"{n_reference} entities in {n_passages} test passages"
        assert counted in found.verdict[1 if has_gold else 0]
        assert ("at least 50 entities in 10 passages" in found.verdict[-1]) == is_doubted
        assert ("in place of its teacher." in found.verdict[-1]) != is_doubted

    def test_verdict_counts_a_single_entity(self):
        found = measured(gold=gold(0.6, 0.6, 1), n_test=1).verdict[1]
        assert "on 1 entity in 1 test passage, and" in found

    def test_verdict_on_a_few_perfect_answers_is_no_praise(self):
        agreement, *_, recommendation = measured(n_reference=5, n_test=4).verdict
        assert "F1 100.0 (95% interval 57 to 100) on 5 entities in 4 test passages" in agreement
        assert "before you rely on it" in recommendation

    def test_verdict_gives_the_interval_of_the_figure_that_decides(self):
        agreement, against_gold, *_ = measured(gold=gold(0.676, 0.605, 40)).verdict
        assert "interval" not in agreement
        assert "F1 67.6 (95% interval 52 to 80) on 40 entities" in against_gold

    def test_verdict_has_no_size_of_a_teacher_of_the_hub(self):
        assert "instead of" not in measured(teacher_bytes=None).verdict[2]

    def test_verdict_compares_nothing_with_nothing(self):
        agreement, *_, recommendation = measured(n_reference=0).verdict
        assert "not measured" in agreement
        assert "the teacher finds nothing in the 20 test passages" in agreement
        assert "other labels or other text" in recommendation

    def test_verdict_of_a_teacher_without_a_correct_answer_divides_by_nothing(self):
        assert "in place of its teacher" in measured(gold=gold(0.5, 0.0)).verdict[-1]


def test_verdict_says_before_the_recommendation_what_was_lost_on_other_labels():
    lost = OtherLabels(694, 2_137, 190, 0.4, 0.7, (-0.35, -0.25))
    forgetful = replace(measured(), other_labels=lost)
    assert forgetful.verdict == (*measured().verdict[:3], lost.sentence, measured().verdict[3])
    content = json.loads(json.dumps(forgetful.as_json()))
    assert content["other_labels"] == {
        **{"n_labels": 694, "n_entities": 2_137, "n_passages": 190},
        **{"student_f1": 0.4, "start_f1": 0.7, "difference_interval": [-0.35, -0.25]},
    }


def test_as_json_has_the_keys_of_results_json():
    content = measured(gold=gold(0.5, 0.6)).as_json()
    assert json.loads(json.dumps(content)) == content | {"notes": ["a warning"]}
    assert set(content) == {
        *("labels", "passages", "gold_passages", "words", "agreement", "agreement_by_label"),
        *("gold", "speed", "machine", "threads", "size_bytes", "curve", "disagreements", "notes"),
        *("seconds", "date", "teacher", "version", "verdict", "datasets", "teacher_weights"),
        *("start", "other_labels"),
    }
    assert content["agreement"] == {
        **{"precision": 1.0, "recall": 1.0, "f1": 1.0},
        **{"n_found": 100, "n_reference": 100},
    }
    assert content["gold"]["by_label"]["x"]["student"]["f1"] == 0.5
    assert len(content["verdict"]) == 4


def test_reading_of_several_texts_has_the_course_of_the_last_that_was_chosen():
    chosen = Reading(30, 100, "budget", (RoundFigures(20, 0.5),))
    whole = Reading(40, 40)
    assert not whole.is_chosen
    assert whole + chosen == Reading(70, 140, "budget", chosen.curve)
    assert chosen + whole == Reading(70, 140, "budget", chosen.curve)
    assert "70 of 140 words of the training text (50%), as much" in (whole + chosen).sentence
    everything = Reading(100, 100, "all", chosen.curve)
    assert everything.is_chosen
    assert everything.sentence.endswith("100 of 100 words of the training text (100%)")


def test_as_json_has_the_reading_only_if_passages_were_chosen():
    plain = measured()
    assert "reading" not in plain.as_json()
    reading = Reading(30, 100, "budget", (RoundFigures(20, 0.5),))
    content = json.loads(json.dumps(replace(plain, reading=reading).as_json()))
    assert content["reading"] == {
        "n_words": 30,
        "n_all_words": 100,
        "reason": "budget",
        "curve": [{"n_words": 20, "agreement_f1": 0.5}],
    }
