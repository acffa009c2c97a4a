"""Teachers by name: modules of the current folder, checkpoints, several at once."""

import sys

import pytest

from gliner_distill.errors import TeacherError
from gliner_distill.teacher.ensemble import TeacherEnsemble
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.teacher.opening import is_checkpoint, open_teacher, open_teachers

MODULE = """
class Fixed:
    name = "fixed"
    fingerprint = "{name}"

    def score_passages(self, passages, labels):
        return []

teacher = Fixed()

def make():
    return teacher
"""


@pytest.fixture
def module_folder(tmp_path, monkeypatch):
    """A folder with two modules; what is imported from it is forgotten afterward."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("opened_first", "opened_second"):
        (tmp_path / f"{name}.py").write_text(MODULE.replace("{name}", name))
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("opened_"):
            del sys.modules[name]


def test_open_teacher_takes_an_object_of_a_module(module_folder):
    teacher = open_teacher("python:opened_first:teacher", folder=module_folder)
    assert (teacher.name, teacher.fingerprint) == ("fixed", "opened_first")


def test_open_teacher_looks_for_modules_in_the_current_folder(module_folder, monkeypatch):
    monkeypatch.chdir(module_folder)
    assert open_teacher("python:opened_first:make").fingerprint == "opened_first"


def test_open_teachers_makes_an_ensemble_of_several(module_folder):
    names = ["python:opened_first:teacher", "python:opened_second:Fixed"]
    teacher = open_teachers(names, folder=module_folder)
    assert isinstance(teacher, TeacherEnsemble)
    assert [each.fingerprint for each in teacher.teachers] == ["opened_first", "opened_second"]
    assert open_teachers(names[:1], folder=module_folder).fingerprint == "opened_first"


@pytest.mark.slow
def test_open_teacher_opens_the_folder_of_a_gliner(gliner_folder):
    teacher = open_teacher(str(gliner_folder))
    assert isinstance(teacher, GLiNERTeacher)
    assert teacher.name == str(gliner_folder)


def test_open_teacher_refuses_a_name_of_nothing():
    with pytest.raises(TeacherError, match=r"^no/where/at/all: "):
        open_teacher("no/where/at/all")


def test_is_checkpoint_tells_models_from_other_teachers():
    names = ["models/gliner", "urchade/gliner_small-v2.1", "python:a:b", "llm:mistral"]
    assert list(map(is_checkpoint, names)) == [True, True, False, False]
