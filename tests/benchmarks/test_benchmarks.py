"""The benchmarks of the student of any label, run as a user runs them, on two tiny sets."""

import importlib
import json
import random
import sys
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from gliner_distill.corpus.reader import write_passages
from gliner_distill.entities import Entity, Passage

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
LABELS = ("person", "city", "river", "company")

pytestmark = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="the benchmarks are in the repository, not in the package"
)


@pytest.fixture(scope="module")
def benchmarks():
    """A function that returns a benchmark as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module


@pytest.fixture(scope="module")
def open_label(benchmarks):
    return benchmarks("open_label")


@pytest.fixture(scope="module")
def robustness(benchmarks):
    return benchmarks("robustness")


@pytest.fixture(scope="module")
def student_folder(tmp_path_factory, build_student, small_vocabulary, five_passages):
    """A run folder with a student, boundary head, that has learnt the five passages nearly."""
    from gliner_distill.training.loop import train_student
    from gliner_distill.training.settings import TrainingSettings

    folder = tmp_path_factory.mktemp("student") / "run"
    settings = TrainingSettings(
        alpha=0.0, epochs=25, batch_size=5, learning_rate=0.05, embedding_lr_factor=1.0
    )
    student = build_student(head="boundary", label_hidden_width=12)
    train_student(student, small_vocabulary, five_passages, folder, settings)
    return folder


@pytest.fixture(scope="module")
def sets(five_passages):
    """Passages of two sets: what the student has learnt, and the same with other gold."""
    learnt = [item.passage for item in five_passages]
    # The tiny teacher finds every word or two to be a river; two of these are gold here.
    others = [
        learnt[2],
        Passage(learnt[2].words, (Entity(0, 1, "river"), Entity(1, 2, "river"))),
        Passage(learnt[1].words, (Entity(0, 3, "river"), Entity(2, 3, "city"))),
        Passage(learnt[3].words, (Entity(1, 2, "city"), Entity(2, 3, "not asked"))),
    ]
    return {"learnt": learnt, "others": others}


@pytest.fixture
def world(sets, tmp_path, monkeypatch):
    """A working folder with `data`: the two sets, and one with an empty list of labels."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data"
    folder.mkdir()
    for name, passages in (sets | {"vague": sets["learnt"]}).items():
        listed = [] if name == "vague" else ["Person", "City_", "river", "company", "person"]
        write_passages(folder / f"{name}.jsonl", passages)
        (folder / f"{name}.labels.json").write_text(json.dumps(listed))
    return tmp_path


@pytest.fixture
def run(monkeypatch, capsys):
    """A function that runs a benchmark's `main` and returns what it printed."""

    def run(module, *args):
        monkeypatch.setattr(sys, "argv", [f"{module.__name__}.py", *map(str, args)])
        capsys.readouterr()
        module.main()
        return capsys.readouterr().out

    return run


def f1_of(found, passages):
    """Return the exact-match F1, counting only gold of the labels asked."""
    pairs = [
        (set(entities), set(one.entities)) for entities, one in zip(found, passages, strict=True)
    ]
    gold = [{one for one in entities if one.label in LABELS} for _, entities in pairs]
    n_correct = sum(len(pair[0] & wanted) for pair, wanted in zip(pairs, gold, strict=True))
    n_both = sum(len(pair[0]) + len(wanted) for pair, wanted in zip(pairs, gold, strict=True))
    return 2 * n_correct / n_both if n_both else 1.0


def table_rows(text):
    """Return the rows of a printed table, by their first cell."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first: rest for first, *rest in cells}


class TestOpenLabel:
    @pytest.fixture
    def expected(self, sets, student_folder, gliner_folder):
        """A function that returns what a model finds in each set at a threshold."""
        from gliner_distill.evaluation.models import TeacherNER
        from gliner_distill.student.files import load_student
        from gliner_distill.student.predictor import StudentPredictor
        from gliner_distill.teacher.gliner import GLiNERTeacher

        teacher = GLiNERTeacher.from_pretrained(gliner_folder)
        student = load_student(student_folder / "student")

        def find(model, threshold):
            predict = {
                "teacher": partial(TeacherNER(teacher).predict_words, threshold=threshold),
                "student": StudentPredictor(*student, threshold=threshold).predict_words,
            }[model]
            return {
                name: predict([one.words for one in passages], [LABELS] * len(passages))
                for name, passages in sets.items()
            }

        return find

    @pytest.fixture
    def figures(self, open_label, world, run, student_folder, gliner_folder):
        """What was printed, and open_label.json."""
        printed = run(open_label, "data", student_folder, gliner_folder, "--out", "out")
        return printed, json.loads((world / "out" / "open_label.json").read_text())

    def test_writes_each_models_f1_at_a_half(self, figures, sets, expected):
        for model in ("teacher", "student"):
            found = expected(model, 0.5)
            by_set = {name: f1_of(found[name], passages) for name, passages in sets.items()}
            chained = [list(chain.from_iterable(one.values())) for one in (found, sets)]
            assert figures[1][model]["at 0.5"] == {
                **{name: pytest.approx(f1) for name, f1 in by_set.items()},
                "macro": pytest.approx(np.mean(list(by_set.values()))),
                "micro": pytest.approx(f1_of(*chained)),
            }
        # Or the above would hold for two models that find nothing.
        assert figures[1]["student"]["at 0.5"]["learnt"] == 1.0
        for model in ("teacher", "student"):
            assert 0 < figures[1][model]["at 0.5"]["others"] < 1

    def test_writes_the_best_of_the_thresholds(self, figures, open_label, sets, expected):
        figures = figures[1]["student"]
        means = {
            step: np.mean([f1_of(found, sets[name]) for name, found in by_set.items()])
            for step in open_label.THRESHOLDS
            if (by_set := expected("student", step))
        }
        assert figures["mean by threshold"] == {
            str(step): pytest.approx(mean) for step, mean in means.items()
        }
        assert means[figures["best threshold"]] == max(means.values())
        assert figures["at best"]["macro"] == pytest.approx(max(means.values()))
        assert figures["at 0.5"]["macro"] == pytest.approx(means[0.5])

    def test_writes_the_keys_that_are_documented_and_no_other(self, figures):
        assert list(figures[1]) == ["teacher", "student", "passages a set"]
        assert figures[1]["passages a set"] == 500
        for model in ("teacher", "student"):
            assert set(figures[1][model]) == {
                *("best threshold", "mean by threshold", "calibration error", "at 0.5", "at best")
            }
            assert 0 < figures[1][model]["calibration error"] < 1
            for key in ("at 0.5", "at best"):
                assert list(figures[1][model][key]) == ["learnt", "others", "macro", "micro"]

    def test_prints_a_table_for_a_half_and_one_for_the_best(self, figures):
        printed, figures = figures
        parts = printed.split("\nThreshold ")
        best = [figures[model]["best threshold"] for model in ("teacher", "student")]
        assert parts[1].startswith("at 0.5\n")
        assert parts[2].startswith("at best: {} teacher, {} student\n".format(*best))
        for key, part in zip(("at 0.5", "at best"), parts[1:], strict=True):
            rows = table_rows(part)
            assert list(rows) == ["set", "learnt", "others", "macro", "micro"]
            shares = []
            for name in ("learnt", "others", "macro", "micro"):
                theirs, ours = (figures[model][key][name] for model in ("teacher", "student"))
                share = f"{100 * ours / theirs:.1f}%" if theirs else "-"
                assert rows[name] == [f"{100 * theirs:.1f}", f"{100 * ours:.1f}", share]
                if theirs and name in ("learnt", "others"):
                    shares.append(ours / theirs)
            mean = f"{100 * np.minimum(shares, 1).mean():.1f}%"
            assert f"\nMean of the shares kept, none counted above 100%: {mean}\n" in part
        errors = [figures[model]["calibration error"] for model in ("teacher", "student")]
        last = "Expected calibration error at 0.5: {:.3f} teacher, {:.3f} student\n"
        assert printed.endswith(last.format(*errors))

    def test_leaves_a_set_without_labels_out_and_says_so(self, figures, world):
        printed = figures[0]
        assert printed.splitlines()[0] == "vague: its label list is empty, left out"
        assert printed.count("vague") == 1
        assert set(figures[1]["student"]["at 0.5"]) == {"learnt", "others", "macro", "micro"}
        stores = sorted(path.name for path in (world / "out" / "teacher").iterdir())
        assert [name.split("-")[0] for name in stores] == ["learnt", "others"]

    def test_asks_the_student_alone_when_run_again(
        self, figures, open_label, run, student_folder, gliner_folder, monkeypatch
    ):
        def refuse(*args, **kwargs):
            raise AssertionError("the teacher was asked again")

        monkeypatch.setattr(open_label.GLiNERTeacher, "score_passages", refuse)
        again = run(open_label, "data", student_folder, gliner_folder, "--out", "out")
        assert again == figures[0]

    def test_keeps_answers_to_other_passages_apart(
        self, figures, open_label, run, world, student_folder, gliner_folder
    ):
        options = ("--passages", 3, "--out", "out")
        few = run(open_label, "data", student_folder, gliner_folder, *options)
        options = ("--passages", 3, "--out", "alone")
        assert run(open_label, "data", student_folder, gliner_folder, *options) == few
        again = run(open_label, "data", student_folder, gliner_folder, "--out", "out")
        assert again == figures[0] != few

    def test_ends_where_a_set_has_no_list_of_labels(
        self, open_label, world, run, student_folder, gliner_folder
    ):
        (world / "data" / "learnt.labels.json").unlink()
        with pytest.raises(SystemExit, match=r"learnt\.labels\.json: cannot be read: "):
            run(open_label, "data", student_folder, gliner_folder, "--out", "out")

    def test_counts_evenly_spaced_passages_of_the_sets_named(
        self, open_label, world, run, sets, expected, student_folder, gliner_folder
    ):
        options = ("--sets", "others", "--passages", 3, "--out", "few")
        printed = run(open_label, "data", student_folder, gliner_folder, *options)
        figures = json.loads((world / "few" / "open_label.json").read_text())
        assert list(table_rows(printed)) == ["set", "others", "macro", "micro"]
        assert figures["passages a set"] == 3
        found = expected("student", 0.5)["others"]
        rows = [0, 2, 3]  # 1.5 is rounded to the even neighbour
        given = open_label.argparse.Namespace(folder=world / "data", passages=3)
        kept = open_label.read_set(given, "others").passages
        assert kept == [sets["others"][row] for row in rows]
        f1 = f1_of([found[row] for row in rows], [sets["others"][row] for row in rows])
        assert figures["student"]["at 0.5"]["others"] == pytest.approx(f1)
        assert f1 != pytest.approx(f1_of(found, sets["others"]))

    def test_asks_a_softmax_student_too(
        self, open_label, sets, build_student, small_vocabulary, tmp_path
    ):
        from gliner_distill.student.files import save_student
        from gliner_distill.student.predictor import StudentPredictor

        student = build_student()
        save_student(tmp_path, student, small_vocabulary, metadata={})
        one = open_label.TestSet("learnt", sets["learnt"], LABELS)
        decode = open_label.ask_student(str(tmp_path), one)
        for threshold in (0.15, 0.5, 0.6):
            expected = StudentPredictor(
                student, small_vocabulary, threshold=threshold
            ).predict_words([passage.words for passage in one.passages], [LABELS] * 5)
            assert decode(threshold) == expected
        assert any(decode(0.15))

    def test_ends_where_there_is_no_student(self, open_label, world, run, gliner_folder):
        with pytest.raises(SystemExit, match=r"^data: no student in it$"):
            run(open_label, "data", "data", gliner_folder, "--out", "out")

    def test_means_the_twelve_sets_by_held_out(self, open_label, benchmarks, monkeypatch):
        monkeypatch.syspath_prepend(str(BENCHMARKS.parent / "recipes"))
        given = open_label.argparse.Namespace(sets="held-out")
        assert open_label.list_names(given) == benchmarks("transfer_set").HELD_OUT
        assert len(set(open_label.list_names(given))) == 12


class TestMeasure:
    """Two sets of one and of three passages, and what a made-up model finds in them.

    In the first set it is right up to 0.3. In the second two of three are right at any threshold,
    and up to 0.6 it has one that is wrong.
    """

    @pytest.fixture
    def figures(self, open_label):
        right, unasked = Entity(0, 1, "city"), Entity(1, 2, "ship")
        gold = Passage(("a", "b", "c"), (right, unasked))
        sets = [
            open_label.TestSet("one", [gold], ("city",)),
            open_label.TestSet("three", [gold] * 3, ("city", "river")),
        ]
        sure, wrong = Entity(0, 1, "city", 0.9), Entity(0, 1, "river", 0.6)
        decoders = [
            lambda threshold: [[Entity(0, 1, "city", 0.3)] if threshold <= 0.3 else []],
            lambda threshold: [[sure], [sure], [wrong] if threshold < 0.6 else []],
        ]
        return open_label.measure(decoders, sets)

    def test_counts_sets_alike_in_macro_and_passages_in_micro(self, figures):
        # At a half, of 4 entities: 2 of 3 found are right.
        assert figures["at 0.5"] == {
            "one": 0.0,
            "three": pytest.approx(2 / 3),
            "macro": pytest.approx(1 / 3),
            "micro": pytest.approx(4 / 7),
        }

    def test_takes_the_threshold_best_for_the_mean_over_sets(self, figures):
        # By passages 0.6 and up would be as good: 2 of 2 found, of 4, against 3 of 4.
        assert figures["best threshold"] in (0.15, 0.2, 0.25, 0.3)
        assert figures["at best"] == {
            "one": 1.0,
            "three": pytest.approx(2 / 3),
            "macro": pytest.approx(5 / 6),
            "micro": pytest.approx(3 / 4),
        }
        means = figures["mean by threshold"]
        assert list(means) == [step / 20 for step in range(3, 19)]
        for step, mean in means.items():
            expected = 5 / 6 if step <= 0.3 else 1 / 3 if step < 0.6 else 2 / 5
            assert mean == pytest.approx(expected)

    def test_has_the_calibration_error_of_what_is_found_at_a_half(self, figures):
        # Two of 0.9, both right; one of 0.6, wrong.
        assert figures["calibration error"] == pytest.approx((2 * 0.1 + 0.6) / 3)


class TestRobustness:
    FORMS = {  # noqa: RUF012
        "labels upper-cased": ("PERSON", "CITY", "RIVER", "COMPANY"),
        "labels title-cased": ("Person", "City", "River", "Company"),
        "labels in the plural": ("persons", "cities", "rivers", "companies"),
        "labels with '_' for ' '": LABELS,
        "labels as 'name of X'": tuple(f"name of {label}" for label in LABELS),
    }

    @pytest.fixture
    def figures(self, robustness, world, run, student_folder):
        """What was printed, and robustness.json."""
        printed = run(robustness, "data", student_folder)
        return printed, json.loads((world / "robustness.json").read_text())

    @pytest.fixture
    def predictor(self, student_folder):
        from gliner_distill.student.files import load_student
        from gliner_distill.student.predictor import StudentPredictor

        return StudentPredictor(*load_student(student_folder / "student"))

    def f1s(self, found, sets):
        return [pytest.approx(f1_of(found[name], passages)) for name, passages in sets.items()]

    def as_passages(self, found, sets):
        """Return sets with what was found as gold."""
        return {
            name: [
                Passage(one.words, tuple(entities))
                for one, entities in zip(passages, found[name], strict=True)
            ]
            for name, passages in sets.items()
        }

    def ask(self, predictor, sets, labels=LABELS, alter=lambda words, draw: words):
        """Return what is found in each set, under the labels that it has."""
        own, found = dict(zip(labels, LABELS, strict=True)), {}
        for name, passages in sets.items():
            draw = random.Random(0)
            words = [alter(passage.words, draw) for passage in passages]
            found[name] = [
                [Entity(e.start_word, e.end_word, own[e.label], e.score) for e in entities]
                for entities in predictor.predict_words(words, [labels] * len(words))
            ]
        return found

    def test_compares_each_change_with_gold_and_with_its_own_answers(
        self, robustness, figures, sets, predictor
    ):
        clean = self.ask(predictor, sets)
        assert any(map(any, clean.values()))
        own = self.as_passages(clean, sets)
        expected = {"unchanged": clean}
        expected |= {
            change: self.ask(predictor, sets, labels) for change, labels in self.FORMS.items()
        }
        alterations = {
            "text lower-cased": lambda words, draw: [word.lower() for word in words],
            "text upper-cased": lambda words, draw: [word.upper() for word in words],
            "one word in seven mistyped": robustness.mistype_some,
        }
        for change, alter in alterations.items():
            expected[change] = self.ask(predictor, sets, alter=alter)
        assert figures[1] == {
            **{
                change: {"gold": self.f1s(found, sets), "own": self.f1s(found, own)}
                for change, found in expected.items()
            },
            "sets": ["learnt", "others"],
        }

    def test_finds_the_same_where_nothing_changes_for_the_student(self, figures):
        # The vocabulary is of lower case, and so is the text; no label has two words.
        same = {"unchanged", "labels upper-cased", "labels title-cased"}
        same |= {"labels with '_' for ' '", "text lower-cased"}
        for change, row in figures[1].items():
            if change not in ("sets", "one word in seven mistyped"):
                assert (row["own"] == [1.0, 1.0]) == (change in same), change
        assert figures[1]["unchanged"]["gold"][0] == 1.0

    def test_mistypes_words_the_same_each_time(self, open_label, robustness, sets, predictor):
        many = open_label.TestSet("many", sets["learnt"] * 20, LABELS)
        change = robustness.TEXTS["one word in seven mistyped"]
        clean = robustness.ask(predictor, many)
        found = [robustness.ask(predictor, many, alter=change) for _ in range(2)]
        assert found[0] == found[1]
        [f1] = robustness.compare([found[0]], [clean])
        assert 0.5 < f1 < 1.0

    def test_prints_the_mean_over_sets(self, figures):
        printed, figures = figures
        rows = table_rows(printed)
        assert list(rows) == ["change", *(name for name in figures if name != "sets")]
        assert len(rows) == 1 + 9
        for change, cells in list(rows.items())[1:]:
            means = [100 * np.mean(figures[change][key]) for key in ("gold", "own")]
            assert cells == [f"{mean:.1f}" for mean in means]
        assert printed.splitlines()[0] == "vague: its label list is empty, left out"

    def test_prints_the_same_when_run_again(self, figures, robustness, run, student_folder, world):
        options = ("--sets", "learnt,others", "--out", "again.json")
        again = run(robustness, "data", student_folder, *options)
        assert again == figures[0].split("\n", 1)[1]  # but for the set that was left out
        assert json.loads((world / "again.json").read_text()) == figures[1]

    def test_ends_where_there_is_no_student(self, robustness, world, run):
        with pytest.raises(SystemExit, match=r"^data: no student in it$"):
            run(robustness, "data", "data")

    @pytest.mark.parametrize(
        ("label", "expected"),
        [("city", "cities"), ("day", "days"), ("works", "works"), ("place name", "place names")],
    )
    def test_makes_regular_plurals(self, robustness, label, expected):
        assert robustness.pluralise(label) == expected


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
