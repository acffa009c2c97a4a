"""The ablation benchmark: hard labels, and each variant differs in what it says."""

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmark_results import table_rows
from gliner_distill.corpus.reader import write_passages
from gliner_distill.decoding import decode_entities
from gliner_distill.entities import Entity, LabeledPassage, Passage


@pytest.fixture
def ablation(benchmarks):
    return benchmarks("ablation")


@pytest.fixture
def settings(quick_settings):
    return replace(quick_settings, epochs=1)


@pytest.fixture
def small_set(benchmarks, lexicon_teacher):
    """20 annotated passages of two words and two labels for training, and 5 each for dev and test.

    The teacher does not know that a second word is a river.
    """
    teacher, labels, items = lexicon_teacher({"mary": "person"}), ("person", "river"), []
    for number in range(30):
        entities = (Entity(0, 1, "person"), Entity(1, 2, "river"))
        passage = Passage(("mary", f"r{number}"), entities)
        [probs] = teacher.score_passages([passage.words], [labels])
        items.append(LabeledPassage(passage, labels, probs))
    return benchmarks("domain").DomainSet("small", items[:20], items[20:25], items[25:])


@pytest.fixture
def trainings(ablation, small_set, settings, tmp_path, monkeypatch):
    """A function that runs a variant and returns what each so far had trained on."""
    taken, train = [], ablation.train_on_targets

    def look(folder, targets, gold, training, settings, **options):
        taken.append((targets, gold, settings))
        return train(folder, targets, gold, training, settings, **options)

    monkeypatch.setattr(ablation, "train_on_targets", look)

    def run(variant):
        scores = ablation.run(tmp_path / "work", small_set, variant, settings)
        assert set(scores) == {"agreement", "gold"}
        assert not (tmp_path / "work").exists()
        return taken

    return run


def max_difference(items, others):
    """Return the furthest that targets lie apart."""
    pairs = zip(items, others, strict=True)
    return max(float(np.abs(item.probs - other.probs).max()) for item, other in pairs)


def test_harden_rounds_to_the_teachers_entities(ablation):
    probs = np.full((3, 2, 3), 0.3, np.float32)
    probs[1:, 0] = 0.7
    item = LabeledPassage(Passage(("a", "b", "c")), ("x", "y"), probs)
    hard = ablation.harden(item)
    assert np.unique(hard.probs).tolist() == pytest.approx([0.02, 0.98])
    assert decode_entities(hard.probs, item.labels) == decode_entities(probs, item.labels)


@pytest.mark.slow
def test_ablation_runs_each_variant_once_and_draws(
    ablation, data_folder, run, gliner_folder, settings, monkeypatch
):
    variants = [
        ablation.Variant("plain", n_train=8),
        ablation.Variant("gold", 8, 4, gold_weight=1.0),
        ablation.Variant("fresh", 8, from_scratch=True, is_hard=True),
    ]
    passages = [Passage(("mary", "saw", str(n)), (Entity(0, 1, "person"),)) for n in range(40)]
    write_passages(data_folder / "one.jsonl", passages)
    (data_folder / "one.labels.json").write_text('["person"]')
    args = ("data", gliner_folder, "out", "--sets", "one", "--seeds", 2)
    options = {"settings": settings, "variants": variants}
    rows = table_rows(run(ablation, *args, **options))
    assert list(rows) == ["", "teacher", "plain", "gold", "fresh"]
    out = data_folder.parent / "out"
    kept = json.loads((out / "ablation.json").read_text())["one"]
    assert set(kept["plain"]) == {"0", "1"}
    values = [row["gold"] for row in kept["gold"].values()]
    assert rows["gold"][1] == ablation.with_spread(values)
    assert (out / "ablation.png").stat().st_size > 1000
    monkeypatch.setattr(ablation, "train_on_targets", None)  # nothing is done again
    assert table_rows(run(ablation, *args, **options)) == rows


@pytest.mark.slow
@pytest.mark.parametrize("is_refined", [True, False])
def test_variant_refines_text_with_gold_unless_told_otherwise(
    ablation, small_set, trainings, is_refined
):
    variant = ablation.Variant("gold", None, 12, is_refined=is_refined)
    targets, gold, _ = trainings(variant)[-1]
    for split, labeled in (("train", small_set.train[12:]), ("dev", small_set.dev)):
        assert (max_difference(targets[split], labeled) > 0.05) == is_refined
    assert gold == {"train": small_set.train[:12], "dev": []}


def test_variant_trains_on_gold_alone(ablation, small_set, trainings, monkeypatch):
    tuned, tune = [], ablation.fine_tune_on_gold

    def look(folder, gold, training, *args, **options):
        tuned.append((gold, training.seed))
        return tune(folder, gold, training, *args, **options)

    monkeypatch.setattr(ablation, "fine_tune_on_gold", look)
    assert trainings(ablation.Variant("alone", None, 12, is_gold_alone=True)) == []
    assert tuned == [(small_set.train[:12], 0)]


@pytest.mark.slow
def test_variant_changes_the_weight_of_gold_for_itself_alone(ablation, trainings, settings):
    trainings(ablation.Variant("gold", None, 12, gold_weight=0.3))
    taken = trainings(ablation.Variant("gold", None, 12))
    assert [used.gold_weight for *_, used in taken] == [0.3, settings.gold_weight]
