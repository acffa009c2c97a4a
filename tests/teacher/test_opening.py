"""Teachers by name: modules of the current folder, checkpoints, several at once."""

import sys

import pytest

from gliner_distill.errors import TeacherError
from gliner_distill.teacher.base import individual_teachers, knows_label, teacher_metadata
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


FAULTY = """
class Teacher:
    name = "mine"
    fingerprint = "f"
    knows_label = staticmethod(lambda label: label == "city")

    def score_passages(self, passages, labels):
        return {answer}


nothing = 5
Empty = type("Empty", (), {})


def broken():
    return 1 / 0
"""


class TestModules:
    def write(self, folder, answer="[]"):
        """Write a module of a name that no other test has imported."""
        name = f"opened_{len(list(folder.iterdir()))}_{folder.name}".replace("-", "_")
        (folder / f"{name}.py").write_text(FAULTY.replace("{answer}", answer))
        return name

    @pytest.mark.parametrize(
        "name", ["python:", "python:a", "python:a:b:c", "python:a-b:c", "python:..a:b", "python::x"]
    )
    def test_a_name_of_another_form_is_refused(self, name, tmp_path):
        with pytest.raises(TeacherError, match=r"expected python:MODULE:OBJECT, such as"):
            open_teacher(name, folder=tmp_path)

    def test_the_name_of_a_file_is_corrected(self, module_folder):
        with pytest.raises(TeacherError, match=r"leave out \.py, as in python:opened_first:teach"):
            open_teacher("python:opened_first.py:teacher", folder=module_folder)

    @pytest.mark.parametrize("module", ["absent", "os", "gliner_distill.teacher.base"])
    def test_a_module_of_another_folder_is_refused(self, module, tmp_path):
        with pytest.raises(TeacherError, match=r"has neither .*\.py nor .*run the command there"):
            open_teacher(f"python:{module}:x", folder=tmp_path)

    def test_the_name_of_an_installed_module_is_refused(self, tmp_path):
        (tmp_path / "json.py").write_text("teacher = 1")
        with pytest.raises(TeacherError, match=r"json is the name of another module.*rename"):
            open_teacher("python:json:teacher", folder=tmp_path)

    def test_an_installed_package_wins_over_a_file_of_the_folder(self, module_folder):
        (module_folder / "colorsys.py").write_text("raise RuntimeError")
        (module_folder / "opened_third.py").write_text("import colorsys\nteacher = colorsys\n")
        with pytest.raises(TeacherError, match="is not a teacher"):
            open_teacher("python:opened_third:teacher", folder=module_folder)

    @pytest.mark.parametrize(
        ("found", "part"),
        [
            ("absent", r"has no 'absent'; expected the name of a teacher"),
            ("nothing", r"is not a teacher: it is 5 and has no name and no fingerprint and"),
            ("Empty", r"is not a teacher: it is <.* and has no name"),
            (
                "broken",
                r"broken\(\) failed in .*\.py, line 16: ZeroDivisionError: division by zero",
            ),
        ],
    )
    def test_an_object_that_is_not_a_teacher_is_named(self, module_folder, found, part):
        name = f"python:{self.write(module_folder)}:{found}"
        with pytest.raises(TeacherError, match=rf"^{name}: .*{part}") as caught:
            open_teacher(name, folder=module_folder)
        assert "\n" not in str(caught.value)

    def test_a_module_that_fails_is_named_with_the_line(self, module_folder):
        for content, part in (
            ("x = 1\nraise ValueError('a\\nb')", r"\.py, line 2: ValueError: a b; correct"),
            ("import not_installed", r"line 1: ModuleNotFoundError: .*not_installed"),
            ("x = (", r"SyntaxError: '\(' was never closed"),
        ):
            name = self.write(module_folder)
            (module_folder / f"{name}.py").write_text(content)
            with pytest.raises(TeacherError, match=rf"{name} cannot be imported.*{part}"):
                open_teacher(f"python:{name}:x", folder=module_folder)

    def test_an_error_of_a_teacher_is_named_with_the_line(self, module_folder):
        name = self.write(module_folder, answer="undefined")
        teacher = open_teacher(f"python:{name}:Teacher", folder=module_folder)
        with pytest.raises(TeacherError, match=r"^mine: score_passages failed in .*, line 8: Name"):
            teacher.score_passages([["x"]], [["city"]])

    @pytest.mark.parametrize("answer", ["__import__('sys').exit()", "[][0]"])
    def test_an_error_of_an_optional_member_is_named_with_the_line(self, module_folder, answer):
        name = self.write(module_folder)
        content = (module_folder / f"{name}.py").read_text()
        (module_folder / f"{name}.py").write_text(content.replace('label == "city"', answer))
        teacher = open_teacher(f"python:{name}:Teacher", folder=module_folder)
        with pytest.raises(TeacherError, match=r"^mine: knows_label failed in .*, line 5: "):
            knows_label(teacher, "city")
        assert not hasattr(teacher, "metadata")

    @pytest.mark.parametrize(
        "content",
        [
            "raise SystemExit(0)",
            "def __getattr__(name): raise RuntimeError(name)",
            "class A:\n    @property\n    def name(self): raise ValueError\nx = A()",
        ],
    )
    def test_a_module_that_exits_or_hides_its_object_is_named(self, module_folder, content):
        name = self.write(module_folder)
        (module_folder / f"{name}.py").write_text(content)
        with pytest.raises(TeacherError, match=rf"^python:{name}:x: .* in {name}\.py, line"):
            open_teacher(f"python:{name}:x", folder=module_folder)

    def test_optional_members_are_those_of_the_users_teacher(self, module_folder):
        name = self.write(module_folder)
        teacher = open_teacher(f"python:{name}:Teacher", folder=module_folder)
        assert (knows_label(teacher, "city"), knows_label(teacher, "person")) == (True, False)
        assert teacher_metadata(teacher) == {}
        assert individual_teachers(teacher) == ()


@pytest.mark.parametrize("content", [None, "[]", "{}", '{"model_type": "bert"}'])
def test_open_teacher_names_a_checkpoint_of_an_unknown_kind(tmp_path, content):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(TeacherError, match=r"neither a GLiNER .* nor a GLiNER2 .*use a model"):
        open_teacher(str(tmp_path))
