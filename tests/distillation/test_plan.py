"""Dividing a time limit between labeling and training.

The teacher reads 10 words per second and training 1,000, by a clock of the tests.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from distillation_world import LABELS, LEXICON, all_of, make_gold, make_texts, write_texts
from gliner_distill.callbacks import no_progress
from gliner_distill.corpus.reader import write_passages
from gliner_distill.distillation import plan as plan_module
from gliner_distill.distillation.job import DistillJob, DistillSettings, Plan
from gliner_distill.distillation.plan import make_plan, measure_training
from gliner_distill.distillation.teachers import TeacherSource
from gliner_distill.distillation.workspace import open_workspace
from gliner_distill.errors import SettingsError
from gliner_distill.training.run import read_metrics

pytestmark = pytest.mark.usefixtures("in_folder")


@pytest.fixture
def clock(monkeypatch, lexicon_teacher):
    """The time in seconds, as a list of one number; a teacher that reads takes some of it."""
    now = [0.0]
    score = lexicon_teacher.score_passages

    def score_slowly(teacher, passages, labels):
        now[0] += sum(map(len, passages)) / 10
        return score(teacher, passages, labels)

    monkeypatch.setattr(lexicon_teacher, "score_passages", score_slowly)
    for name in ("perf_counter", "monotonic"):
        monkeypatch.setattr(plan_module.time, name, lambda: now[0])
    monkeypatch.setattr(plan_module, "measure_training", lambda n_labels, settings: 1_000.0)
    return now


def set_training_rate(monkeypatch, rate):
    monkeypatch.setattr(plan_module, "measure_training", lambda n_labels, settings: rate)


class TestMakePlan:
    # Measuring the teacher takes 17 seconds; timing it at the end, 24,000 words, and the export 10.
    @pytest.mark.parametrize(("minutes", "finishing"), [(10, 600 / 4), (200, 2_410)])
    def test_make_plan_divides_the_time_between_labeling_and_training(
        self, lexicon_teacher, texts, clock, minutes, finishing
    ):
        clock[0] = 1_000.0
        job = DistillJob("texts.txt", LABELS, minutes=minutes)
        teacher = TeacherSource(lexicon_teacher(LEXICON))
        with open_workspace(Path("out"), job, teacher, DistillSettings(), no_progress) as work:
            plan = make_plan(work, "texts.txt")
        assert clock[0] == 1_017
        assert plan.max_words == int(0.65 * (60 * minutes - 17 - finishing) * 10)
        assert plan.training_ends == pytest.approx(1_000 + 60 * minutes - finishing)
        assert plan.words_per_second == 1_000

    def test_make_plan_refuses_too_little_time(self, make_trained, texts, clock):
        with pytest.raises(SettingsError, match=r"^minutes: 0\.2 .* 10 words per second"):
            make_trained(minutes=0.2)
        assert not Path("out").exists()

    def test_make_plan_measures_texts_of_a_generator(self, make_trained, clock):
        made, _ = make_trained(texts=(text for text in make_texts(40)), minutes=10)
        assert len(all_of(made.labeled.text)) == 40


class TestEpochs:
    @pytest.mark.parametrize(
        ("n_words", "epochs"), [(10_000, 8), (40_000, 4), (60_000, 3), (10**6, 2)]
    )
    def test_epochs_are_as_many_as_there_is_time_for(self, clock, n_words, epochs):
        plan = Plan(n_words, training_ends=280.0, words_per_second=1_000.0)
        clock[0] = 100.0
        assert plan.epochs(n_words, DistillSettings()) == epochs
        assert Plan().epochs(n_words, DistillSettings()) == 8

    @pytest.mark.parametrize(("now", "epochs"), [(0, 7), (100, 4), (200, 2), (1_000, 2)])
    def test_epochs_are_fewer_when_time_has_passed(self, clock, now, epochs):
        clock[0] = now
        plan = Plan(1, training_ends=280.0, words_per_second=1_000.0)
        assert plan.epochs(40_000, DistillSettings()) == epochs

    @pytest.mark.slow
    def test_epochs_count_gold_as_often_as_it_comes(self, make_trained, clock, monkeypatch):
        write_texts(make_texts(100))
        write_passages("gold.json", make_gold(10))
        asked, epochs = [], Plan.epochs

        def look(plan, n_words, settings):
            asked.append(n_words)
            return epochs(plan, n_words, settings)

        monkeypatch.setattr(Plan, "epochs", look)
        made, _ = make_trained(gold="gold.json")
        # There are 80 passages of text, and 8 of gold twice, to be a fifth of those; of 5 words.
        assert (len(made.labeled.text["train"]), len(made.labeled.gold["train"])) == (80, 8)
        assert asked == [5 * (80 + 2 * 8)]

    def test_epochs_of_a_run_that_has_begun_stay_the_same(
        self, make_trained, texts, clock, settings, monkeypatch
    ):
        settings = replace(settings, epochs=3, timed_words=6_000)
        set_training_rate(monkeypatch, 1.0)
        first, _ = make_trained(minutes=10, settings=settings)
        assert any("2 epochs of training instead of 3" in warning for warning in first.warnings)
        set_training_rate(monkeypatch, 1_000.0)
        again, _ = make_trained(minutes=10, settings=settings)
        assert again.warnings == first.warnings
        assert {row["epoch"] for row in read_metrics(again.run)} == {1, 2}


class TestMinutes:
    """Time for 0.65 of 60 - 15 - 17 seconds of labeling: 182 words, that is 36 passages."""

    @pytest.fixture(autouse=True)
    def quick_runs(self, make_trained, settings, clock):
        write_texts(make_texts(100))
        settings = replace(settings, timed_words=6_000)
        self.run = lambda **options: make_trained(settings=settings, **options)

    @pytest.mark.slow
    def test_collect_takes_as_much_text_as_there_is_time_for(self):
        first, _ = self.run(minutes=1)
        [limit] = [warning for warning in first.warnings if "180 of 500 words" in warning]
        assert "36 of 100 documents" in limit
        assert len(all_of(first.labeled.text)) == 36
        second, teacher = self.run(minutes=1)
        assert len(all_of(second.labeled.text)) == 72
        assert len(teacher.asked) == 2 + 32 + 36  # the first ones to measure the teacher
        third, _ = self.run()
        assert len(all_of(third.labeled.text)) == 100

    def test_collect_counts_gold_in_the_time(self):
        write_passages("gold.json", make_gold(10))
        made, _ = self.run(minutes=1, gold="gold.json")
        assert len(all_of(made.labeled.gold)) == 10
        assert len(all_of(made.labeled.text)) == 26

    @pytest.mark.slow
    def test_collect_finishes_a_stopped_run_before_it_takes_more_text(self):
        with pytest.raises(RuntimeError, match="went away"):
            self.run(minutes=1, fail_at_passage=50)
        made, _ = self.run(minutes=1)
        assert len(all_of(made.labeled.text)) == 36
        assert made.run.name == "run-0"
        assert any("180 of 500 words" in warning for warning in made.warnings)


def test_measure_training_trains_on_the_number_of_labels(monkeypatch, settings):
    asked, train = [], plan_module.train_on_targets

    def look(run, targets, *args, **options):
        asked.extend(targets["train"])
        return train(run, targets, *args, **options)

    monkeypatch.setattr(plan_module, "train_on_targets", look)
    assert measure_training(3, settings) > 0
    assert {len(passage.labels) for passage in asked} == {3}
