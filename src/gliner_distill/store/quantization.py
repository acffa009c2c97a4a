"""Two ways to keep probabilities as one byte each.

Both cut [0, 1] into bins whose borders are multiples of 1/256, and keep the number of the bin.
`UNIFORM` has 256 bins of equal width, so a value that is read back is at most 1/512 off. `COMPACT`
has the same bins for probabilities of 1/8 or more, but only three below: [0, 8), [8, 16) and [16,
32) 256ths. Nine in ten of a GLiNER's probabilities lie there, and telling them apart takes most of
the space. Thresholds from 1/8 up separate the bins of both in the same way. This module needs numpy
alone.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

_RESOLUTION: Final = 256


@dataclass(frozen=True, slots=True)
class Quantizer:
    """A way to keep probabilities as bytes.

    Attributes:
        name: The name in the manifest of a store.
        borders: The borders of the bins in 256ths, ascending from 0 to 256.
        values: The value in [0, 1] that the probabilities of each bin are read back as.
    """

    name: str
    borders: tuple[int, ...]
    values: tuple[float, ...]
    _bin_of: NDArray[np.uint8] = field(init=False, repr=False, compare=False)
    _value_of: NDArray[np.float32] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        widths = np.diff(self.borders)
        bins = np.repeat(np.arange(len(widths), dtype=np.uint8), widths)
        object.__setattr__(self, "_bin_of", bins)
        object.__setattr__(self, "_value_of", np.array(self.values, dtype=np.float32))

    def encode(self, probs: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Return the bin of each probability, in the same shape.

        >>> UNIFORM.encode(np.array([0.0, 0.5, 1.0])).tolist()
        [0, 128, 255]
        >>> COMPACT.encode(np.array([0.0, 0.05, 0.5, 1.0])).tolist()
        [0, 1, 99, 226]
        """
        parts = np.clip(np.floor(probs * float(_RESOLUTION)), 0, _RESOLUTION - 1)
        bins: NDArray[np.uint8] = self._bin_of[parts.astype(np.uint8)]
        return bins

    def decode(self, bins: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the value of each bin, in the same shape.

        Raises:
            ValueError: A bin has a higher number than the last one.

        >>> float(UNIFORM.decode(np.array([0], dtype=np.uint8))[0]) * 512
        1.0
        """
        if bins.size and int(bins.max()) >= len(self.values):
            raise ValueError(f"bin {int(bins.max())}, but {self.name} has {len(self.values)} bins")
        return self._value_of[bins]

    def encode_scores(self, probs: NDArray[np.floating]) -> bytes:
        """Return the probabilities of a passage as a row of a store's `scores` column.

        The row has three planes of bins, each in C order of `(words, labels)`: start; end; and the
        distance of inside above the larger of the two, modulo 256. The inside probability of a
        span GLiNER mostly equals one of the others, so the last plane is mostly zeros and
        compresses well.

        Args:
            probs: Shape `(words, labels, 3)`.
        """
        start, end, inside = np.moveaxis(self.encode(probs), -1, 0)
        return np.stack([start, end, inside - np.maximum(start, end)]).tobytes()

    def decode_scores(self, scores: bytes, n_words: int, n_labels: int) -> NDArray[np.float32]:
        """Return the probabilities of a row of the `scores` column, shape `(words, labels, 3)`.

        Raises:
            ValueError: The row has another length, or holds a number that is not a bin.
        """
        planes = np.frombuffer(scores, dtype=np.uint8).reshape(3, n_words, n_labels)
        start, end, above = planes
        return self.decode(np.stack([start, end, above + np.maximum(start, end)], axis=-1))


def _middles(borders: tuple[int, ...]) -> tuple[float, ...]:
    middles = (np.array(borders[1:]) + np.array(borders[:-1])) / (2 * _RESOLUTION)
    return tuple(middles.tolist())


_FINE = tuple(range(_RESOLUTION + 1))
_COARSE = (0, 8, 16, *range(32, _RESOLUTION + 1))

UNIFORM = Quantizer("uniform", _FINE, _middles(_FINE))
"""256 bins of equal width."""

# The values of the three wide bins are the means of a GLiNER's probabilities in them, on the
# training split of the sample. They lie below the centers of the bins, since small probabilities
# are more common.
COMPACT = Quantizer("compact", _COARSE, (0.0088, 0.0446, 0.0888, *_middles(_COARSE)[3:]))
"""The bins of `UNIFORM` for 1/8 or more, and three wide bins below; a good default."""

QUANTIZERS: Final = {quantizer.name: quantizer for quantizer in (COMPACT, UNIFORM)}
"""The quantizers by name."""
