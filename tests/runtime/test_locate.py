"""The resolution of model names, and the errors for names that lead nowhere."""

from pathlib import Path

import pytest

from gliner_distill.errors import HubError, InputError, StudentError
from gliner_distill.runtime import locate
from gliner_distill.runtime.config import CONFIG_FILE
from gliner_distill.runtime.locate import (
    GLINER_CONFIG,
    LocatedModel,
    bundled_student_path,
    find_student,
    locate_model,
    locate_student,
)


@pytest.fixture
def student_folder(tmp_path):
    """A folder that looks like a student's from outside."""
    folder = tmp_path / "a student's folder (1)"
    folder.mkdir()
    (folder / CONFIG_FILE).write_text("{}")
    return folder


@pytest.fixture
def gliner_like_folder(tmp_path):
    folder = tmp_path / "gliner"
    folder.mkdir()
    (folder / GLINER_CONFIG).write_text("{}")
    return folder


@pytest.mark.parametrize("name", [None, "bundled"])
def test_locate_model_returns_the_bundled_student(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert locate_model(name) == LocatedModel(bundled_student_path(), "student")
    assert (bundled_student_path() / CONFIG_FILE).is_file()


def test_locate_model_prefers_a_folder_to_the_bundled_student(student_folder, monkeypatch):
    student_folder.rename(student_folder.parent / "bundled")
    monkeypatch.chdir(student_folder.parent)
    assert locate_model("bundled") == LocatedModel(Path("bundled"), "student")


def test_locate_model_does_not_take_an_empty_name_for_the_current_folder(
    student_folder, monkeypatch
):
    monkeypatch.chdir(student_folder)
    with pytest.raises(StudentError, match="empty"):
        locate_model("")
    assert locate_model(".").kind == "student"


def test_locate_model_takes_a_path_or_text(student_folder):
    for name in (student_folder, str(student_folder), f"{student_folder}/"):
        assert locate_model(name) == LocatedModel(student_folder, "student")


def test_locate_model_returns_the_student_inside_a_run_folder(tmp_path, student_folder):
    student_folder.rename(tmp_path / "student")
    assert locate_model(tmp_path) == LocatedModel(tmp_path / "student", "student")


def test_find_student_returns_none_for_a_folder_without_a_student(tmp_path):
    assert find_student(tmp_path) is None
    assert find_student(tmp_path / "missing") is None


def test_locate_model_recognizes_a_gliner(gliner_like_folder):
    assert locate_model(gliner_like_folder) == LocatedModel(gliner_like_folder, "gliner")


def test_locate_model_prefers_a_student_to_a_gliner_in_one_folder(gliner_like_folder):
    (gliner_like_folder / CONFIG_FILE).write_text("{}")
    assert locate_model(gliner_like_folder).kind == "student"


def test_locate_model_tells_which_files_a_folder_lacks(tmp_path):
    with pytest.raises(StudentError) as caught:
        locate_model(tmp_path)
    for fact in (str(tmp_path), CONFIG_FILE, GLINER_CONFIG, "hub id"):
        assert fact in str(caught.value)


@pytest.mark.parametrize(
    "name", ["nothing", "/nothing/at/all", "no\0thing", "x" * 5000, "..", "a b/c", "a/b.json"]
)
def test_locate_model_refuses_a_name_of_nothing(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudentError) as caught:
        locate_model(name)
    assert str(caught.value).startswith(f"{name}: ")


@pytest.mark.parametrize("name", [5, b"model", ["model"]])
def test_locate_model_refuses_a_name_that_is_no_string(name):
    with pytest.raises(InputError, match="the name of the model is"):
        locate_model(name)


def test_locate_model_refuses_a_file(student_folder):
    with pytest.raises(StudentError, match=f"{CONFIG_FILE}: this is a file"):
        locate_model(student_folder / CONFIG_FILE)


@pytest.mark.parametrize(("file", "kind"), [(CONFIG_FILE, "student"), (GLINER_CONFIG, "gliner")])
def test_locate_model_downloads_a_hub_id(file, kind, tmp_path, monkeypatch):
    (tmp_path / file).write_text("{}")
    monkeypatch.setattr(locate, "download_model", lambda name, **keywords: tmp_path)
    assert locate_model("me/model") == LocatedModel(tmp_path, kind)


def test_locate_model_prefers_a_folder_to_a_hub_id(tmp_path, monkeypatch):
    (tmp_path / "me" / "model").mkdir(parents=True)
    (tmp_path / "me" / "model" / CONFIG_FILE).write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert locate_model("me/model").folder.samefile(tmp_path / "me" / "model")


def test_locate_model_names_the_hub_id_of_a_model_of_another_kind(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setattr(locate, "download_model", lambda name, **keywords: tmp_path)
    with pytest.raises(StudentError, match=f"me/other: this model .*{CONFIG_FILE}"):
        locate_model("me/other")


@pytest.mark.parametrize("locate_name", [locate_model, locate_student])
def test_locate_offers_a_student_in_place_of_a_gliner2(locate_name, tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text('{"model_type": "extractor"}')
    monkeypatch.setattr(locate, "download_model", lambda name, **keywords: tmp_path)
    for name in (str(tmp_path), "me/other"):
        with pytest.raises(StudentError, match=r"this is a GLiNER2, not a student; .*distill") as e:
            locate_name(name)
        assert f"teacher={name!r}" in str(e.value)


@pytest.mark.parametrize("locate_name", [locate_model, locate_student])
def test_locate_says_that_a_distillation_is_not_finished(locate_name, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "job.json").write_text("{}")
    with pytest.raises(StudentError, match=r"is not finished; run the same `distill` command"):
        locate_name(tmp_path)


@pytest.mark.parametrize("settings", ["[]", "{", '{"auto_map": "code.py"}'])
def test_locate_model_says_nothing_about_the_settings_of_another_kind(settings, tmp_path):
    (tmp_path / "config.json").write_text(settings)
    with pytest.raises(StudentError, match="this folder holds neither a student"):
        locate_model(tmp_path)


def test_locate_model_names_the_hub_id_that_cannot_be_downloaded(monkeypatch):
    def refuse(name, **keywords):
        raise HubError("the hub is closed")

    monkeypatch.setattr(locate, "download_model", refuse)
    with pytest.raises(HubError, match=r"me/other: .* the hub is closed"):
        locate_model("me/other")
