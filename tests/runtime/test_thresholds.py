"""Thresholds per label, against every possible cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.entities import Entity
from gliner_distill.runtime.thresholds import fit_label_thresholds


def f1_of_cut(outcomes, n_gold, cut):
    kept = [right for score, right in outcomes if score > cut]
    return 2 * sum(kept) / (len(kept) + n_gold) if kept or n_gold else 0.0


class TestLabelThresholds:
    @staticmethod
    def passages(outcomes, n_missed=0, label="city"):
        """Return a passage for each `(score, right)`, and some whose entity has no candidate."""
        candidates = [[Entity(0, 1, label, score)] for score, _ in outcomes] + [[]] * n_missed
        gold = [{(0, 1, label)} if right else set() for _, right in outcomes]
        return candidates, gold + [{(0, 1, label)}] * n_missed

    def test_fit_label_thresholds_cuts_midway_between_right_and_wrong(self):
        right = [(score, True) for score in (0.9, 0.85, 0.8, 0.75, 0.7)]
        wrong = [(0.4, False), (0.3, False)]
        candidates, gold = self.passages(right + wrong)
        assert fit_label_thresholds(candidates, gold, {"city": 0.5}) == {"city": 0.55}

    @given(
        st.lists(st.tuples(st.integers(2, 19), st.booleans()), min_size=1, max_size=30),
        st.integers(5, 9),
    )
    def test_fit_label_thresholds_is_as_good_as_any_cut(self, outcomes, n_missed):
        outcomes = [(score / 20, right) for score, right in outcomes]
        candidates, gold = self.passages(outcomes, n_missed)
        cut = fit_label_thresholds(candidates, gold, {"city": 0.5})["city"]
        n_gold = n_missed + sum(right for _, right in outcomes)
        best = max(f1_of_cut(outcomes, n_gold, place / 40) for place in range(40))
        assert 0.02 <= cut <= 0.98
        if any(right for _, right in outcomes):
            assert f1_of_cut(outcomes, n_gold, cut) == pytest.approx(best)
        else:
            assert cut == 0.5

    def test_fit_label_thresholds_gives_rare_labels_one_shared_threshold(self):
        many, few = [(0.9, True)] * 5 + [(0.6, False)], [(0.5, True)] * 4 + [(0.3, False)]
        candidates, gold = self.passages(many)
        candidates_few, gold_few = self.passages(few, label="river")
        labels = ["city", "river", "unseen"]
        fitted = fit_label_thresholds(
            candidates + candidates_few, gold + gold_few, dict.fromkeys(labels, 0.5)
        )
        assert fitted["city"] == 0.75
        assert fitted["river"] == fitted["unseen"] == 0.4
        candidates_few.append([Entity(0, 1, "river", 0.5)])
        gold_few.append({(0, 1, "river")})  # the fifth
        fitted = fit_label_thresholds(
            candidates + candidates_few, gold + gold_few, dict.fromkeys(labels, 0.5)
        )
        assert fitted["river"] == 0.4
        assert fitted["unseen"] == 0.4

    def test_fit_label_thresholds_keeps_one_half_if_no_candidate_is_right(self):
        candidates, gold = self.passages([(0.9, False), (0.2, False)], n_missed=6)
        assert fit_label_thresholds(candidates, gold, {"city": 0.5}) == {"city": 0.5}

    def test_fit_label_thresholds_counts_only_gold_of_its_labels(self):
        candidates, gold = self.passages([(0.9, True)] * 5 + [(0.4, False)])
        gold[0] = gold[0] | {(0, 1, "person")}
        assert fit_label_thresholds(candidates, gold, {"city": 0.5}) == {"city": 0.65}

    def test_fit_label_thresholds_moves_only_for_a_gain(self):
        candidates = [[Entity(0, 1, "city", 0.6)]] * 9 + [[Entity(0, 1, "city", 0.7)]]
        gold = [{(0, 1, "city")}] * 9 + [set()]
        own = {"city": 0.55}
        assert fit_label_thresholds(candidates, gold, own, min_gain=0.01) == own
        assert fit_label_thresholds(candidates, gold, {"city": 0.65}, min_gain=0.01)["city"] < 0.6
