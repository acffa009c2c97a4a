"""The benchmark of the claims of Xu et al.: how gold is corrupted, and a tiny run."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from gliner_distill.entities import Entity, LabeledPassage, Passage
from gliner_distill.training.settings import TrainingSettings

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="the benchmarks are in the repository, not in the package"
)


@pytest.fixture(scope="module")
def claims():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("claims")


def labeled_passages(n_passages):
    """Return passages of ten words with an entity of one word on each second word."""
    entities = tuple(Entity(place, place + 1, "city") for place in range(0, 10, 2))
    probs = np.full((10, 2, 3), 0.5, dtype=np.float32)
    return [
        LabeledPassage(
            Passage(tuple(f"w{number}x{place}" for place in range(10)), entities),
            ("city", "river"),
            probs,
        )
        for number in range(n_passages)
    ]


def test_corrupt_changes_nothing_without_noise(claims):
    [item] = labeled_passages(1)
    assert claims.corrupt(item, 0.0) == item


def test_corrupt_drops_relabels_and_moves_a_third_of_the_entities_each(claims):
    items = labeled_passages(600)
    kinds = {"dropped": 0, "relabeled": 0, "moved": 0}
    for item in items:
        corrupted = claims.corrupt(item, 1.0)
        assert corrupted.probs is item.probs
        assert corrupted.passage.words == item.passage.words
        entities = corrupted.passage.entities
        kinds["dropped"] += 5 - len(entities)
        kinds["relabeled"] += sum(entity.label == "river" for entity in entities)
        kinds["moved"] += sum(entity.start_word % 2 for entity in entities)
    # Of 3,000 entities; those moved before the first word are dropped: 1 of 5 x 1/2 of a third.
    assert kinds["relabeled"] == pytest.approx(1000, abs=90)
    assert kinds["dropped"] == pytest.approx(1100, abs=90)
    assert kinds["moved"] == pytest.approx(900, abs=90)


def test_corrupt_hits_the_asked_share_of_entities_the_same_each_time(claims):
    items = labeled_passages(600)
    corrupted = [claims.corrupt(item, 0.4).passage.entities for item in items]
    assert corrupted == [claims.corrupt(item, 0.4).passage.entities for item in items]
    n_kept = sum(
        len(set(entities) & set(item.passage.entities))
        for entities, item in zip(corrupted, items, strict=True)
    )
    assert n_kept == pytest.approx(0.6 * 3000, abs=90)


def test_show_gives_percent_and_the_spread_if_there_is_one(claims):
    assert claims.show((0.5, None)) == "50.0"
    assert claims.show((0.5, 0.0123)) == "50.0 ± 1.2"


@pytest.mark.slow
def test_measure_yields_a_row_for_each_student_and_does_not_repeat_runs(claims, tmp_path):
    options = {
        "conditions": [claims.Condition(8, 0.5)],
        "training": TrainingSettings(epochs=1),
    }
    rows = list(claims.measure(tmp_path, 1, **options))
    assert [(row["student"], row["n_train"], row["noise"]) for row in rows] == [
        ("hard", 8, 0.5),
        ("distilled", 8, 0.5),
    ]
    for row in rows:
        for key in (*claims.MEASURES, "gap"):
            mean, spread = row[key]
            assert -1 <= mean <= 1
            assert spread is None
    assert list(claims.measure(tmp_path, 1, **options)) == rows
