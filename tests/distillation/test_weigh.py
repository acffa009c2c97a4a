"""Several teachers, weighed for each label: shares by hand, on gold, without gold, in a run."""

from pathlib import Path

import numpy as np
import pytest

from distillation_world import LABELS, LEXICON, make_gold, make_texts
from gliner_distill.decoding import decode_entities

CITIES = {word: label for word, label in LEXICON.items() if label == "city"}
PEOPLE = {word: label for word, label in LEXICON.items() if label == "person"}


@pytest.fixture
def two_teachers(lexicon_teacher):
    """One is right about cities and calls people rivers, the other is right about people alone."""
    wrong = dict.fromkeys(PEOPLE, "river")
    first = lexicon_teacher(CITIES | wrong, name="A", fingerprint="a" * 64)
    second = lexicon_teacher(PEOPLE, name="B", fingerprint="b" * 64)
    return first, second


@pytest.fixture
def weighed(in_folder, settings):
    """A function that labels texts and gold with teachers, and weighs them; it returns both."""
    from gliner_distill.callbacks import no_progress
    from gliner_distill.distillation.collect import collect
    from gliner_distill.distillation.job import DistillJob
    from gliner_distill.distillation.label import label
    from gliner_distill.distillation.teachers import TeacherSource
    from gliner_distill.distillation.weigh import weigh
    from gliner_distill.distillation.workspace import open_workspace

    def run(teacher, n_gold):
        gold = make_gold(n_gold, label=str.lower) if n_gold else None
        job, source = DistillJob(make_texts(20), LABELS, gold=gold), TeacherSource(teacher)
        with open_workspace(Path("out"), job, source, settings, no_progress) as work:
            labeled = label(work, collect(work))
            return labeled, weigh(work, labeled)

    return run


def shares_of(weights):
    return {row.label: list(row.shares) for row in weights.labels}


@pytest.mark.slow
class TestWeigh:
    def test_each_label_believes_the_teacher_that_the_annotation_proves_right(
        self, weighed, two_teachers
    ):
        before, after = weighed(list(two_teachers), 40)
        shares = shares_of(after.teacher_weights)
        # The smallest change of equal shares is chosen that gives the best F1.
        assert shares["city"][0] > 0.5 > shares["city"][1]
        assert shares["person"][1] > 0.5 > shares["person"][0]
        rows = {row.label: row for row in after.teacher_weights.labels}
        assert rows["city"].f1s == [1.0, 0.0]
        assert rows["person"].f1s == [0.0, 1.0]
        assert rows["city"].n_entities > 10
        n_train = len(after.gold["train"])
        assert after.teacher_weights.n_passages == n_train
        assert any("weighed for each label by" in line for line in after.warnings)
        passages = [*after.text["train"], *after.gold["train"]]
        assert not any(passage.individual_probs for passage in passages)
        for passage in passages:
            found = {
                (passage.words[entity.start_word], entity.label)
                for entity in decode_entities(passage.probs, passage.labels)
                if entity.label != "river"
            }
            known = {word: LEXICON[word] for word in passage.words if word in CITIES | PEOPLE}
            assert found == set(known.items())
        assert len(before.text["train"]) == len(after.text["train"])

    @pytest.mark.parametrize("n_gold", [0, 6])
    def test_shares_are_equal_with_too_few_annotated_passages(self, weighed, two_teachers, n_gold):
        first, second = two_teachers
        second.knows_label = lambda label: label == "person"
        before, after = weighed([first, second], n_gold)
        assert after.teacher_weights.n_passages == 0
        assert shares_of(after.teacher_weights) == {
            "person": [0.5, 0.5],
            "city": [1.0, 0.0],
            "river": [1.0, 0.0],
        }
        assert all(row.f1s == () for row in after.teacher_weights.labels)
        for passage, same in zip(before.text["train"], after.text["train"], strict=True):
            np.testing.assert_array_equal(passage.probs, same.probs)

    def test_a_single_teacher_is_left_alone(self, weighed, lexicon_teacher):
        before, after = weighed(lexicon_teacher(LEXICON), 20)
        assert after is before
        assert after.teacher_weights is None

    def test_a_teacher_that_does_not_know_a_label_never_has_a_share(self, weighed, two_teachers):
        first, second = two_teachers
        second.knows_label = lambda label: label != "city"
        shares = shares_of(weighed([first, second], 40)[1].teacher_weights)
        assert shares["city"] == [1.0, 0.0]


def test_compositions_are_all_shares_in_quarters():
    from gliner_distill.distillation.weigh import list_shares

    shares = [tuple(row) for row in list_shares(np.array([0, 2]), 3)]
    assert shares == [(0, 0, 1), (0.25, 0, 0.75), (0.5, 0, 0.5), (0.75, 0, 0.25), (1, 0, 0)]
    assert len(list(list_shares(np.arange(4), 4))) == 35


class TestBestShares:
    def choose(self, f1s):
        from gliner_distill.distillation.weigh import best_shares

        candidates = [np.array(shares) for shares in f1s]
        return tuple(best_shares(candidates, lambda shares: f1s[tuple(shares)]))

    def test_equal_shares_stay_where_others_gain_little(self):
        assert self.choose({(0.5, 0.5): 0.8, (1, 0): 0.81}) == (0.5, 0.5)
        assert self.choose({(0.5, 0.5): 0.8, (1, 0): 0.83}) == (1, 0)

    def test_the_closest_of_equally_good_shares_is_chosen(self):
        f1s = {(0.5, 0.5): 0.5, (0, 1): 0.9, (0.25, 0.75): 0.9, (0.75, 0.25): 0.7}
        assert self.choose(f1s) == (0.25, 0.75)
