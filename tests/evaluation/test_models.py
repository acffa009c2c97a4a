"""One loader for students and GLiNERs, and a teacher behind the methods of a student."""

import builtins

import pytest

from gliner_distill.decoding import decode_entities
from gliner_distill.errors import InputError, MissingExtraError, StudentError
from gliner_distill.evaluation.models import TeacherNER, load_model
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.teacher.gliner import GLiNERTeacher


class TestTeacherNER:
    @pytest.mark.parametrize("threshold", [0.5, 0.85])
    def test_teacher_ner_predict_words_equals_decode_entities(self, lexicon_teacher, threshold):
        teacher = lexicon_teacher({"paris": "city", "mary": "person", "x": "river"})
        passages = [["mary", "saw", "paris"], ["x"], ["nothing"]]
        labels = [("city", "person"), ("river",), ()]
        predicted = TeacherNER(teacher).predict_words(passages, labels, threshold=threshold)
        probs = teacher.score_passages(passages, labels)
        assert predicted == [
            decode_entities(passage_probs, asked, threshold=threshold)
            for passage_probs, asked in zip(probs, labels, strict=True)
        ]
        # END is 0.8 + length / 256: 0.816, 0.820, 0.804.
        n_entities = [len(entities) for entities in predicted]
        assert n_entities == ([2, 1, 0] if threshold == 0.5 else [0] * 3)

    def test_teacher_ner_inference_asks_with_descriptions_and_answers_with_labels(
        self, lexicon_teacher
    ):
        teacher = lexicon_teacher({"paris": "city: a town", "mary": "person"})
        texts = ["in  mary and paris", "", "\ud800 mary"]
        answers = TeacherNER(teacher).inference(texts, {"city": "a town", "person": "person"})
        assert [
            [(entity["start"], entity["text"], entity["label"]) for entity in entities]
            for entities in answers
        ] == [[(4, "mary", "person"), (13, "paris", "city")], [], [(2, "mary", "person")]]
        assert [labels for _, labels in teacher.asked] == [("city: a town", "person")] * 3

    def test_teacher_ner_asks_in_clean_labels_and_answers_in_the_users_spelling(
        self, lexicon_teacher
    ):
        teacher = lexicon_teacher({"mary": "person", "paris": "place name"})
        model = TeacherNER(teacher)
        [found] = model.inference(["mary in paris"], ["PERSON", "Place_Name"])
        [entities] = model.predict_words([["mary", "in", "paris"]], [["PERSON", "Place_Name"]])
        assert [entity["label"] for entity in found] == ["PERSON", "Place_Name"]
        assert [entity.label for entity in entities] == ["PERSON", "Place_Name"]
        assert {labels for _, labels in teacher.asked} == {("person", "place name")}
        with pytest.raises(InputError, match="'US' and 'us'"):
            model.inference(["mary"], ["US", "us"])

    def test_teacher_ner_inference_replaces_lone_surrogates(self, lexicon_teacher):
        teacher = lexicon_teacher({"mary": "person"})
        TeacherNER(teacher).inference(["\ud800 mary"], ["person"])
        assert teacher.asked == [(("\ufffd", "mary"), ("person",))]


class TestLoadModel:
    def test_load_model_without_a_name_gives_the_bundled_student(self):
        model = load_model(num_threads=1)
        assert isinstance(model, StudentNER)
        assert repr(model).startswith("StudentNER('bundled_student'")
        assert model.predict_words([["Paris"]], [["city"]])[0][0].label == "city"

    def test_load_model_of_a_gliner_folder_gives_its_teacher(self, gliner_folder):
        model = load_model(gliner_folder, num_threads=1)
        assert isinstance(model, TeacherNER)
        assert isinstance(model.teacher, GLiNERTeacher)

    @pytest.mark.parametrize("n_threads", [0, -1, "2"])
    def test_load_model_refuses_a_bad_number_of_threads(self, gliner_folder, n_threads):
        for name in (None, gliner_folder):
            with pytest.raises(InputError, match=f"num_threads is {n_threads!r}"):
                load_model(name, num_threads=n_threads)

    def test_load_model_refuses_a_folder_without_a_model(self, tmp_path):
        with pytest.raises(StudentError, match=str(tmp_path)):
            load_model(tmp_path)

    def test_load_model_of_a_gliner_names_the_extra_where_torch_is_missing(
        self, gliner_folder, monkeypatch
    ):
        real_import = builtins.__import__

        def refuse(name, *args):
            if name == "torch":
                raise ModuleNotFoundError("No module named 'torch'", name="torch")
            return real_import(name, *args)

        monkeypatch.setattr(builtins, "__import__", refuse)
        with pytest.raises(MissingExtraError, match=r"torch\b.*gliner-distill\[train\]"):
            load_model(gliner_folder)
