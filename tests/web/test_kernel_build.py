"""The kernel in WebAssembly: it belongs to the sources, and is compiled to the same bytes."""

import importlib.metadata

import pytest

from gliner_distill.web.kernel_build import (
    COMPILER,
    KERNEL_FILE,
    compile_kernel,
    digest_in,
    digest_sources,
)

MOST_BYTES = 200_000


def has_compiler():
    try:
        return importlib.metadata.version("ziglang") == COMPILER
    except importlib.metadata.PackageNotFoundError:
        return False


def test_kernel_was_compiled_from_the_sources_at_hand():
    module = KERNEL_FILE.read_bytes()
    assert module.startswith(b"\0asm")
    assert digest_in(module) == digest_sources(), "run `make wasm`"


def test_kernel_is_small():
    assert KERNEL_FILE.stat().st_size < MOST_BYTES


@pytest.mark.slow
def test_compile_kernel_gives_the_bytes_of_the_repository():
    if not has_compiler():
        pytest.skip(f"the package ziglang {COMPILER} is not installed")
    assert compile_kernel() == KERNEL_FILE.read_bytes()


def test_compile_kernel_names_the_package_that_it_needs():
    if has_compiler():
        pytest.skip(f"the package ziglang {COMPILER} is installed")
    with pytest.raises(RuntimeError, match=f"ziglang=={COMPILER}"):
        compile_kernel()
