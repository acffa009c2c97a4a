"""The stand-in for gliner: what it loads, when it refuses, and how it is taken away."""

import importlib
import logging
import pickle
import subprocess
import sys
from types import ModuleType

import pytest

from gliner_distill.compat import install, uninstall
from gliner_distill.errors import InputError, StudentError
from gliner_distill.runtime.ner import StudentNER
from test_layout import WITHOUT_HEAVY_PACKAGES

TEXT = "Ada Lovelace lived in London."
LABELS = ["person", "city"]

# A package that imports gliner in each of the usual ways.
FIND_ENTITIES = """
import importlib.util, sys
import gliner_distill.compat

gliner_distill.compat.install()

import gliner
import gliner.model
from gliner import GLiNER, GLiNERConfig
from gliner.model import GLiNER as SameGLiNER

assert gliner.GLiNER is GLiNER is SameGLiNER is gliner.model.GLiNER
assert importlib.util.find_spec("gliner").loader is not None
model = GLiNER.from_pretrained("urchade/gliner_medium-v2.1", map_location="cpu").eval()
assert isinstance(model, GLiNER) and isinstance(model.config, GLiNERConfig)
assert "torch" not in sys.modules
print([entity["text"] for entity in model.predict_entities(
    "Ada Lovelace lived in London.", ["person", "city"])])
"""


@pytest.fixture(autouse=True)
def without_gliner(monkeypatch):
    """Hide the real gliner, if another test has imported it, and undo what the test installs."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "gliner"]:
        monkeypatch.delitem(sys.modules, name)
    yield
    uninstall()


@pytest.fixture
def own_student(tmp_path):
    """A folder with a student that has thresholds of its own."""
    student = StudentNER.from_pretrained(num_threads=1)
    texts = [TEXT.replace("London", place) for place in ("London", "Rome", "Paris")]
    student.tune_thresholds(texts, [[{"start": 0, "end": 12, "label": "person"}]] * 3, LABELS)
    student.save_pretrained(tmp_path / "own")
    return tmp_path / "own"


def find(name):
    model = importlib.import_module("gliner").GLiNER.from_pretrained(str(name))
    return model.predict_entities(TEXT, LABELS)


@pytest.mark.slow
def test_install_serves_packages_that_import_gliner_without_torch():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_HEAVY_PACKAGES + FIND_ENTITIES],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == "['Ada Lovelace', 'London']\n", done.stderr


@pytest.mark.slow
def test_install_without_a_model_loads_the_bundled_student_for_every_name():
    install()
    expected = StudentNER.from_pretrained().predict_entities(TEXT, LABELS)
    assert find("urchade/gliner_base") == find("any name at all") == expected


@pytest.mark.slow
def test_install_with_a_model_loads_it_for_every_name(own_student):
    install(own_student)
    expected = StudentNER.from_pretrained(own_student).predict_entities(TEXT, LABELS)
    assert find("urchade/gliner_base") == expected
    assert expected != StudentNER.from_pretrained().predict_entities(TEXT, LABELS)


@pytest.mark.slow
@pytest.mark.parametrize("keyword", ["model_id", "pretrained_model_name_or_path"])
def test_stand_in_takes_the_name_of_the_model_under_older_keywords(keyword, own_student):
    install()
    gliner = importlib.import_module("gliner").GLiNER
    assert "own" in repr(gliner.from_pretrained(**{keyword: str(own_student)}))
    assert "bundled_student" in repr(gliner.from_pretrained(**{keyword: "urchade/gliner_base"}))


@pytest.mark.slow
def test_install_again_changes_the_model(own_student):
    install(own_student)
    install()
    expected = StudentNER.from_pretrained().predict_entities(TEXT, LABELS)
    assert find("urchade/gliner_base") == expected


@pytest.mark.slow
def test_stand_in_loads_the_student_in_a_folder_that_is_asked_for(own_student, caplog):
    install()
    with caplog.at_level(logging.WARNING):
        found = find(own_student)
    assert found == StudentNER.from_pretrained(own_student).predict_entities(TEXT, LABELS)
    assert not caplog.records


@pytest.mark.slow
def test_stand_in_warns_once_for_each_name_that_it_replaces(caplog):
    install()
    with caplog.at_level(logging.WARNING):
        for name in ("owner/one", "owner/two", "owner/one"):
            find(name)
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "owner/one",
        "owner/two",
    ]


def test_stand_in_has_no_other_names_of_gliner():
    install()
    with pytest.raises(ImportError, match="Trainer"):
        from gliner import Trainer  # noqa: F401
    with pytest.raises(ModuleNotFoundError, match=r"gliner\.training"):
        importlib.import_module("gliner.training")


def test_install_refuses_to_replace_a_gliner_that_is_imported(monkeypatch):
    real = ModuleType("gliner")
    monkeypatch.setitem(sys.modules, "gliner", real)
    with pytest.raises(InputError, match="replace=True"):
        install()
    assert sys.modules["gliner"] is real


def test_install_replaces_a_gliner_on_request_and_uninstall_restores_it(monkeypatch):
    names = ("gliner", "gliner.model", "gliner.data_processing")
    real = {name: ModuleType(name) for name in names}
    for name, module in real.items():
        monkeypatch.setitem(sys.modules, name, module)
    install(replace=True)
    assert issubclass(sys.modules["gliner"].GLiNER, StudentNER)
    assert issubclass(sys.modules["gliner.model"].GLiNER, StudentNER)
    assert "gliner.data_processing" not in sys.modules
    uninstall()
    assert {name: sys.modules[name] for name in names} == real


def test_uninstall_without_a_real_gliner_leaves_none():
    install()
    install()
    uninstall()
    assert "gliner" not in sys.modules
    assert "gliner.model" not in sys.modules


def test_install_of_a_model_that_is_missing_changes_nothing(tmp_path):
    with pytest.raises(StudentError, match="nowhere"):
        install(tmp_path / "nowhere")
    assert "gliner" not in sys.modules


@pytest.mark.slow
def test_pickle_of_the_stand_in_needs_no_installation(tmp_path):
    install()
    model = importlib.import_module("gliner").GLiNER.from_pretrained("urchade/gliner_base")
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(model))
    script = (
        "import pickle, sys; model = pickle.load(open(sys.argv[1], 'rb')); "
        "print(len(model.predict_entities('Ada Lovelace lived in London.', ['person', 'city'])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "model.pickle"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout == "2\n"


@pytest.mark.slow
def test_teacher_cannot_be_loaded_while_the_stand_in_is_in_place(gliner_folder):
    from gliner_distill.errors import TeacherError
    from gliner_distill.teacher.loading import load_gliner

    install(replace=True)
    with pytest.raises(TeacherError, match=r"compat\.uninstall"):
        load_gliner(gliner_folder)
