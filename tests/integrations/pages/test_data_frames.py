"""The page on data frames: the program of each section runs, and prints what the page says."""

import re
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[3] / "docs" / "integrations" / "data_frames.md"
PACKAGES = {
    "Data frames and tables": "pyarrow",
    "pandas": "pandas",
    "Polars": "polars",
    "DuckDB": "duckdb",
    "Spark": "pyspark",
    "Dask": "dask.dataframe",
    "Hugging Face's datasets": "datasets",
}
PROGRAM = re.compile(r"```python\n(.*?)```\n\n```\n(.*?)```", re.DOTALL)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),  # Spark takes minutes on a busy machine
    pytest.mark.skipif(
        not PAGE.is_file(), reason="the docs are in the repository, not in the package"
    ),
    # Those of Spark, about its own use of pandas and of sockets.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pyspark.*"),
    pytest.mark.filterwarnings("ignore::FutureWarning:pyspark.*"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def sections():
    """Return the text below each heading, up to the next one."""
    _, *parts = re.split(r"^#+ (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_page_has_a_section_for_each_package():
    assert sections().keys() == PACKAGES.keys()


@pytest.mark.parametrize("section", PACKAGES)
def test_program_of_a_section_prints_what_the_page_says(
    section, needs, tmp_path, monkeypatch, capsys
):
    needs("pyarrow")
    needs(PACKAGES[section])
    monkeypatch.chdir(tmp_path)
    # Spark starts the Python of the path, which may be another one.
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    ((program, output),) = PROGRAM.findall(sections()[section])
    exec(compile(program, section, "exec"), {})
    assert capsys.readouterr().out == output
