"""Thresholds per label, against every possible cut, and the candidates that they cut."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.decoding import decode_entities
from gliner_distill.entities import Entity
from gliner_distill.runtime.thresholds import (
    MIN_SCORE,
    GoldPassage,
    fit_label_thresholds,
    fit_recall_thresholds,
    gather_candidates,
    labels_of,
    plan_tuning,
    prefer_certain,
)
from gliner_distill.spans import TagScores


def gold_of(*spans):
    return GoldPassage(frozenset(spans))


def f1_of_cut(outcomes, n_gold, cut):
    kept = [right for score, right in outcomes if score > cut]
    return 2 * sum(kept) / (len(kept) + n_gold) if kept or n_gold else 0.0


class TestLabelThresholds:
    @staticmethod
    def passages(outcomes, n_missed=0, label="city"):
        """Return a passage for each `(score, right)`, and some whose entity has no candidate."""
        candidates = [[Entity(0, 1, label, score)] for score, _ in outcomes] + [[]] * n_missed
        gold = [gold_of((0, 1, label)) if right else gold_of() for _, right in outcomes]
        return candidates, gold + [gold_of((0, 1, label))] * n_missed

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
        gold_few.append(gold_of((0, 1, "river")))  # the fifth
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
        gold[0] = gold_of((0, 1, "city"), (0, 1, "person"))
        assert fit_label_thresholds(candidates, gold, {"city": 0.5}) == {"city": 0.65}

    def test_fit_label_thresholds_moves_only_for_a_gain(self):
        candidates = [[Entity(0, 1, "city", 0.6)]] * 9 + [[Entity(0, 1, "city", 0.7)]]
        gold = [gold_of((0, 1, "city"))] * 9 + [gold_of()]
        own = {"city": 0.55}
        assert fit_label_thresholds(candidates, gold, own, min_gain=0.01) == own
        assert fit_label_thresholds(candidates, gold, {"city": 0.65}, min_gain=0.01)["city"] < 0.6

    def test_fit_label_thresholds_counts_unaligned_gold_as_missed(self):
        outcomes = [(0.9, True)] * 5 + [(0.5, False)] * 4 + [(0.4, True)]
        candidates, gold = self.passages(outcomes)
        unaligned = [GoldPassage(passage.spans, {"city": 2}) for passage in gold]
        _, missed = self.passages([], n_missed=20)
        with_missed = fit_label_thresholds(
            [*candidates, *[[]] * 20], [*gold, *missed], {"city": 0.5}
        )
        assert fit_label_thresholds(candidates, unaligned, {"city": 0.5}) == with_missed
        assert with_missed != fit_label_thresholds(candidates, gold, {"city": 0.5})


class TestRecallThresholds:
    @staticmethod
    def fit(outcomes, n_missed=0, *, min_recall, now=0.5):
        candidates, gold = TestLabelThresholds.passages(outcomes, n_missed)
        return fit_recall_thresholds(candidates, gold, {"city": now}, min_recall=min_recall)["city"]

    def test_fit_recall_thresholds_cuts_below_the_last_entity_needed(self):
        outcomes = [(place / 10, True) for place in range(2, 10)]
        outcomes += [(0.45, False), (0.35, False)]
        assert self.fit(outcomes, 2, min_recall=0.5) == pytest.approx(0.475)
        assert self.fit(outcomes, 2, min_recall=0.6) == pytest.approx(0.375)

    @given(
        st.lists(st.tuples(st.integers(3, 19), st.booleans()), min_size=1, max_size=30),
        st.integers(0, 9),
        st.sampled_from([0.1, 0.5, 0.7, 0.9, 0.95, 1.0]),
    )
    def test_fit_recall_thresholds_reaches_the_recall_at_the_highest_cut(
        self, outcomes, n_missed, min_recall
    ):
        outcomes = [(score / 20, right) for score, right in outcomes]
        n_gold = n_missed + sum(right for _, right in outcomes)

        def recall(cut):
            return sum(right and score > cut for score, right in outcomes) / max(n_gold, 1)

        cut = self.fit(outcomes, n_missed, min_recall=min_recall)
        if not any(right for _, right in outcomes):
            assert cut == 0.5
        elif recall(0) >= min_recall:
            assert recall(cut) >= min_recall
            # The next higher score would lose an entity that is needed.
            higher = min(score for score, right in outcomes if right and score > cut)
            assert recall(higher) < min_recall
        else:
            assert recall(cut) == recall(0)

    def test_fit_recall_thresholds_warns_of_a_recall_out_of_reach(self, caplog):
        right = [(0.3, True)] * 6
        assert self.fit([*right, (0.2, False)], 4, min_recall=0.6) == pytest.approx(0.25)
        assert caplog.records == []
        assert self.fit([*right, (0.2, False)], 4, min_recall=0.7) == pytest.approx(0.25)
        assert self.fit([(0.2, False)], 8, min_recall=0.7, now=0.4) == 0.4
        reached, kept = (record.getMessage() for record in caplog.records)
        assert not [fact for fact in ("'city'", "0.7", "6 of 10", "0.25") if fact not in reached]
        assert not [fact for fact in ("'city'", "0 of 8", "0.4") if fact not in kept]

    def test_fit_recall_thresholds_gives_rare_labels_the_lower_of_two_thresholds(self):
        often = [Entity(0, 1, "city", score) for score in (0.9, 0.8, 0.7, 0.6, 0.5)]
        rare = [Entity(0, 1, "river", 0.3), Entity(0, 1, "lake", 0.95)]
        gold = [gold_of((0, 1, entity.label)) for entity in (*often, *rare)]
        candidates = [[entity] for entity in (*often, *rare)]
        current = dict.fromkeys(("city", "river", "lake", "sea"), 0.5)
        fitted = fit_recall_thresholds(candidates, gold, current, min_recall=0.8)
        assert fitted["city"] == pytest.approx(0.55)
        assert fitted["river"] == pytest.approx(0.15)
        # Six of seven entities together have to be found.
        assert fitted["lake"] == fitted["sea"] == pytest.approx(0.4)

    @pytest.mark.parametrize("score", [0.5, 0.50001, 0.49999, 0.98, 1.0])
    def test_fit_recall_thresholds_stays_below_the_score_by_a_margin(self, score):
        outcomes = [(score, True)] * 5 + [(score - 1e-6, False)] * 5
        assert score - 0.03 < self.fit(outcomes, min_recall=1.0) <= score - 0.99e-4


def test_prefer_certain_drops_candidates_that_share_a_word():
    candidates = [[Entity(0, 2, "a", 0.3), Entity(2, 3, "a", 0.4)], [Entity(0, 1, "a", 0.2)]]
    certain = [[Entity(1, 2, "b")], []]
    preferred = [[Entity(1, 2, "b"), Entity(2, 3, "a")], [Entity(0, 1, "a")]]
    assert prefer_certain(candidates, certain) == preferred


def test_labels_of_gold_are_sorted_and_unique():
    gold = [gold_of((0, 1, "b"), (1, 2, "a")), GoldPassage(n_unaligned={"c": 1}), gold_of()]
    assert labels_of(gold) == ["a", "b", "c"]


def test_gold_passage_counts_labels_of_aligned_and_unaligned_entities():
    gold = GoldPassage(frozenset({(0, 1, "city"), (1, 2, "city")}), {"city": 2, "river": 1})
    assert gold.count_labels() == Counter(city=4, river=1)
    entities = [Entity(0, 1, "city", 0.3), Entity(0, 1, "city", 0.9)]
    assert GoldPassage.from_entities(entities) == gold_of((0, 1, "city"))


class TestPlanTuning:
    @given(
        st.lists(st.integers(0, 9), max_size=9), st.integers(1, 7), st.sampled_from([1, 5, 20, 999])
    )
    def test_plan_tuning_covers_each_passage_with_each_label_once(self, n_words, n_labels, cells):
        parts = list(plan_tuning(n_words, n_labels, max_cells=cells))
        covered = Counter(
            (label, passage)
            for part in parts
            for label in range(n_labels)[part.labels]
            for passage in range(len(n_words))[part.passages]
        )
        pairs = [(label, passage) for label in range(n_labels) for passage in range(len(n_words))]
        assert covered == Counter(pairs)
        for part in parts:
            lengths = n_words[part.passages]
            n_cells = sum(lengths) * len(range(n_labels)[part.labels])
            assert n_cells <= cells or (
                len(lengths) == 1 and part.labels.stop - part.labels.start == 1
            )

    def test_plan_tuning_takes_usual_passages_in_one_part(self):
        (part,) = plan_tuning([119] * 300, 100)
        assert (part.labels, part.passages) == (slice(0, 100), slice(0, 300))

    def test_plan_tuning_splits_the_labels_for_a_long_text(self):
        parts = list(plan_tuning([100_000], 100))
        assert len({part.labels.start for part in parts}) > 1


def scores_of(probs):
    """Return the triples of several passages at the minimum score, in reading order."""
    parts = [TagScores.from_probs(array, MIN_SCORE) for array in probs]
    for number, part in enumerate(parts):
        part.passage[:] = number
    return TagScores.concatenate(parts)


class TestGatherCandidates:
    LABELS = ("city", "river", "person")

    @pytest.mark.slow
    @given(
        st.lists(st.integers(0, 9), min_size=1, max_size=4),
        st.integers(0, 10**6),
    )
    def test_gather_candidates_equals_decoding_each_label_alone(self, lengths, seed):
        rng = np.random.default_rng(seed)
        probs = [rng.uniform(0, 1, (n_words, 3, 3)).astype(np.float32) for n_words in lengths]
        candidates = gather_candidates(scores_of(probs), self.LABELS, len(probs))
        expected = [
            [
                entity
                for label, name in enumerate(self.LABELS)
                for entity in decode_entities(array[:, [label]], [name], threshold=MIN_SCORE)
            ]
            for array in probs
        ]
        assert candidates == expected
        assert [[e.score for e in entities] for entities in candidates] == [
            [e.score for e in entities] for entities in expected
        ]

    def test_gather_candidates_of_no_scores_is_empty(self):
        probs = [np.zeros((3, 1, 3), np.float32)] * 2
        assert gather_candidates(scores_of(probs), ("city",), 2) == [[], []]
