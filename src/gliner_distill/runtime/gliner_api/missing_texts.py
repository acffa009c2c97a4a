"""Missing texts: None and the NaN of numpy and pandas, as in a column with gaps."""

import logging
from collections.abc import Iterable, Iterator
from numbers import Real
from typing import Any

import numpy as np

from gliner_distill.errors import shorten

_logger = logging.getLogger(__name__)

# The class names of pandas.NA and pandas.NaT; pandas itself need not be installed.
_PANDAS_KINDS = ("NAType", "NaTType")


def is_missing(text: object) -> bool:
    """Return whether a value stands for a text that is missing.

    >>> is_missing(None), is_missing(float("nan")), is_missing(""), is_missing(3)
    (True, True, False, False)
    """
    if text is None or type(text).__name__ in _PANDAS_KINDS:
        return True
    if isinstance(text, str):
        return False
    # Nothing but NaN (and numpy's NaT) differs from itself.
    return isinstance(text, Real | np.generic) and bool(text != text)


class MissingTexts:
    """The missing texts of one call, which are read as empty and counted for one warning."""

    def __init__(self) -> None:
        self._n_texts = 0
        self._n_missing = 0
        self._first: tuple[int, object] = (0, None)

    def fill(self, texts: Iterable[Any]) -> Iterator[Any]:
        """Yield texts, with an empty one in place of each that is missing."""
        for number, text in enumerate(texts):
            self._n_texts = number + 1
            if is_missing(text):
                if not self._n_missing:
                    self._first = number, text
                self._n_missing += 1
                yield ""
            else:
                yield text

    def warn(self) -> None:
        """Log how many texts were missing, unless none was."""
        if self._n_missing:
            number, text = self._first
            _logger.warning(
                "%d of %d texts are missing, so they have no entities (the first is texts[%d], "
                "which is %s); on_bad='error' raises an error instead",
                *(self._n_missing, self._n_texts, number, shorten(text)),
            )
