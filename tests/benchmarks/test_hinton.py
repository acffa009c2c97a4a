"""The study of Hinton et al.: mixtures of teachers, students, conditions, and a tiny run."""

import importlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gliner_distill.entities import Entity, LabeledPassage, Passage
from gliner_distill.student.losses import soft_loss
from gliner_distill.training.settings import TrainingSettings

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="the benchmarks are in the repository, not in the package"
)


@pytest.fixture(scope="module")
def load():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module


@pytest.fixture(scope="module")
def teachers(load):
    return load("hinton_teachers")


@pytest.fixture(scope="module")
def students(load):
    return load("hinton_students")


@pytest.fixture(scope="module")
def conditions(load):
    return load("hinton_conditions")


def labeled(inside, labels, entities=()):
    """Return a passage with the given inside probabilities, shape `(words, labels)`."""
    probs = np.repeat(np.array(inside, dtype=np.float32)[..., None], 3, axis=-1)
    words = tuple(f"w{place}" for place in range(len(probs)))
    return LabeledPassage(Passage(words, tuple(entities)), tuple(labels), probs)


@pytest.mark.parametrize(
    ("mixture", "expected"),
    [
        ("second", [0.9, 0.2]),
        ("mean", [0.7, 0.5]),
        # The odds 1 and 9 give odds of 3; 4 and 1/4 give 1.
        ("mean of logits", [0.75, 0.5]),
        ("expert", [0.5, 0.2]),
        ("control", [0.5, 0.2]),
    ],
)
def test_combine_mixes_the_probabilities_of_two_teachers(teachers, mixture, expected):
    first, second = labeled([[0.5, 0.8]], ["city", "town"]), labeled([[0.9, 0.2]], ["city", "town"])
    [mixed] = teachers.combine([first], [second], mixture, {"town"})
    np.testing.assert_allclose(mixed.probs[0, :, 2], expected, rtol=1e-6)
    assert mixed.passage == first.passage


def test_confusions_are_cosines_of_the_distributions(teachers):
    # Odds of 1, 1 and 1 for "none" and both labels: each has a third. Ten words have both labels,
    # and ten have `city` alone: the floor of the probabilities is 1/512, so the odds are 1/511.
    item = labeled([[0.5, 0.5]] * 10 + [[0.5, 0.0]] * 10, ["town", "city"])
    q, tiny = 1 / (2 + 1 / 511), (1 / 511) / (2 + 1 / 511)
    shared, often, seldom = 10 / 9 + 10 * q * tiny, 10 / 9 + 10 * q * q, 10 / 9 + 10 * tiny * tiny
    expected = shared / (often * seldom) ** 0.5
    assert teachers.confusions([item, item]) == {
        ("city", "town"): pytest.approx(expected, rel=1e-5)
    }
    # A single passage, and too few words.
    assert teachers.confusions([item]) == {}
    short = labeled([[0.5, 0.5]] * 4, ["town", "city"])
    assert teachers.confusions([short, short]) == {}


def test_clusters_merge_groups_by_their_mean_confusion(teachers):
    pairs = {("a", "b"): 0.9, ("c", "d"): 0.5, ("b", "c"): 0.3, ("e", "f"): 0.1}
    # Between (a, b) and (c, d), the mean of four pairs is 0.3 / 4.
    assert teachers.clusters(pairs, 0.2) == [("a", "b"), ("c", "d")]
    assert teachers.clusters(pairs, 0.07) == [("a", "b", "c", "d"), ("e", "f")]
    assert teachers.clusters({}) == []


def test_control_labels_are_asked_as_often_as_the_specialty(teachers):
    asked = [["a", "b", "c"], ["a", "b", "d"], ["a", "c", "e"], ["f"]]
    items = [labeled([[0.5] * len(labels)], labels) for labels in asked]
    # `a` is asked three times, b and c twice, d, e and f once; b and d, every second of the others
    # by frequency, are as many as `a`.
    assert teachers.control_labels(items, {"a"}) == {"b", "d"}
    assert teachers.control_labels(items, set()) == set()


def test_darkness_is_what_the_teacher_says_besides_its_likeliest_answer(teachers):
    # Odds of 1, 4 and 1; the second word lies outside of all entities.
    found = teachers.darkness([labeled([[0.8, 0.5], [0.2, 0.001]], ["city", "town"])])
    assert found["floor"] == 0.25
    assert found["dark, T 1"] == pytest.approx(2 / 6)
    assert found["dark, T 2"] == pytest.approx(2 / 4)


def test_read_answers_refuses_other_questions(teachers, lexicon_teacher, tmp_path):
    entity = Entity(0, 1, "city")
    items = [labeled([[0.5], [0.5]], ["city"], [entity])]
    teachers.label_corpus(
        [item.passage for item in items],
        lexicon_teacher({"w0": "city"}),
        tmp_path / "store",
        policy=teachers.LabelPolicy(),
    )
    [answer] = teachers.read_answers(tmp_path / "store", [*items, *items])
    assert answer.probs[0, 0, 2] > 0.9
    with pytest.raises(SystemExit, match="store"):
        teachers.read_answers(tmp_path / "store", [replace(items[0], labels=("town",))])
    with pytest.raises(SystemExit, match="1 passages"):
        teachers.read_answers(tmp_path / "store", [])


def test_unannotated_head_gives_the_teacher_the_whole_weight(students):
    bare = labeled([[0.5, 0.9], [0.1, 0.2]], ["city", "town"])
    with_gold = labeled([[0.5]], ["city"], [Entity(0, 1, "city")])
    head = students.UnannotatedHead()
    targets = head.targets([bare, with_gold], 2, 2)
    # The odds are 1, 1 and 9.
    np.testing.assert_allclose(targets.gold[0, 0], [1 / 11, 1 / 11, 9 / 11], rtol=1e-5)
    assert targets.gold[1].tolist() == [[0, 1, 0], [0, 0, 0]]
    logits = torch.randn(1, 2, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    batch = SimpleNamespace(word_mask=torch.ones(1, 2, dtype=torch.bool))
    one = head.targets([bare], 2, 2)
    mixed = head.loss(logits, one, batch, alpha=0.4, temperature=1.0, positive_weight=1.0)
    soft = soft_loss(logits[0], one.teacher[0], temperature=1.0).mean()
    [gradient], [expected] = (torch.autograd.grad(loss, logits) for loss in (mixed, soft))
    torch.testing.assert_close(gradient, expected)


def test_without_label_removes_the_question_and_its_entities(students):
    both = labeled([[0.1, 0.9]], ["city", "person"], [Entity(0, 1, "person"), Entity(0, 1, "city")])
    alone = labeled([[0.9]], ["person"], [Entity(0, 1, "person")])
    [left] = students.without_label([both, alone], "person")
    assert left.labels == ("city",)
    assert left.passage.entities == (Entity(0, 1, "city"),)
    np.testing.assert_allclose(left.probs[0, 0], 0.1)


class ReluctantStudent:
    """Gives the label `person` a logit of -1.2 and "none" one of 0, on each word."""

    def logits(self, passages, labels):
        rows = [[0.0, *(-1.2 if item == "person" else -9.0 for item in labels[0])]]
        return [np.array(rows * len(words), dtype=np.float32) for words in passages]


def test_fit_bias_takes_the_least_of_the_best_on_dev(students):
    passage = Passage(("mary", "ann"), (Entity(0, 2, "person"),))
    split = SimpleNamespace(
        passages=[passage],
        labels=[("city", "person")],
        teacher_entities=[[Entity(0, 1, "person")]],
    )
    # With 1.5, the odds against "none" are above 1, and the score is above 0.5.
    bias, scores = students.fit_bias(ReluctantStudent(), split, split, "person", 0.5)
    assert bias == 1.5
    assert scores["f1_vs_gold"] == 1.0
    assert scores["label_recall_vs_gold"] == 1.0
    # The teacher has one of the two words.
    assert scores["label_f1_vs_teacher"] == pytest.approx(2 / 3)


def test_plan_names_each_condition_once_a_seed_and_the_telling_ones_first(conditions):
    jobs = conditions.plan(5, "stores")
    keys = [(job.name, job.seed) for job in jobs]
    assert len(set(keys)) == len(keys)
    # The teachers; 12 of the grid and gold; 10 more sizes, one with partial gold; 5 mixtures; 2
    # without a label; and 2 with finer probabilities.
    assert len(keys) == 1 + 5 * (13 + 10 + 5 + 2 + 2)
    assert jobs[0].name == conditions.TEACHERS
    assert [job.seed for job in jobs[1:27]] == [0] * 12 + [1] * 7 + [2] * 7
    assert {job.condition.stores for job in jobs} == {"stores"}
    assert all(job.name == job.condition.name for job in jobs)


def test_students_of_little_data_are_updated_as_often(conditions):
    repeats = {n: replace(conditions.HARD, n_train=n).n_repeats for n in (30, 100, 300, 1000)}
    assert repeats == {30: 10, 100: 3, 300: 1, 1000: 1}


def test_adopt_takes_the_students_of_all_passages(load, tmp_path):
    study = load("hinton")
    known = {"soft, 1000 passages": {"0": {"f1": 0.5, "curve": [1], "cpu_seconds": 9.0}}}
    known["soft, 300 passages"] = {"0": {"f1": 0.4, "cpu_seconds": 9.0}}
    claims = tmp_path / "claims.json"
    claims.write_text(json.dumps({"environment": {"python": "3"}, "runs": known}))
    study.adopt(tmp_path / "out", claims)
    expected = {"alpha 1, 1000 passages": {"0": {"f1": 0.5, "cpu_seconds": 0.0}}}
    assert load("study").read_runs(tmp_path / "out" / "results.json") == expected


@pytest.mark.slow
def test_a_tiny_run_has_all_measures_and_prints_all_tables(
    load, lexicon_teacher, tmp_path, monkeypatch
):
    study, conditions, teachers = map(load, ("hinton", "hinton_conditions", "hinton_teachers"))
    jobs = conditions.plan(1, str(tmp_path))
    monkeypatch.setattr(study, "TRAINING", TrainingSettings(epochs=1))
    monkeypatch.setattr(conditions, "N_TRAIN", 8)  # so that no passage is repeated
    teacher = lexicon_teacher({"London": "city"})
    teachers.label_sample(teacher, tmp_path / "second", n_train=8)
    teachers.label_sample(teacher, tmp_path / "fine", n_train=8, is_fine=True)
    condition = conditions.Condition(0.4, n_train=8, n_gold=4, mixture="mean", omits=True)
    assert condition.name == "alpha 0.4, 8 passages, 4 with gold, mean, without person"
    row = study.run(replace(condition, stores=str(tmp_path)), 0)
    assert {"f1_vs_second", "label_recall_vs_gold", "f1_vs_gold_biased", "bias"} <= row.keys()
    runs = {job.name: {"0": row | {"cpu_seconds": 1.0}, "1": row} for job in jobs}
    runs[conditions.TEACHERS] = {"0": study.run(jobs[0].condition, 0)}
    texts = list(study.tables(runs))
    assert len(texts) == 10
    assert "not run" not in "".join(texts)
    study.draw(runs, tmp_path / "hinton.png")
    assert (tmp_path / "hinton.png").stat().st_size > 10_000
