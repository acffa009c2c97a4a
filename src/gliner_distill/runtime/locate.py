"""TODO-DOC."""

from importlib.resources import files
from pathlib import Path

from gliner_distill.errors import HubError, StudentError
from gliner_distill.hub import download_model, looks_like_hub_id
from gliner_distill.runtime.bundle import GRAPH_FILE, Bundle, read_bundle
from gliner_distill.runtime.config import CONFIG_FILE


def bundled_student_path() -> Path:
    """Return the folder of the student of any label that comes with the package."""
    return Path(str(files("gliner_distill") / "resources" / "bundled_student"))


def find_student(path: str | Path) -> Path | None:
    """Return the folder of the student at a path: itself, or a run folder's `student`."""
    candidates = (Path(path), Path(path) / "student")
    return next((folder for folder in candidates if (folder / CONFIG_FILE).is_file()), None)


def find_bundle(model: str | Path | None) -> Bundle:
    """Return the student that `StudentNER.from_pretrained` means by a name.

    Raises:
        StudentError: There is no student, or it is broken.
        HubError: The hub id could not be had.
        MissingExtraError: It has to be exported first, and torch or onnx is not installed.
    """
    try:
        folder = bundled_student_path() if model is None else find_student(model)
        exists = folder is not None or Path(str(model)).exists()
    except OSError as error:  # the name is too long, or a folder may not be read
        raise StudentError(f"{model}: cannot be read: {error.strerror or error}") from error
    if not exists and looks_like_hub_id(str(model)):
        try:
            folder = find_student(download_model(str(model)))
        except HubError as error:
            raise HubError(
                f"{model}: no such folder of a student, and as a hub id: {error}"
            ) from error
    if folder is None:
        raise StudentError(
            f"{model}: no student: no {CONFIG_FILE} in it or in its folder student; expected the "
            "folder of a student, of a run or of an export, or a hub id (owner/name)"
        )
    if (folder / GRAPH_FILE).is_file():
        return read_bundle(folder)
    return _export_in_memory(folder)


def _export_in_memory(folder: Path) -> Bundle:
    from gliner_distill.errors import MissingExtraError

    try:
        from gliner_distill.student.export import make_bundle
        from gliner_distill.student.files import load_student
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("gliner_distill"):
            raise
        raise MissingExtraError(error.name, "train") from error
    return make_bundle(*load_student(folder))
