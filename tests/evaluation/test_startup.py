"""The process of its own: its first answer and its peak memory."""

import pytest

from gliner_distill.errors import StudentError
from gliner_distill.evaluation import startup
from gliner_distill.evaluation.startup import answer_once, measure_start, peak_memory_mb


def test_answer_once_reads_with_a_gliner_through_its_own_library(gliner_folder, monkeypatch):
    from gliner.model import UniEncoderSpanGLiNER

    n_texts = []
    original = UniEncoderSpanGLiNER.inference

    def inference(model, texts, labels, *args, **kwargs):
        n_texts.append(len(texts))
        return original(model, texts, labels, *args, **kwargs)

    monkeypatch.setattr(UniEncoderSpanGLiNER, "inference", inference)
    answer = answer_once(str(gliner_folder), num_threads=1)
    assert n_texts == [1]
    assert answer["memory_mb"] > 1


class TestMeasureStart:
    @pytest.mark.slow
    def test_measure_start_does_not_count_the_memory_of_its_parent(self):
        ballast = bytearray(600 * 2**20)
        start = measure_start(None, num_threads=1, n_starts=1)
        assert len(ballast) > 0
        assert 20 < start.memory_mb < 500
        assert start.memory_source == "VmHWM"

    @pytest.mark.slow
    def test_measure_start_reports_a_process_that_fails(self, tmp_path):
        with pytest.raises(StudentError, match=str(tmp_path)):
            measure_start(str(tmp_path), num_threads=1, n_starts=1)


class TestPeakMemory:
    def test_peak_memory_mb_falls_back_to_ru_maxrss(self, monkeypatch):
        monkeypatch.setattr(startup.Path, "is_file", lambda path: False)
        peak, source = peak_memory_mb()
        assert source == "ru_maxrss"
        assert peak > 1
