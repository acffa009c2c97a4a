"""The benchmark of the claims of Xu et al.: its conditions, errors in labels, a tiny run."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from gliner_distill.decoding import decode_entities, entities_to_probs
from gliner_distill.entities import Entity, LabeledPassage, Passage
from gliner_distill.training.settings import TrainingSettings

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="the benchmarks are in the repository, not in the package"
)

LABELS = ("city", "river")


@pytest.fixture(scope="module")
def claims():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("claims")


def labeled_passages(n_passages):
    """Return passages of ten words with a city at words 1, 3, 5 and 7, for gold and teacher."""
    entities = tuple(Entity(place, place + 1, "city", 0.9) for place in range(1, 9, 2))
    probs = entities_to_probs(entities, LABELS, 10)
    return [
        LabeledPassage(
            Passage(tuple(f"w{number}x{place}" for place in range(10)), entities), LABELS, probs
        )
        for number in range(n_passages)
    ]


def found(item):
    return {(e.start_word, e.label) for e in decode_entities(item.probs, item.labels)}


def annotated(item):
    return {(e.start_word, e.label) for e in item.passage.entities}


def test_corrupt_changes_nothing_without_errors(claims):
    [item] = labeled_passages(1)
    assert claims.corrupt(item, claims.Condition("hard", 300)) is item


@pytest.mark.parametrize("side", ["gold", "teacher"])
@pytest.mark.parametrize("kind", ["another label", "moved", "dropped"])
def test_corrupt_makes_one_kind_of_error_on_one_side(claims, side, kind):
    [item] = labeled_passages(1)
    condition = claims.Condition("mixed", 300, share=1.0, **{f"{side}_errors": kind})
    changed = claims.corrupt(item, condition)
    before = annotated(item)
    wrong, right = (annotated, found) if side == "gold" else (found, annotated)
    assert right(changed) == before
    if kind == "another label":
        assert wrong(changed) == {(place, "river") for place, _ in before}
    elif kind == "dropped":
        assert wrong(changed) == set()
    else:
        # Each entity moves by a word, and two may meet.
        assert wrong(changed)
        assert all(place % 2 == 0 and label == "city" for place, label in wrong(changed))


def test_corrupt_hits_the_asked_share_the_same_each_time(claims):
    items = labeled_passages(600)
    condition = claims.Condition("hard", 300, share=0.4, gold_errors="dropped")
    counts = [len(claims.corrupt(item, condition).passage.entities) for item in items]
    assert counts == [len(claims.corrupt(item, condition).passage.entities) for item in items]
    assert sum(counts) == pytest.approx(0.6 * 2400, abs=80)


def test_corrupt_leaves_the_teacher_of_the_original_alone(claims):
    [item] = labeled_passages(1)
    before = item.probs.copy()
    claims.corrupt(item, claims.Condition("soft", 300, share=1.0, teacher_errors="dropped"))
    np.testing.assert_array_equal(item.probs, before)


def test_plan_names_each_condition_once_a_seed_and_puts_the_sizes_first(claims):
    jobs = claims.plan(5)
    keys = [(job.name, job.seed) for job in jobs]
    assert len(set(keys)) == len(keys)
    # 12 sizes, 16 lengths, 27 errors in gold and 18 in the teacher's labels, five seeds each.
    # Students of 1,000 passages take more than five minutes for 70 epochs: three seeds.
    assert len(keys) == 5 * (12 + 16 + 27 + 18) + 3 * 4
    assert {job.condition.gold_errors + job.condition.teacher_errors for job in jobs[:12]} == {""}
    sizes = [job.condition.n_train for job in claims.plan(5, text="text")]
    assert (sizes.count(3000), sizes.count(10_000)) == (4 * 5, 4 * 3)


def test_gap_is_the_training_score_minus_the_test_score(claims):
    runs = {"hard": {"0": {"train_f1": 0.8, "f1": 0.5}, "1": {"train_f1": 0.6, "f1": 0.5}}}
    assert claims.gap(runs, "hard", "f1") == "20.0 ± 14.1"


def test_a_student_of_the_teacher_alone_is_compared_with_all_errors_in_gold(claims):
    def row(span_f1, word_f1):
        scores = {"f1_vs_teacher": 0.5, "f1_vs_gold": word_f1, "span_f1_vs_gold": span_f1}
        return {"0": scores | {f"train_{name}": 0.9 for name in scores}}

    runs = {
        "soft, 300 passages": row(0.4, 0.5),
        "mixed, 300 passages": row(0.5, 0.6),
        "mixed, 300 passages, 40% of gold moved": row(0.375, 0.525),
    }
    gold = list(claims.tables(runs))[4]
    [line] = [line for line in gold.splitlines() if line.startswith("| 40% moved |")]
    assert line.endswith("| -2.5 (one seed) | +2.5 (one seed) |")


def test_losses_pair_the_seeds_of_the_clean_and_the_corrupted_run(claims):
    runs = {
        "hard, 300 passages": {"0": {"span_f1_vs_gold": 0.5}, "1": {"span_f1_vs_gold": 0.6}},
        "worse": {"1": {"span_f1_vs_gold": 0.25}},
    }
    assert claims.losses(runs, "hard", "worse") == {"1": {"loss": 0.35}}


@pytest.mark.slow
def test_a_tiny_run_has_all_measures_and_prints_all_tables(claims, tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "TRAINING", TrainingSettings(epochs=1))
    row = claims.run(claims.Condition("smoothed", 8, has_curve=True), 0)
    assert row["threshold"] in (0.3, 0.4, 0.5, 0.6)
    assert {"f1_vs_teacher", "span_f1_vs_gold", "train_f1_vs_gold"} <= row.keys()
    assert {entry["split"] for entry in row["curve"]} == {"training", "train", "test"}
    runs = {job.name: {"0": row, "1": row} for job in claims.plan(1)}
    texts = list(claims.tables(runs))
    assert len(texts) == 6
    assert "not run" not in "".join(texts)
    claims.draw(runs, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "epochs.png",
        "lengths.png",
        "errors.png",
    }
