"""The keywords of saving and publishing; tests/hub/test_uploads.py publishes students."""

import pytest

from gliner_distill.errors import InputError, StudentError
from gliner_distill.hub.card_files import COUNTED_FILE
from gliner_distill.hub.cards import CARD_FILE
from gliner_distill.runtime.bundle import EXPORT_FILES
from gliner_distill.runtime.ner import StudentNER


@pytest.fixture(scope="module")
def student() -> StudentNER:
    return StudentNER.from_pretrained(num_threads=1)


def test_save_pretrained_takes_the_keywords_of_gliner(student, tmp_path):
    saved = student.save_pretrained(
        save_directory=tmp_path / "mine",
        config=None,
        repo_id="me/mine",
        push_to_hub=False,
        safe_serialization=False,
        commit_message="not used",
        allow_patterns=None,
    )
    assert saved is None
    names = {path.name for path in (tmp_path / "mine").iterdir()}
    assert names == {*EXPORT_FILES, COUNTED_FILE, CARD_FILE}


def test_save_pretrained_names_a_folder_that_cannot_be_written(student, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StudentError, match="file"):
        student.save_pretrained(tmp_path / "file")


def test_saving_and_publishing_suggest_the_nearest_keyword(student, tmp_path):
    with pytest.raises(TypeError, match=r"comit_message; did you mean commit_message\?"):
        student.save_pretrained(tmp_path / "mine", comit_message="x")
    assert not (tmp_path / "mine").exists()
    with pytest.raises(TypeError, match=r"brnch; did you mean branch\?"):
        student.push_to_hub("me/mine", brnch="x")


@pytest.mark.parametrize(
    "keywords",
    [
        {"allow_patterns": ["*.onnx"]},
        {"delete_patterns": "*"},
        {"model_card_kwargs": {"license": "mit"}},
        {"branch": "a", "revision": "b"},
    ],
)
def test_push_to_hub_refuses_what_a_student_cannot_do(student, keywords):
    with pytest.raises(InputError, match=next(iter(keywords))):
        student.push_to_hub("me/mine", **keywords)
