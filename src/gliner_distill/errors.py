"""Every error that a user can cause or mend, named after what is wrong.

The command line prints the message of a `DistillError` as one line and exits 1. A message says
what was wrong, where (file, record, field), what was expected and what to do.
"""


class DistillError(Exception):
    """Base of all errors that this package raises on purpose."""


class CorpusError(DistillError):
    """A passage file is missing, unreadable or holds a bad record."""


class HubError(DistillError):
    """A model or data set could not be had from the hub or its cache."""


class TeacherError(DistillError):
    """A teacher could not be loaded or cannot score what it was given."""


class StoreError(DistillError):
    """A soft-label store is missing, broken, or was made from other inputs."""


class StudentError(DistillError):
    """A student folder is missing, broken or does not fit what is asked of it."""


class InputError(DistillError, ValueError):
    """A text, a label or an option given to a student is not what it must be."""


class ExportError(DistillError):
    """A student cannot be exported, or what was exported does not answer as it does."""


class SettingsError(DistillError):
    """A setting is outside its range or contradicts another one."""


class MissingExtraError(DistillError):
    """A package that an optional part needs is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed; this needs it: pip install 'gliner-distill[{extra}]'"
        )
        self._given = package, extra

    def __reduce__(self) -> tuple[type["MissingExtraError"], tuple[str, str]]:
        """Come back the same from another process."""
        return type(self), self._given
