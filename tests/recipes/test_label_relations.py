"""Which of two labels is the broader one: the examples, and the layer that learns them."""

import importlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gliner_distill.entities import Entity, Passage

RECIPES = Path(__file__).resolve().parents[2] / "recipes"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not RECIPES.is_dir(), reason="the recipes are in the repository, not in the package"
    ),
]


@pytest.fixture(scope="module")
def recipe():
    """The recipe as a module, with few random pairs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPES))
        module = importlib.import_module("label_relations")
        patch.setattr(module, "N_UNRELATED", 300)
        patch.setattr(module, "N_PER_CATCH_ALL", 10)
        yield module


@pytest.fixture(scope="module")
def thesaurus(recipe):
    from thesaurus import ThesaurusEntry

    def entry(synonyms=(), broader=(), siblings=()):
        return ThesaurusEntry(synonyms, broader, siblings, ())

    return recipe.Thesaurus(
        {
            "mayor": entry(("town head",), ("politician",), ("governor", "politician")),
            "politician": entry(("statesman",), ("person",)),
            "river": entry(("stream",), ("water",), ("lake",)),
            "lake": entry((), ("water",)),
            "number": entry((), ("quantity",)),
            "quantity": entry((), ("number",)),
        }
    )


def passage_of(*spans):
    """Return a passage of a word per span, each with all labels of its span."""
    entities = [
        Entity(place, place + 1, label) for place, labels in enumerate(spans) for label in labels
    ]
    return Passage(tuple(f"w{place}" for place in range(len(spans))), tuple(entities))


PASSAGES = [passage_of(("poet", "writer"), ("harbor",))] * 3 + [
    passage_of(("novel", "book")),
    *[passage_of(("film", "movie"))] * 3,
    *[passage_of(("movie", "film"))] * 2,
    *[passage_of(("person", "mayor"))] * 4,
]


@pytest.fixture(scope="module")
def pairs(recipe, thesaurus):
    return recipe.make_pairs(thesaurus, PASSAGES, 0)


@pytest.fixture(scope="module")
def known(recipe, pairs):
    """Whether the second label is the broader one, by pair."""
    return {
        (pair.narrow, pair.broad): pair.holds
        for pair in pairs
        if not {pair.narrow, pair.broad} & set(recipe.CATCH_ALL)
    }


class TestMakePairs:
    @pytest.mark.parametrize(
        ("narrow", "broad"),
        [
            *(("mayor", "politician"), ("mayor", "person"), ("town head", "person")),
            *(("statesman", "person"), ("stream", "water"), ("poet", "writer")),
        ],
    )
    def test_make_pairs_has_broader_labels_one_way(self, known, narrow, broad):
        assert known[narrow, broad] is True
        assert known[broad, narrow] is False

    @pytest.mark.parametrize(
        ("label", "other"), [("mayor", "town head"), ("river", "lake"), ("mayor", "governor")]
    )
    def test_make_pairs_has_synonyms_and_siblings_as_neither(self, known, label, other):
        assert known[label, other] is known[other, label] is False

    def test_make_pairs_takes_order_in_spans_only_if_it_is_clear(self, known):
        assert ("novel", "book") not in known  # once may be chance
        assert not known.get(("film", "movie"))  # an order that changes
        assert not known.get(("person", "mayor"))  # against the thesaurus

    def test_make_pairs_has_labels_of_one_passage_as_neither(self, known):
        assert known["poet", "harbor"] is False

    def test_make_pairs_contradicts_itself_nowhere(self, pairs):
        answers = {}
        for pair in pairs:
            answers.setdefault((pair.narrow, pair.broad), set()).add(pair.holds)
        assert {len(each) for each in answers.values()} == {1}

    def test_make_pairs_has_catch_alls_above_everything(self, recipe, pairs):
        for catch_all in recipe.CATCH_ALL:
            above = {pair.narrow for pair in pairs if pair.broad == catch_all and pair.holds}
            below = {pair.broad for pair in pairs if pair.narrow == catch_all and pair.holds}
            assert len(above) >= 5
            assert below == set()
            assert above.isdisjoint(recipe.CATCH_ALL)

    def test_make_pairs_trusts_the_thesaurus_more_than_spans(self, pairs):
        weights = {(pair.narrow, pair.broad): pair.weight for pair in pairs if pair.holds}
        assert weights["mayor", "politician"] == 1.0
        assert weights["poet", "writer"] == 0.5

    def test_make_pairs_depends_on_the_seed_alone(self, recipe, thesaurus, pairs):
        assert recipe.make_pairs(thesaurus, PASSAGES, 0) == pairs
        assert recipe.make_pairs(thesaurus, PASSAGES, 1) != pairs


class TestLabelsApart:
    def test_labels_apart_are_a_fifth_with_their_synonyms(self, recipe, thesaurus):
        chosen = [recipe.labels_apart(thesaurus, seed) for seed in range(30)]
        assert chosen[0] == recipe.labels_apart(thesaurus, 0)
        assert {"river", "stream"} in chosen
        assert {"lake"} in chosen
        assert all(len(each & set(thesaurus.entries)) == 1 for each in chosen)

    def test_labels_apart_are_1500_at_most(self, recipe, thesaurus):
        [entry] = {thesaurus.entries["lake"]}
        large = recipe.Thesaurus({f"kind {number}": entry for number in range(9000)})
        assert len(recipe.labels_apart(large, 0)) == 1500


@pytest.fixture(scope="module")
def trained(recipe, build_student, small_vocabulary, pairs):
    """A student before, the same with the layer, and its measurement on two labels."""
    student = build_student(head="boundary", label_hidden_width=48, label_lstm_width=8)
    apart = {"mayor", "lake"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "EPOCHS", 60)
        patch.setattr(recipe, "BATCH_SIZE", 64)
        return (
            student,
            *recipe.fit_relations(student, small_vocabulary, pairs, apart=apart, seed=0),
            apart,
        )


class TestFitRelations:
    def said(self, student, vocabulary, pairs):
        """Return what the student says of each pair, by the numbers that the runtime reads."""
        from gliner_distill.specificity import LabelKinds
        from gliner_distill.student.relations import kind_rows

        labels = sorted({label for pair in pairs for label in (pair.narrow, pair.broad)})
        kinds = LabelKinds.from_rows(kind_rows(student, vocabulary, labels))
        scores = kinds.narrow @ kinds.broad.T + kinds.breadth
        rows = {label: row for row, label in enumerate(labels)}
        return np.array([scores[rows[pair.narrow], rows[pair.broad]] > 0 for pair in pairs])

    def test_fit_relations_learns_the_examples(self, trained, pairs, small_vocabulary):
        _, student, _, apart = trained
        learned = [pair for pair in pairs if pair.narrow not in apart]
        said = self.said(student, small_vocabulary, learned)
        right = said == np.array([pair.holds for pair in learned])
        assert right.mean() > 0.93

    def test_fit_relations_measures_the_labels_that_are_kept_apart(
        self, trained, pairs, small_vocabulary
    ):
        _, student, relations, apart = trained
        tested = [pair for pair in pairs if pair.narrow in apart]
        said = self.said(student, small_vocabulary, tested)
        holds = np.array([pair.holds for pair in tested])
        assert relations.n_pairs == (holds.sum(), (~holds).sum())
        assert relations.n_pairs > (0, 0)
        assert relations.found == pytest.approx(said[holds].mean())
        assert relations.invented == pytest.approx(said[~holds].mean())

    def test_fit_relations_changes_no_other_weight(self, trained):
        import torch

        before, after, _, _ = trained
        weights = after.state_dict()
        kind = {"label_kind.weight", "label_kind.bias"}
        assert set(weights) == set(before.state_dict()) | kind
        for name, values in before.state_dict().items():
            assert torch.equal(weights[name], values)

    def test_fit_relations_does_not_read_pairs_that_are_kept_apart(
        self, recipe, trained, pairs, small_vocabulary, monkeypatch
    ):
        before, after, _, apart = trained
        monkeypatch.setattr(recipe, "EPOCHS", 60)
        monkeypatch.setattr(recipe, "BATCH_SIZE", 64)
        turned = [
            replace(pair, holds=not pair.holds) if pair.narrow in apart else pair for pair in pairs
        ]
        again, relations = recipe.fit_relations(
            before, small_vocabulary, turned, apart=apart, seed=0
        )
        # The measurement is turned as well, but not the weights.
        for name, values in after.state_dict().items():
            assert again.state_dict()[name].equal(values)
        assert relations.n_pairs == trained[2].n_pairs[::-1]

    def test_fit_relations_survives_no_pair_apart(self, recipe, trained, pairs, small_vocabulary):
        _, relations = recipe.fit_relations(
            trained[0], small_vocabulary, pairs[:50], apart=set(), seed=0
        )
        assert relations == recipe.Relations(0.0, 0.0, (0, 0))


def test_read_hidden_reads_each_label_by_itself(recipe, build_student, small_vocabulary):
    student = build_student(head="boundary", label_hidden_width=12, label_lstm_width=5)
    labels = ["city", "old river of london", "x", "place name"]
    together = recipe.read_hidden(student, small_vocabulary, labels)
    assert together.shape == (4, 12)
    alone = [recipe.read_hidden(student, small_vocabulary, [label])[0] for label in labels]
    for row, values in zip(together, alone, strict=True):
        np.testing.assert_allclose(row.numpy(), values.numpy(), atol=1e-6)
    assert Counter(tuple(row.tolist()) for row in together).most_common(1)[0][1] == 1
