"""The versions of dependencies and of the package itself, wherever a file names them."""

import re
import tomllib
from pathlib import Path

import pytest

import gliner_distill

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def lower_bounds(requirements):
    """Return the lower bound of each requirement, by the name in lower case."""
    found = [re.match(r"([\w.-]+)(?:\[\w+\])?>=([\d.]+)", text) for text in requirements]
    assert all(found), requirements
    return {match[1].lower(): match[2] for match in found}


def pinned_versions(name):
    """Return the version of each package in a constraints file."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {package.lower(): version for package, version in pairs}


def same_version(bound, version):
    """Return whether two versions are equal apart from zeros at the end."""
    ours, theirs = ([int(part) for part in text.split(".")] for text in (bound, version))
    n_parts = max(len(ours), len(theirs))
    return ours + [0] * (n_parts - len(ours)) == theirs + [0] * (n_parts - len(theirs))


def test_constraints_lowest_holds_the_lower_bounds_of_the_base_install():
    bounds, pinned = (
        lower_bounds(PROJECT["dependencies"]),
        pinned_versions("constraints-lowest.txt"),
    )
    assert pinned.keys() == bounds.keys()
    differing = {name for name in bounds if not same_version(bounds[name], pinned[name])}
    assert differing == set()


def test_lock_pins_what_the_other_files_pin_and_has_a_hash_for_each_package():
    text = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
    assert "://" not in text
    entries = re.findall(r"^([\w.-]+)==(\S+)(.*?)(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    assert len(entries) > 50
    assert all("--hash=sha256:" in rest for _, _, rest in entries)
    locked = {name.lower(): version for name, version, _ in entries}
    assert "torch" not in locked
    exact = dict(re.findall(r"^([\w.-]+)==([\d.]+)$", "\n".join(EXTRAS["dev"]), re.MULTILINE))
    expected = exact | {
        name: version
        for name, version in pinned_versions("constraints.txt").items()
        if name in locked
    }
    assert {name: locked.get(name.lower()) for name in expected} == expected


@pytest.mark.parametrize("extra", ["train", "onnx", "ray", "gliner2", "llm"])
def test_lower_bounds_of_the_extras_are_the_versions_that_the_tests_run_with(extra):
    bounds, pinned = lower_bounds(EXTRAS[extra]), pinned_versions("constraints.txt")
    differing = {name for name in bounds if not same_version(bounds[name], pinned[name])}
    assert differing == set()


def test_changelog_and_citation_name_the_version_of_the_package_and_one_date():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", changelog, flags=re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    newest = re.fullmatch(r"\[([\d.]+)\] - (\d{4}-\d\d-\d\d)", headings[1])
    assert newest, headings[1]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    cited = dict(re.findall(r"^(version|date-released): (\S+)$", citation, flags=re.MULTILINE))
    assert newest[1] == gliner_distill.__version__ == cited["version"]
    assert newest[2] == cited["date-released"]


def test_get_started_lists_every_extra_with_its_packages():
    page = (ROOT / "docs" / "get_started.md").read_text(encoding="utf-8")
    section = page.split("## Extras")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `([\w-]+)` \| (.+?) \|", section, flags=re.MULTILINE))
    listed = {name: set(re.findall(r"`([\w-]+)`", cell)) for name, cell in rows.items()}
    for_developers = re.search(r"^The extras (.+?) are\s+for people", section, flags=re.MULTILINE)
    assert for_developers
    others = set(re.findall(r"`([\w-]+)`", for_developers[1]))
    assert {*listed, *others} == set(EXTRAS)
    assert not listed.keys() & others
    assert listed == {name: required_packages(name) for name in listed}


def required_packages(extra):
    """Return the packages that an extra asks for, and the names of extras that it includes."""
    own, others = set(), set()
    for requirement in EXTRAS[extra]:
        name, included = re.match(r"([\w-]+)(?:\[([\w,-]+)\])?", requirement).groups()
        if name == PROJECT["name"]:
            others.update(included.split(","))
        else:
            own.add(name)
    return own | others
