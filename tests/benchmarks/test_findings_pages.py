"""The pages of the findings: their tables and hours are those that the studies print."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "findings"
RESULTS = ROOT / "benchmarks" / "results"
REPORTS = {
    "agreement": "agreement_report",
    "claims": "claims",
    "hinton": "hinton_report",
    "losses": "losses",
    "without_data": "without_data",
}
"""The module that has the tables of each study; the page and the results have its name."""

QUOTED = {"hinton": ["| Hinton et al., speech, frame accuracy | train | test |"]}
"""The heads of the tables that a page quotes from a paper."""

TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)

pytestmark = pytest.mark.skipif(
    not (PAGES.is_dir() and RESULTS.is_dir()),
    reason="the docs and the benchmarks are in the repository, not in the package",
)


@pytest.fixture(scope="module")
def study(benchmarks):
    return benchmarks("study")


def read(study, name):
    """Return the text of the page of a study, and its runs."""
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    return page, study.read_runs(RESULTS / name / study.RESULTS_FILE)


@pytest.mark.parametrize("name", REPORTS)
def test_tables_of_a_page_are_those_that_the_study_prints(name, benchmarks, study):
    page, runs = read(study, name)
    printed = list(benchmarks(REPORTS[name]).tables(runs))
    quoted = QUOTED.get(name, [])
    tables = [table.rstrip("\n") for table in TABLE.findall(page)]
    assert [table for table in tables if table.split("\n")[0] not in quoted] == printed
    assert all(f"\n{head}\n" in page for head in quoted)


@pytest.mark.parametrize("name", REPORTS)
def test_hours_of_a_page_are_those_of_its_runs(name, study):
    page, runs = read(study, name)
    assert f"{study.hours(runs):.1f} hours of processor time" in " ".join(page.split())


def test_hours_of_the_first_page_are_those_of_all_studies(study):
    page = (PAGES.parent / "findings.md").read_text(encoding="utf-8")
    n_hours = sum(study.hours(read(study, name)[1]) for name in REPORTS)
    assert f"The studies took {n_hours:.1f} hours of processor time." in " ".join(page.split())


def test_every_page_of_the_findings_and_every_result_belongs_to_a_study():
    assert {path.stem for path in PAGES.glob("*.md")} == REPORTS.keys()
    assert {path.parent.name for path in RESULTS.glob("*/results.json")} == REPORTS.keys()
