"""Teachers from Python modules of users: `python:MODULE:OBJECT`.

Opening such a teacher runs the module. Only modules of one folder are opened, normally the current
one, so that a name cannot reach into the packages that are installed.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module, invalidate_caches
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Any

from gliner_distill.errors import TeacherError, is_out_of_memory
from gliner_distill.files import reason_of
from gliner_distill.teacher.base import Probabilities, Teacher, fault_of

_FORM = "python:MODULE:OBJECT, such as python:my_teacher:teacher"
_MISSING = object()


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
    if module_name.endswith(".py"):
        short = module_name.removesuffix(".py")
        raise TeacherError(f"{name}: leave out .py, as in python:{short}:{object_name}")
    _check_in_folder(name, module_name, folder)
    _make_importable(folder)
    with _naming(name, f"{module_name} cannot be imported", folder=folder):
        module = import_module(module_name)
    _check_origin(name, module, folder)
    with _naming(name, f"{object_name} cannot be used", folder=folder):
        found = _take_object(name, module, object_name, folder)
        return ModuleTeacher(_check_teacher(name, found), folder)


class ModuleTeacher:
    """A user's teacher whose errors become one line that names the line of the user's code.

    It has all members of the user's teacher, also the optional ones.
    """

    def __init__(self, teacher: Teacher, folder: Path) -> None:
        """Wrap a teacher from a module in a folder."""
        self.name = teacher.name
        self.fingerprint = teacher.fingerprint
        self._teacher = teacher
        self._folder = folder

    def __getattr__(self, member: str) -> Any:
        """Return an optional member of the teacher.

        Raises:
            TeacherError: The teacher raised an error, as its methods do that are returned.
        """
        with _naming(self.name, f"{member} failed", folder=self._folder):
            found = getattr(self._teacher, member, _MISSING)
        if found is _MISSING:
            raise AttributeError(member)
        if not callable(found):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            with _naming(self.name, f"{member} failed", folder=self._folder):
                return found(*arguments, **named)

        return call

    def score_passages(
        self, passages: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
    ) -> list[Probabilities]:
        """Return the teacher's answers; see `Teacher`.

        Raises:
            TeacherError: The teacher raised an error, whatever its class.
        """
        with _naming(self.name, "score_passages failed", folder=self._folder):
            return self._teacher.score_passages(passages, labels)


def _take_object(name: str, module: ModuleType, object_name: str, folder: Path) -> Any:
    """Return an object of a module, or what it returns if it only makes a teacher."""
    if not hasattr(module, object_name):
        raise TeacherError(
            f"{name}: {module.__file__} has no {object_name!r}; expected the name of a teacher, or "
            "of a class or function that makes one"
        )
    found = getattr(module, object_name)
    if fault_of(found) is None or not callable(found):
        return found
    with _naming(name, f"{object_name}() failed", folder=folder):
        return found()


def _check_in_folder(name: str, module_name: str, folder: Path) -> None:
    top = module_name.split(".")[0]
    if not (folder / top).is_dir() and not (folder / f"{top}.py").is_file():
        raise TeacherError(
            f"{name}: {folder} has neither {top}.py nor a folder {top}; a teacher's module must be "
            "in the current folder, so run the command there"
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
def _naming(name: str, problem: str, *, folder: Path) -> Iterator[None]:
    """Turn the errors of a user's module into a TeacherError that names a line of the user's."""
    try:
        yield
    except (Exception, SystemExit) as error:  # a module may raise anything, and may exit
        if is_out_of_memory(error) or isinstance(error, TeacherError):
            raise
        raise TeacherError(
            f"{name}: {problem}{_place_of(error, folder)}: {type(error).__name__}: "
            f"{reason_of(error)}; correct the module"
        ) from error


def _place_of(error: BaseException, folder: Path) -> str:
    """Return the last line of a folder's files that an error has passed."""
    frames = [
        frame
        for frame in extract_tb(error.__traceback__)
        if Path(frame.filename).resolve().is_relative_to(folder.resolve())
    ]
    return f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
