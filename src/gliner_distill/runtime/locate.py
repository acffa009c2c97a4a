"""Decide which model a name stands for; all commands and functions use this module.

A name is a path or a Hugging Face Hub id. The result is a folder and the kind of model in it; the
model itself is loaded by `StudentNER.from_pretrained` or, for a GLiNER, by `evaluation.models`.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal

from gliner_distill.errors import HubError, InputError, StudentError, TeacherError, shorten
from gliner_distill.gate import GLINER2_CONFIG, GLINER_CONFIG, check_gliner_settings, is_gliner2
from gliner_distill.hub.downloads import download_model
from gliner_distill.hub.ids import looks_like_hub_id
from gliner_distill.hub.options import HubOptions
from gliner_distill.runtime.config import CONFIG_FILE, missing_student_files

_EXPECTED: Final = (
    "expected the folder of a student, of a training run, of an export or of a GLiNER, a hub id "
    "(owner/name), or 'bundled'"
)
_BUNDLED: Final = "bundled"
"""The name of the student that is installed with the package."""
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LocatedModel:
    """A folder on this machine and the kind of model that it holds."""

    folder: Path
    kind: Literal["student", "gliner"]


def bundled_student_path() -> Path:
    """Return the folder of the open-label student that is installed with the package."""
    return Path(str(files("gliner_distill") / "resources" / "bundled_student"))


def find_student(path: str | Path) -> Path | None:
    """Return the student's folder at a path: the path itself or, for a run folder, its `student`.

    Returns:
        None if neither of them holds a `student_config.json`.
    """
    candidates = (Path(path), Path(path) / "student")
    return next((folder for folder in candidates if (folder / CONFIG_FILE).is_file()), None)


def locate_model(name: str | Path | None) -> LocatedModel:
    """Return the folder of the model that a name stands for; download the model if necessary.

    Args:
        name: The folder of a student, of a training run, of an export or of a GLiNER; the hub id
            of a student or a GLiNER; or None or `bundled` for the student that is installed with
            the package. A folder takes precedence over other meanings of its name.

    Raises:
        InputError: The name is neither a string nor a path.
        StudentError: The name is neither a folder nor a hub id, or the folder holds no model.
        HubError: The hub id cannot be downloaded and is not in the cache.
        TeacherError: The hub id is that of a GLiNER whose settings would run code; see `gate`.
    """
    return _locate(name, approve=_approve_gliner)


def locate_student(name: str | Path | None, *, options: HubOptions | None = None) -> Path:
    """Return the folder of the student that a name stands for.

    Args:
        name: See `locate_model`.
        options: How to download a hub id; None for the defaults.

    Raises:
        InputError: See `locate_model`.
        StudentError: The name does not lead to a student. A GLiNER of the hub is refused before
            its weights are downloaded.
        HubError: See `locate_model`.
    """
    located = _locate(name, approve=_refuse_gliner, options=options)
    if located.kind == "gliner":
        _refuse_gliner(str(name), located.folder)
    return located.folder


def _locate(
    name: str | Path | None,
    *,
    approve: Callable[[str, Path], None],
    options: HubOptions | None = None,
) -> LocatedModel:
    """Return the folder of a model; `approve` sees a GLiNER of the hub before its weights come."""
    if name is None:
        return LocatedModel(bundled_student_path(), "student")
    if not isinstance(name, (str, Path)):
        raise InputError(f"the name of the model is {shorten(name)}; {_EXPECTED}")
    if name == "":  # as a path it would be the current folder
        raise StudentError(f"the name of the model is empty; {_EXPECTED}")
    try:
        return _identify(name, _local_folder(name, approve, options))
    except OSError as error:  # the name is too long, or a folder may not be read
        raise StudentError(f"{name}: cannot be read: {error.strerror or error}") from error


def _local_folder(
    name: str | Path, approve: Callable[[str, Path], None], options: HubOptions | None
) -> Path:
    path = Path(name)
    if path.is_dir():
        return path
    if name == _BUNDLED and not path.exists():
        return bundled_student_path()
    if path.exists():
        raise StudentError(f"{name}: this is a file, not a folder; {_EXPECTED}")
    if not looks_like_hub_id(str(name)):
        raise StudentError(f"{name}: this folder does not exist; {_EXPECTED}")

    def approve_model(folder: Path) -> None:
        if _identify(name, folder).kind == "gliner":
            approve(str(name), folder)

    try:
        folder = download_model(str(name), approve=approve_model, options=options)
        if missing := missing_student_files(find_student(folder) or folder):
            raise HubError(
                f"{folder} lacks {', '.join(missing)}; if an earlier download was cut off, run "
                "once with a network, and otherwise its owner must publish it again"
            )
        return folder
    except HubError as error:
        raise HubError(
            f"{name}: this folder does not exist, and the model cannot be loaded from the hub: "
            f"{error}"
        ) from error


def _approve_gliner(name: str, folder: Path) -> None:
    check_gliner_settings(folder, name=name)
    # A name says nothing about the kind of its model, and its owner may replace the model.
    _logger.warning("%s: this model of the hub is a GLiNER, not a student; it needs torch", name)


def _refuse_gliner(name: str, folder: Path) -> None:
    raise StudentError(
        f"{name}: this is a GLiNER, not a student; {_offer_student(name)}, or run the GLiNER "
        "itself (`load_model`, which needs torch)"
    )


def _offer_student(teacher: str) -> str:
    return (
        f"make a student from it with `distill(texts, labels, teacher={teacher!r})`, use the "
        "student that is installed with this package (`StudentNER.from_pretrained()`)"
    )


def _identify(name: str | Path, folder: Path) -> LocatedModel:
    student = find_student(folder)
    if student is not None:
        return LocatedModel(student, "student")
    if (folder / GLINER_CONFIG).is_file():
        return LocatedModel(folder, "gliner")
    if _is_gliner2(folder, name=str(name)):
        raise StudentError(
            f"{name}: this is a GLiNER2, not a student; {_offer_student(str(name))}, or run the "
            "GLiNER2 itself with the package gliner2"
        )
    if (folder / "work" / "job.json").is_file():
        raise StudentError(
            f"{name}: the distillation in this folder is not finished; run the same `distill` "
            "command again to continue it"
        )
    place = "folder" if Path(name).is_dir() else "model"
    raise StudentError(
        f"{name}: this {place} holds neither a student (no {CONFIG_FILE} in it or in its folder "
        f"'student') nor a GLiNER (no {GLINER_CONFIG} in it); {_EXPECTED}"
    )


def _is_gliner2(folder: Path, *, name: str) -> bool:
    try:
        return (folder / GLINER2_CONFIG).is_file() and is_gliner2(folder, name=name)
    except TeacherError:  # the settings of some other kind of model
        return False
