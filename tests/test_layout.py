"""The layout of the package: layers, light folders, sizes, and tests that mirror the modules."""

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "gliner_distill"
RULE = (
    "cli > integrations | compat > serve > distillation | reproduction > training > evaluation "
    "> labeling > student | teacher | web > store > runtime | corpus > kernel | patterns "
    "| redaction | hub > base"
)
LAYERS = [layer.split(" | ") for layer in RULE.split(" > ")]
RANKS = {package: rank for rank, packages in enumerate(LAYERS) for package in packages}
FACADE = {SOURCE / "__init__.py", SOURCE / "__main__.py"}
MODULES = sorted(path for path in SOURCE.rglob("*.py") if path not in FACADE)
LIGHT_PACKAGES = (
    *("base", "kernel", "corpus", "runtime", "web", "patterns", "redaction", "hub", "evaluation"),
    *("compat", "cli"),
)
MOST_LINES = 400
MOST_MODULES = defaultdict(lambda: 13, {".": 16}, cli=20, distillation=15, runtime=24, teacher=15)

# Runs in a fresh process, in which importing any of the heavy packages fails.
WITHOUT_HEAVY_PACKAGES = """
import importlib, sys

HEAVY = {
    *("torch", "gliner", "pyarrow", "matplotlib", "transformers", "accelerate", "jinja2"),
    *("filelock", "onnx", "onnxruntime", "ray"),
}

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in HEAVY:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
"""


def name_of(path):
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts)


def package_of(module):
    """Return the package of a dotted name below `gliner_distill`; flat modules are the base."""
    first, _, rest = module.partition(".")
    return first if rest or first in RANKS else "base"


def imports_of(path):
    """Yield the modules of ours that a file imports, also inside functions, with their lines."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            target = SOURCE / Path(*name.split(".")[1:])
            is_module = target.with_suffix(".py").is_file() or (target / "__init__.py").is_file()
            if name.startswith("gliner_distill.") and is_module:
                yield name.removeprefix("gliner_distill."), node.lineno


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_imports_only_its_own_package_and_lower_layers(path):
    package = package_of(name_of(path))
    for imported, line in imports_of(path):
        target = package_of(imported)
        is_allowed = target == package or RANKS[target] > RANKS[package]
        assert is_allowed, f"{path.name}:{line} imports {imported}, which is not below {package}"


@pytest.mark.slow
def test_modules_form_no_import_circle():
    graph = {name_of(path): {name for name, _ in imports_of(path)} for path in MODULES}
    packages = {name.removesuffix(".__init__") for name in graph if name.endswith("__init__")}
    ordered = set()
    while ready := {
        name
        for name, imported in graph.items()
        if name not in ordered and imported - packages - {name} <= ordered
    }:
        ordered |= ready
    assert set(graph) - ordered == set()


def test_contributing_states_the_import_rule_in_one_line():
    assert RULE in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_has_at_most_400_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_folders_hold_about_a_dozen_modules():
    counts = defaultdict(int)
    for path in MODULES:
        counts[path.parent.relative_to(SOURCE).as_posix()] += path.name != "__init__.py"
    too_many = {folder: n for folder, n in counts.items() if n > MOST_MODULES[folder]}
    assert too_many == {}


@pytest.mark.slow
def test_light_packages_import_without_torch_and_pyarrow():
    """In one process; the message of a failed import names the module."""
    names = [name_of(path) for path in MODULES if package_of(name_of(path)) in LIGHT_PACKAGES]
    assert {package_of(name) for name in names} == set(LIGHT_PACKAGES)
    imports = "\n".join(
        f"importlib.import_module('gliner_distill.{name.removesuffix('.__init__')}')"
        for name in names
    )
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_HEAVY_PACKAGES + imports],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_test_files_mirror_the_modules():
    folders = {
        path.parent.relative_to(SOURCE).as_posix() for path in MODULES if path.name == "__init__.py"
    }
    strays = [
        test.relative_to(ROOT).as_posix()
        for folder in sorted(folders)
        for test in (ROOT / "tests" / folder).glob("test_*.py")
        if not (SOURCE / folder / test.name.removeprefix("test_")).is_file()
    ]
    assert strays == []
