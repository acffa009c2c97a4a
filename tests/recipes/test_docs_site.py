"""The hook of the docs site: links out of docs/, and addresses that a page would load."""

import importlib
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

import gliner_distill

ROOT = Path(__file__).resolve().parents[2]
RECIPES, DOCS, README = ROOT / "recipes", ROOT / "docs", ROOT / "README.md"

pytestmark = pytest.mark.skipif(
    not RECIPES.is_dir(), reason="the recipes are in the repository, not in the package"
)


@pytest.fixture(scope="module")
def hook():
    """The module of the hook."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPES))
        return importlib.import_module("docs_site")


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("docs/runtime.md", "store.md#label", "store.md#label"),
        ("docs/runtime.md", "../README.md", "index.md"),
        ("docs/runtime.md", "../CONTRIBUTING.md#layout", "CONTRIBUTING.md#layout"),
        ("docs/tutorials/README.md", "../../SECURITY.md", "../SECURITY.md"),
        ("README.md", "docs/runtime.md#speed", "runtime.md#speed"),
        ("README.md", "docs/speed.png", "speed.png"),
        ("README.md", "https://example.org/a.md", "https://example.org/a.md"),
        ("README.md", "no/such/file.md", "no/such/file.md"),
        ("README.md", "#install", "#install"),
    ],
)
def test_rewrite_links_gives_the_links_of_the_site(hook, page, link, expected):
    path = ROOT / page
    folder = Path(hook.site_uri(path)).parent
    assert hook.rewrite_links(f"a [b]({link}) c", path, folder) == f"a [b]({expected}) c"


def test_rewrite_links_leaves_code_alone(hook):
    text = "`[a](../README.md)`\n```\n[a](../README.md)\n```\n"
    assert hook.rewrite_links(text, DOCS / "runtime.md", Path()) == text


def test_text_below_an_item_of_a_list_is_indented_for_the_site(hook):
    page = SimpleNamespace(file=SimpleNamespace(abs_src_path=str(README), src_uri="index.md"))
    text = "- a `b`\n  c\n\n  | d |\n```\n  e\n```\n"
    expected = "- a `b`\n    c\n\n    | d |\n```\n  e\n```\n"
    assert hook.on_page_markdown(text, page, config={}, files=()) == expected


def test_outside_files_are_on_the_site_if_a_page_links_to_them(hook):
    names = {path.relative_to(ROOT).as_posix() for path in hook.outside_files()}
    assert {"README.md", "SECURITY.md", "examples/label_with_a_dictionary.py"} <= names
    # The card of the data set links to its license.
    assert {"dataset/README.md", "dataset/LICENSE"} <= names
    assert not any(name.startswith("docs/") for name in names)


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://a.org/x"></script>',
        "<img alt='a' src=//a.org/x>",
        '<link rel="stylesheet" href="https://a.org/x">',
        '<link href="https://a.org/x" rel="preconnect">',
        "body { background: url('https://a.org/x') }",
        '@import "https://a.org/x";',
    ],
)
def test_external_resources_are_found(hook, text):
    (address,) = hook.external_resources(text)
    assert address.endswith("//a.org/x")


@pytest.mark.parametrize(
    "text",
    [
        '<a href="https://a.org">a</a>',
        '<script src="assets/x.js"></script>',
        '<link rel="canonical" href="https://a.org">',
        "&lt;img src=&quot;https://a.org&quot;&gt;",
        "body { background: url('x.png') }",
    ],
)
def test_external_resources_are_not_links_or_files_of_the_site(hook, text):
    assert hook.external_resources(text) == []


def test_pages_of_the_python_reference_have_each_public_name_once():
    texts = [path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("api/*.md"))]
    named = [
        name for text in texts for name in re.findall(r"^::: gliner_distill\.(\w+)$", text, re.M)
    ]
    assert sorted(named) == [name for name in gliner_distill.__all__ if name != "__version__"]


def test_navigation_has_each_page_of_the_docs():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = set(re.findall(r"([\w/]+\.md)\b", text.split("\nnav:\n")[1]))
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert pages - listed == set()
