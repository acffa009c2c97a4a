"""A student learns to read labels in other words, but not in those that the benchmark measures."""

import importlib
import random
from collections import Counter
from pathlib import Path

import pytest

from gliner_distill.entities import Entity, Passage

RECIPES = Path(__file__).resolve().parents[2] / "recipes"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not RECIPES.is_dir(), reason="the recipes are in the repository, not in the package"
    ),
]
LABELS = ("person", "city", "river", "company")


@pytest.fixture(scope="module")
def recipe():
    """The recipe as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPES))
        yield importlib.import_module("label_wordings")


@pytest.fixture(scope="module")
def thesaurus(recipe):
    from thesaurus import ThesaurusEntry

    entries = {
        "city": ThesaurusEntry(
            ("town", "city entity", "old mention"), (), (), ("place with a mayor", "large place")
        ),
        "river": ThesaurusEntry(("river entity",), (), (), ()),
    }
    return recipe.Thesaurus(entries)


def read(recipe, student, vocabulary, labels):
    return recipe.encode(student, vocabulary, labels).detach()


@pytest.fixture(scope="module")
def build(build_student):
    """A function that returns a student whose label tower is wide enough to learn."""

    def build():
        widths = {"label_hidden_width": 48, "label_lstm_width": 16, "relation_width": 3}
        return build_student(head="boundary", **widths)

    return build


@pytest.fixture(scope="module")
def student(build):
    return build()


@pytest.fixture(scope="module")
def align(recipe, student, small_vocabulary, thesaurus):
    def align(steps, seed=0):
        return recipe.align_wordings(
            student,
            small_vocabulary,
            LABELS,
            [1.0] * len(LABELS),
            thesaurus,
            seed=seed,
            steps=steps,
        )

    return align


@pytest.fixture(scope="module")
def aligned(align):
    return align(300)


@pytest.fixture(scope="module")
def words(recipe, thesaurus):
    """A function that counts the wordings of a label."""

    def count(label, n=4000):
        rng = random.Random(0)
        return Counter(recipe.reword(label, thesaurus, rng) for _ in range(n))

    return count


class TestAlignWordings:
    def test_align_wordings_brings_other_words_closer_to_the_label(
        self, recipe, student, aligned, small_vocabulary
    ):
        targets = read(recipe, student, small_vocabulary, LABELS)
        for row, label in enumerate(LABELS):
            wordings = [f"{words} {label}" for words in recipe.BEFORE]
            wordings += [f"{label} {words}" for words in recipe.AFTER]
            before, after = (
                (read(recipe, each, small_vocabulary, wordings) - targets[row]).norm(dim=1).mean()
                for each in (student, aligned)
            )
            assert after < before / 2

    def test_align_wordings_still_tells_labels_apart(
        self, recipe, student, aligned, small_vocabulary
    ):
        targets = read(recipe, student, small_vocabulary, LABELS)
        found = read(recipe, aligned, small_vocabulary, [f"the {label}" for label in LABELS])
        distances = (found[:, None] - targets[None]).norm(dim=2)
        assert distances.argmin(dim=1).tolist() == list(range(len(LABELS)))

    def test_align_wordings_changes_the_label_tower_alone(self, student, aligned):
        before, after = student.state_dict(), aligned.state_dict()
        changed = {name.split(".")[0] for name in before if not before[name].equal(after[name])}
        assert changed == {"label_tower", "label_forward_lstm", "label_backward_lstm"}

    def test_align_wordings_leaves_the_trained_student_as_it_is(self, student, aligned, build):
        as_built = build().state_dict()
        assert aligned is not student
        assert all(as_built[name].equal(value) for name, value in student.state_dict().items())
        assert all(parameter.requires_grad for parameter in student.parameters())

    def test_align_wordings_depends_on_the_seed_alone(self, align):
        once, again, other = (align(3, seed).state_dict() for seed in (0, 0, 1))
        assert all(once[name].equal(again[name]) for name in once)
        assert not once["label_tower.0.weight"].equal(other["label_tower.0.weight"])


class TestCountLabels:
    def test_count_labels_counts_passages_and_the_thesaurus(self, recipe, thesaurus):
        entities = (Entity(0, 1, "city"), Entity(1, 2, "city"), Entity(1, 2, "person"))
        passages = [Passage(("a", "b"), entities)] * 8
        labels, weights = recipe.count_labels(passages, thesaurus)
        assert labels == sorted(labels)
        weight_of = dict(zip(labels, weights, strict=True))
        assert weight_of.pop("city") == 3  # the root of 8 passages and its entry
        assert weight_of.pop("person") == pytest.approx(8**0.5)
        others = {"river", "town", "city entity", "old mention", "river entity"}
        assert weight_of == dict.fromkeys(others, 1.0)


class TestReword:
    def test_reword_draws_each_kind_of_wording_as_often_as_planned(self, recipe, words):
        counts = words("city")
        shares = {
            "city": recipe.PLAIN,
            "place with a mayor": recipe.DESCRIBED,
            "town": recipe.RENAMED,
        }
        for wording, share in shares.items():
            assert counts.pop(wording) / 4000 == pytest.approx(share, abs=0.03)
        plural = sum(count for wording, count in counts.items() if "cities" in wording)
        assert plural / counts.total() == pytest.approx(recipe.PLURAL, abs=0.03)
        assert all("city" in wording or "cities" in wording for wording in counts)

    def test_reword_leaves_the_second_description_to_the_benchmark(self, words):
        counts = words("city") + words("town")
        assert counts["place with a mayor"] > 0
        assert counts["large place"] == 0

    def test_reword_draws_no_synonym_in_a_form_of_the_benchmark(self, words):
        counts = words("city") + words("river")
        assert not {"city entity", "old mention", "river entity"}.intersection(counts)

    def test_reword_surrounds_a_label_of_which_nothing_is_known(self, recipe, words):
        counts = words("quay")
        assert counts["quay"] / 4000 == pytest.approx(recipe.PLAIN, abs=0.03)
        assert all("quay" in wording for wording in counts)


class TestSurround:
    def test_surround_puts_words_on_either_side_or_both(self, recipe):
        sides, n = Counter(), 3000
        rng = random.Random(0)
        for _ in range(n):
            before, after = recipe.surround("quay", rng).split("quay")
            assert before.strip() in ("", *recipe.BEFORE)
            assert after.strip() in ("", *recipe.AFTER)
            sides[bool(before), bool(after)] += 1
        assert sides[True, False] / n == pytest.approx(recipe.BEFORE_ONLY, abs=0.04)
        assert sides[False, True] / n == pytest.approx(recipe.AFTER_ONLY, abs=0.04)
        assert sides[True, True] > 0
        assert sides[False, False] == 0

    @pytest.fixture
    def measured(self, monkeypatch):
        """A function that returns the wordings of a label that no training may use."""
        monkeypatch.syspath_prepend(str(RECIPES.parent / "benchmarks"))
        forms = importlib.import_module("robustness").WORDINGS
        assert len(forms) == 10
        return lambda label: {form(label) for form in forms.values()}

    @pytest.mark.parametrize("label", ["river", "actor", "work of art"])
    def test_surround_never_gives_a_wording_of_the_benchmark(self, recipe, measured, label):
        drawn = {recipe.surround(label, random.Random(seed)) for seed in range(3000)}
        assert drawn.isdisjoint(measured(label))
        # No draw can give one, not even a rare one.
        possible = {
            " ".join(filter(None, (before, label, after)))
            for before in ("", *recipe.BEFORE)
            for after in ("", *recipe.AFTER)
        }
        assert drawn <= possible
        assert possible.isdisjoint(measured(label))
