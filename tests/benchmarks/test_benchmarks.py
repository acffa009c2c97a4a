"""The benchmarks of the student of any label, run as a user runs them, on two tiny sets."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmark_results import table_rows
from gliner_distill.corpus.reader import write_passages
from gliner_distill.entities import Entity, Passage

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="the benchmarks are in the repository, not in the package"
)


@pytest.fixture
def quick_tuning(student_folder, monkeypatch):
    """Two epochs of tuning on gold, from a small student, which counts half."""
    from gliner_distill.distillation import few_shot as gold_tuning

    monkeypatch.setattr(gold_tuning, "bundled_student_path", lambda: student_folder / "student")
    monkeypatch.setattr(gold_tuning, "_MIN_EPOCHS", 2)
    monkeypatch.setattr(gold_tuning, "_MAX_EPOCHS", 2)
    monkeypatch.setattr(gold_tuning, "_SHARES", (0.0, 0.5))
    monkeypatch.setattr(gold_tuning, "_NEAR_TIE", 0.0)


class TestDomain:
    @pytest.fixture
    def domain(self, benchmarks):
        return benchmarks("domain")

    @pytest.fixture
    def small_start(self, domain, student_folder, quick_tuning, monkeypatch):
        """Two epochs, from a small student."""
        from gliner_distill.distillation.train import training_settings

        monkeypatch.setattr(domain, "bundled_student_path", lambda: student_folder / "student")
        monkeypatch.setattr(domain, "training_settings", lambda: training_settings(epochs=2))
        monkeypatch.setattr("gliner_distill.student.export.MAX_F1_LOSS", 1.0)

    @pytest.fixture
    def two_sets(self, world):
        """The folder `data` has two sets more, of 60 passages and 2 labels; one has own test."""
        names = ("mary", "paris", "john", "london", "ann")
        for name, shift in (("one", 1), ("two", 2)):
            passages = []
            for place in range(60):
                first, second = names[place % 5], names[place * shift % 5]
                entities = (Entity(0, 1, "person"), Entity(2, 3, "city"))
                passages.append(Passage((first, "left", second, str(place)), entities))
            write_passages(world / "data" / f"{name}.jsonl", passages)
            listed = ["Person", "city", "CITY"]
            (world / "data" / f"{name}.labels.json").write_text(json.dumps(listed))
        (world / "own").mkdir()
        write_passages(world / "own" / "two.jsonl", [*passages[:3], Passage(("unseen",))])
        return world

    def arguments(self, domain, monkeypatch, *args):
        monkeypatch.setattr(sys, "argv", ["domain.py", *args])
        return domain.parse_arguments()

    def test_parts_are_apart_and_the_same_each_time(
        self, domain, two_sets, gliner_folder, monkeypatch
    ):
        from gliner_distill.teacher.gliner import GLiNERTeacher

        teacher = GLiNERTeacher.from_pretrained(gliner_folder)
        given = self.arguments(domain, monkeypatch, "data", "t", "out", "--test", "own")
        one = domain.read_set(given, "one", teacher)
        assert [len(part) for part in (one.train, one.dev, one.test)] == [42, 6, 12]
        parts = [{item.passage.words for item in p} for p in (one.train, one.dev, one.test)]
        assert len(set.union(*parts)) == 60
        assert {item.labels for item in one.train} == {("person", "city")}
        again = domain.read_set(given, "one", teacher)
        assert [item.passage for item in again.train] == [item.passage for item in one.train]
        two = domain.read_set(given, "two", teacher)
        assert [len(part) for part in (two.train, two.dev, two.test)] == [51, 6, 4]
        assert ("unseen",) in {item.passage.words for item in two.test}
        given = self.arguments(domain, monkeypatch, "data", "t", "few", "--most", "20")
        few = domain.read_set(given, "one", teacher)
        assert [len(part) for part in (few.train, few.dev, few.test)] == [14, 2, 4]

    def test_runs_once_and_prints_a_row_a_set(
        self, domain, two_sets, small_start, run, gliner_folder, monkeypatch
    ):
        args = ("data", gliner_folder, "out", "--sets", "one", "--amounts", "10,all")
        rows = table_rows(run(domain, *args, "--gold", 12))
        kept = json.loads((two_sets / "out/domain.json").read_text())
        assert rows["set"] == ["passages", "teacher", "bundled", "10", "all", "gold 12"]
        assert list(kept["one"]["runs"]) == ["10", "all", "gold 12"]
        assert [one["n_train"] for one in kept["one"]["runs"].values()] == [10, 42, 42]
        assert [one["tuned_share"] for one in kept["one"]["runs"].values()] == [0.0, 0.0, 0.5]
        weight = json.loads((two_sets / "out/one/run-42-12/gold/weight.json").read_text())
        assert (weight["share"], weight["n_passages"]) == (0.5, 12)
        assert rows["one"][0] == "42"
        assert rows["one"][3] == domain.cell(kept["one"], kept["one"]["runs"]["10"])
        monkeypatch.setattr(domain, "train_on", None)  # nothing is done again
        assert table_rows(run(domain, *args, "--gold", 12)) == rows

    def test_score_is_of_test_against_teacher_and_gold(self, domain):
        from gliner_distill.entities import LabeledPassage

        passage = Passage(("a", "b"), (Entity(1, 2, "x"), Entity(0, 2, "not asked")))
        probs = np.zeros((2, 1, 3), np.float32)
        probs[0] = 1.0
        items = [LabeledPassage(passage, ("x",), probs)]
        assert domain.score([[Entity(0, 1, "x")]], items) == {"agreement": 1.0, "gold": 0.0}
        assert domain.score([[Entity(1, 2, "x")]], items) == {"agreement": 0.0, "gold": 1.0}
        assert domain.as_reference(items[0]) == Passage(("a", "b"), (Entity(0, 1, "x"),), ("x",))

    def test_table_has_means_over_the_sets_that_have_a_run(self, domain):
        def figures(value):
            return {"agreement": value, "gold": value / 2}

        rows = {
            "one": {"n_train": 1000, "teacher": 0.5, "bundled": figures(0.2), "runs": {}},
            "two": {"n_train": 9, "teacher": 0.8, "bundled": figures(0.4), "runs": {}},
        }
        rows["one"]["runs"] = {"10": figures(0.6)}
        rows["two"]["runs"] = {"10": figures(1.0), "all": figures(0.8)}
        assert domain.table(rows) == [
            "| set | passages | teacher | bundled | 10 | all |",
            "|---|---:|---:|---:|---:|---:|",
            "| one | 1,000 | 50.0 | 20.0 / 10.0 (20.0%) | 60.0 / 30.0 (60.0%) |  |",
            "| two | 9 | 80.0 | 40.0 / 20.0 (25.0%) | 100.0 / 50.0 (62.5%) | 80.0 / 40.0 (50.0%) |",
            "| mean | | 65.0 | 30.0 / 15.0 (23.1%) | 80.0 / 40.0 (61.5%) | 80.0 / 40.0 (50.0%) |",
        ]

    def test_a_teacher_that_finds_nothing_divides_by_nothing(self, domain):
        assert domain.cell({"teacher": 0.0}, {"agreement": 1.0, "gold": 0.0}) == (
            "100.0 / 0.0 (0.0%)"
        )


class TestAblation:
    @pytest.fixture
    def ablation(self, benchmarks):
        return benchmarks("ablation")

    def test_hard_labels_are_the_teachers_entities(self, ablation):
        from gliner_distill.decoding import decode_entities
        from gliner_distill.entities import LabeledPassage

        probs = np.full((3, 2, 3), 0.3, np.float32)
        probs[1:, 0] = 0.7
        item = LabeledPassage(Passage(("a", "b", "c")), ("x", "y"), probs)
        hard = ablation.harden(item)
        assert np.unique(hard.probs).tolist() == pytest.approx([0.02, 0.98])
        assert decode_entities(hard.probs, item.labels) == decode_entities(probs, item.labels)

    @pytest.fixture
    def small_start(self, ablation, student_folder, quick_tuning, monkeypatch):
        """One epoch, from a small student."""
        from gliner_distill.distillation.train import training_settings

        monkeypatch.setattr(ablation, "bundled_student_path", lambda: student_folder / "student")
        monkeypatch.setattr(
            ablation, "training_settings", lambda seed: training_settings(epochs=1, seed=seed)
        )

    def test_runs_each_variant_once_and_draws(
        self, ablation, world, run, gliner_folder, small_start, monkeypatch
    ):
        from gliner_distill.distillation.few_shot import TEACHER_SHARE_OF_GOLD

        few = [ablation.Variant("plain", n_train=8), ablation.Variant("gold", 8, 4, gold_share=0.0)]
        few.append(ablation.Variant("fresh", 8, from_scratch=True, is_hard=True))
        monkeypatch.setattr(ablation, "VARIANTS", few)
        passages = [Passage(("mary", "saw", str(n)), (Entity(0, 1, "person"),)) for n in range(40)]
        write_passages(world / "data" / "one.jsonl", passages)
        (world / "data" / "one.labels.json").write_text('["person"]')
        args = ("data", gliner_folder, "out", "--sets", "one", "--seeds", 2)
        rows = table_rows(run(ablation, *args))
        assert list(rows) == ["", "teacher", "plain", "gold", "fresh"]
        kept = json.loads((world / "out/ablation.json").read_text())["one"]
        assert set(kept["plain"]) == {"0", "1"}
        values = [one["gold"] for one in kept["gold"].values()]
        assert rows["gold"][1] == ablation.with_spread(values)
        assert (world / "out/ablation.png").stat().st_size > 1000
        assert ablation.gold_tuning.TEACHER_SHARE_OF_GOLD == TEACHER_SHARE_OF_GOLD
        monkeypatch.setattr(ablation, "train_on", None)  # nothing is done again
        assert table_rows(run(ablation, *args)) == rows

    @pytest.fixture
    def small_set(self, benchmarks, lexicon_teacher):
        """20 annotated passages of two words and two labels for training, and 5 for dev and test.

        The teacher does not know that a second word is a river.
        """
        from gliner_distill.entities import LabeledPassage

        teacher, labels, items = lexicon_teacher({"mary": "person"}), ("person", "river"), []
        for number in range(30):
            passage = Passage(
                ("mary", f"r{number}"), (Entity(0, 1, "person"), Entity(1, 2, "river"))
            )
            [probs] = teacher.score_passages([passage.words], [labels])
            items.append(LabeledPassage(passage, labels, probs))
        return benchmarks("domain").DomainSet("small", items[:20], items[20:25], items[25:])

    @pytest.fixture
    def learned(self, ablation, small_set, small_start, tmp_path, monkeypatch):
        """A function that runs a variant and returns what each so far had trained on."""
        taken, train = [], ablation.train_on

        def look(folder, items, gold, *args, **options):
            taken.append((items, gold))
            return train(folder, items, gold, *args, **options)

        monkeypatch.setattr(ablation, "train_on", look)

        def run(variant):
            scores = ablation.run(tmp_path / "work", small_set, variant, 0)
            assert set(scores) == {"agreement", "gold"}
            assert not (tmp_path / "work").exists()
            return taken

        return run

    def off(self, items, others):
        """Return the furthest that targets lie apart."""
        pairs = zip(items, others, strict=True)
        return max(float(np.abs(one.probs - other.probs).max()) for one, other in pairs)

    def test_guides_text_by_gold_unless_told_otherwise(self, ablation, small_set, learned):
        for is_guided in (True, False):
            variant = ablation.Variant("gold", None, 12, is_guided=is_guided)
            items, gold = learned(variant)[-1]
            for part, of_teacher in (("train", small_set.train[12:]), ("dev", small_set.dev)):
                assert (self.off(items[part], of_teacher) > 0.05) == is_guided
            assert gold == {"train": small_set.train[:12], "dev": []}

    def test_trains_on_gold_alone(self, ablation, small_set, learned, monkeypatch):
        tuned, tune = [], ablation.fine_tune_on_gold

        def look(folder, gold, settings, **options):
            tuned.append((gold, settings.seed))
            return tune(folder, gold, settings, **options)

        monkeypatch.setattr(ablation, "fine_tune_on_gold", look)
        assert learned(ablation.Variant("alone", None, 12, is_gold_alone=True)) == []
        assert tuned == [(small_set.train[:12], 0)]

    def test_changes_the_teachers_share_for_a_variant_alone(
        self, ablation, small_set, learned, monkeypatch
    ):
        shares, blend = [], ablation.gold_tuning.mix_gold_targets

        def look(item):
            shares.append(ablation.gold_tuning.TEACHER_SHARE_OF_GOLD)
            return blend(item)

        monkeypatch.setattr("gliner_distill.distillation.pipeline.mix_gold_targets", look)
        monkeypatch.setattr(ablation.gold_tuning, "mix_gold_targets", look)
        learned(ablation.Variant("gold", None, 12, gold_share=0.7))
        assert set(shares) == {0.7}
        shares.clear()
        learned(ablation.Variant("gold", None, 12))
        assert set(shares) == {0.15}
