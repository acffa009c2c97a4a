"""Compile the kernel to WebAssembly: `python -m gliner_distill.web.kernel_build`.

The result, `npm/kernel.wasm`, is in the repository, so that an installation needs no compiler for
it. The compiler is pinned, and gives the same bytes on every machine. The module holds the SHA-256
of the sources, by which a test sees that it is up to date.
"""

import hashlib
import importlib.metadata
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from gliner_distill.files import replace_file
from gliner_distill.kernel.build import WASM_FLAGS, ZIG

COMPILER: Final = "0.17.1"
"""The version of the package ziglang that compiles the kernel."""

KERNEL_FILE: Final = Path(__file__).parent / "npm" / "kernel.wasm"

_FOLDER = Path(__file__).parents[1] / "kernel"
_SOURCES = ("browser.c", "kernel.c", "paths.h")
_SECTION = b"gliner_distill.sources"


def compile_kernel() -> bytes:
    """Return the kernel as a WebAssembly module.

    Raises:
        RuntimeError: The package ziglang is missing or has another version, or the compiler fails.
    """
    try:
        found = importlib.metadata.version("ziglang")
    except importlib.metadata.PackageNotFoundError:
        found = None
    if found != COMPILER:
        raise RuntimeError(
            f"the package ziglang {COMPILER} compiles the kernel, and found is {found}; run "
            f"`pip install ziglang=={COMPILER}`"
        )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # The names of the files, without their folder, are all that the compiler sees.
        for source in _SOURCES:
            shutil.copy(_FOLDER / source, folder)
        command = [*ZIG, *WASM_FLAGS, "browser.c", "-o", "kernel.wasm"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the kernel does not compile:\n{done.stderr[-2000:]}")
        return (folder / "kernel.wasm").read_bytes() + _section(digest_sources().encode())


def digest_sources() -> str:
    """Return the SHA-256 of the sources of the kernel and of the version of the compiler."""
    contents = [(_FOLDER / name).read_bytes() for name in _SOURCES]
    return hashlib.sha256(b"\0".join([COMPILER.encode(), *contents])).hexdigest()


def digest_in(module: bytes) -> str:
    """Return the digest of the sources from which a module was compiled."""
    place = module.rindex(_SECTION) + len(_SECTION)
    return module[place:].decode()


def _section(content: bytes) -> bytes:
    """Return a section that only describes a WebAssembly module."""
    named = bytes([len(_SECTION)]) + _SECTION + content
    # All lengths are below 128, and take a single byte.
    return bytes([0, len(named)]) + named


if __name__ == "__main__":
    replace_file(KERNEL_FILE, compile_kernel())
