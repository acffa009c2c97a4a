"""The README and the docs: their Python examples, their links, and the length of the README."""

import ast
import re
from pathlib import Path

import pytest

import gliner_distill

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = (
    *(
        "bench",
        "distill",
        "evaluate",
        "export",
        "inspect",
        "label",
        "label_studio",
        "predict",
        "redact",
        "reproduce",
    ),
    *("serve", "train"),
)
README = ROOT / "README.md"
MAX_RESOURCE_BYTES = 25_000_000
# What a page says as long as the package must be installed from a clone.
BEFORE_PUBLISHING = re.compile(
    r"pip install \.|pip install [^\n`]*'\.\[|from a clone|clone\[|ADDRESS gliner-distill"
    r"|write `\.` for|not published|been published|is run in the clone"
)
DOCS = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/**/*.md"))]


def python_blocks(path):
    return re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def anchors_of(path):
    """Return the anchors of a Markdown file's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_python_examples_import_public_names_alone(path):
    for block in python_blocks(path):
        imported = {
            alias.name
            for node in ast.walk(ast.parse(block))
            if isinstance(node, ast.ImportFrom) and node.module == "gliner_distill"
            for alias in node.names
        }
        assert imported or path.parent.name in ("integrations", "tutorials")
        assert imported <= set(gliner_distill.__all__)


def test_readme_quick_start_prints_what_its_comments_say(capsys):
    block = python_blocks(README)[0]
    expected = [line[2:] for line in block.splitlines() if line.startswith("# ")]
    exec(compile(block, "README.md", "exec"), {})
    assert expected
    assert capsys.readouterr().out.splitlines() == expected


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_lead_to_files_and_headings(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        assert target.exists(), link
        if anchor:
            assert anchor in anchors_of(target), link


def test_contributing_lists_every_module_of_every_package():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    source = Path(gliner_distill.__file__).parent
    folders = {"base": source} | {
        path.parent.relative_to(source).as_posix(): path.parent for path in source.rglob("*/*.py")
    }
    commands = {path.stem for path in (source / "cli").glob("*.py")} & set(COMMANDS)
    for package, folder in folders.items():
        entry = re.search(
            rf"^- `?{package}`?: (.*?)(?=^- |^$)", text, flags=re.MULTILINE | re.DOTALL
        )
        modules = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("__")}
        assert entry, package
        listed = set(re.findall(r"`(\w+)`", entry[1]))
        assert listed == modules - (commands if package == "cli" else set()), package


def test_readme_has_at_most_150_lines():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


def test_readme_has_the_size_of_what_the_package_ships():
    root = Path(gliner_distill.__file__).parent
    resources = root / "resources"
    parts = {
        "the bundled student": [resources / "bundled_student"],
        "a sample": [resources / "sample"],
        "JavaScript modules": [root / "web" / "npm"],
        "pages and templates": [resources / "page", resources / "templates"],
    }
    expected = {
        name: f"{sum(count_bytes(folder) for folder in folders) / 1e6:.1f}"
        for name, folders in parts.items()
    }
    section = README.read_text(encoding="utf-8").split("The package includes:")[1].split("## ")[0]
    assert dict(re.findall(r"^\| ([^|]+?) \| ([\d.]+) \|", section, re.MULTILINE)) == expected


def count_bytes(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_contributing_names_every_file_that_changes_when_the_package_is_published():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split("## What a public host needs")[1].split("\n## ")[0]
    pages = [README, *ROOT.glob("docs/**/*.md"), *ROOT.glob("notebooks/*.ipynb")]
    changing = {
        path.relative_to(ROOT).as_posix()
        for path in (*pages, *ROOT.glob("examples/**/*.md"))
        if path.name != "LOG.md" and BEFORE_PUBLISHING.search(path.read_text(encoding="utf-8"))
    }
    assert changing
    assert {name for name in changing if name not in section} == set()


def test_results_have_the_size_of_every_file_that_the_package_ships():
    root = Path(gliner_distill.__file__).parent / "resources"
    sizes = {
        path.relative_to(root).as_posix(): path.stat().st_size
        for path in root.rglob("*")
        if path.is_file()
    }
    sizes["kernel.wasm"] = (root.parent / "web" / "npm" / "kernel.wasm").stat().st_size
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    section = text.split("## Files in the package")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `?([^`|]+?)`? \| ([\d,]+) \|$", section, flags=re.MULTILINE)
    listed = {name: int(n_bytes.replace(",", "")) for name, n_bytes in rows}
    assert listed == sizes | {"total": sum(sizes.values())}
    assert listed["total"] <= MAX_RESOURCE_BYTES
