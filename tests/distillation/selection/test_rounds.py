"""Asking in rounds: the same choice, also after a stop, and never more than the budget."""

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from distillation_world import assert_same_weights, make_texts, texts_of, write_texts
from gliner_distill.distillation.selection.budget import Pace, TeacherBudget
from gliner_distill.errors import CorpusError, SettingsError

pytestmark = pytest.mark.slow


@pytest.fixture
def paced(settings):
    """Settings with rounds for the smallest texts, in which the agreement may even fall."""
    pace = Pace(quick_epochs=1, min_gain=-1.0, min_passages=10, min_dev_entities=1)
    return replace(settings, pace=pace, epochs=1, shard_passages=3)


@pytest.fixture
def read(make_trained, paced, in_folder):
    """A function that distills 60 texts, up to the trained student."""
    write_texts(make_texts(60))

    def read(out="out", budget="120", **options):
        options = {"settings": paced} | options
        return make_trained(out, teacher_budget=TeacherBudget.parse(budget), **options)

    return read


def words_of(teacher):
    return sum(len(words) for words, _ in teacher.asked)


def rounds_of(out="out"):
    """Return the rounds, of which the last has no passages."""
    folders = [Path(out) / f"work/text-0/round-{number}" for number in range(20)]
    return [
        json.loads((folder / "round.json").read_text()) for folder in folders if folder.is_dir()
    ]


class TestRoundReader:
    def test_read_stays_within_a_budget_of_words(self, read):
        made, teacher = read()
        assert 115 < words_of(teacher) <= 120
        text = made.labeled.text
        assert [len(text[split]) for split in ("dev", "test")] == [2, 2]
        *chosen, last = rounds_of()
        sizes = [len(each["positions"]) for each in chosen]
        assert sizes == [4, 2, 3, 4, 7]
        assert (last["positions"], last["reason"]) == ([], "budget")
        positions = {position for each in chosen for position in each["positions"]}
        assert len(positions) == sum(sizes) == len(text["train"])
        reading = made.labeled.reading
        assert (reading.n_words, reading.n_all_words) == (100, 240)
        assert [figures.n_words for figures in reading.curve] == [20, 30, 45, 65]
        assert "100 of 240 words of the training text (42%), as much as its" in made.warnings[0]
        assert [path.parent.name for path in Path("out").glob("work/text-0/round-*/quick")] == [
            "round-3"
        ]

    def test_read_uses_its_budget_although_a_long_passage_is_preferred(self, read):
        texts = [" ".join([text] * (9, 1)[n % 2]) for n, text in enumerate(make_texts(60))]
        write_texts(texts)
        _, teacher = read(budget="400")
        assert 395 < words_of(teacher) <= 400

    def test_read_refuses_a_time_that_dev_has_used_up(self, read):
        with pytest.raises(SettingsError, match=r"0\.0001 minutes were spent on .* dev and test"):
            read(budget="0.0001min")
        made, _ = read(budget="120")
        assert made.labeled.reading.n_words

    def test_a_larger_budget_does_not_open_finished_rounds_and_says_so(self, read):
        read(budget="120")
        made, teacher = read(budget="all")
        assert teacher.asked == []
        assert "as an earlier --teacher-budget said; choose another --out" in made.warnings[0]

    def test_read_chooses_the_same_again_and_asks_nothing_twice(self, read):
        first, _ = read("one")
        second, _ = read("two")
        assert rounds_of("one") == rounds_of("two")
        assert_same_weights(first.student, second.student)
        again, silent = read("two")
        assert silent.asked == []
        assert again.labeled.reading == second.labeled.reading
        assert texts_of(again.labeled.text["train"]) == texts_of(second.labeled.text["train"])

    def test_read_continues_with_the_same_choice_wherever_it_was_stopped(self, read):
        whole, _ = read("whole")
        n_stops = 0
        while len(rounds_of("stopped")) < len(rounds_of("whole")):
            # Each run finishes a shard of at most three passages before it is stopped.
            with suppress(RuntimeError):
                read("stopped", fail_at_passage=4)
            n_stops += 1
        assert n_stops > 5
        made, _ = read("stopped")
        assert rounds_of("stopped") == rounds_of("whole")
        assert_same_weights(made.student, whole.student)

    def test_read_continues_after_a_stop_of_a_quick_student(self, read):
        whole, _ = read("whole")

        class StoppedError(Exception):
            pass

        def stop_in(stage):
            def progress(name, done, total, note=""):
                if name == stage and done == total:
                    raise StoppedError

            return progress

        for number in (1, 2, 4):
            with pytest.raises(StoppedError):
                read("stopped", progress=stop_in(f"quick student {number}"))
        made, _ = read("stopped")
        assert rounds_of("stopped") == rounds_of("whole")
        assert_same_weights(made.student, whole.student)

    def test_read_stops_when_the_agreement_stops_rising(self, read, paced):
        steep = replace(paced, pace=replace(paced.pace, min_gain=2.0))
        made, _ = read(budget="auto", settings=steep)
        assert [each["reason"] for each in rounds_of()] == ["", "", "", "agreement"]
        assert len(made.labeled.text["dev"]) == len(made.labeled.text["test"]) == 6
        assert "stopped rising" in made.warnings[0]

    def test_read_without_a_stop_reads_everything_in_rounds(self, read):
        made, teacher = read(budget="auto")
        assert words_of(teacher) == 300
        assert rounds_of()[-1]["reason"] == "all"
        assert made.labeled.reading.n_words == made.labeled.reading.n_all_words == 240

    def test_read_of_all_finishes_rounds_in_one(self, read):
        with pytest.raises(RuntimeError):
            read(fail_at_passage=10)
        made, _ = read(budget="all")
        assert len(made.labeled.text["train"]) == 48
        assert [each["reason"] for each in rounds_of()] == ["", "", "", "", "all"]

    def test_read_refuses_a_changed_round(self, read):
        read()
        path = Path("out/work/text-0/round-1/round.json")
        path.write_text(path.read_text().replace('"reason": ""', '"reason": "all"'))
        with pytest.raises(CorpusError, match=r"round-1/round\.json: has changed"):
            read()
