"""The prose of the project: docstrings, comments, help and docs in plain American English."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CODE = [
    path
    for folder in ("src", "recipes", "benchmarks", "examples", "tests")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
SHIPPED = [path for path in CODE if ROOT / "tests" not in path.parents]
DOCS = [
    path
    for pattern in (
        *("*.md", "docs/**/*.md", "dataset/*.md"),
        *("src/**/*.md", "src/**/*.j2", "recipes/*.jinja"),
    )
    for path in sorted(ROOT.glob(pattern))
]
OPENINGS = re.compile(r"(What|How|Of|Where|Whatever)\b")
TIMES = "(?:second|minute|hour)"
THINGS = (
    "(?:document|row|object|text|label|string|value|word|figure|job|file|array|list|distribution|"
    "teacher|probability|entity|batch)"
)
UNITS = (
    "(?:line|word|pair|passage|seed|text|document|label|worker|core|row|figure|set|entity|batch|"
    "piece|second)"
)
MARKS = {
    "a riddle for 'is not a'": r"\bis no\b(?! longer| more| less)",
    "'cannot be had'": r"\bcannot be had\b",
    "'goes on' for 'continues'": r"\bgo(?:es)? on\b",
    "'a word' for 'per word'": (
        rf"\b(?:words|passages|documents|texts|sentences|tokens) an? {TIMES}\b"
        rf"|\b(?:one|an?) {THINGS} an? {UNITS}\b"
        rf"|\b(?:milliseconds|seconds|bytes|labels|words|entities|pieces|vectors|targets|passages|"
        rf"probabilities|numbers|shards) an? {UNITS}\b"
    ),
    "British spelling": (
        # Label Studio has a field `was_cancelled`.
        r"\w*(?:labell(?:ed|ing)|colour|quantis|recognis|initialis|organis|normalis|behaviour|"
        r"neighbour|favour|honour|optimis|summaris|generalis|specialis|minimis|maximis|realis|"
        r"memoris|centred|analyse|modelling|(?<!was_)cancelled|grey)\w*|\b[Dd]istil(?:s)?\b"
    ),
}


def prose_of_code(path):
    """Yield docstrings and comments with their lines; strings below an assignment count too."""
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        body = node.body if hasattr(node, "body") and isinstance(node.body, list) else []
        for child in body:
            value = child.value if isinstance(child, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield child.lineno, value.value, True
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string, False


def without_code(text):
    """Return Markdown without its code blocks and inline code."""
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def marks_in(text):
    return [
        f"{name}: {match[0]!r}"
        for name, pattern in MARKS.items()
        for match in re.finditer(pattern, text)
    ]


def as_path(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", CODE, ids=as_path)
def test_docstrings_and_comments_have_no_marks_of_the_old_style(path):
    found = []
    for line, text, is_docstring in prose_of_code(path):
        if is_docstring and OPENINGS.match(text.strip()):
            found.append(f"{path.name}:{line}: opens with {text.split()[0]!r}")
        found += [f"{path.name}:{line}: {mark}" for mark in marks_in(re.sub(r"\s+", " ", text))]
    assert found == []


@pytest.mark.slow
@pytest.mark.parametrize("path", SHIPPED, ids=as_path)
def test_messages_and_help_have_no_marks_of_the_old_style(path):
    if path.name in ("synonyms.py", "word_forms.py"):
        pytest.skip("its strings are the words of a thesaurus, in both spellings")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [
        f"{path.name}:{node.lineno}: {mark}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for mark in marks_in(re.sub(r"\s+", " ", node.value))
    ]
    assert found == []


@pytest.mark.parametrize("path", DOCS, ids=as_path)
def test_docs_have_no_marks_of_the_old_style(path):
    text = re.sub(r"\s+", " ", without_code(path.read_text(encoding="utf-8")))
    assert marks_in(text) == []


def test_marks_are_found_where_they_stand():
    assert len(marks_in("It reads 100 words a second; it is no model and cannot be had.")) == 3
    assert marks_in("It is no longer there, reads 100 words per second and takes a second.") == []
