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

# A fused multiplication and addition rounds once instead of twice, which changes numbers.
EXACT_FLAGS = ("-std=gnu11", "-ffp-contract=off", "-fno-fast-math", "-fno-strict-aliasing")
FLAGS = ("-O3", *EXACT_FLAGS, "-shared", "-fPIC", "-fvisibility=hidden", "-Wno-psabi")
SUFFIXES = {"darwin": ".dylib", "win32": ".dll"}

ZIG = (sys.executable, "-m", "ziglang", "cc")
"""The command of the C compiler in the package ziglang."""

# WASI provides the memory functions; the module itself calls no function of its host.
WASM_FLAGS = (
    *("-target", "wasm32-wasi", "-msimd128", "-mexec-model=reactor", "-O3", *EXACT_FLAGS),
    *("-fvisibility=hidden", "-s", "-Wl,--export-dynamic"),
    *("-Wl,--export=malloc", "-Wl,--export=free"),
)


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

    The compilers are those of this machine and, if it is installed, the package ziglang.

    Raises:
        RuntimeError: No compiler is installed, or all of them fail; the message has their output.
    """
    compilers = find_compilers()
    if importlib.util.find_spec("ziglang"):
        compilers.append(list(ZIG))
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
    return _compile([*compiler, *FLAGS, *flags], folder / "kernel.c", folder / library_name())


def compile_wasm(folder: Path, target: Path) -> Path:
    """Compile `kernel.c` in a folder to WebAssembly with ziglang; return the module.

    The module has a single thread and needs WebAssembly's SIMD instructions. It exports its memory,
    `malloc`, `free`, `_initialize`, which has to be called first, and the functions of `kernel.c`.

    Raises:
        RuntimeError: The compiler fails or is missing; the message has its output.
    """
    return _compile([*ZIG, *WASM_FLAGS], folder / "kernel.c", target)


def _compile(command: list[str], source: Path, target: Path) -> Path:
    written = target.with_name(f".{os.getpid()}.{target.name}")
    command = [*command, str(source), "-o", str(written)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        written.unlink(missing_ok=True)
        raise RuntimeError(f"{shlex.join(command)} failed:\n{done.stderr[-2000:]}")
    written.replace(target)
    return target


if __name__ == "__main__":  # python build.py TARGET.wasm
    compile_wasm(Path(__file__).parent, Path(sys.argv[1]))
