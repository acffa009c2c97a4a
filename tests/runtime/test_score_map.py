"""The map of scores: its values by hand, its inverse, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.errors import StudentError
from gliner_distill.runtime.score_map import MAX_KNOTS, ScoreMap, parse_score_map

KNOTS = {"logits": [-2.0, 0.0, 1.0], "reported": [-1.0, 0.0, 3.0]}
MAP = ScoreMap(tuple(KNOTS["logits"]), tuple(KNOTS["reported"]))


def prob(logit):
    return 1 / (1 + np.exp(-np.asarray(logit, dtype=np.float64)))


@st.composite
def score_maps(draw):
    steps = st.lists(st.floats(0.05, 3), min_size=2, max_size=6)
    rises, runs = draw(steps), draw(steps)
    n_steps = min(len(rises), len(runs))
    zero = draw(st.integers(0, n_steps))
    knots = [np.cumsum([0.0, *values[:n_steps]]) for values in (runs, rises)]
    return ScoreMap(*(tuple((values - values[zero]).tolist()) for values in knots))


class TestScoreMap:
    @pytest.mark.parametrize(
        ("logit", "reported"),
        [(-4, -2), (-2, -1), (-1, -0.5), (0, 0), (0.5, 1.5), (1, 3), (2, 6)],
    )
    def test_report_follows_the_line_through_the_knots(self, logit, reported):
        assert MAP.report(prob([logit]))[0] == pytest.approx(prob(reported), abs=1e-6)
        assert MAP.restore(prob([reported]))[0] == pytest.approx(prob(logit), abs=1e-6)

    @given(score_maps(), st.lists(st.floats(0.001, 0.999), min_size=1, max_size=20))
    def test_report_is_monotone_and_restore_is_its_inverse(self, score_map, probs):
        ordered = np.sort(np.array(probs))
        reported = score_map.report(ordered)
        assert reported.dtype == np.float32
        assert (np.diff(reported) >= 0).all()
        inner = (reported > 1e-3) & (reported < 1 - 1e-3)
        restored = score_map.restore(reported[inner])
        np.testing.assert_allclose(restored, ordered[inner], atol=1e-3)

    @given(score_maps())
    def test_maps_leave_0_and_one_half_and_1_alone(self, score_map):
        fixed = np.array([0, 0.5, 1], dtype=np.float32)
        assert score_map.report(fixed).tolist() == fixed.tolist()
        assert score_map.restore(fixed).tolist() == fixed.tolist()

    def test_report_of_nothing_is_empty(self):
        assert MAP.report(np.zeros(0)).shape == (0,)


class TestParseScoreMap:
    def test_parse_score_map_reads_what_as_json_writes(self):
        assert parse_score_map(Path("x.json"), KNOTS) == MAP
        assert MAP.as_json() == KNOTS

    def test_parse_score_map_of_nothing_is_none(self):
        assert parse_score_map(Path("x.json"), None) is None

    @pytest.mark.parametrize(
        ("value", "said"),
        [
            (3, "is 3; expected an object"),
            ([], "expected an object"),
            ({"logits": [0, 1]}, "expected an object of logits and reported"),
            (KNOTS | {"more": 1}, "expected an object of logits and reported"),
            (KNOTS | {"logits": 3}, "logits is 3; expected a list of numbers"),
            (KNOTS | {"reported": [0, "1", 2]}, "reported is .* expected a list of numbers"),
            (KNOTS | {"reported": [0, True, 2]}, "reported is .* expected a list of numbers"),
            (KNOTS | {"logits": [0, float("nan"), 2]}, "logits is .* expected a list of numbers"),
            (KNOTS | {"logits": [0, 1, 10**400]}, "logits is .* expected a list of numbers"),
            (KNOTS | {"logits": [-2, 0]}, "2 logits and 3 reported ones; expected as many"),
            ({"logits": [0], "reported": [0]}, "logits has 1 knots; expected 2 to 64"),
            (
                {name: list(range(MAX_KNOTS + 1)) for name in KNOTS},
                "logits has 65 knots; expected 2 to 64",
            ),
            (KNOTS | {"logits": [-2, 0, 0]}, "logits does not increase"),
            (KNOTS | {"reported": [1, 0, -1]}, "reported does not increase"),
            (KNOTS | {"reported": [-1, 0.5, 3]}, "the logit 0 is reported as 0.5; expected 0"),
        ],
    )
    def test_parse_score_map_refuses_what_is_no_map(self, value, said):
        with pytest.raises(StudentError, match=f"x.json: field 'score_map'.*{said}") as caught:
            parse_score_map(Path("x.json"), value)
        assert "\n" not in str(caught.value)
