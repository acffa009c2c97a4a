"""Find the folder of a model of the hub or of this machine, and tell its kind by its files."""

import os.path
from pathlib import Path
from typing import Literal

from gliner_distill.errors import TeacherError
from gliner_distill.gate import (
    GLINER2_CONFIG,
    GLINER_CONFIG,
    check_gliner2_settings,
    check_gliner_settings,
    check_is_folder,
    is_gliner2,
)
from gliner_distill.hub.downloads import download_model
from gliner_distill.hub.ids import looks_like_hub_id

CheckpointKind = Literal["gliner", "gliner2"]


def locate_checkpoint(source: str | Path) -> tuple[Path, CheckpointKind]:
    """Return the folder and the kind of a model, which is downloaded if it is not on this machine.

    Args:
        source: A folder, or a hub id.

    Raises:
        TeacherError: The folder does not exist, holds another kind of model, or has settings that
            would run code (see `gate`).
        HubError: The model cannot be downloaded from the hub.
    """
    name, folder = str(source), Path(source)
    if not folder.exists() and looks_like_hub_id(name):
        # A model that would be refused is refused before its weights are downloaded.
        folder = download_model(name, approve=lambda files: _check_settings(files, name=name))
    check_is_folder(folder, name=name)
    return folder, kind_of_checkpoint(folder, name=name)


def kind_of_checkpoint(folder: Path, *, name: str) -> CheckpointKind:
    """Return the kind of the model in a folder.

    Args:
        folder: The folder.
        name: What the user calls it, for messages.

    Raises:
        TeacherError: It is a model of another kind.
    """
    if (folder / GLINER_CONFIG).exists():
        return "gliner"
    if (folder / GLINER2_CONFIG).exists() and is_gliner2(folder, name=name):
        return "gliner2"
    raise TeacherError(
        f"{name}: this is neither a GLiNER ({GLINER_CONFIG} is missing) nor a GLiNER2 "
        f"({GLINER2_CONFIG} does not name the kind 'extractor'); use a model of one of these kinds"
    )


def name_without_path(name: str) -> str:
    """Return the name of a teacher, or of several, for files that are shared: without local paths.

    A folder is named by the last part of its path; every other name stays as it is.
    """
    return " + ".join(
        # `Path.is_dir` raises an error for a name that is too long for a path.
        Path(part).resolve().name if os.path.isdir(part) else part  # noqa: PTH112
        for part in name.split(" + ")
    )


def _check_settings(folder: Path, *, name: str) -> None:
    if kind_of_checkpoint(folder, name=name) == "gliner":
        check_gliner_settings(folder, name=name)
    else:
        check_gliner2_settings(folder, name=name)
