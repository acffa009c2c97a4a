"""The shared library of the kernel, and the checks before an array is passed to it."""

import ctypes
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

VERSION: Final = 3
"""The version of the library's functions, as in `kernel.c`."""


def load_library(file: Path) -> Any:
    """Load the library and declare its functions.

    Raises:
        OSError: It cannot be loaded, or it was compiled from another version of the source.
    """
    library = ctypes.CDLL(str(file))
    # An editable installation keeps its compiled library when the source changes.
    if not hasattr(library, "gd_version") or library.gd_version() != VERSION:
        raise OSError("it was compiled from another version of the package")
    pointer, number = ctypes.c_void_p, ctypes.c_int32
    for name, result, arguments in (
        ("gd_has_path", number, (number,)),
        ("gd_packed_bytes", ctypes.c_int64, (number, number, number, number)),
        ("gd_pack", None, (number, number, pointer, number, number, pointer, pointer)),
        (
            "gd_dense",
            number,
            (number, number, pointer, pointer, pointer, ctypes.c_int64, pointer),
        ),
        ("gd_read", number, (pointer, pointer, pointer, pointer, number, pointer)),
        ("gd_compare_pairs", None, (number, *[pointer] * 4, ctypes.c_int64, number, pointer)),
        (
            "gd_find",
            ctypes.c_int64,
            (pointer, pointer, pointer, number, pointer, pointer, pointer, ctypes.c_int64),
        ),
        ("gd_logistic", None, (pointer, ctypes.c_int64, pointer)),
        (
            "gd_compare",
            None,
            (number, pointer, ctypes.c_int64, pointer, ctypes.c_int64, number, pointer),
        ),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def check_array(array: NDArray[Any], dtype: Any, shape: tuple[int, ...]) -> None:
    """Raise a `ValueError` if an array has another type or shape, or gaps in memory."""
    if array.dtype != dtype or array.shape != shape or not array.flags.c_contiguous:
        raise ValueError(
            f"an array has the type {array.dtype} and the shape {array.shape}; expected "
            f"{np.dtype(dtype)}, {shape}, without gaps"
        )


def pointer_to(array: NDArray[Any] | None, dtype: Any, shape: tuple[int, ...]) -> int | None:
    """Return the address of an array after `check_array`; None for no array."""
    if array is None:
        return None
    check_array(array, dtype, shape)
    return array.ctypes.data


def check_memory(failed: int) -> None:
    """Raise a `MemoryError` if a function has failed."""
    if failed:
        raise MemoryError("the kernel could not allocate its buffers")
