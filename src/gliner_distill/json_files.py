"""JSON files that others may have changed: a checksum of their content, and checks of their fields.

A sealed file holds the SHA-256 of its own content, so that any change to it is noticed. It is that
of the content without the field `checksum`, as JSON with sorted keys. `check_fields` compares an
object with the kinds of values that its fields must have, and names the first field that is wrong.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gliner_distill.errors import DistillError, name_kind, shorten
from gliner_distill.files import check_regular_file, reason_of, write_json

CHECKSUM: Final = "checksum"
"""The field that holds the checksum."""

MAX_JSON_BYTES: Final = 64 * 2**20
"""The size up to which such a file is read: a manifest of this size lists 250,000 shards."""

_HIGHEST_COUNT = 2**63
_MOST_LEVELS = 4
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class FieldKind:
    """A kind of JSON value.

    Attributes:
        expected: Its name in a message, with its article.
        holds: Whether a value is of this kind.
    """

    expected: str
    holds: Callable[[Any], bool]


def is_plain(value: object, n_levels: int = _MOST_LEVELS) -> bool:
    """Return whether lists and objects are nested in a JSON value at most some levels deep.

    >>> is_plain({"a": [1, {"b": None}]}), is_plain([[[[[]]]]])
    (True, False)
    """
    if not isinstance(value, list | dict):
        return True
    parts = value.values() if isinstance(value, dict) else value
    return n_levels > 0 and all(is_plain(part, n_levels - 1) for part in parts)


TEXT: Final = FieldKind("a string", lambda value: isinstance(value, str))
TEXTS: Final = FieldKind(
    "a list of strings",
    lambda value: isinstance(value, list) and all(isinstance(part, str) for part in value),
)
COUNT: Final = FieldKind(
    "a whole number of at least 0",
    lambda value: type(value) is int and 0 <= value < _HIGHEST_COUNT,
)
NUMBER: Final = FieldKind(
    "a finite number of at least 0",
    lambda value: type(value) in (int, float) and math.isfinite(value) and value >= 0,
)
SHARE: Final = FieldKind(
    "a number from 0 to 1", lambda value: type(value) in (int, float) and 0 <= value <= 1
)
SHA256: Final = FieldKind(
    "64 hexadecimal digits",
    lambda value: isinstance(value, str) and _SHA256.fullmatch(value) is not None,
)
LIST: Final = FieldKind("a list", lambda value: isinstance(value, list))
OBJECT: Final = FieldKind(
    f"an object with at most {_MOST_LEVELS} levels",
    lambda value: isinstance(value, dict) and is_plain(value),
)


def check_fields(
    record: object,
    kinds: Mapping[str, FieldKind],
    *,
    where: str = "",
    optional: Collection[str] = (),
) -> None:
    """Check that a record is an object with fields of the right kinds and no others.

    Args:
        record: The record, as JSON gives it.
        kinds: The kind of each field.
        where: The place of the record in its file, such as `shards[3]`.
        optional: The fields that may be missing.

    Raises:
        ValueError: It is not; the message names the field, what was found and what was expected.

    >>> check_fields({"n_words": -1}, {"n_words": COUNT}, where="shards[3]")
    Traceback (most recent call last):
    ValueError: shards[3].n_words: found -1; expected a whole number of at least 0
    """
    if not isinstance(record, dict):
        raise ValueError(f"{where or 'content'}: found {name_kind(record)}; expected an object")
    before = f"{where}." if where else ""
    for name, kind in kinds.items():
        if name not in record and name not in optional:
            raise ValueError(f"{before}{name}: is missing; expected {kind.expected}")
    for name, value in record.items():
        if name not in kinds:
            raise ValueError(f"{before}{shorten(name)[1:-1]}: is not a field of this file")
        if not kinds[name].holds(value):
            raise ValueError(
                f"{before}{name}: found {_shown(value)}; expected {kinds[name].expected}"
            )


def _shown(value: object) -> str:
    # The text of a deeply nested value cannot be made, and that of a long list takes long.
    is_short = value is not None and not isinstance(value, list | dict)
    return shorten(value) if is_short else name_kind(value)


def read_json(path: Path) -> Any:
    """Return the value of a JSON file.

    Raises:
        OSError: The file is missing, cannot be read, is not a regular file, or has more than 64 MB.
        ValueError: It is not JSON, or it is nested too deeply.
    """
    check_regular_file(path, max_bytes=MAX_JSON_BYTES)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def is_sealed(raw: Mapping[str, Any]) -> bool:
    """Return whether an object has the checksum of its content.

    Raises:
        ValueError: It is nested too deeply, or it holds half of a surrogate pair.
    """
    content = {name: value for name, value in raw.items() if name != CHECKSUM}
    try:
        return raw.get(CHECKSUM) == _checksum(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def write_sealed_json(
    path: Path, value: Mapping[str, Any], *, error: type[DistillError] = DistillError
) -> None:
    """Write an object as indented JSON with its checksum; see `files.write_file`.

    Raises:
        DistillError: See `files.write_file`.
    """
    content = dict(value)
    write_json(path, content | {CHECKSUM: _checksum(content)}, error=error)


def read_sealed_json(
    path: Path, *, advice: str, error: type[DistillError] = DistillError
) -> dict[str, Any]:
    """Return the object of a JSON file, without its checksum, after checking it.

    Args:
        path: The file.
        advice: What a user should do about a file that cannot be used.
        error: The class of the error to raise.

    Raises:
        DistillError: The file cannot be read, or has changed since it was written. The error is of
            the class `error`.
    """
    try:
        raw = read_json(path)
        is_whole = isinstance(raw, dict) and is_sealed(raw)
    except (OSError, ValueError) as problem:
        raise error(f"{path}: cannot be read: {reason_of(problem)}; {advice}") from problem
    if not is_whole:
        raise error(f"{path}: has changed since it was written (its checksum differs); {advice}")
    return {name: value for name, value in raw.items() if name != CHECKSUM}


def _checksum(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
