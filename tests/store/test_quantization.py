"""Codes of probabilities: what a byte keeps of a number, and in which order bytes lie."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.store.quantization import COMPACT, QUANTIZERS, UNIFORM

both_quantizers = pytest.mark.parametrize(
    "quantizer", [UNIFORM, COMPACT], ids=["uniform", "compact"]
)
# What a teacher says is float32.
PROBS = st.floats(0, 1, width=32)


def kept(quantizer, prob):
    return float(quantizer.decode(quantizer.encode(np.array([prob], dtype=np.float32)))[0])


class TestOneProbability:
    @given(PROBS)
    def test_uniform_is_within_half_a_256th(self, prob):
        assert abs(kept(UNIFORM, prob) - prob) <= 1 / 512

    @given(st.floats(1 / 8, 1, width=32))
    def test_compact_is_within_half_a_256th_from_an_eighth_up(self, prob):
        assert abs(kept(COMPACT, prob) - prob) <= 1 / 512

    @given(st.floats(0, 1 / 8, exclude_max=True, width=32))
    def test_compact_stays_in_one_of_three_bins_below_an_eighth(self, prob):
        bins = [(0, 1 / 32), (1 / 32, 1 / 16), (1 / 16, 1 / 8)]
        [(low, high)] = [(low, high) for low, high in bins if low <= prob < high]
        assert low <= kept(COMPACT, prob) < high

    @both_quantizers
    @given(prob=PROBS, threshold=st.integers(32, 256).map(lambda parts: parts / 256))
    def test_quantizers_keep_the_side_of_a_threshold_from_an_eighth_up(
        self, quantizer, prob, threshold
    ):
        if threshold < 1:
            assert (kept(quantizer, prob) > threshold) == (prob >= threshold)
        assert kept(quantizer, prob) < 1

    @given(PROBS, st.integers(0, 255).map(lambda parts: parts / 256))
    def test_uniform_keeps_the_side_of_a_smaller_threshold(self, prob, threshold):
        assert (kept(UNIFORM, prob) > threshold) == (prob >= threshold)

    @both_quantizers
    @pytest.mark.parametrize("threshold", [1 / 8, 1 / 4, 1 / 2, 255 / 256])
    def test_quantizers_put_a_threshold_above_itself_and_smaller_values_below(
        self, quantizer, threshold
    ):
        just_below = float(np.nextafter(np.float32(threshold), np.float32(0)))
        assert kept(quantizer, just_below) < threshold < kept(quantizer, threshold)


@both_quantizers
class TestBins:
    def test_decode_returns_values_inside_the_bins(self, quantizer):
        bins = np.arange(len(quantizer.values), dtype=np.uint8)
        decoded = quantizer.decode(bins)
        assert decoded.dtype == np.float32
        np.testing.assert_array_equal(quantizer.encode(decoded), bins)

    def test_quantizers_cover_zero_to_one(self, quantizer):
        assert (quantizer.borders[0], quantizer.borders[-1]) == (0, 256)
        assert len(quantizer.borders) == len(quantizer.values) + 1 <= 257
        assert list(quantizer.borders) == sorted(set(quantizer.borders))

    def test_encode_and_decode_take_empty_arrays(self, quantizer):
        assert quantizer.decode(np.zeros((0, 3), dtype=np.uint8)).shape == (0, 3)
        assert quantizer.encode(np.zeros((2, 0, 3))).shape == (2, 0, 3)

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    def test_encode_does_not_wrap_around_beyond_zero_and_one(self, quantizer, dtype):
        bins = quantizer.encode(np.array([-1e-7, 0.0, 1.0, 1.0001], dtype=dtype))
        last = len(quantizer.values) - 1
        assert bins.dtype == np.uint8
        assert bins.tolist() == [0, 0, last, last]


def test_compact_has_the_bins_that_are_documented():
    assert COMPACT.borders == (0, 8, 16, 32, *range(33, 257))
    assert COMPACT.values[:3] == (0.0088, 0.0446, 0.0888)
    assert COMPACT.values[3:] == UNIFORM.values[32:]


def test_decode_refuses_a_byte_that_is_not_a_bin():
    with pytest.raises(ValueError, match=r"^bin 227, but compact has 227 bins$"):
        COMPACT.decode(np.array([0, 227], dtype=np.uint8))


def test_quantizers_are_listed_by_name():
    assert QUANTIZERS == {"uniform": UNIFORM, "compact": COMPACT}


class TestScores:
    @both_quantizers
    @given(n_words=st.integers(0, 5), n_labels=st.integers(0, 3), seed=st.integers(0, 10_000))
    def test_decode_scores_returns_the_bins_that_encode_scores_wrote(
        self, quantizer, n_words, n_labels, seed
    ):
        draw = np.random.default_rng(seed)
        probs = draw.choice(np.linspace(0, 1, 9), (n_words, n_labels, 3)).astype(np.float32)
        scores = quantizer.encode_scores(probs)
        assert len(scores) == probs.size
        decoded = quantizer.decode_scores(scores, n_words, n_labels)
        assert decoded.dtype == np.float32
        np.testing.assert_array_equal(decoded, quantizer.decode(quantizer.encode(probs)))

    def test_encode_scores_of_uniform_equals_three_planes_by_hand(self):
        # In 256ths, rounded down: start 230 and 51, end 25 and 179, inside as the larger.
        probs = np.array([[[0.9, 0.1, 0.9]], [[0.2, 0.7, 0.7]]])
        assert UNIFORM.encode_scores(probs) == bytes([230, 51, 25, 179, 0, 0])

    def test_encode_scores_of_compact_equals_three_planes_by_hand(self):
        # From 32 up a bin's number is its 256ths less 29; below that 0, 1 or 2.
        probs = np.array([[[0.9, 0.1, 0.9]], [[0.2, 0.7, 0.7]]])
        assert COMPACT.encode_scores(probs) == bytes([201, 22, 2, 150, 0, 0])

    def test_encode_scores_puts_words_before_labels(self):
        probs = np.zeros((2, 3, 3))
        probs[:, :, 0] = np.arange(6).reshape(2, 3) / 256
        assert UNIFORM.encode_scores(probs)[:6] == bytes(range(6))

    @both_quantizers
    def test_encode_scores_keeps_inside_above_and_below_the_others(self, quantizer):
        # Inside one 256th above the larger; 64 below it, hence 192; 64 above it.
        probs = np.array([[[128, 64, 129], [128, 64, 64], [64, 128, 192]]]) / 256
        assert quantizer.encode_scores(probs)[6:] == bytes([1, 192, 64])
        decoded = quantizer.decode_scores(quantizer.encode_scores(probs), 1, 3)
        np.testing.assert_array_equal(decoded, probs + 1 / 512)

    @both_quantizers
    @pytest.mark.parametrize("n_bytes", [0, 17, 19, 36])
    def test_decode_scores_refuses_a_row_of_another_length(self, quantizer, n_bytes):
        with pytest.raises(ValueError, match="reshape"):
            quantizer.decode_scores(bytes(n_bytes), 2, 3)

    @pytest.mark.parametrize("scores", [(227, 0, 0), (0, 255, 1), (226, 3, 1)])
    def test_decode_scores_refuses_a_byte_that_is_not_a_bin(self, scores):
        with pytest.raises(ValueError, match="but compact has 227"):
            COMPACT.decode_scores(bytes(scores), 1, 1)
