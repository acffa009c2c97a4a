"""Check the fields of JSON objects that others may have written or changed.

`check_fields` compares an object with the kinds of values that its fields must have, and names the
first field that is wrong.
"""

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gliner_distill.errors import name_kind, shorten

_HIGHEST_COUNT = 2**63
_MOST_LEVELS = 4
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Kind:
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


TEXT: Final = Kind("a string", lambda value: isinstance(value, str))
TEXTS: Final = Kind(
    "a list of strings",
    lambda value: isinstance(value, list) and all(isinstance(part, str) for part in value),
)
COUNT: Final = Kind(
    "a whole number of at least 0",
    lambda value: type(value) is int and 0 <= value < _HIGHEST_COUNT,
)
NUMBER: Final = Kind(
    "a finite number of at least 0",
    lambda value: type(value) in (int, float) and math.isfinite(value) and value >= 0,
)
SHARE: Final = Kind(
    "a number from 0 to 1", lambda value: type(value) in (int, float) and 0 <= value <= 1
)
SHA256: Final = Kind(
    "64 hexadecimal digits",
    lambda value: isinstance(value, str) and _SHA256.fullmatch(value) is not None,
)
LIST: Final = Kind("a list", lambda value: isinstance(value, list))
OBJECT: Final = Kind(
    f"an object with at most {_MOST_LEVELS} levels",
    lambda value: isinstance(value, dict) and is_plain(value),
)


def check_fields(
    record: object,
    kinds: Mapping[str, Kind],
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
