"""The teacher of a distillation, or several, which are opened when they are first needed."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from gliner_distill.errors import InputError
from gliner_distill.teacher.base import Teacher, fault_of
from gliner_distill.teacher.checkpoints import name_without_path
from gliner_distill.teacher.ensemble import TeacherEnsemble
from gliner_distill.teacher.opening import open_teacher

TeacherName = str | Path | Teacher
"""The name of a teacher (see `teacher.opening`), or a teacher that is loaded already."""


class TeacherSource:
    """A teacher, or an ensemble of several, that is loaded when it is first needed.

    A finished labeling does not need the teacher again, and loading a GLiNER takes seconds.
    """

    def __init__(self, teacher: TeacherName | Sequence[TeacherName]) -> None:
        """Remember where the teacher comes from.

        Args:
            teacher: One teacher or several.

        Raises:
            InputError: One of them is neither a name nor a `Teacher`, or there is none.
        """
        is_one = isinstance(teacher, str) or not isinstance(teacher, Sequence)
        given = [teacher] if is_one else teacher
        sources = list(cast(Sequence[TeacherName], given))
        if not sources:
            raise InputError("teacher: the list is empty; expected at least one")
        self._sources = [_check_source(source) for source in sources]
        self._teacher: Teacher | None = None
        self.name = " + ".join(map(_name_of, self._sources))
        # To get that of a name would take seconds, since the model would have to be loaded.
        is_named = any(isinstance(source, str) for source in self._sources)
        self.fingerprint = None if is_named else self.load().fingerprint

    def load(self) -> Teacher:
        """Return the teacher, which is loaded once.

        Raises:
            TeacherError: The teacher cannot be opened.
            HubError: The model cannot be downloaded.
            MissingExtraError: A package that the teacher needs is not installed.
        """
        if self._teacher is None:
            loaded = [
                open_teacher(source) if isinstance(source, str) else source
                for source in self._sources
            ]
            self._teacher = TeacherEnsemble(loaded) if len(loaded) > 1 else loaded[0]
        return self._teacher

    @property
    def public_name(self) -> str:
        """The hub id or, for a local teacher, the folder's name without the path to it."""
        return " + ".join(self.public_names)

    @property
    def public_names(self) -> list[str]:
        """The same of each teacher of an ensemble, or of the single one."""
        return [name_without_path(_name_of(source)) for source in self._sources]

    @property
    def n_bytes(self) -> int | None:
        """The size of the teacher's files; None if they are not in local folders."""
        names = list(map(_name_of, self._sources))
        # A hub id has no local files, and its size is not known.
        if not all(map(_is_folder, names)):
            return None
        files = (file for name in names for file in Path(name).glob("*"))
        return sum(file.stat().st_size for file in files if file.is_file()) or None


def _check_source(source: object) -> str | Teacher:
    if isinstance(source, str | Path):
        return str(source)
    fault = fault_of(source)
    if fault is not None:
        raise InputError(
            f"teacher: {fault}; or give the folder or hub id of a GLiNER, or another name that "
            "--teacher takes"
        )
    return cast(Teacher, source)


def _name_of(source: str | Teacher) -> str:
    return source if isinstance(source, str) else source.name


def _is_folder(name: str) -> bool:
    return Path(name).is_dir()
