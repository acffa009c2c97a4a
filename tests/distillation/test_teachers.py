"""The teachers of a distillation: by name, as objects, several."""

import pytest

from gliner_distill.distillation.teachers import TeacherSource
from gliner_distill.errors import InputError, TeacherError
from gliner_distill.teacher.ensemble import TeacherEnsemble


def test_teacher_source_loads_a_gliner_once_and_only_when_asked(gliner_folder):
    assert TeacherSource("none").name == "none"
    with pytest.raises(TeacherError, match="none"):
        TeacherSource("none").load()
    source = TeacherSource(gliner_folder)
    assert source.fingerprint is None
    assert source.load() is source.load()


def test_teacher_source_knows_a_loaded_teacher_by_its_fingerprint(lexicon_teacher):
    teacher = lexicon_teacher({})
    source = TeacherSource(teacher)
    assert source.load() is teacher
    assert (source.name, source.fingerprint) == (teacher.name, teacher.fingerprint)
    assert (source.public_name, source.n_bytes) == ("lexicon", None)


def test_teacher_source_shows_a_local_folder_without_its_path(tmp_path):
    folder = tmp_path / "secret" / "my teacher"
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(b"12345")
    (folder / "more").mkdir()
    source = TeacherSource(folder)
    assert (source.public_name, source.n_bytes) == ("my teacher", 5)
    assert TeacherSource("urchade/gliner_small-v2.1").public_name == "urchade/gliner_small-v2.1"


@pytest.mark.parametrize("as_class", [True, False])
def test_teacher_source_refuses_what_is_neither_a_name_nor_a_teacher(lexicon_teacher, as_class):
    with pytest.raises(InputError, match=r"^teacher: .*score_passages"):
        TeacherSource(lexicon_teacher if as_class else None)


@pytest.mark.parametrize("field", ["name", "fingerprint"])
def test_teacher_source_refuses_a_teacher_that_cannot_be_known_again(lexicon_teacher, field):
    teacher = lexicon_teacher({})
    setattr(teacher, field, None)
    with pytest.raises(InputError, match=f"^teacher: .*{field} is None"):
        TeacherSource(teacher)


def test_teacher_source_of_several_opens_an_ensemble(lexicon_teacher):
    first, second = (lexicon_teacher({}, name=name, fingerprint=name * 64) for name in "ab")
    source = TeacherSource([first, second])
    assert isinstance(source.load(), TeacherEnsemble)
    assert (source.name, source.public_name) == ("a + b", "a + b")
    assert source.fingerprint == TeacherEnsemble([first, second]).fingerprint
    assert source.public_names == ["a", "b"]
    assert TeacherSource([first]).load() is first


@pytest.mark.slow
def test_teacher_source_mixes_names_and_objects(lexicon_teacher, gliner_folder):
    source = TeacherSource([gliner_folder, lexicon_teacher({})])
    assert source.fingerprint is None
    assert source.public_names == ["gliner", "lexicon"]
    assert source.n_bytes is None
    assert [type(each).__name__ for each in source.load().teachers] == [
        "GLiNERTeacher",
        "LexiconTeacher",
    ]


@pytest.mark.parametrize("given", [[], [None], ["a", 5]])
def test_teacher_source_refuses_a_list_without_or_with_other_things(given):
    with pytest.raises(InputError, match=r"^teacher: "):
        TeacherSource(given)
