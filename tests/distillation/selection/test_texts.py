"""Which texts are read whole, and what a budget leaves for dev and test."""

from dataclasses import replace
from pathlib import Path

import pytest

from distillation_world import files_of, make_gold, make_texts, write_texts
from gliner_distill.corpus.reader import write_passages
from gliner_distill.distillation.selection.budget import Pace, TeacherBudget
from gliner_distill.errors import SettingsError

pytestmark = pytest.mark.slow


@pytest.fixture
def quick(settings):
    """Settings of one epoch, with rounds for the smallest texts."""
    pace = Pace(quick_epochs=1, min_gain=-1.0, min_passages=10, min_dev_entities=1)
    return replace(settings, epochs=1, pace=pace)


@pytest.fixture
def read(make_trained, quick, in_folder):
    """A function that distills 60 texts, up to the trained student."""
    write_texts(make_texts(60))

    def read(budget, out="out", **options):
        options = {"settings": quick} | options
        return make_trained(out, teacher_budget=TeacherBudget.parse(budget), **options)

    return read


def stored(out="out"):
    """Return the content of everything but the log of training and what holds a time."""
    changing = ("tensorboard", "manifest", "environment", "checkpoint", ".lock")
    files = files_of(Path(out))
    return {name: files[name] for name in files if not any(part in name for part in changing)}


class TestReadText:
    def test_read_of_all_is_what_it_was_before_there_were_budgets(self, read, quick):
        read("all", "all")
        few = replace(quick, pace=Pace())
        read("auto", "few", settings=few)
        assert stored("all") == stored("few")
        names = {name.split("/")[2] for name in stored("all") if "text-0" in name}
        labels = {f"labels-{split}" for split in ("train", "dev", "test")}
        assert names == labels | {"train.json", "dev.json", "test.json", "documents.json"}

    def test_read_without_enough_entities_in_dev_reads_all(self, read, quick):
        pace = replace(quick.pace, min_dev_entities=1000)
        made, teacher = read("auto", settings=replace(quick, pace=pace))
        assert len(teacher.asked) == 60
        assert not made.labeled.reading.is_chosen
        assert made.warnings == ()

    def test_read_of_a_folder_that_was_begun_whole_is_finished_whole(self, read):
        with pytest.raises(RuntimeError):
            read("all", fail_at_passage=20)
        made, _ = read("100")
        assert not made.labeled.reading.is_chosen

    def test_read_within_a_time_limit_reads_all_unless_there_is_a_budget(self, read):
        made, _ = read("auto", minutes=1000)
        assert not made.labeled.reading.is_chosen
        made, _ = read("120", "other", minutes=1000)
        assert made.labeled.reading.n_words == 100

    def test_read_refuses_a_budget_that_is_too_small(self, read):
        with pytest.raises(SettingsError, match=r"teacher budget: 90 words .* at least 100"):
            read("90")

    def test_read_with_much_time_reads_everything_in_rounds(self, read):
        made, teacher = read("1000min")
        assert made.labeled.reading.is_chosen
        assert made.labeled.reading.reason == "all"
        assert len(teacher.asked) == 60 + 34  # the first passages tell how fast the teacher is

    def test_read_refuses_a_time_that_is_too_short(self, read):
        with pytest.raises(SettingsError, match="teacher budget: 1e-09 minutes"):
            read("0.000000001min")

    def test_read_adds_new_texts_with_a_budget_of_their_own(self, read):
        first, _ = read("120")
        write_texts(make_texts(120))
        second, teacher = read("120")
        assert 100 < sum(len(words) for words, _ in teacher.asked) <= 120
        before, after = first.labeled.reading, second.labeled.reading
        assert (before.n_words, before.n_all_words) == (100, 240)
        assert (after.n_words, after.n_all_words) == (200, 480)
        assert len(second.labeled.text["train"]) == 40

    def test_read_counts_annotated_passages_beside_the_budget(self, read):
        write_passages("gold.json", make_gold(20))
        made, teacher = read("120", gold="gold.json")
        assert sum(len(words) for words, _ in teacher.asked) <= 120 + 20 * 5
        assert len(made.labeled.gold["train"]) == 16
