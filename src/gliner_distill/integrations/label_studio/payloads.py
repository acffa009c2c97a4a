"""Read the JSON of a request; a value of the wrong kind gives an error that names its field."""

import json
from typing import Any, TypeVar

from gliner_distill.errors import InputError, name_kind

Kind = TypeVar("Kind")

_EXPECTED: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a string",
    int: "a whole number",
}


class PayloadError(InputError):
    """A request holds a wrong value.

    Args:
        field: The place of the value, such as `tasks[3].data`.
        problem: What is wrong with it, and what was expected.
        quotes_text: Whether the problem may quote a text, so that it must not be logged.

    Attributes:
        field: The place of the value.
        quotes_text: See above.
    """

    def __init__(self, field: str, problem: str, *, quotes_text: bool = False) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.quotes_text = quotes_text


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body.

    Raises:
        PayloadError: It is not JSON, or not an object.
    """
    try:
        value = json.loads(body)
    except RecursionError:
        raise PayloadError("body", "the JSON is nested too deeply") from None
    except ValueError:  # the message of the error may hold parts of a text
        raise PayloadError("body", "it is not JSON; expected a JSON object") from None
    return checked(value, "body", dict)


def checked(value: object, field: str, kind: type[Kind]) -> Kind:
    """Return a value that must be of a kind.

    Raises:
        PayloadError: It is not.
    """
    # A bool is an integer in Python, but not in JSON.
    if not isinstance(value, kind) or isinstance(value, bool):
        raise PayloadError(field, f"found {name_kind(value)}; expected {_EXPECTED[kind]}")
    return value


def member(content: dict[str, Any], key: str, kind: type[Kind], *, where: str = "") -> Kind:
    """Return a member of an object, which must be there and of a kind.

    Args:
        content: The object.
        key: The key of the member.
        kind: The Python class of its JSON kind.
        where: The field of the object; empty for the body.

    Raises:
        PayloadError: It is missing, or of another kind.
    """
    field = f"{where}.{key}" if where else key
    if key not in content:
        raise PayloadError(field, f"is missing; expected {_EXPECTED[kind]}")
    return checked(content[key], field, kind)
