"""The page on errors: a section for each class, and messages that the source contains."""

import ast
import re
from pathlib import Path

import pytest

import gliner_distill
from gliner_distill import errors

PAGE = Path(__file__).resolve().parents[2] / "docs" / "troubleshooting.md"
SOURCE = Path(gliner_distill.__file__).parent

pytestmark = pytest.mark.skipif(
    not PAGE.is_file(), reason="the docs are in the repository, not in the package"
)


def messages():
    """Return the messages in plain blocks of the page."""
    return re.findall(r"^```text\n(.*)\n```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


def patterns():
    """Yield an expression and the number of its literal characters for each text with blanks."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if is_literal(part) else None for part in node.values]
                expression = "".join(".+" if part is None else re.escape(part) for part in parts)
                yield re.compile(expression), sum(len(part or "") for part in parts)


def is_literal(node):
    return isinstance(node, ast.Constant)


def test_page_has_a_section_for_each_error():
    classes = {name for name in vars(errors) if name.endswith("Error")}
    headings = re.findall(r"^## (\w+Error)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(headings) == len(set(headings))
    assert set(headings) == classes


@pytest.mark.slow
def test_messages_of_the_page_are_those_of_the_program():
    known = list(patterns())
    assert len(messages()) > 6
    for message in messages():
        assert any(
            pattern.fullmatch(message) and n_literal > len(message) / 4
            for pattern, n_literal in known
        ), message
