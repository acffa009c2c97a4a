"""The pages on integrations: each program on them runs, and prints what the page says."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
PAGES = Path(__file__).resolve().parents[3] / "docs" / "integrations"
PACKAGES = {
    "spacy": "spacy",
    "langchain": "langchain_core",
    "haystack": "haystack",
    "llama_index": "llama_index.core",
}
PROGRAM = re.compile(r"```python\n(.*?)```\n(?:\n```\n(.*?)```)?", re.DOTALL)


@pytest.mark.parametrize("page", sorted(PACKAGES))
def test_programs_of_a_page_run(page, needs, tmp_path, monkeypatch, capsys):
    if not PAGES.is_dir():
        pytest.skip("the docs are in the repository, not in the package")
    needs(PACKAGES[page])
    monkeypatch.chdir(tmp_path)
    programs = PROGRAM.findall((PAGES / f"{page}.md").read_text(encoding="utf-8"))
    assert programs
    for program, output in programs:
        exec(compile(program, f"{page}.md", "exec"), {})
        printed = capsys.readouterr().out
        if output:
            assert printed == output
