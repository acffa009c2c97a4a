"""Which labels are asked: draws against their distribution, and files of labels."""

import json
from collections import Counter
from itertools import permutations

import pytest

from gliner_distill.entities import Passage
from gliner_distill.errors import SettingsError
from gliner_distill.labeling.policy import LabelPolicy, LabelSampler

COUNTS = {"city": 9, "river": 4, "person": 16, "dog": 1, "toy company": 3}
POOL = ("drug", "ship", "star", "city", "tree", "song")
POLICIES = (
    LabelPolicy(),
    LabelPolicy(negatives=3, seed=7),
    LabelPolicy(fixed=("dog", "city")),
    LabelPolicy(negatives=2, pool=POOL, from_pool=3, descriptions={"drug": "a medicine"}),
)


def asks(*labels):
    return Passage(("word",), labels=labels)


def choose(policy, counts=COUNTS, own=(), n_passages=1, **options):
    draw = LabelSampler(policy, counts, **options)
    return [draw.choose(position, asks(*own)) for position in range(n_passages)]


class TestOwnAndNegatives:
    def test_choose_returns_own_labels_first_then_distinct_negatives(self):
        for seed in range(5):
            for own in ((), ("river",), ("person", "dog")):
                policy = LabelPolicy(negatives=2, seed=seed)
                for asked in choose(policy, own=own, n_passages=20):
                    assert asked[: len(own)] == own
                    negatives = asked[len(own) :]
                    assert len(negatives) == len(set(negatives)) == 2
                    assert set(negatives) <= set(COUNTS) - set(own)

    def test_choose_returns_own_labels_alone_without_negatives(self):
        assert choose(LabelPolicy(), own=("dog", "unheard of")) == [("dog", "unheard of")]
        assert choose(LabelPolicy()) == [()]

    def test_choose_returns_all_other_labels_if_there_are_too_few(self):
        for own in ((), ("river",), ("dog", "unheard of")):
            [asked] = choose(LabelPolicy(negatives=99), own=own)
            assert len(asked) == len(set(asked))
            assert set(asked) == set(COUNTS) | set(own)

    def test_choose_returns_nothing_for_a_corpus_without_labels(self):
        assert choose(LabelPolicy(negatives=3), counts={}) == [()]

    def test_choose_returns_no_negative_that_overlaps_an_own_label(self):
        counts = dict.fromkeys(("toy company", "company", "firms", "car company", "city"), 5)
        for own, others in (
            (("toy company",), {"car company", "city"}),
            (("company",), {"city"}),
            (("city",), {"toy company", "company", "firms", "car company"}),
        ):
            for wanted in (1, 2, 99):
                policy = LabelPolicy(negatives=wanted)
                for asked in choose(policy, counts, own, n_passages=30):
                    assert len(asked) == 1 + min(wanted, len(others))
                    assert set(asked[1:]) <= others

    @pytest.mark.parametrize("frequent", [10_000, 10**18])
    def test_choose_returns_enough_negatives_beside_a_very_frequent_label(self, frequent):
        counts = {"city": frequent, **{f"thing{number}": 1 for number in range(30)}}
        policy = LabelPolicy(negatives=20)
        for own in ((), ("city",)):
            for asked in choose(policy, counts, own, n_passages=20):
                assert len(asked) == len(set(asked)) == 20 + len(own)


class TestDistribution:
    def test_choose_weighs_labels_by_the_square_root_of_their_frequency(self):
        # 100 : 1 makes 10 : 1.
        counts = {"person": 100, "river": 1}
        drawn = Counter(choose(LabelPolicy(negatives=1), counts, n_passages=2000))
        assert drawn["person",] / drawn.total() == pytest.approx(10 / 11, abs=0.03)

    @pytest.mark.parametrize("misses", [0, 1, 20])
    def test_choose_has_the_distribution_of_sampling_without_replacement(self, misses):
        weights = {"person": 4, "river": 2, "dog": 1}
        counts = {label: weight**2 for label, weight in weights.items()}
        policy = LabelPolicy(negatives=3)
        drawn = Counter(choose(policy, counts, n_passages=4000, misses_per_label=misses))
        for first, second, third in permutations(weights):
            rest = weights[second] + weights[third]
            expected = weights[first] / 7 * weights[second] / rest
            assert drawn[first, second, third] / 4000 == pytest.approx(expected, abs=0.03)

    def test_choose_depends_on_the_seed_and_the_position_alone(self):
        policy = LabelPolicy(negatives=2, pool=POOL, from_pool=2, seed=1)
        expected = choose(policy, n_passages=20)
        assert len(set(expected)) > 10
        assert choose(policy, n_passages=20) == expected
        backwards = LabelSampler(policy, dict(reversed(COUNTS.items())))
        found = [backwards.choose(position, asks()) for position in reversed(range(20))]
        assert found[::-1] == expected
        other_words = Passage(("other", "words"))
        assert [backwards.choose(position, other_words) for position in range(20)] == expected
        other_seed = LabelPolicy(negatives=2, pool=POOL, from_pool=2, seed=2)
        assert choose(other_seed, n_passages=20) != expected


class TestFixed:
    def test_choose_returns_fixed_labels_for_every_passage(self):
        policy = LabelPolicy(fixed=("dog", "city"))
        assert choose(policy, own=("river",), n_passages=3) == [("dog", "city")] * 3
        assert choose(policy, counts={}) == [("dog", "city")]


class TestPool:
    def test_choose_returns_own_labels_first_then_distinct_labels_of_the_pool(self):
        for wanted in (1, 3, 5):
            policy = LabelPolicy(pool=POOL, from_pool=wanted)
            for asked in choose(policy, own=("river", "city"), n_passages=50):
                assert asked[:2] == ("river", "city")
                assert len(asked) == len(set(asked)) == 2 + wanted
                assert set(asked[2:]) <= set(POOL)

    def test_choose_returns_the_whole_pool_if_it_is_too_small(self):
        for wanted in (6, 99):
            [asked] = choose(LabelPolicy(pool=POOL, from_pool=wanted), own=("city", "dog"))
            assert asked[:2] == ("city", "dog")
            assert sorted(asked[2:]) == sorted({*POOL} - {"city"})

    def test_choose_returns_labels_of_the_pool_after_other_negatives(self):
        policy = LabelPolicy(negatives=3, pool=POOL, from_pool=4)
        for asked in choose(policy, own=("river",), n_passages=100):
            assert len(asked) == len(set(asked)) == 1 + 3 + 4
            assert set(asked[1:4]) <= set(COUNTS)
            assert set(asked[4:]) <= set(POOL)

    def test_choose_weighs_labels_of_the_pool_equally(self):
        policy = LabelPolicy(pool=POOL, from_pool=2)
        drawn = Counter(
            label
            for asked in choose(policy, {"ship": 10_000, "star": 1}, ("city",), n_passages=3000)
            for label in asked[1:]
        )
        assert set(drawn) == {*POOL} - {"city"}
        for label in drawn:
            assert drawn[label] / 3000 == pytest.approx(2 / 5, abs=0.04)


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"negatives": -1}, r"negatives must be 0 or more; got -1"),
            ({"pool": POOL, "from_pool": -2}, r"from_pool must be 0 or more; got -2"),
            ({"negatives": 1, "fixed": ("city",)}, r"fixed labels cannot .* negatives or a pool"),
            ({"fixed": ("city",), "pool": POOL, "from_pool": 1}, r"fixed labels cannot .* a pool"),
            ({"pool": POOL}, r"pool has 6 labels and from_pool is 0"),
            ({"from_pool": 3}, r"pool has 0 labels and from_pool is 3"),
            ({"fixed": ("city", "dog", "city")}, r"fixed holds the label 'city' twice"),
            ({"pool": ("city", "city"), "from_pool": 1}, r"pool holds the label 'city' twice"),
        ],
    )
    def test_label_policy_refuses_settings_that_contradict_each_other(self, settings, message):
        with pytest.raises(SettingsError, match=message):
            LabelPolicy(**settings)

    @pytest.mark.parametrize("policy", POLICIES)
    def test_label_policy_survives_json(self, policy):
        raw = json.loads(json.dumps(policy.as_json()))
        assert raw == policy.as_json()
        again = LabelPolicy(**{**raw, "fixed": tuple(raw["fixed"]), "pool": tuple(raw["pool"])})
        assert again == policy
        assert choose(again, n_passages=5) == choose(policy, n_passages=5)


class TestPrompts:
    def test_prompts_append_descriptions(self):
        policy = LabelPolicy(descriptions={"drug": "a medicine", "city": "a large town"})
        assert policy.prompts(("city", "dog", "drug")) == (
            "city: a large town",
            "dog",
            "drug: a medicine",
        )
        assert policy.prompts(()) == ()

    def test_prompts_are_the_labels_without_descriptions(self):
        assert LabelPolicy().prompts(["city", "dog"]) == ("city", "dog")

    def test_descriptions_do_not_change_the_sampled_labels(self):
        described = LabelPolicy(negatives=2, descriptions=dict.fromkeys(COUNTS, "text"))
        expected = choose(LabelPolicy(negatives=2), n_passages=10)
        assert choose(described, n_passages=10) == expected


def test_label_policy_keeps_labels_in_their_clean_form():
    policy = LabelPolicy(fixed=("PLACE_Name", "City"), descriptions={"place name": "a place"})
    assert policy == LabelPolicy(
        fixed=("place name", "city"), descriptions={"PLACE_NAME": "a place"}
    )
    assert policy.prompts(["Place_Name", "City"]) == ("place name: a place", "city")
    with pytest.raises(SettingsError, match="pool holds the label 'us' twice"):
        LabelPolicy(pool=("US", "us"), from_pool=1)
