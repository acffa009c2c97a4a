"""The kernels that there are, and the choice of the one that a process uses."""

import logging
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from gliner_distill.errors import SettingsError
from gliner_distill.kernel.compiled import PATHS, CompiledKernel
from gliner_distill.kernel.networks import Network, Product, SpanSearch
from gliner_distill.kernel.oracle import NumpyKernel

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]

KERNEL_VARIABLE: Final = "GLINER_DISTILL_KERNEL"
"""The environment variable that names the kernel to use: `numpy`, or a path of `compiled`."""

_NUMPY = "numpy"
_FOLDER = Path(__file__).parent

_logger = logging.getLogger(__name__)


class LoadedNetwork(Protocol):
    """A network that is ready to read; see `oracle.NumpyNetwork`."""

    def read(self, table: Floats, rows: Ints, lengths: Ints) -> Floats:
        """Return the result for each word of some windows, shape `(words, outputs)`."""
        ...


class LoadedProduct(Protocol):
    """A product that is ready to multiply; see `oracle.NumpyProduct`."""

    def multiply(self, rows: NDArray[Any]) -> Floats:
        """Return `rows @ weights.T * scales + bias`, shape `(rows, outputs)`."""
        ...


class LoadedSearch(Protocol):
    """A search that is ready to find spans; see `compiled.CompiledSearch`."""

    def find(
        self, vectors: Floats, lengths: Ints, asked: Sequence[Ints] | None = None
    ) -> NDArray[Any] | None:
        """Return the entities of windows; None where there are too many candidates."""
        ...


class Kernel(Protocol):
    """The interface of both kernels; see `oracle.NumpyKernel`. All give the same numbers."""

    @property
    def name(self) -> str:
        """The name of the path, or `numpy`."""
        ...

    def load_product(self, product: Product, bias: Floats) -> LoadedProduct:
        """Return a product that is ready to multiply."""
        ...

    def load(self, network: Network) -> LoadedNetwork:
        """Return a network that is ready to read."""
        ...

    def load_search(self, search: SpanSearch) -> LoadedSearch | None:
        """Return a search that is ready to find spans; None where `decoding` does it."""
        ...

    def compare(self, words: Floats, labels: Floats) -> Floats:
        """Return the products of words with labels, shape `(labels, words)`."""
        ...

    def compare_pairs(
        self, words: Floats, labels: Floats, word_of: Longs, label_of: Longs
    ) -> Floats:
        """Return the products of single pairs, shape `(pairs,)`."""
        ...

    def logistic(self, logits: Floats) -> Floats:
        """Return the probabilities of logits, of the same shape."""
        ...


def find_library() -> Path | None:
    """Return the compiled kernel of this installation; None if there is none."""
    for name in ("_kernel.so", "_kernel.dylib", "_kernel.dll"):
        if (_FOLDER / name).is_file():
            return _FOLDER / name
    return None


@cache
def kernel_named(name: str | None) -> Kernel:
    """Return a kernel.

    Args:
        name: `numpy` or the name of a path; None for the fastest one.

    Raises:
        SettingsError: This installation or this machine has no such kernel.
    """
    if name is not None and name not in (_NUMPY, *PATHS):
        raise SettingsError(
            f"the kernel is {name!r}; expected {_NUMPY} or one of {', '.join(PATHS)}"
        )
    if name == _NUMPY:
        return NumpyKernel()
    file = find_library()
    try:
        if file is None:
            raise OSError("this installation was made without a C compiler")
        return CompiledKernel(file, name)
    except (OSError, ValueError) as error:
        if name is not None:
            raise SettingsError(f"the kernel {name!r} cannot be used: {error}") from error
        _logger.warning(
            "the compiled kernel cannot be used (%s), so numpy takes its place: the answers are "
            "the same, but about twenty times slower; install the package again with a C compiler",
            error,
        )
        return NumpyKernel()


def default_kernel() -> Kernel:
    """Return the kernel that the environment names, or else the fastest one.

    Raises:
        SettingsError: The environment names a kernel that does not exist here.
    """
    return kernel_named(os.environ.get(KERNEL_VARIABLE) or None)
