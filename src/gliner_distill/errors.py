"""The errors that users can cause or fix, each named after what is wrong.

    DistillError
    ├── CorpusError          a file of texts or passages
    ├── HubError             a download or an upload
    ├── TeacherError         a GLiNER or another teacher
    ├── StoreError           a soft-label store
    │   └── FormatVersionError
    ├── StudentError         the folder of a student
    ├── InputError           an argument of a call (also a ValueError)
    ├── ExportError          the export of a student
    ├── RedactionError       the mapping or the key of a redaction
    ├── SettingsError        a setting
    └── MissingExtraError    an optional package

All of them can be imported from `gliner_distill`. Each message is one line that says what was
wrong, where (file, record, field), what was expected and what to do. The command line prints that
line and exits with status 1. Any other exception is a bug.
"""

import errno
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

_SHOWN_CHARS = 60
_MOST_FILES = 1000  # the files of a folder that are looked at for a similar name

# The words of torch, onnxruntime, the C++ library and the loader of shared libraries.
_MEMORY_WORDS = (
    "allocate memory",
    "out of memory",
    "bad_alloc",
    "bad allocation",
    "defaultcpuallocator",
    "is smaller than requested bytes",
    "failed to map segment",
    "can't start new thread",
)


class DistillError(Exception):
    """The base class of all errors that this package raises on purpose."""


class CorpusError(DistillError):
    """A file of texts, passages or labels is missing, cannot be read or holds a bad record."""


class HubError(DistillError):
    """The hub and its local cache cannot provide a model or data set, or an upload failed."""


class TeacherError(DistillError):
    """A teacher cannot be loaded, or it cannot score the passages it was given."""


class StoreError(DistillError):
    """A soft-label store is missing or broken, or it was made from other inputs."""


class FormatVersionError(StoreError):
    """A soft-label store has a format version that this release does not read."""


class StudentError(DistillError):
    """A student's folder is missing or broken, or the student cannot do what was asked of it."""


class InputError(DistillError, ValueError):
    """A text, label or option passed to a model has the wrong type or value."""


class ExportError(DistillError):
    """A student cannot be exported, or its export gives other answers than the student."""


class RedactionError(DistillError):
    """The mapping or the key of a redaction is missing or broken, or cannot be written."""


class SettingsError(DistillError):
    """A setting is out of range, or it contradicts another setting."""


class MissingExtraError(DistillError):
    """A package that an optional feature needs is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"this needs {package}, which is not installed; "
            f"run: pip install 'gliner-distill[{extra}]'"
        )
        self._arguments = package, extra

    def __reduce__(self) -> tuple[type["MissingExtraError"], tuple[str, str]]:
        """Pickle the arguments of the constructor, so that the error survives a process border."""
        return type(self), self._arguments


def shorten(value: object) -> str:
    """Return the `repr` of a value for an error message, cut to 60 characters.

    >>> shorten("city"), shorten("a" * 100)[-8:]
    ("'city'", 'aaaaa...')
    """
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 3]}..."


def suggest_file(path: str | Path) -> str:
    """Return a question for the message on a missing file: whether a similar name was meant.

    Args:
        path: The path of the file that does not exist.

    Returns:
        The question with a space before it, or "" if no file of the folder has a similar name.
    """
    wanted = Path(path)
    try:
        entries = islice(wanted.parent.iterdir(), _MOST_FILES)
        files = sorted(entry for entry in entries if entry.is_file())
    except (OSError, ValueError):
        return ""
    # Suffixes count only among equal stems, because they make all short names alike.
    stems = get_close_matches(wanted.stem, [file.stem for file in files], n=1, cutoff=0.7)
    names = [file.name for file in files if file.stem in stems]
    similar = get_close_matches(wanted.name, names, n=1, cutoff=0)
    return f" (did you mean {wanted.with_name(similar[0])}?)" if similar else ""


def name_kind(value: object) -> str:
    """Return the kind of a JSON value for an error message, with its article.

    >>> name_kind([1, 2]), name_kind(None), name_kind(0.5)
    ('a list', 'null', 'a decimal number')
    """
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    kinds |= {int: "a whole number", float: "a decimal number", type(None): "null"}
    return kinds.get(type(value), f"a {type(value).__name__}")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error, or one that led to it, means that there was not enough memory.

    >>> is_out_of_memory(MemoryError()), is_out_of_memory(ValueError("out of memory"))
    (True, False)
    """
    return any(map(_is_memory_error, _causes(error)))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and the errors that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _is_memory_error(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno == errno.ENOMEM
    # The errors of onnxruntime have no class of their own in Python's hierarchy.
    is_of_onnxruntime = type(error).__module__.startswith("onnxruntime")
    if not is_of_onnxruntime and not isinstance(error, RuntimeError | ImportError | OSError):
        return False
    return any(words in str(error).lower() for words in _MEMORY_WORDS)
