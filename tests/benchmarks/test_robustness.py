"""The benchmark of robustness, run as a user runs it, on two tiny sets."""

import json
import random
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


@pytest.fixture(scope="module")
def robustness(benchmarks):
    return benchmarks("robustness")


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
        """Return the printed output and the content of robustness.json."""
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

    @pytest.mark.slow
    def test_robustness_compares_with_gold_and_with_its_own_answers(
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
            "sets": ["learned", "others"],
        }

    @pytest.mark.slow
    def test_robustness_finds_the_same_if_nothing_changes_for_the_student(self, figures):
        # The vocabulary is of lower case, and so is the text; no label has two words.
        same = {"unchanged", "labels upper-cased", "labels title-cased"}
        same |= {"labels with '_' for ' '", "text lower-cased"}
        for change, row in figures[1].items():
            if change not in ("sets", "one word in seven mistyped"):
                assert (row["own"] == [1.0, 1.0]) == (change in same), change
        assert figures[1]["unchanged"]["gold"][0] == 1.0

    def test_robustness_mistypes_words_the_same_each_time(
        self, open_label, robustness, sets, predictor
    ):
        many = open_label.EvaluationSet("many", sets["learned"] * 20, LABELS)
        change = robustness.TEXTS["one word in seven mistyped"]
        clean = robustness.ask(predictor, many)
        found = [robustness.ask(predictor, many, alter=change) for _ in range(2)]
        assert found[0] == found[1]
        [f1] = robustness.compare([found[0]], [clean])
        assert 0.5 < f1 < 1.0

    def test_robustness_prints_the_mean_over_sets(self, figures):
        printed, figures = figures
        rows = table_rows(printed)
        assert list(rows) == ["change", *(name for name in figures if name != "sets")]
        assert len(rows) == 1 + 9
        for change, cells in list(rows.items())[1:]:
            means = [100 * np.mean(figures[change][key]) for key in ("gold", "own")]
            assert cells == [f"{mean:.1f}" for mean in means]
        assert printed.splitlines()[0].startswith("vague: left out")

    def test_robustness_prints_the_same_when_run_again(
        self, figures, robustness, run, student_folder, world
    ):
        options = ("--sets", "learned,others", "--out", "again.json")
        again = run(robustness, "data", student_folder, *options)
        assert again == figures[0].split("\n", 1)[1]  # but for the set that was left out
        assert json.loads((world / "again.json").read_text()) == figures[1]

    def test_robustness_ends_without_a_student(self, robustness, world, run):
        with pytest.raises(SystemExit, match=r"^data: "):
            run(robustness, "data", "data")

    @pytest.mark.parametrize(
        ("label", "expected"),
        [("city", "cities"), ("day", "days"), ("works", "works"), ("place name", "place names")],
    )
    def test_pluralize_is_regular(self, robustness, label, expected):
        assert robustness.pluralize(label) == expected
