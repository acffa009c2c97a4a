"""Libraries that are not the kernel, or not of this version."""

import ctypes.util

import pytest

from gliner_distill.kernel.library import load_library


def test_load_library_refuses_one_of_another_version():
    name = ctypes.util.find_library("m") or ctypes.util.find_library("c")
    if name is None:
        pytest.skip("there is no library to load")
    with pytest.raises(OSError, match="another version"):
        load_library(name)
