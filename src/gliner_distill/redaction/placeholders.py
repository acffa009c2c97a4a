"""Placeholders such as `[PERSON_1]`: their names, their numbers, and the way back to the text.

A redacted text stays unambiguous because everything in the original that looks like a placeholder
becomes a placeholder, too: in `Use [PERSON_1] here`, `[PERSON_1]` becomes `[LITERAL_1]`. A
placeholder has brackets at its ends alone, so text and placeholders never join to another one.
"""

import re
from collections import Counter
from collections.abc import Mapping, MutableMapping
from itertools import count

from gliner_distill.errors import InputError, shorten

_PLACEHOLDER = re.compile(r"\[\w{1,80}_[0-9]{1,12}\]")
_LITERAL = "literal"
_MAX_NAME_CHARS = 60


def placeholder_name(label: str) -> str:
    """Return the part of a placeholder that says its label, in upper case.

    >>> placeholder_name("date of birth"), placeholder_name("e-mail"), placeholder_name("+")
    ('DATE_OF_BIRTH', 'E_MAIL', 'ENTITY')
    """
    words = "".join(char if char.isalnum() else " " for char in label.upper()).split()
    return "_".join(words)[:_MAX_NAME_CHARS].rstrip("_") or "ENTITY"


def restore(text: str, mapping: Mapping[str, str]) -> str:
    """Return a text with each placeholder replaced by what it stands for.

    The text may have been edited, and may have placeholders in any order and number. A placeholder
    that the mapping lacks stays as it is.

    Args:
        text: A text that was redacted with the mode `mapping`, or another text with placeholders.
        mapping: The mapping of that redaction.

    Raises:
        InputError: The text is not a string, or the mapping is not one.

    >>> restore("[PERSON_1] met [PERSON_2].", {"[PERSON_1]": "Ada", "[PERSON_2]": "Bo"})
    'Ada met Bo.'
    """
    if not isinstance(text, str):
        raise InputError(f"text is {shorten(text)}; expected a string")
    check_mapping(mapping)
    return _PLACEHOLDER.sub(lambda match: mapping.get(match[0], match[0]), text)


def check_mapping(mapping: object) -> None:
    """Raise an `InputError` if a value does not map placeholders to texts."""
    if not isinstance(mapping, Mapping):
        raise InputError(f"mapping is {shorten(mapping)}; expected {{placeholder: text}}")
    for placeholder, text in mapping.items():
        if not isinstance(placeholder, str) or not _PLACEHOLDER.fullmatch(placeholder):
            raise InputError(
                f"mapping has the key {shorten(placeholder)}; expected a placeholder, such as "
                "'[PERSON_1]'"
            )
        if not isinstance(text, str):
            # The text is what had to be kept secret, so the message does not show it.
            raise InputError(f"mapping[{placeholder!r}] is not a string")


class Placeholders:
    """The placeholders of one or more texts; the same text of the same label has the same one.

    Args:
        mapping: The placeholders of earlier texts; new ones are added to it.

    Raises:
        InputError: The mapping is not one.
    """

    def __init__(self, mapping: MutableMapping[str, str]) -> None:
        check_mapping(mapping)
        self._mapping = mapping
        self._counts: Counter[str] = Counter()
        self._known: dict[tuple[str, str], str] = {}
        for placeholder, text in mapping.items():
            self._add(placeholder, text)

    def get(self, text: str, label: str) -> str:
        """Return the placeholder of a text; a new one has the next free number of its label."""
        name = placeholder_name(label)
        if (name, text) not in self._known:
            numbers = count(self._counts[name] + 1)
            names = (f"[{name}_{number}]" for number in numbers)
            placeholder = next(free for free in names if free not in self._mapping)
            self._mapping[placeholder] = text
            self._add(placeholder, text)
        return self._known[name, text]

    def escape(self, text: str) -> str:
        """Return a text in which everything that looks like a placeholder is replaced by one."""
        return _PLACEHOLDER.sub(lambda match: self.get(match[0], _LITERAL), text)

    def used_in(self, text: str) -> dict[str, str]:
        """Return what each placeholder in a redacted text stands for."""
        used = dict.fromkeys(match[0] for match in _PLACEHOLDER.finditer(text))
        return {placeholder: self._mapping[placeholder] for placeholder in used}

    def _add(self, placeholder: str, text: str) -> None:
        name = placeholder[1:-1].rpartition("_")[0]
        self._counts[name] += 1
        self._known.setdefault((name, text), placeholder)
