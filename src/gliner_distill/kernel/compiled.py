"""The kernel in C, called through ctypes, which lets other threads of Python run meanwhile."""

import ctypes
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gliner_distill.kernel.library import check_array, check_memory, load_library
from gliner_distill.kernel.networks import (
    FLOAT,
    INPUT_STEP,
    OUTPUT_STEP,
    SHORT,
    Direction,
    Network,
    Product,
    SpanSearch,
    make_product,
)
from gliner_distill.kernel.searches import CompiledSearch

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]

PATHS: Final = {"portable": 0, "avx2": 1, "vnni": 2, "neon": 3, "wasm": 4}
"""The numbers of the paths, as in `kernel.c`; later ones are faster."""

MOST_WINDOWS: Final = 96
"""The most windows that `read` takes at once."""

_ALIGNMENT = 64
# Logits and what `logistic` returns for them.
_PROBABILITIES: Final = {-3.5: 0.02931223064661026, 0.75: 0.6791787147521973}


class _Product(ctypes.Structure):
    _fields_ = (
        ("weights", ctypes.c_void_p),
        ("scales", ctypes.c_void_p),
        ("starts", ctypes.c_void_p),
        ("n_in", ctypes.c_int32),
        ("n_out", ctypes.c_int32),
    )


class _Direction(ctypes.Structure):
    _fields_ = (("input", _Product), ("state", _Product), ("bias", ctypes.c_void_p))


class _Network(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int32) for name in ("path", "kind", "n_layers", "n_directions")),
        *((name, ctypes.c_int32) for name in ("n_units", "n_columns")),
        ("directions", ctypes.c_void_p),
        ("tower", _Product),
    )


class CompiledKernel:
    """The kernel in C on one path; safe to share by threads.

    Args:
        file: The shared library.
        path: The name of a path; None for the fastest one of this machine.

    Raises:
        OSError: The library cannot be loaded.
        ValueError: This machine or this library lacks the path, or the library was compiled with
            options that change numbers.
    """

    def __init__(self, file: Path, path: str | None = None) -> None:
        library = load_library(file)
        self._library = library
        usable = [name for name, code in PATHS.items() if library.gd_has_path(code)]
        if path is not None and path not in usable:
            raise ValueError(f"this machine has the paths {', '.join(usable)}, but not {path}")
        self.paths = tuple(usable)
        self.name = path or usable[-1]
        self._path = PATHS[self.name]
        self._check_arithmetic()

    def load_product(self, product: Product, bias: Floats) -> "CompiledProduct":
        """See `NumpyKernel.load_product`."""
        return CompiledProduct(self, self._library, self._path, product, bias)

    def pack(self, product: Product, kind: int) -> "_Packed":
        """Return a product in the order in which this path reads it."""
        n_out, n_in = product.weights.shape
        weights = np.ascontiguousarray(product.weights)
        packed = _aligned(self._library.gd_packed_bytes(self._path, kind, n_in, n_out))
        starts = np.zeros(n_out, np.int32)
        self._library.gd_pack(
            self._path,
            kind,
            weights.ctypes.data,
            n_in,
            n_out,
            packed.ctypes.data,
            starts.ctypes.data,
        )
        return _Packed(product, packed, starts)

    def load(self, network: Network) -> "CompiledNetwork":
        """See `NumpyKernel.load`."""
        return CompiledNetwork(self, self._library, self._path, network)

    def load_search(self, search: SpanSearch) -> "CompiledSearch":
        """Return a search that is ready to find spans."""
        return CompiledSearch(self._library, self._path, search)

    def compare(self, words: Floats, labels: Floats) -> Floats:
        """See `NumpyKernel.compare`."""
        width = words.shape[1]
        check_array(words, np.float32, (len(words), width))
        check_array(labels, np.float32, (len(labels), width))
        if width % INPUT_STEP:
            raise ValueError(f"the width {width} is not a multiple of {INPUT_STEP}")
        out = np.empty((len(labels), len(words)), np.float32)
        self._library.gd_compare(
            self._path,
            words.ctypes.data,
            len(words),
            labels.ctypes.data,
            len(labels),
            width,
            out.ctypes.data,
        )
        return out

    def compare_pairs(
        self, words: Floats, labels: Floats, word_of: Longs, label_of: Longs
    ) -> Floats:
        """See `NumpyKernel.compare_pairs`."""
        width = words.shape[1]
        check_array(words, np.float32, (len(words), width))
        check_array(labels, np.float32, (len(labels), width))
        for places, end in ((word_of, len(words)), (label_of, len(labels))):
            check_array(places, np.int64, (len(word_of),))
            if len(places) and not 0 <= places.min() <= places.max() < end:
                raise ValueError(f"a pair lies outside of the {end} rows")
        out = np.empty(len(word_of), np.float32)
        self._library.gd_compare_pairs(
            self._path,
            words.ctypes.data,
            labels.ctypes.data,
            word_of.ctypes.data,
            label_of.ctypes.data,
            len(word_of),
            width,
            out.ctypes.data,
        )
        return out

    def logistic(self, logits: Floats) -> Floats:
        """See `NumpyKernel.logistic`."""
        logits = np.ascontiguousarray(logits, np.float32)
        out = np.empty_like(logits)
        self._library.gd_logistic(logits.ctypes.data, logits.size, out.ctypes.data)
        return out

    def _check_arithmetic(self) -> None:
        """Check a product and probabilities whose bits are known.

        A fused multiplication and addition would not round the square below, and a compiler that
        treats numbers as if they were exact would remove the rounding inside of `logistic`.
        """
        one, more = np.float32(1), np.float32(1 + 2**-12)
        row, weights = np.zeros((2, INPUT_STEP), np.float32)
        row[:2], weights[:2] = (-one, more), (one, more)
        product = make_product(np.tile(weights, (OUTPUT_STEP, 1)), FLOAT)
        loaded = self.load_product(product, np.zeros(OUTPUT_STEP, np.float32))
        is_exact = (loaded.multiply(row[None]) == np.float32(2**-11)).all()
        probs = self.logistic(np.array(list(_PROBABILITIES), np.float32)).tolist()
        if not is_exact or probs != list(_PROBABILITIES.values()):
            raise ValueError(
                "it was compiled with options that change numbers, such as -ffast-math or "
                "-ffp-contract=fast; compile it with the options in kernel/build.py"
            )


class _Packed:
    """A packed product, which owns the memory to which its structure points."""

    def __init__(self, product: Product, packed: NDArray[Any], starts: Ints) -> None:
        n_out, n_in = product.weights.shape
        self._kept = product, packed, starts
        self.structure = _Product(
            packed.ctypes.data, product.scales.ctypes.data, starts.ctypes.data, n_in, n_out
        )


class CompiledProduct:
    """A product that the kernel in C computes."""

    def __init__(
        self, kernel: CompiledKernel, library: Any, path: int, product: Product, bias: Floats
    ) -> None:
        is_float = product.weights.dtype == np.float32
        self._kind = FLOAT if is_float else SHORT
        self._dtype: Any = np.float32 if is_float else np.int16
        self._library, self._path = library, path
        self._n_out, self._n_in = product.weights.shape
        check_array(bias, np.float32, (self._n_out,))
        self._bias, self._packed = bias, kernel.pack(product, self._kind)

    def multiply(self, rows: NDArray[Any]) -> Floats:
        """See `NumpyProduct.multiply`."""
        check_array(rows, self._dtype, (len(rows), self._n_in))
        out = np.empty((len(rows), self._n_out), np.float32)
        check_memory(
            self._library.gd_dense(
                self._path,
                self._kind,
                ctypes.byref(self._packed.structure),
                self._bias.ctypes.data,
                rows.ctypes.data,
                len(rows),
                out.ctypes.data,
            )
        )
        return out


class CompiledNetwork:
    """A network that the kernel in C computes."""

    def __init__(self, kernel: CompiledKernel, library: Any, path: int, network: Network) -> None:
        self._library, self._network = library, network
        self._kept: list[_Packed] = []

        def pack(product: Product | None) -> _Product:
            if product is None:
                return _Product()
            self._kept.append(kernel.pack(product, network.kind))
            return self._kept[-1].structure

        def direction(one: Direction) -> _Direction:
            return _Direction(pack(one.input), pack(one.state), one.bias.ctypes.data)

        directions = [direction(one) for layer in network.layers for one in layer]
        self._directions = (_Direction * len(directions))(*directions)
        self._structure = _Network(
            path,
            network.kind,
            len(network.layers),
            network.n_directions,
            network.n_units,
            network.n_columns,
            ctypes.addressof(self._directions),
            pack(network.tower),
        )

    def read(self, table: Floats, rows: Ints, lengths: Ints) -> Floats:
        """See `NumpyNetwork.read`; there may be at most 96 windows."""
        check_array(table, np.float32, (len(table), self._network.n_columns))
        check_array(rows, np.int32, (int(lengths.sum()),))
        check_array(lengths, np.int32, (len(lengths),))
        if not 1 <= len(lengths) <= MOST_WINDOWS or (np.diff(lengths) > 0).any() or lengths[-1] < 1:
            raise ValueError(f"the lengths {lengths} are not 1 to {MOST_WINDOWS} falling ones")
        if rows.min() < 0 or rows.max() >= len(table):
            raise ValueError(f"a row lies outside of the table of {len(table)}")
        out = np.empty((len(rows), self._network.n_out), np.float32)
        check_memory(
            self._library.gd_read(
                ctypes.byref(self._structure),
                table.ctypes.data,
                rows.ctypes.data,
                lengths.ctypes.data,
                len(lengths),
                out.ctypes.data,
            )
        )
        return out


def _aligned(n_bytes: int) -> NDArray[np.uint8]:
    memory = np.zeros(n_bytes + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + n_bytes]
