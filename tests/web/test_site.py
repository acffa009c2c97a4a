"""The folder that `export --format web` writes."""

import json
import re

import pytest

import gliner_distill
from gliner_distill.corpus.reader import read_passages, sample_path
from gliner_distill.errors import ExportError
from gliner_distill.runtime.bundle import quantize_weights
from gliner_distill.web import site
from gliner_distill.web.site import MODULES, write_site

pytestmark = pytest.mark.slow  # torch makes the students


@pytest.fixture
def bundle(build_finder, small_vocabulary):
    from gliner_distill.student.bundling import make_bundle

    return make_bundle(build_finder(head="boundary"), small_vocabulary)


def kept_files(folder):
    """Return the version in the service worker and the files that it keeps."""
    text = (folder / "service_worker.js").read_text(encoding="utf-8")
    version = re.search(r'const VERSION = "(.+)";', text)[1]
    return version, json.loads(re.search(r"const FILES = (\[.+\]);", text)[1])


def test_write_site_writes_every_file_that_its_service_worker_keeps(bundle, tmp_path):
    coded = quantize_weights(bundle)
    measured = write_site(tmp_path / "site", coded, [], name="mine")
    _, files = kept_files(tmp_path / "site")
    assert files[0] == "./"
    paths = [tmp_path / "site" / name for name in files[1:]]
    assert all(path.is_file() for path in paths)
    assert {"page.js", "student/student.json", "gliner-distill/kernel.wasm"} <= set(files)
    worker = tmp_path / "site" / "service_worker.js"
    sizes = sum(path.stat().st_size for path in [*paths, worker])
    assert measured.n_bytes == sizes


def test_npm_package_has_the_version_of_the_package():
    package = json.loads((MODULES / "package.json").read_text(encoding="utf-8"))
    assert package["version"] == gliner_distill.__version__
    assert not package.get("dependencies")


def test_version_of_a_site_changes_with_its_files(bundle, tmp_path):
    coded = quantize_weights(bundle)
    for name in ("a", "b", "c"):
        write_site(tmp_path / name, coded, [], name="other" if name == "c" else "mine")
    versions = [kept_files(tmp_path / name)[0] for name in ("a", "b", "c")]
    assert versions[0] == versions[1] != versions[2]


def test_write_site_refuses_a_student_that_loses_too_much(bundle, tmp_path, monkeypatch):
    passages = list(read_passages(str(sample_path("dev"))))[:2]
    # Even a student that loses nothing does not gain two points.
    monkeypatch.setattr(site, "MAX_F1_LOSS", -0.02)
    with pytest.raises(ExportError, match="nothing was written"):
        write_site(tmp_path / "site", bundle, passages, name="mine")
    assert not (tmp_path / "site").exists()


def test_write_site_says_that_a_folder_cannot_be_written(bundle, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="cannot be written"):
        write_site(tmp_path / "file", quantize_weights(bundle), [], name="mine")
