"""A teacher as a `Finder`, and an exported student as a `Predictor`."""

import pytest

from gliner_distill.errors import StudentError
from gliner_distill.evaluation.models import (
    ExportPredictor,
    PredictOptions,
    TeacherFinder,
    find_predictor,
)
from gliner_distill.runtime.bundle import write_bundle
from gliner_distill.student.export import make_bundle
from gliner_distill.student.files import load_student, save_student
from gliner_distill.student.predictor import StudentPredictor


class TestTeacherFinder:
    def test_asks_for_descriptions_and_answers_with_labels(self, lexicon_teacher):
        teacher = lexicon_teacher({"paris": "city: a town", "mary": "person"})
        finder = TeacherFinder(teacher, PredictOptions({"city": "a town", "person": ""}))
        found = finder.find(["in  mary and paris", "", "\ud800 mary"])
        assert [[(one["start"], one["text"], one["label"]) for one in some] for some in found] == [
            [(4, "mary", "person"), (13, "paris", "city")],
            [],
            [(2, "mary", "person")],
        ]
        asked = [labels for _, labels in teacher.asked]
        assert asked == [("city: a town", "person")] * 3
        assert teacher.asked[2][0] == ("\ufffd", "mary")


class TestFindPredictor:
    def test_asks_torch_where_it_can_and_an_export_where_it_must(
        self, build_student, small_vocabulary, tmp_path
    ):
        student = build_student(head="boundary")
        save_student(tmp_path / "own", student, small_vocabulary, metadata={})
        write_bundle(tmp_path / "made", make_bundle(student, small_vocabulary))
        torch_predictor = find_predictor(str(tmp_path / "own"), threshold=0.01)
        export_predictor = find_predictor(str(tmp_path / "made"), threshold=0.01)
        assert isinstance(torch_predictor, StudentPredictor)
        assert isinstance(export_predictor, ExportPredictor)
        words, labels = [["mary", "saw", "paris"], []], [["city", "person"], ["city"]]
        expected = torch_predictor.predict_words(words, labels)
        assert expected[0]
        assert export_predictor.predict_words(words, labels) == expected

    def test_loading_an_export_with_torch_says_what_to_give(
        self, build_student, small_vocabulary, tmp_path
    ):
        write_bundle(tmp_path, make_bundle(build_student(), small_vocabulary))
        with pytest.raises(StudentError, match=r"this is an export, without the weights"):
            load_student(tmp_path)
