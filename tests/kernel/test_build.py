"""The compilation of the kernel: the compilers that are tried, and what they make."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

import gliner_distill.kernel
from gliner_distill.kernel.build import compile_kernel, compile_with_any, find_compilers
from gliner_distill.kernel.compiled import CompiledKernel

SOURCES = ("kernel.c", "paths.h")


@pytest.fixture
def folder(tmp_path):
    for name in SOURCES:
        source = Path(gliner_distill.kernel.__file__).with_name(name)
        (tmp_path / name).write_bytes(source.read_bytes())
    return tmp_path


@pytest.mark.slow
def test_compile_with_any_makes_a_library_and_leaves_nothing_else(folder):
    if not find_compilers():
        pytest.skip("there is no C compiler")
    library = compile_with_any(folder)
    assert CompiledKernel(library).name
    assert {path.name for path in folder.iterdir()} == {library.name, *SOURCES}


def test_a_compiler_that_fails_is_named_with_its_output(folder, monkeypatch):
    monkeypatch.setenv("CC", "false --as-a-compiler")
    # Without the sources, no other compiler can build the kernel, either.
    for name in SOURCES:
        (folder / name).unlink()
    with pytest.raises(RuntimeError, match="false --as-a-compiler"):
        compile_with_any(folder)
    assert list(folder.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("flags", [("-ffast-math",), ("-mfma", "-ffp-contract=fast")], ids=str)
def test_a_library_whose_numbers_would_differ_is_refused(folder, flags):
    if not find_compilers():
        pytest.skip("there is no C compiler")
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("the options are those of x86")
    library = compile_kernel(folder, find_compilers()[0], "-O2", *flags)
    # In a process of its own, because a library of -ffast-math also changes how the processor
    # treats the smallest numbers, in the whole process.
    script = (
        "import sys; from gliner_distill.kernel.compiled import CompiledKernel; "
        "CompiledKernel(sys.argv[1], 'portable')"
    )
    command = [sys.executable, "-c", script, str(library)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "options that change numbers" in done.stderr.splitlines()[-1]


def test_find_compilers_takes_the_one_that_the_environment_names(monkeypatch):
    monkeypatch.setenv("CC", "ccache gcc")
    assert find_compilers() == [["ccache", "gcc"]]
