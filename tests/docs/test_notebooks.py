"""The notebooks: their outputs are there, and those of the quick start are what it prints."""

import contextlib
import io
import json
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
NAMES = ("quick_start", "distill_the_workshop")  # the second needs a real GLiNER, so it is not run
MAX_BYTES = 50_000
# The lines of a verdict on the workshop that do not depend on how busy the machine was.
VERDICT = ("Agreement with ", "Against gold", "Labels not asked for", "Recommendation")

pytestmark = pytest.mark.skipif(
    not NOTEBOOKS.is_dir(), reason="the notebooks are in the repository, not in the package"
)


def code_cells(name):
    notebook = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def printed_by(cell):
    """Return what a cell has printed, according to the notebook."""
    return "".join(
        "".join(output["text"]) for output in cell["outputs"] if output["output_type"] == "stream"
    )


def test_there_are_no_other_notebooks():
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_notebook_was_run_from_top_to_bottom_and_is_small(name):
    path = NOTEBOOKS / f"{name}.ipynb"
    assert path.stat().st_size < MAX_BYTES
    cells = code_cells(name)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"stream", "execute_result"}


@pytest.mark.parametrize("name", NAMES)
def test_notebook_shows_no_path_of_the_machine_that_ran_it(name):
    text = (NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8")
    assert not any(start in text for start in ("/home/", "/root/", "/tmp/", "/work/", "/Users/"))


@pytest.mark.slow
def test_quick_start_prints_what_it_shows():
    names, n_printed = {}, 0
    for cell in code_cells("quick_start"):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("".join(cell["source"]), "quick_start", "exec"), names)
        assert printed.getvalue() == printed_by(cell)
        n_printed += bool(printed_by(cell))
    assert n_printed > 2


def test_readme_tutorial_and_notebook_show_the_same_verdict():
    shown = [
        (NOTEBOOKS.parent / name).read_text(encoding="utf-8").splitlines()
        for name in ("README.md", "docs/tutorials/annotate.md")
    ]
    shown.append("".join(map(printed_by, code_cells("distill_the_workshop"))).splitlines())
    verdicts = [[line for line in lines if line.startswith(VERDICT)] for lines in shown]
    assert [len(verdict) for verdict in verdicts] == [len(VERDICT)] * 3
    assert verdicts[0] == verdicts[1] == verdicts[2]
