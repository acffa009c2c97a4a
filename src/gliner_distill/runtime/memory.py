"""The memory that a student may take, and how it is divided.

A process with a student takes about 128 MB in any case: the interpreter, numpy, the weights, the
network with its buffers for one batch, and the pieces of words. (With the bundled student, it takes
85 MB to answer one text, and 128 MB to answer 64 texts of 384 words in a batch with two threads.)
The rest of the limit is divided into sixteenths:

==========================  ===========  ======================================================
part                        sixteenths   what it bounds
==========================  ===========  ======================================================
vectors of words            2, <= 64 MB  the cache of `embeddings.WordVectors`
vectors of labels           1, <= 64 MB  the cache of `embeddings.LabelVectors`
sets of labels              1, <= 64 MB  the labels of earlier calls, ready for the search
scores                      3            probabilities that wait for the rest of their passages
candidate spans             3            candidates that are compared at once
==========================  ===========  ======================================================

The other six sixteenths are for the texts, their words and the answers. A score takes about 160
bytes while it is sorted (six numbers in several copies), and a candidate about 400 bytes (five
numbers, their order, and its Python object). With the default of 2 GB these are 2.2 million scores
and 877,500 candidates. However small the limit is, there is room for 100,000 of either, because
that many candidates may compete in one place (`crowds.MAX_SPANS`).

The batches of the network have at most 4,096 words, whatever the limit is. A limit changes how much
is cached and compared at once, but no answer. It is a goal and not a guarantee: a text, its words
and its entities must fit into memory in any case.
"""

import re
from dataclasses import dataclass
from typing import Final

from gliner_distill.crowds import MAX_SPANS
from gliner_distill.errors import InputError, shorten

DEFAULT_MEMORY: Final = "2GB"

_FIXED_BYTES = 128_000_000
_MIN_BYTES = 192_000_000
_MAX_CACHE_BYTES = 64_000_000
_BYTES_PER_SCORE = 160
_BYTES_PER_SPAN = 400
_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]i?b)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """The division of a limit of memory; the docstring of the module explains it.

    Attributes:
        word_bytes: The most bytes of the cached vectors of words.
        label_bytes: The most bytes of the cached vectors of labels.
        label_set_bytes: The most bytes of the cached sets of labels.
        n_scores: The number of scores above which those of whole passages are decoded.
        n_spans: The number of candidate spans that are written out at once.
    """

    word_bytes: int
    label_bytes: int
    label_set_bytes: int
    n_scores: int
    n_spans: int

    @classmethod
    def of(cls, max_memory: str | int = DEFAULT_MEMORY) -> "MemoryPlan":
        """Return the division of a limit.

        Args:
            max_memory: Bytes as a number, or a size such as `2GB` or `512MiB`.

        Raises:
            InputError: It is not a size, or it is below 192 MB, in which no student runs.

        >>> MemoryPlan.of("2GB").n_scores, MemoryPlan.of("400MB").n_scores
        (2193750, 318750)
        """
        share = (read_size(max_memory) - _FIXED_BYTES) // 16
        small = min(share, _MAX_CACHE_BYTES)
        return cls(
            word_bytes=min(2 * share, _MAX_CACHE_BYTES),
            label_bytes=small,
            label_set_bytes=small,
            n_scores=max(3 * share // _BYTES_PER_SCORE, MAX_SPANS),
            n_spans=max(3 * share // _BYTES_PER_SPAN, MAX_SPANS),
        )


def read_size(size: str | int) -> int:
    """Return the bytes of a size.

    Raises:
        InputError: It is not a size, or it is below 192 MB.

    >>> read_size("2GB"), read_size("512 MiB")
    (2000000000, 536870912)
    """
    match = _SIZE.fullmatch(str(size).strip())
    if match is None or isinstance(size, bool):
        raise InputError(f"max_memory is {shorten(size)}; expected a size such as 2GB or 512MB")
    n_bytes = round(float(match[1]) * _UNITS[(match[2] or "").lower()])
    if n_bytes < _MIN_BYTES:
        raise InputError(
            f"max_memory is {shorten(size)}; a student needs at least {_MIN_BYTES // 10**6} MB"
        )
    return n_bytes
