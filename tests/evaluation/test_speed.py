"""The measurement of speed: the texts, the turns that models take, and the table."""

import json

import pytest

from gliner_distill.evaluation import speed
from gliner_distill.evaluation.speed import (
    SpeedSettings,
    compare_speed,
    describe_speed,
    make_texts,
    measure_latency,
    measure_rates,
)
from gliner_distill.runtime.locate import bundled_student_path

SMALL = SpeedSettings(text_words=(25,), total_words=400, rounds=2, n_starts=1)


class Clock:
    """Time that passes only when a model reads: some seconds per word."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(speed.time, "perf_counter", lambda: self.now)

    def reader(self, seconds_per_word, log, name):
        def read(texts, labels):
            log.append((name, len(texts)))
            self.now += seconds_per_word * sum(len(text.split()) for text in texts)
            return [[] for _ in texts]

        return read


def numbers(count):
    return [str(number) for number in range(count)]


class TestMakeTexts:
    def test_make_texts_have_the_length_asked_and_no_word_twice(self):
        texts = make_texts(numbers(1000), 7, total_words=500)
        assert {len(text.split()) for text in texts} == {7}
        assert " ".join(texts).split() == numbers(7 * (500 // 7))


class TestMeasureRates:
    def test_measure_rates_divides_words_by_seconds_and_models_take_turns(self, monkeypatch):
        clock, log = Clock(monkeypatch), []
        readers = {name: clock.reader(rate, log, name) for name, rate in (("a", 0.01), ("b", 0.02))}
        rates = measure_rates(readers, make_texts(numbers(1000), 10), ["x"], rounds=3)
        assert rates["a"] == pytest.approx([100] * 3)
        assert rates["b"] == pytest.approx([50] * 3)
        assert [name for name, _ in log[-6:]] == ["a", "b"] * 3

    def test_measure_rates_gives_a_slow_model_fewer_texts(self, monkeypatch):
        clock, log = Clock(monkeypatch), []
        readers = {
            name: clock.reader(rate, log, name) for name, rate in (("fast", 1e-9), ("slow", 2**-6))
        }
        measure_rates(readers, make_texts(numbers(1000), 10), ["x"], rounds=1)
        assert log[-2:] == [("fast", 100), ("slow", 12)]


class TestMeasureLatency:
    def test_measure_latency_times_one_text_at_a_time(self, monkeypatch):
        clock, log = Clock(monkeypatch), []
        texts = make_texts(numbers(1000), 5)
        p50, p95 = measure_latency(clock.reader(0.001, log, "a"), texts, ["x"])
        assert (p50, p95) == (pytest.approx(5.0), pytest.approx(5.0))
        assert {count for _, count in log} == {1}


class TestCompareSpeed:
    @pytest.mark.slow
    def test_compare_speed_measures_the_bundled_student_under_both_its_names(self):
        steps = []
        path = str(bundled_student_path())
        comparison = compare_speed(
            [None, path],
            num_threads=1,
            settings=SMALL,
            progress=lambda stage, done, total, note="": steps.append((done, total)),
        )
        lines = list(describe_speed(comparison))
        assert lines[2] == f"| | bundled student | {path} |"
        assert [row.split(" | ")[0] for row in lines[4:]] == [
            "| words/s, texts of 25 words, 5 labels",
            "| words/s, texts of 25 words, 50 labels",
            "| 25 words, 5 labels, one at a time: p50, ms",
            "| the same, p95, ms",
            "| process start to first answer, s",
            "| peak memory, MB",
        ]
        assert steps == [(step, 5) for step in range(5)]

    @pytest.mark.slow
    def test_speed_comparison_as_json_has_the_keys_of_bench(self):
        comparison = compare_speed([None], num_threads=1, settings=SMALL)
        written = json.loads(json.dumps(comparison.as_json()))
        assert {"machine", "threads", "rounds", "models"} == written.keys()
        (figures,) = written["models"].values()
        assert {"rates", "p50_ms", "p95_ms", "seconds", "memory_mb"} <= figures.keys()
        assert figures["rates"][0].keys() == {
            *("text_words", "n_labels", "words_per_second", "lowest", "highest")
        }
