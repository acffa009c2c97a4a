"""How fast models read: the texts, the turns, the table."""

import pytest

from gliner_distill.errors import StudentError
from gliner_distill.evaluation import speed
from gliner_distill.evaluation.speed import (
    compare_speed,
    describe_speed,
    make_texts,
    measure_latency,
    measure_rates,
    measure_start,
    open_reader,
)


class Clock:
    """Time that passes only when a reader works: a second for each word."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(speed.time, "perf_counter", lambda: self.now)

    def reader(self, seconds_a_word, log, name):
        def read(texts, labels):
            log.append((name, len(texts)))
            self.now += seconds_a_word * sum(len(text.split()) for text in texts)
            return [[] for _ in texts]

        return read


class TestTexts:
    def test_have_the_length_asked_and_no_word_twice(self):
        words = [str(number) for number in range(1000)]
        texts = make_texts(words, 7, total_words=500)
        assert {len(text.split()) for text in texts} == {7}
        assert " ".join(texts).split() == words[: 7 * (500 // 7)]


class TestRates:
    def test_are_words_by_seconds_and_readers_take_turns(self, monkeypatch):
        clock, log = Clock(monkeypatch), []
        readers = {name: clock.reader(rate, log, name) for name, rate in (("a", 0.01), ("b", 0.02))}
        texts = make_texts([str(number) for number in range(1000)], 10)
        rates = measure_rates(readers, texts, ["x"], rounds=3)
        assert rates["a"] == pytest.approx([100] * 3)
        assert rates["b"] == pytest.approx([50] * 3)
        assert [name for name, _ in log[-6:]] == ["a", "b"] * 3

    def test_a_slow_reader_gets_fewer_texts(self, monkeypatch):
        clock, log = Clock(monkeypatch), []
        readers = {
            name: clock.reader(rate, log, name) for name, rate in (("fast", 1e-9), ("slow", 2**-6))
        }
        texts = make_texts([str(number) for number in range(1000)], 10)
        measure_rates(readers, texts, ["x"], rounds=1)
        assert log[-2:] == [("fast", 100), ("slow", 12)]

    def test_latency_is_that_of_one_text(self, monkeypatch):
        clock, log = Clock(monkeypatch), []
        texts = make_texts([str(number) for number in range(1000)], 5)
        p50, p95 = measure_latency(clock.reader(0.001, log, "a"), texts, ["x"])
        assert (p50, p95) == (pytest.approx(5.0), pytest.approx(5.0))
        assert {count for _, count in log} == {1}


class TestModels:
    def test_the_bundled_student_is_compared_with_itself_under_its_path(self, monkeypatch):
        from gliner_distill.runtime.locate import bundled_student_path

        monkeypatch.setattr(speed, "_WORDS", 400)
        monkeypatch.setattr(speed, "_RUNS", 1)
        monkeypatch.setattr(speed, "TEXT_WORDS", (25,))
        seen = []
        path = str(bundled_student_path())
        figures = compare_speed(
            [None, path], num_threads=1, rounds=2, on_step=lambda *step: seen.append(step)
        )
        lines = list(describe_speed(figures))
        assert lines[2] == f"| | bundled student | {path} |"
        assert [row.split(" | ")[0] for row in lines[4:]] == [
            "| words/s, texts of 25 words, 5 labels",
            "| words/s, texts of 25 words, 50 labels",
            "| 25 words, 5 labels, one at a time: p50, ms",
            "| the same, p95, ms",
            "| process start to first answer, s",
            "| peak memory, MB",
        ]
        assert [step for step, _, _ in seen] == list(range(seen[0][1]))

    def test_a_gliner_reads_too(self, build_gliner, tmp_path):
        build_gliner("UniEncoderSpan").save_pretrained(tmp_path, safe_serialization=True)
        read = open_reader(str(tmp_path), num_threads=1)
        assert len(read(["mary saw paris", "acme"], ["city"])) == 2

    def test_a_folder_of_neither_is_an_error(self, tmp_path):
        with pytest.raises(StudentError, match="neither a student nor a GLiNER"):
            open_reader(str(tmp_path), num_threads=1)

    def test_a_process_that_fails_is_an_error(self, tmp_path, monkeypatch):
        monkeypatch.setattr(speed, "_RUNS", 1)
        with pytest.raises(StudentError, match="does not start"):
            measure_start(str(tmp_path), num_threads=1)
