"""The frame of the studies: jobs, results that are kept, and paired differences."""

import importlib
import json
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="the benchmarks are in the repository, not in the package"
)


@pytest.fixture(scope="module")
def study():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("study")


def runs_of(**values):
    """Return runs whose seeds have the given values of `f1`."""
    return {
        name: {str(seed): {"f1": value, "cpu_seconds": 1800.0} for seed, value in enumerate(row)}
        for name, row in values.items()
    }


def test_jobs_of_takes_one_seed_after_the_other(study):
    jobs = study.jobs_of({"a": 1, "b": 2}, [0, 1])
    assert [(job.name, job.condition, job.seed) for job in jobs] == [
        ("a", 1, 0),
        ("b", 2, 0),
        ("a", 1, 1),
        ("b", 2, 1),
    ]


def test_difference_pairs_the_seeds(study):
    # The gaps are 1, 2 and 3 points: mean 2, standard error 1/sqrt(3), t(2) at 97.5% is 4.3027.
    runs = runs_of(base=[0.50, 0.40, 0.30], better=[0.51, 0.42, 0.33])
    found = study.difference(runs, "better", "base", "f1")
    assert found.mean == pytest.approx(0.02)
    assert found.half_width == pytest.approx(0.043027 / 3**0.5, rel=1e-4)
    assert found.p_value == pytest.approx(0.0742, abs=1e-4)
    assert str(found) == "+2.0 [-0.5, +4.5]"


def test_difference_uses_the_seeds_that_both_have(study):
    runs = runs_of(base=[0.5, 0.4], better=[0.6])
    assert str(study.difference(runs, "better", "base", "f1")) == "+10.0 (one seed)"
    assert str(study.difference(runs, "absent", "base", "f1")) == "not run"


def test_difference_of_equal_runs_is_nothing(study):
    runs = runs_of(base=[0.5, 0.4])
    assert str(study.difference(runs, "base", "base", "f1")) == "+0.0 [+0.0, +0.0]"


def test_show_and_hours(study):
    runs = runs_of(base=[0.5, 0.4], single=[0.25])
    assert study.show(runs, "base", "f1") == "45.0 ± 7.1"
    assert study.show(runs, "single", "f1") == "25.0"
    assert study.show(runs, "absent", "f1") == "not run"
    assert study.hours(runs) == 1.5


def double(condition, seed):
    return {"f1": 2 * condition + seed}


@pytest.mark.slow
def test_run_jobs_keeps_its_results_and_does_not_repeat_a_job(study, tmp_path):
    jobs = study.jobs_of({"one": 1, "two": 2}, [0, 1])
    runs = study.run_jobs(tmp_path, jobs[:2], double, n_workers=2)
    assert {name: row["0"]["f1"] for name, row in runs.items()} == {"one": 2, "two": 4}
    path = tmp_path / "results.json"
    kept = json.loads(path.read_text())
    kept["runs"]["one"]["0"]["f1"] = 99
    path.write_text(json.dumps(kept))
    runs = study.run_jobs(tmp_path, jobs, double, n_workers=2)
    assert runs["one"]["0"]["f1"] == 99
    assert runs["two"]["1"]["f1"] == 5
    assert study.read_runs(path) == runs


def fail(condition, seed):
    raise ValueError(f"condition {condition}")


@pytest.mark.slow
def test_run_jobs_passes_on_the_error_of_a_job(study, tmp_path):
    with pytest.raises(ValueError, match="condition 7"):
        study.run_jobs(tmp_path, study.jobs_of({"seven": 7}, [0]), fail, n_workers=1)
    assert study.read_runs(tmp_path / "results.json") == {}


@pytest.mark.parametrize("n_panels", [0, 1, 5, 7])
def test_draw_curves_draws_any_number_of_panels(study, tmp_path, n_panels):
    panels = {f"panel {number}": {"a": [(10.0, [0.5])], "b": []} for number in range(n_panels)}
    study.draw_curves(tmp_path / "plot.png", panels, x_label="x", y_label="y", is_log=True)
    assert (tmp_path / "plot.png").exists() == (n_panels > 0)


def test_draw_bars_draws_nothing_without_runs_and_leaves_texts_without_values_out(study, tmp_path):
    study.draw_bars(tmp_path / "none.png", {}, x_label="x")
    study.draw_bars(tmp_path / "bars.png", {"a": {"text": []}}, x_label="x")
    assert [path.name for path in tmp_path.iterdir()] == ["bars.png"]


def test_short_numbers_are_thousands_or_millions(study):
    shorts = {70: "70", 0.5: "0.5", 89_042: "89k", 999_999: "1M", 1.9e6: "1.9M", 123e6: "123M"}
    assert {number: study._short(number) for number in shorts} == shorts


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"runs": [1]}', '{"runs": {"a": {"0": 1}}}'])
def test_read_runs_refuses_what_is_not_results(study, tmp_path, content):
    path = tmp_path / "results.json"
    path.write_text(content)
    with pytest.raises(SystemExit, match=r"results\.json: not the results of a study"):
        study.read_runs(path)
