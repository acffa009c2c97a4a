"""The search for spans in C, called through ctypes."""

import ctypes
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gliner_distill.kernel.library import check_array, check_memory, pointer_to
from gliner_distill.kernel.networks import INPUT_STEP, SpanSearch

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

SPAN: Final = np.dtype(
    [(name, np.int32) for name in ("window", "start", "end", "label")] + [("score", np.float32)]
)
"""An entity that a search finds; the end is exclusive."""

_MOST_SPANS = 256
_LACKS_MEMORY = -2


class _Search(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("inside", "edges", "none", "cuts", "shifts")),
        *((name, ctypes.c_void_p) for name in ("thresholds", "narrow", "broad", "breadths")),
        *((name, ctypes.c_void_p) for name in ("logits", "reported", "slopes")),
        *((name, ctypes.c_float) for name in ("start_bias", "end_bias", "inside_bias")),
        *((name, ctypes.c_int32) for name in ("path", "n_labels", "width", "n_kinds")),
        *((name, ctypes.c_int32) for name in ("n_knots", "is_flat", "is_multi")),
    )


class CompiledSearch:
    """A search for spans in C."""

    def __init__(self, library: Any, path: int, search: SpanSearch) -> None:
        n_labels, width = search.inside.shape
        narrow, broad, breadth = search.kinds or (None, None, None)
        n_kinds = 0 if narrow is None else narrow.shape[1]
        logits, reported, slopes = search.score_map or (None, None, None)
        n_knots = 0 if logits is None else len(logits)
        pointers = [
            pointer_to(array, dtype, shape)
            for array, dtype, shape in (
                (search.inside, np.float32, (n_labels, width)),
                (search.edges, np.float32, (2 * n_labels, width)),
                (search.none, np.float32, (width,)),
                (search.cuts, np.float32, (n_labels,)),
                (search.shifts, np.float32, (n_labels,)),
                (search.thresholds, np.float32, (n_labels,)),
                (narrow, np.int32, (n_labels, n_kinds)),
                (broad, np.int32, (n_labels, n_kinds)),
                (breadth, np.int64, (n_labels,)),
                (logits, np.float64, (n_knots,)),
                (reported, np.float64, (n_knots,)),
                (slopes, np.float64, (n_knots - 1,)),
            )
        ]
        if width % INPUT_STEP:
            raise ValueError(f"the width {width} is not a multiple of {INPUT_STEP}")
        self._library, self._width, self._n_labels = library, width, n_labels
        self._search = search  # owns the memory
        sizes = n_labels, width, n_kinds, n_knots
        rules = search.is_flat, search.is_multi
        self._structure = _Search(*pointers, *map(float, search.bias), path, *sizes, *rules)

    def find(
        self, vectors: Floats, lengths: Ints, asked: Sequence[Ints] | None = None
    ) -> NDArray[Any] | None:
        """Return the entities of windows that are whole passages, as rows of `SPAN`.

        Args:
            vectors: The word vectors, shape `(words, width)`.
            lengths: The words of each window.
            asked: The numbers of the labels that each window is asked; None for all.

        Returns:
            The entities by window and position; None where a window has more candidates than this
            search compares.
        """
        check_array(lengths, np.int32, (len(lengths),))
        n_words = int(lengths.sum())
        check_array(vectors, np.float32, (n_words, self._width))
        labels = counts = None
        if asked is not None:
            labels = np.concatenate(asked)
            counts = np.fromiter(map(len, asked), np.int32, len(lengths))
            check_array(labels, np.int32, (len(labels),))
            if labels.min(initial=0) < 0 or labels.max(initial=0) >= self._n_labels:
                raise ValueError(f"a label lies outside of the {self._n_labels} labels")
        found = np.empty(n_words + _MOST_SPANS, SPAN)
        n_found = self._library.gd_find(
            ctypes.byref(self._structure),
            vectors.ctypes.data,
            lengths.ctypes.data,
            len(lengths),
            None if labels is None else labels.ctypes.data,
            None if counts is None else counts.ctypes.data,
            found.ctypes.data,
            len(found),
        )
        check_memory(n_found == _LACKS_MEMORY)
        return None if n_found < 0 else found[:n_found]
