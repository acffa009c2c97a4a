"""Teachers from Python modules of users: `python:MODULE:OBJECT`.

Opening such a teacher runs the module. Only modules of one folder are opened, normally the current
one, so that a name cannot reach into the packages that are installed.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module, invalidate_caches
from pathlib import Path
from types import ModuleType
from typing import Any

from gliner_distill.errors import DistillError, TeacherError, is_out_of_memory
from gliner_distill.files import reason_of
from gliner_distill.teacher.base import Teacher, fault_of

_FORM = "python:MODULE:OBJECT, such as python:my_teacher:teacher"


def open_module_teacher(name: str, folder: Path) -> Teacher:
    """Return an object of a module as a teacher.

    Args:
        name: `python:MODULE:OBJECT`. The object is a teacher, or a class or function that returns
            one when it is called without arguments.
        folder: The folder that holds the module.

    Raises:
        TeacherError: The name has another form, the module is not in the folder or cannot be
            imported, or the object is not a teacher.
    """
    parts = name.split(":")
    if len(parts) != 3 or not all(part.isidentifier() for part in (*parts[1].split("."), parts[2])):
        raise TeacherError(f"{name}: expected {_FORM}")
    _, module_name, object_name = parts
    _check_in_folder(name, module_name, folder)
    _make_importable(folder)
    with _naming(name, f"the module {module_name} cannot be imported"):
        module = import_module(module_name)
    _check_origin(name, module, folder)
    if not hasattr(module, object_name):
        raise TeacherError(
            f"{name}: {module.__file__} has no {object_name!r}; expected the name of a teacher, or "
            "of a class or function that makes one"
        )
    found = getattr(module, object_name)
    if fault_of(found) is not None and callable(found):
        with _naming(name, f"calling {object_name}() failed"):
            found = found()
    return _check_teacher(name, found)


def _check_in_folder(name: str, module_name: str, folder: Path) -> None:
    top = module_name.split(".")[0]
    if not (folder / top).is_dir() and not (folder / f"{top}.py").is_file():
        raise TeacherError(
            f"{name}: there is no {top}.py in {folder}; a teacher's module must be in the current "
            "folder, so run the command there"
        )


def _check_origin(name: str, module: ModuleType, folder: Path) -> None:
    """Make sure that a module is the one in the folder, and not another one of the same name."""
    origin = getattr(module, "__file__", None)
    if origin is None or not Path(origin).resolve().is_relative_to(folder.resolve()):
        raise TeacherError(
            f"{name}: {module.__name__} is the name of another module ({origin or 'built in'}); "
            "rename yours"
        )


def _check_teacher(name: str, found: Any) -> Teacher:
    fault = fault_of(found)
    if fault is not None:
        raise TeacherError(f"{name}: is not a teacher: {fault}")
    teacher: Teacher = found
    return teacher


def _make_importable(folder: Path) -> None:
    """Let Python import modules of a folder, for as long as the process runs.

    The folder comes last, so that its files never take the place of an installed package. It stays,
    because a teacher may import further modules when it is asked.
    """
    path = str(folder.resolve())
    if path not in sys.path:
        sys.path.append(path)
    invalidate_caches()  # the module may have been written a moment ago


@contextmanager
def _naming(name: str, problem: str) -> Iterator[None]:
    """Turn the errors of a user's module into a TeacherError."""
    try:
        yield
    except Exception as error:  # a module may raise anything
        if is_out_of_memory(error):
            raise
        kind = "" if isinstance(error, DistillError) else f"{type(error).__name__}: "
        raise TeacherError(f"{name}: {problem} ({kind}{reason_of(error)}); correct it") from error
