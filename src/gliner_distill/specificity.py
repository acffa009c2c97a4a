"""Which of two overlapping candidates names the more specific thing, and which one yields.

Asked for `person` and `politician`, a student finds both on the same name. In flat mode only one
can be kept, and it should be the politician, whatever the scores. A student that compares labels
gives each of them two vectors and a number (`LabelKinds`), by which any two labels are compared;
`keep_specific` then removes candidates before `decoding` chooses among the others by score.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gliner_distill.spans import Floats, Ints, Spans

Doubles = NDArray[np.float64]

# The words and the labels that are compared at once, so that memory stays small.
_PART_WORDS, _PART_LABELS = 256, 1024

# Numbers by which labels are compared are rounded to this, and cut off at 64.
_STEP = 2.0**-16
_MOST_STEPS = 2**22

# Up to this many candidates, comparing each with each is faster than collecting their words.
_FEW_SPANS = 32


@dataclass(frozen=True, slots=True)
class LabelKinds:
    """The numbers by which a student compares labels; each array has one row per label.

    Label y is more specific than label x where `narrow[y] · broad[x] + breadth[x]` is above 0 and
    the same with x and y exchanged is not.

    Attributes:
        narrow: Shape `(labels, width)`: a label as the narrower one of two.
        broad: Shape `(labels, width)`: a label as the broader one of two.
        breadth: Shape `(labels,)`: how much broader a label is than others in general.
    """

    narrow: Floats
    broad: Floats
    breadth: Floats

    @classmethod
    def from_rows(cls, rows: Floats) -> "LabelKinds":
        """Return the three parts of an array of shape `(labels, 2 * width + 1)`."""
        width = rows.shape[1] // 2
        return cls(rows[:, :width], rows[:, width:-1], rows[:, -1])

    def take(self, labels: Ints | Sequence[int]) -> "LabelKinds":
        """Return the rows of some labels."""
        return LabelKinds(self.narrow[labels], self.broad[labels], self.breadth[labels])

    def more_specific(self, others: slice = slice(None)) -> NDArray[np.bool_]:
        """Return whether each label is more specific than each of some others.

        Args:
            others: The labels of the columns; all labels by default.

        Returns:
            Shape `(labels, others)`, in C order. Two labels of which each seems broader than the
            other are false both ways.

        >>> kinds = LabelKinds.from_rows(np.array([[0.0, 0, 1], [0, 0, -1]]))  # person, politician
        >>> kinds.more_specific().tolist()
        [[False, False], [True, False]]
        """
        narrow, broad, breadth = self.in_steps()
        yields = narrow @ broad[others].T + breadth[others] > 0
        opposite = narrow[others] @ broad.T + breadth > 0
        # With many labels, the result would be in the column order of the transposed array.
        is_more_specific: NDArray[np.bool_] = np.ascontiguousarray(yields & ~opposite.T)
        return is_more_specific

    def in_steps(self) -> tuple[Doubles, Doubles, Doubles]:
        """Return `narrow`, `broad` and `breadth` as whole numbers: multiples of small steps.

        Sums of their products are exact in double precision, whatever their order is. Therefore
        every machine compares labels in the same way.
        """
        narrow, broad = (
            np.clip(np.rint(values / _STEP), -_MOST_STEPS, _MOST_STEPS)
            for values in (self.narrow.astype(np.float64), self.broad.astype(np.float64))
        )
        most = float(_MOST_STEPS) ** 2
        breadth = self.breadth.astype(np.float64) / _STEP**2
        return narrow, broad, np.clip(np.rint(breadth), -most, most)


def keep_specific(spans: Spans, kinds: LabelKinds) -> Spans:
    """Return the candidates without those that yield to a more specific one.

    A candidate yields to every candidate that shares a word with it and whose label is more
    specific. One that yields only to candidates that yield themselves, at other words or in a
    circle, comes back, so each word of a candidate still belongs to a candidate that shares a word
    with it. The order of labels and of candidates has no influence.

    Args:
        spans: Candidates of any number of passages.
        kinds: The labels that the candidates number.
    """
    start, end = _on_one_line(spans)
    shared = _sharing(start, end)
    if not shared.any():
        return spans
    is_kept = ~shared
    rows = np.flatnonzero(shared)
    # Look-ups are several times faster in order of the labels.
    rows = rows[np.lexsort((start[rows], spans.label[rows]))]
    while len(rows):
        yields = _yielding(spans.label[rows], start[rows], end[rows], kinds)
        # If all yield, their labels form circles, and the scores have to decide.
        yields &= not yields.all()
        staying, yielding = rows[~yields], rows[yields]
        is_kept[staying] = True
        if not len(yielding):
            break
        words, _ = _covered(np.zeros_like(staying), start[staying], end[staying])
        rows = yielding[~_hold_any(words, start[yielding], end[yielding])]
    return spans.take(np.flatnonzero(is_kept))


def _on_one_line(spans: Spans) -> tuple[Ints, Ints]:
    """Return first and end words as if all passages stood one after the other."""
    offsets = spans.passage.astype(np.int64) * int(spans.end_word.max(initial=0))
    return offsets + spans.start_word, offsets + spans.end_word


def _sharing(start: Ints, end: Ints) -> NDArray[np.bool_]:
    """Return for each candidate whether it shares a word with another one."""
    order = np.argsort(start, kind="stable")
    reach = np.maximum.accumulate(end[order])
    # A candidate that starts before an earlier one ends shares a word with it.
    is_second = np.append(False, start[order][1:] < reach[:-1])[: len(order)]
    is_first = np.append(is_second[1:], False)
    shared = np.empty(len(order), dtype=np.bool_)
    shared[order] = is_second | is_first
    return shared


def _yielding(label: Ints, start: Ints, end: Ints, kinds: LabelKinds) -> NDArray[np.bool_]:
    """Return for each candidate whether one with a more specific label shares a word with it."""
    if len(label) <= _FEW_SPANS:
        shares = (start[:, None] < end) & (start < end[:, None])
        beats = kinds.take(label).more_specific()
        yields: NDArray[np.bool_] = np.any(shares & beats, axis=0)
        return yields
    keys, n_places = _covered(label, start, end)
    labels, words = np.divmod(keys, n_places)
    by_word = np.argsort(words, kind="stable")
    is_new = np.diff(words[by_word], prepend=-1) != 0
    firsts = np.append(np.flatnonzero(is_new)[::_PART_WORDS], len(by_word))
    beaten = np.zeros(len(keys), dtype=np.bool_)
    for first, last in zip(firsts[:-1].tolist(), firsts[1:].tolist(), strict=True):
        part = by_word[first:last]
        numbers = np.cumsum(is_new[first:last]) - 1
        beaten[part] = _beaten(labels[part], numbers, kinds)
    offsets = label * n_places
    return _hold_any(keys[beaten], offsets + start, offsets + end)


def _beaten(labels: Ints, words: Ints, kinds: LabelKinds) -> NDArray[np.bool_]:
    """Return for each (label, word) pair whether the word has a more specific label as well.

    Args:
        labels: Shape `(pairs,)`, the numbers of the labels.
        words: Shape `(pairs,)`, the words, numbered from 0.
        kinds: The labels by their number.
    """
    distinct, rows = np.unique(labels, return_inverse=True)
    compared = kinds.take(distinct)
    covers = np.zeros((len(distinct), int(words.max()) + 1), dtype=np.float32)
    covers[rows, words] = 1
    beaten = np.zeros_like(covers, dtype=np.bool_)
    for first in range(0, len(distinct), _PART_LABELS):
        part = slice(first, first + _PART_LABELS)
        beaten[part] = compared.more_specific(part).T.astype(np.float32) @ covers > 0
    pairs: NDArray[np.bool_] = beaten[rows, words]
    return pairs


def _covered(group: Ints, start: Ints, end: Ints) -> tuple[Ints, int]:
    """Return the words that the candidates of each group cover, each once.

    Args:
        group: Shape `(candidates,)`, a number from 0.
        start: The first words.
        end: The end words.

    Returns:
        `group * n_places + word` for each word that a group covers, in order, and `n_places`.
    """
    # One place more than there are words, so that groups never touch.
    n_places = int(end.max(initial=0)) + 1
    low, high = group * n_places + start, group * n_places + end
    order = np.argsort(low, kind="stable")
    low, reach = low[order], np.maximum.accumulate(high[order])
    firsts = np.flatnonzero(np.append(True, low[1:] >= reach[:-1])[: len(low)])
    lasts = np.append(firsts[1:] - 1, len(low) - 1)[: len(firsts)]
    lengths = reach[lasts] - low[firsts]
    before = np.cumsum(lengths) - lengths
    return np.arange(lengths.sum()) + np.repeat(low[firsts] - before, lengths), n_places


def _hold_any(numbers: Ints, start: Ints, end: Ints) -> NDArray[np.bool_]:
    """Return for each range `start:end` whether it holds any of some numbers, given in order."""
    held: NDArray[np.bool_] = np.searchsorted(numbers, end) > np.searchsorted(numbers, start)
    return held
