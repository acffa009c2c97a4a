"""JSON files that hold a checksum of their own content, so that any change to them is noticed.

The checksum is the SHA-256 of the content without the field `checksum`, as JSON with sorted keys.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gliner_distill.errors import DistillError
from gliner_distill.files import check_regular_file, reason_of, write_json

CHECKSUM: Final = "checksum"
"""The field that holds the checksum."""

MAX_JSON_BYTES: Final = 64 * 2**20
"""The size up to which such a file is read: a manifest of this size lists 250,000 shards."""


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
        raise error(
            f"{path}: has changed since it was written, because its checksum differs; {advice}"
        )
    return {name: value for name, value in raw.items() if name != CHECKSUM}


def _checksum(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
