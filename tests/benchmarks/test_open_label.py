"""The benchmark of open labels, run as a user runs it, on two tiny sets."""

import json
import shutil
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from benchmark_results import LABELS, f1_of, table_rows
from gliner_distill.entities import Entity, Passage
from gliner_distill.runtime.ner import StudentNER

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="the benchmarks are in the repository, not in the package"
)


@pytest.fixture(scope="module")
def open_label(benchmarks):
    return benchmarks("open_label")


@pytest.fixture(scope="module")
def measured(open_label, run_once, student_folder, gliner_folder):
    """Return the printed output and the working folder: do not change them."""
    return run_once(open_label, "data", student_folder, gliner_folder, "--out", "out")


@pytest.fixture(scope="module")
def figures(measured):
    """Return the printed output and the content of open_label.json: do not change them."""
    printed, folder = measured
    return printed, json.loads((folder / "out" / "open_label.json").read_text())


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
    def measured_world(self, measured, world):
        """A working folder of the test's own, in which the benchmark has run."""
        shutil.copytree(measured[1] / "out", world / "out")
        return world

    @pytest.mark.slow
    def test_open_label_writes_the_f1_of_each_model_at_one_half(self, figures, sets, expected):
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
        assert figures[1]["student"]["at 0.5"]["learned"] == 1.0
        for model in ("teacher", "student"):
            assert 0 < figures[1][model]["at 0.5"]["others"] < 1

    @pytest.mark.slow
    def test_open_label_writes_the_best_threshold(self, figures, open_label, sets, expected):
        figures = figures[1]["student"]
        assert open_label.THRESHOLDS[0] == 0.1
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

    def test_open_label_writes_the_documented_keys(self, figures):
        assert list(figures[1]) == ["teacher", "student", "models", "passages per set"]
        assert figures[1]["passages per set"] == 500
        for model in ("teacher", "student"):
            assert list(figures[1][model]) == [
                *("best threshold", "mean by threshold"),
                *("calibration error", "calibration error at 0.1", "at 0.5", "at best"),
                *("entities by threshold", "frequent labels"),
            ]
            assert 0 < figures[1][model]["calibration error"] < 1
            for key in ("at 0.5", "at best"):
                assert list(figures[1][model][key]) == ["learned", "others", "macro", "micro"]

    def test_open_label_names_the_models_by_hash(
        self, figures, open_label, student_folder, gliner_folder, tmp_path
    ):
        teacher = open_label.GLiNERTeacher.from_pretrained(gliner_folder)
        models = figures[1]["models"]
        assert models["teacher"] == {"source": gliner_folder.name, "sha256": teacher.fingerprint}
        copied = tmp_path / "copied"
        shutil.copytree(student_folder / "student", copied)
        (copied / "README.md").write_text("A card.")
        [same] = open_label.load_students([f"new={copied}"])
        assert models["student"] == {"source": student_folder.name, "sha256": same.sha256}
        StudentNER.from_pretrained(copied).save_pretrained(tmp_path / "saved")
        [other] = open_label.load_students([f"new={tmp_path / 'saved'}"])
        assert other.sha256 != same.sha256

    @pytest.mark.slow
    def test_open_label_counts_entities_by_threshold(self, figures, expected):
        for model in ("teacher", "student"):
            counts = figures[1][model]["entities by threshold"]
            assert list(counts) == [str(step / 10) for step in range(1, 10)]
            # The bins of a store do not divide at the other thresholds.
            for step in ("0.5",) if model == "teacher" else counts:
                found = expected(model, float(step)).values()
                assert counts[step] == sum(map(len, chain.from_iterable(found)))
            assert counts["0.1"] > counts["0.9"]

    def test_open_label_prints_a_table_for_each_threshold(self, figures):
        printed, figures = figures
        parts = printed.split("\nThreshold ")
        best = [figures[model]["best threshold"] for model in ("teacher", "student")]
        assert parts[1].startswith("at 0.5\n")
        assert parts[2].startswith("at best: {} teacher, {} student\n".format(*best))
        for key, part in zip(("at 0.5", "at best"), parts[1:], strict=True):
            rows = table_rows(part.split("\nLabels ")[0])
            assert list(rows) == ["set", "learned", "others", "macro", "micro"]
            shares = []
            for name in ("learned", "others", "macro", "micro"):
                theirs, ours = (figures[model][key][name] for model in ("teacher", "student"))
                share = f"{100 * ours / theirs:.1f}%" if theirs else "-"
                assert rows[name] == [f"{100 * theirs:.1f}", f"{100 * ours:.1f}", share]
                if theirs and name in ("learned", "others"):
                    shares.append(ours / theirs)
            mean = f"{100 * np.minimum(shares, 1).mean():.1f}%"
            assert f"\nMean share kept, no share counted above 100%: {mean}\n" in part

    def test_open_label_prints_a_summary_of_each_model(self, figures):
        printed, figures = figures
        rows = table_rows(printed.split("\nThreshold ")[0].split("\n", 1)[1])
        assert list(rows) == ["model", "teacher", "student"]
        for model in ("teacher", "student"):
            own = figures[model]
            macro, micro = (f"{100 * own['at 0.5'][mean]:.1f}" for mean in ("macro", "micro"))
            assert rows[model][:2] == [macro, micro]
            errors = [own[key] for key in ("calibration error", "calibration error at 0.1")]
            assert rows[model][5:7] == [f"{error:.3f}" for error in errors]
        assert rows["teacher"][4] == "100.0%"

    def test_open_label_prints_the_counts_beside_the_teacher(self, figures):
        printed, figures = figures
        rows = table_rows(printed.split("\nEntities ")[1])
        assert list(rows) == ["threshold", *figures["student"]["entities by threshold"]]
        for step, count in figures["student"]["entities by threshold"].items():
            theirs = figures["teacher"]["entities by threshold"][step]
            ratio = f"{count / theirs:.2f}" if theirs else "-"
            assert rows[step] == [str(theirs), str(count), ratio]

    @pytest.mark.slow
    def test_open_label_sets_several_students_side_by_side(
        self, figures, open_label, run, measured_world, student_folder, gliner_folder
    ):
        arguments = ("data", student_folder, gliner_folder, "--out", "out")
        others = ("--student", f"again={student_folder}", "--student", "old=bundled")
        printed = run(open_label, *arguments, *others)
        both = json.loads((measured_world / "out" / "open_label.json").read_text())
        assert both["student"] == both["again"] == figures[1]["student"] != both["old"]
        assert both["models"]["old"]["source"] == "bundled"
        [header] = {
            tuple(table_rows(part)["set"])
            for part in printed.split("\nLabels ")[0].split("\nThreshold ")[1:]
        }
        shares = [f"{model} F1" for model in ("student", "again", "old")]
        assert header[0] == "teacher F1"
        assert [cell for cell in header if cell != "share kept"][1:] == shares

    @pytest.mark.parametrize("item", ["new", "=folder", "new=", "teacher=bundled", "student=b"])
    def test_load_students_refuses_a_name_that_is_taken_or_missing(self, open_label, item):
        with pytest.raises(SystemExit, match=f"^--student {item}: "):
            open_label.load_students([item])

    def test_open_label_leaves_out_a_set_without_labels(self, figures, measured):
        printed = figures[0]
        assert printed.splitlines()[0].startswith("vague: left out")
        assert printed.count("vague") == 1
        assert set(figures[1]["student"]["at 0.5"]) == {"learned", "others", "macro", "micro"}
        stores = sorted(path.name for path in (measured[1] / "out" / "teacher").iterdir())
        assert [name.split("-")[0] for name in stores] == ["learned", "others"]

    def test_open_label_asks_the_student_alone_when_run_again(
        self, figures, open_label, run, measured_world, student_folder, gliner_folder, monkeypatch
    ):
        def refuse(*args, **kwargs):
            raise AssertionError("the teacher was asked again")

        monkeypatch.setattr(open_label.GLiNERTeacher, "score_passages", refuse)
        again = run(open_label, "data", student_folder, gliner_folder, "--out", "out")
        assert again == figures[0]
        options = ("--out", "elsewhere", "--teacher-store", "out/teacher")
        assert run(open_label, "data", student_folder, gliner_folder, *options) == figures[0]

    def test_open_label_keeps_answers_to_other_passages_apart(
        self, figures, open_label, run, measured_world, student_folder, gliner_folder
    ):
        options = ("--passages", 3, "--out", "out")
        few = run(open_label, "data", student_folder, gliner_folder, *options)
        options = ("--passages", 3, "--out", "alone")
        assert run(open_label, "data", student_folder, gliner_folder, *options) == few
        again = run(open_label, "data", student_folder, gliner_folder, "--out", "out")
        assert again == figures[0] != few

    def test_open_label_ends_if_a_set_has_no_label_list(
        self, open_label, world, run, student_folder, gliner_folder
    ):
        (world / "data" / "learned.labels.json").unlink()
        with pytest.raises(SystemExit, match=r"learned\.labels\.json: cannot be read: "):
            run(open_label, "data", student_folder, gliner_folder, "--out", "out")

    def test_open_label_counts_evenly_spaced_passages(
        self, open_label, world, run, sets, expected, student_folder, gliner_folder
    ):
        options = ("--sets", "others", "--passages", 3, "--out", "few")
        printed = run(open_label, "data", student_folder, gliner_folder, *options)
        figures = json.loads((world / "few" / "open_label.json").read_text())
        first_table = printed.split("\nThreshold ")[1]
        assert list(table_rows(first_table)) == ["set", "others", "macro", "micro"]
        assert figures["passages per set"] == 3
        found = expected("student", 0.5)["others"]
        rows = [0, 2, 3]  # 1.5 is rounded to the even neighbor
        kept = open_label.read_set(world / "data", "others", 3).passages
        assert kept == [sets["others"][row] for row in rows]
        f1 = f1_of([found[row] for row in rows], [sets["others"][row] for row in rows])
        assert figures["student"]["at 0.5"]["others"] == pytest.approx(f1)
        assert f1 != pytest.approx(f1_of(found, sets["others"]))

    def test_open_label_ends_without_a_student(self, open_label, world, run, gliner_folder):
        with pytest.raises(SystemExit, match=r"^data: "):
            run(open_label, "data", "data", gliner_folder, "--out", "out")

    def test_list_names_knows_the_twelve_held_out_sets(self, open_label, benchmarks, monkeypatch):
        monkeypatch.syspath_prepend(str(BENCHMARKS.parent / "recipes"))
        names = open_label.list_names(Path("data"), "held-out")
        assert names == benchmarks("transfer_set").HELD_OUT
        assert len(set(names)) == 12


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
            open_label.EvaluationSet("one", [gold], ("city",)),
            open_label.EvaluationSet("three", [gold] * 3, ("city", "river")),
        ]
        sure, wrong = Entity(0, 1, "city", 0.9), Entity(0, 1, "river", 0.6)
        decoders = [
            lambda threshold: [[Entity(0, 1, "city", 0.3)] if threshold <= 0.3 else []],
            lambda threshold: [[sure], [sure], [wrong] if threshold < 0.6 else []],
        ]
        return open_label.measure(decoders, sets)

    def test_measure_counts_sets_in_macro_and_passages_in_micro(self, figures):
        # At a half, of 4 entities: 2 of 3 found are right.
        assert figures["at 0.5"] == {
            "one": 0.0,
            "three": pytest.approx(2 / 3),
            "macro": pytest.approx(1 / 3),
            "micro": pytest.approx(4 / 7),
        }

    def test_measure_takes_the_threshold_with_the_best_mean_over_sets(self, figures):
        # By passages 0.6 and up would be as good: 2 of 2 found, of 4, against 3 of 4.
        assert figures["best threshold"] in (0.1, 0.15, 0.2, 0.25, 0.3)
        assert figures["at best"] == {
            "one": 1.0,
            "three": pytest.approx(2 / 3),
            "macro": pytest.approx(5 / 6),
            "micro": pytest.approx(3 / 4),
        }
        means = figures["mean by threshold"]
        assert list(means) == [step / 20 for step in range(2, 19)]
        for step, mean in means.items():
            expected = 5 / 6 if step <= 0.3 else 1 / 3 if step < 0.6 else 2 / 5
            assert mean == pytest.approx(expected)

    def test_measure_has_the_calibration_error_at_one_half(self, figures):
        # Two of 0.9, both right; one of 0.6, wrong.
        assert figures["calibration error"] == pytest.approx((2 * 0.1 + 0.6) / 3)

    def test_measure_has_the_calibration_error_at_a_tenth(self, figures):
        # One of 0.3 and two of 0.9, all right; one of 0.6, wrong.
        assert figures["calibration error at 0.1"] == pytest.approx((0.7 + 2 * 0.1 + 0.6) / 4)

    def test_measure_counts_the_entities_of_all_sets(self, figures):
        counts = figures["entities by threshold"]
        assert list(counts) == [step / 10 for step in range(1, 10)]
        assert list(counts.values()) == [4, 4, 4, 3, 3, 2, 2, 2, 2]


def test_mean_share_counts_no_share_above_one(open_label):
    student, teacher = {"a": 0.4, "b": 0.9, "c": 0.2}, {"a": 0.8, "b": 0.3, "c": 0.0}
    assert open_label.mean_share(student, teacher) == pytest.approx(0.75)
    assert open_label.mean_share({"c": 0.2}, {"c": 0.0}) is None
