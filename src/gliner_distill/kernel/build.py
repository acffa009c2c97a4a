"""Compile the kernel with the C compiler of this machine, or with that of the package ziglang.

It is run when the package is built or installed, so it imports nothing of the package.
"""

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

FLAGS = (
    "-O3",
    "-std=gnu11",
    "-shared",
    "-fPIC",
    "-fvisibility=hidden",
    "-fno-strict-aliasing",
    # A fused multiplication and addition rounds once instead of twice, which changes numbers.
    "-ffp-contract=off",
    "-fno-fast-math",
    "-Wno-psabi",
)
SUFFIXES = {"darwin": ".dylib", "win32": ".dll"}


def library_name() -> str:
    """Return the file name of the compiled kernel on this system."""
    return "_kernel" + SUFFIXES.get(sys.platform, ".so")


def find_compilers() -> list[list[str]]:
    """Return the commands of the C compilers of this machine that may build the kernel."""
    named = os.environ.get("CC")
    if named:
        return [shlex.split(named)]
    # Microsoft's compiler lacks the attributes that the kernel needs.
    names = ("clang", "gcc") if sys.platform == "win32" else ("cc", "gcc", "clang")
    return [[found] for found in map(shutil.which, names) if found]


def compile_with_any(folder: Path) -> Path:
    """Compile the kernel with the first compiler that can; return the shared library.

    Raises:
        RuntimeError: A compiler is missing, or each one fails; the message has their output.
    """
    compilers = find_compilers()
    if importlib.util.find_spec("ziglang"):
        compilers.append([sys.executable, "-m", "ziglang", "cc"])
    failures = []
    for compiler in compilers:
        try:
            return compile_kernel(folder, compiler)
        except RuntimeError as error:
            failures.append(str(error))
    raise RuntimeError("\n".join(failures) or "this machine has no C compiler")


def compile_kernel(folder: Path, compiler: list[str], *flags: str) -> Path:
    """Compile `kernel.c` in a folder; return the shared library beside it.

    Raises:
        RuntimeError: The compiler fails; the message has its output.
    """
    target = folder / library_name()
    written = target.with_name(f".{os.getpid()}.{target.name}")
    command = [*compiler, *FLAGS, *flags, str(folder / "kernel.c"), "-o", str(written)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        written.unlink(missing_ok=True)
        raise RuntimeError(f"{shlex.join(command)} failed:\n{done.stderr[-2000:]}")
    written.replace(target)
    return target
