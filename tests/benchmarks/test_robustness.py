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


THESAURUS = "\n".join(
    json.dumps({"label": label, "descriptions": descriptions})
    for label, descriptions in (
        ("Person", ["a human being", "who it is"]),
        ("river", ["water that flows", "a river's name"]),
        ("ship", ["a large boat", "vessel at sea"]),
    )
)


@pytest.fixture(scope="module")
def figures(robustness, run_once, student_folder):
    """Return the printed output and the content of robustness.json: do not change them."""
    options = ("--thesaurus", "labels.jsonl")
    files = {"labels.jsonl": THESAURUS}
    printed, world = run_once(robustness, "data", student_folder, *options, files=files)
    return printed, json.loads((world / "robustness.json").read_text())


class TestRobustness:
    FORMS = {  # noqa: RUF012
        "labels upper-cased": ("PERSON", "CITY", "RIVER", "COMPANY"),
        "labels title-cased": ("Person", "City", "River", "Company"),
        "labels in the plural": ("persons", "cities", "rivers", "companies"),
        "labels with '_' for ' '": LABELS,
        "labels as 'name of X'": tuple(f"name of {label}" for label in LABELS),
        "labels as 'a X'": tuple(f"a {label}" for label in LABELS),
        "labels as 'any X mentioned'": tuple(f"any {label} mentioned" for label in LABELS),
        "labels as 'the X in question'": tuple(f"the {label} in question" for label in LABELS),
        "labels as 'what X is meant'": tuple(f"what {label} is meant" for label in LABELS),
        "labels as 'X entity'": tuple(f"{label} entity" for label in LABELS),
        "labels as 'X mention'": tuple(f"{label} mention" for label in LABELS),
        "labels as 'every X in the text'": tuple(f"every {label} in the text" for label in LABELS),
        "labels as 'X (if given)'": tuple(f"{label} (if given)" for label in LABELS),
        "labels as 'extract the X'": tuple(f"extract the {label}" for label in LABELS),
        "labels as 'the exact X'": tuple(f"the exact {label}" for label in LABELS),
        "labels as a description": ("who it is", "city", "a river's name", "company"),
    }

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
        assert figures[1]["student"] == {
            change: {"gold": self.f1s(found, sets), "own": self.f1s(found, own)}
            for change, found in expected.items()
        }
        assert figures[1]["sets"] == ["learned", "others"]

    @pytest.mark.slow
    def test_robustness_finds_the_same_if_nothing_changes_for_the_student(self, figures):
        # The vocabulary is of lower case, and so is the text; no label has two words.
        same = {"unchanged", "labels upper-cased", "labels title-cased"}
        same |= {"labels with '_' for ' '", "text lower-cased"}
        for change, row in figures[1]["student"].items():
            if change != "one word in seven mistyped":
                assert (row["own"] == [1.0, 1.0]) == (change in same), change
        assert figures[1]["student"]["unchanged"]["gold"][0] == 1.0

    def test_robustness_mistypes_words_the_same_each_time(
        self, open_label, robustness, sets, student_folder
    ):
        [student] = open_label.load_students([], str(student_folder))
        many = open_label.EvaluationSet("many", sets["learned"] * 20, LABELS)
        change = robustness.TEXTS["one word in seven mistyped"]
        clean = robustness.ask(student, many)
        found = [robustness.ask(student, many, alter=change) for _ in range(2)]
        assert found[0] == found[1]
        [f1] = robustness.compare([found[0]], [clean])
        assert 0.5 < f1 < 1.0

    def test_robustness_prints_the_mean_over_sets_and_the_loss(self, figures):
        printed, figures = figures[0], figures[1]["student"]
        rows = table_rows(printed)
        assert list(rows) == ["change", *figures, "mean of the ten wordings"]
        assert len(rows) == 1 + 20 + 1
        unchanged = np.mean(figures["unchanged"]["gold"])
        for change, cells in list(rows.items())[1:-1]:
            gold, own = (np.mean(figures[change][key]) for key in ("gold", "own"))
            assert cells == [f"{100 * each:.1f}" for each in (gold, unchanged - gold, own)]
        assert printed.splitlines()[0].startswith("vague: left out")

    def test_robustness_prints_the_mean_of_the_ten_wordings(self, figures, robustness):
        ten = list(figures[1]["student"])[6:16]
        assert ten == list(robustness.WORDINGS)
        mean = np.mean([figures[1]["student"][one]["gold"] for one in ten])
        unchanged = np.mean(figures[1]["student"]["unchanged"]["gold"])
        cells = table_rows(figures[0])["mean of the ten wordings"]
        assert cells[:2] == [f"{100 * each:.1f}" for each in (mean, unchanged - mean)]

    def test_robustness_measures_several_students_without_a_thesaurus(
        self, figures, robustness, run, student_folder, world
    ):
        options = ("--student", f"again={student_folder}", "--out", "both.json")
        printed = run(robustness, "data", student_folder, *options)
        both = json.loads((world / "both.json").read_text())
        assert both["again"] == both["student"]
        described = {"labels as a description": figures[1]["student"]["labels as a description"]}
        assert both["student"] | described == figures[1]["student"]
        assert printed.count("mean of the ten wordings") == 2
        assert list(both["models"]) == ["student", "again"]

    @pytest.mark.parametrize(
        "content", ["", '{"label": "city", "descriptions": ["only one"]}', "[]", "not JSON"]
    )
    def test_robustness_ends_if_the_thesaurus_has_another_form(
        self, robustness, world, run, student_folder, content
    ):
        if content:
            (world / "bad.jsonl").write_text(content)
        with pytest.raises(SystemExit, match=r"^bad\.jsonl: "):
            run(robustness, "data", student_folder, "--thesaurus", "bad.jsonl")

    @pytest.mark.parametrize(("label", "expected"), [("city", "a city"), ("Actor", "an Actor")])
    def test_add_article_looks_at_the_first_letter(self, robustness, label, expected):
        assert robustness.add_article(label) == expected

    def test_robustness_prints_the_same_when_run_again(
        self, figures, robustness, run, student_folder, world
    ):
        (world / "labels.jsonl").write_text(THESAURUS)
        options = ("--thesaurus", "labels.jsonl", "--sets", "learned,others")
        options += ("--out", "again.json")
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
