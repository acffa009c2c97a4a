"""The spelling of labels: the rule by which the whole package compares them.

Upper case, underscores, white space, and quotes around a label make no difference. `clean_label`
returns the form that all spellings of a label share. Models read this form, corpora and soft-label
stores keep it, and thresholds are looked up by it. Answers have the spelling that the user gave.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TypeVar

Value = TypeVar("Value")


def strip_label(raw: str) -> str:
    r"""Return a label without the white space and the quotes around it.

    A label has quotes around it if it was encoded as JSON twice.

    >>> strip_label('"Work_of  Art" ')
    'Work_of  Art'
    """
    label = raw.replace('\\"', '"').strip()
    while len(label) > 1 and label[0] == label[-1] == '"':
        label = label[1:-1].strip()
    return label


def clean_label(raw: str) -> str:
    r"""Return the form that all spellings of a label share.

    It is in lower case, with single spaces instead of underscores, and without quotes around it.

    >>> clean_label('"Work_of  Art" ')
    'work of art'
    """
    return _clean(raw) if len(raw) > _MOST_CACHED else _clean_cached(raw)


def _clean(raw: str) -> str:
    return " ".join(strip_label(raw).replace("_", " ").lower().split())


# The labels of a call are cleaned several times. Long descriptions would take much memory.
_MOST_CACHED = 200
_clean_cached = lru_cache(maxsize=20_000)(_clean)


def spellings_by_label(labels: Iterable[str]) -> dict[str, str]:
    """Return the first spelling of each label, by its clean form.

    >>> spellings_by_label(["PERSON", "Work_of_Art", "person"])
    {'person': 'PERSON', 'work of art': 'Work_of_Art'}
    """
    spellings: dict[str, str] = {}
    for label in labels:
        spellings.setdefault(clean_label(label), label)
    return spellings


def by_clean_label(values: Mapping[str, Value]) -> dict[str, Value]:
    """Return values that are given by label, such as thresholds, by the clean form of each label.

    >>> by_clean_label({"PERSON": 0.3})
    {'person': 0.3}
    """
    return {clean_label(label): value for label, value in values.items()}
