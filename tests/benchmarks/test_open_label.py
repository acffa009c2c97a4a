"""The benchmark of open labels, run as a user runs it, on two tiny sets."""

import json
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from benchmark_results import LABELS, f1_of, table_rows
from gliner_distill.entities import Entity, Passage

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="the benchmarks are in the repository, not in the package"
)


@pytest.fixture(scope="module")
def open_label(benchmarks):
    return benchmarks("open_label")


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
        """Return the printed output and the content of open_label.json."""
        printed = run(open_label, "data", student_folder, gliner_folder, "--out", "out")
        return printed, json.loads((world / "out" / "open_label.json").read_text())

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
        assert list(figures[1]) == ["teacher", "student", "passages per set"]
        assert figures[1]["passages per set"] == 500
        for model in ("teacher", "student"):
            assert set(figures[1][model]) == {
                *("best threshold", "mean by threshold", "calibration error", "at 0.5", "at best")
            }
            assert 0 < figures[1][model]["calibration error"] < 1
            for key in ("at 0.5", "at best"):
                assert list(figures[1][model][key]) == ["learned", "others", "macro", "micro"]

    def test_open_label_prints_a_table_for_each_threshold(self, figures):
        printed, figures = figures
        parts = printed.split("\nThreshold ")
        best = [figures[model]["best threshold"] for model in ("teacher", "student")]
        assert parts[1].startswith("at 0.5\n")
        assert parts[2].startswith("at best: {} teacher, {} student\n".format(*best))
        for key, part in zip(("at 0.5", "at best"), parts[1:], strict=True):
            rows = table_rows(part)
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
        errors = [figures[model]["calibration error"] for model in ("teacher", "student")]
        last = "Expected calibration error at 0.5: {:.3f} teacher, {:.3f} student\n"
        assert printed.endswith(last.format(*errors))

    def test_open_label_leaves_out_a_set_without_labels(self, figures, world):
        printed = figures[0]
        assert printed.splitlines()[0].startswith("vague: left out")
        assert printed.count("vague") == 1
        assert set(figures[1]["student"]["at 0.5"]) == {"learned", "others", "macro", "micro"}
        stores = sorted(path.name for path in (world / "out" / "teacher").iterdir())
        assert [name.split("-")[0] for name in stores] == ["learned", "others"]

    def test_open_label_asks_the_student_alone_when_run_again(
        self, figures, open_label, run, student_folder, gliner_folder, monkeypatch
    ):
        def refuse(*args, **kwargs):
            raise AssertionError("the teacher was asked again")

        monkeypatch.setattr(open_label.GLiNERTeacher, "score_passages", refuse)
        again = run(open_label, "data", student_folder, gliner_folder, "--out", "out")
        assert again == figures[0]

    def test_open_label_keeps_answers_to_other_passages_apart(
        self, figures, open_label, run, world, student_folder, gliner_folder
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
        assert list(table_rows(printed)) == ["set", "others", "macro", "micro"]
        assert figures["passages per set"] == 3
        found = expected("student", 0.5)["others"]
        rows = [0, 2, 3]  # 1.5 is rounded to the even neighbor
        kept = open_label.read_set(world / "data", "others", 3).passages
        assert kept == [sets["others"][row] for row in rows]
        f1 = f1_of([found[row] for row in rows], [sets["others"][row] for row in rows])
        assert figures["student"]["at 0.5"]["others"] == pytest.approx(f1)
        assert f1 != pytest.approx(f1_of(found, sets["others"]))

    def test_ask_student_takes_a_softmax_student(
        self, open_label, sets, build_student, small_vocabulary, tmp_path
    ):
        from gliner_distill.student.files import save_student
        from gliner_distill.student.predictor import StudentPredictor

        student = build_student()
        save_student(tmp_path, student, small_vocabulary, metadata={})
        asked = open_label.EvaluationSet("learned", sets["learned"], LABELS)
        predict = open_label.ask_student(*open_label.load_predictor(tmp_path), asked)
        for threshold in (0.15, 0.5, 0.6):
            expected = StudentPredictor(
                student, small_vocabulary, threshold=threshold
            ).predict_words([passage.words for passage in asked.passages], [LABELS] * 5)
            assert predict(threshold) == expected
        assert any(predict(0.15))

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

    def test_measure_has_the_calibration_error_at_one_half(self, figures):
        # Two of 0.9, both right; one of 0.6, wrong.
        assert figures["calibration error"] == pytest.approx((2 * 0.1 + 0.6) / 3)
