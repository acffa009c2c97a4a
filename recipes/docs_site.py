"""A hook of MkDocs: links to files outside of docs/ work on the site as they do at the code host.

README.md becomes the home page. Every other file outside of docs/ that a page links to keeps its
path on the site; Markdown files become pages there. The build fails if a built page would load
anything from another server.
"""

import os
import re
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
DOCS: Final = ROOT / "docs"
HOME: Final = "index.md"
PAGES: Final = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
"""The pages outside of docs/ that are on the site even if no other page links to them."""

_LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
_CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)


# Below an item of a list, MkDocs wants four spaces where the code host takes two.
_INDENTED = re.compile(r"(?<=\n)  (?=\S)")
_RESOURCES = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*?\ssrc=["']?((?:https?:)?//[^"'\s>]+)"""
    r"""|<link\b(?=[^>]*\srel=["']?(?:stylesheet|icon|preload|preconnect|modulepreload))"""
    r"""[^>]*?\shref=["']?((?:https?:)?//[^"'\s>]+)"""
    r"""|(?:\burl\(|@import\s)\s*["']?((?:https?:)?//[^"')\s]+)"""
)


def on_files(files: Any, config: Any) -> Any:
    """Add the files outside of docs/ that are on the site."""
    from mkdocs.structure.files import File

    for path in sorted(outside_files()):
        files.append(File.generated(config, site_uri(path), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Return the text of a page as the site needs it."""
    parts = _CODE.split(markdown)
    parts[::2] = (_INDENTED.sub("    ", part) for part in parts[::2])
    folder = Path(page.file.src_uri).parent
    return rewrite_links("".join(parts), Path(page.file.abs_src_path), folder)


def on_post_build(config: Any) -> None:
    """Check the built site.

    Raises:
        PluginError: A page or a style sheet would load something from another server.
    """
    from mkdocs.exceptions import PluginError

    folder = Path(config["site_dir"])
    for path in sorted([*folder.rglob("*.html"), *folder.rglob("*.css")]):
        if addresses := external_resources(path.read_text("utf-8")):
            name = path.relative_to(folder)
            raise PluginError(f"{name} loads {', '.join(addresses)} from another server")


def external_resources(text: str) -> list[str]:
    """Return the addresses that a browser would load for a page or a style sheet.

    >>> external_resources('<a href="https://a.org">a</a> <img src="https://b.org/b.png">')
    ['https://b.org/b.png']
    """
    # In the text of a page, quotes and angle brackets are escaped, so no tag of it is found.
    return [next(filter(None, found)) for found in _RESOURCES.findall(text)]


def rewrite_links(markdown: str, path: Path, folder: Path) -> str:
    """Return Markdown whose relative links are those of the site.

    Args:
        markdown: The text of the page.
        path: The file of the page in the repository.
        folder: The folder of the page on the site.
    """

    def rewrite(link: re.Match[str]) -> str:
        target = _target(path, link[2])
        if target is None:
            return link[0]
        return f"{link[1]}{os.path.relpath(site_uri(target), folder)}{link[3]}"

    parts = _CODE.split(markdown)
    return "".join(
        part if place % 2 else _LINK.sub(rewrite, part) for place, part in enumerate(parts)
    )


def site_uri(target: Path) -> str:
    """Return the path on the site of a file in the repository.

    >>> site_uri(DOCS / "runtime.md"), site_uri(ROOT / "README.md")
    ('runtime.md', 'index.md')
    """
    if target.is_relative_to(DOCS):
        return target.relative_to(DOCS).as_posix()
    name = target.relative_to(ROOT).as_posix()
    return HOME if name == "README.md" else name


def outside_files() -> set[Path]:
    """Return `PAGES` and the files outside of docs/ that pages link to, one after the other."""
    pages, found = [*DOCS.rglob("*.md"), *(ROOT / name for name in PAGES)], set[Path]()
    while pages:
        path = pages.pop()
        if not path.is_relative_to(DOCS):
            found.add(path)
        text = _CODE.sub("", path.read_text("utf-8"))
        targets = {_target(path, link[2]) for link in _LINK.finditer(text)} - {None, *found}
        outside = {target for target in targets if target and not target.is_relative_to(DOCS)}
        found |= outside
        pages += [target for target in outside if target.suffix == ".md"]
    return found


def _target(path: Path, link: str) -> Path | None:
    """Return the file in the repository that a link leads to; None for an address or a mistake."""
    if "://" in link or link.startswith(("/", "mailto:")):
        return None
    target = (path.parent / link).resolve()
    return target if target.is_file() and target.is_relative_to(ROOT) else None
