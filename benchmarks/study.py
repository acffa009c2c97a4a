"""Run a study: many short trainings over conditions and seeds, with statistics and plots.

A study is a list of jobs. A job is a condition and a seed, and its result is a flat mapping of
numbers. `run_jobs` runs the jobs in several processes, with one thread per process, and writes
`results.json` after each job. A job that is in this file is not repeated. So a study that was
stopped continues, and a study that has two seeds can be given a third. The other functions of this
module compare conditions seed by seed, and draw means with bands.
"""

import json
import math
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as TimeLeftColumn
from scipy import stats

from gliner_distill.files import write_json
from gliner_distill.metrics import mean_and_spread
from gliner_distill.training.run import describe_environment

RESULTS_FILE: Final = "results.json"
COLORS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Colors that people with any kind of color vision can tell apart (Okabe and Ito)."""

MAX_PANELS: Final = 4
"""The panels that fit into one row of a plot; more of them get a second row."""

Row = dict[str, Any]
Runs = dict[str, dict[str, Row]]
"""The row of each run, by the name of its condition and by its seed."""


@dataclass(frozen=True, slots=True)
class Job:
    """One training.

    Attributes:
        name: The name of the condition; the key in `results.json`.
        condition: The condition, as the study defines it; it must be possible to pickle it.
        seed: The seed.
    """

    name: str
    condition: Any
    seed: int


def jobs_of(conditions: Mapping[str, Any], seeds: Sequence[int]) -> list[Job]:
    """Return the jobs of all conditions, one seed after the other."""
    return [Job(name, item, seed) for seed in seeds for name, item in conditions.items()]


def run_jobs(
    out: Path, jobs: Sequence[Job], run: Callable[[Any, int], Row], *, n_workers: int = 2
) -> Runs:
    """Run the jobs that are not in `results.json` yet, in their order, and return all runs.

    Args:
        out: The folder of the results; it is made if it does not exist.
        jobs: The jobs, the most important first.
        run: The function that runs a condition with a seed. Worker processes import it, so it must
            be at the top of a module.
        n_workers: The number of processes, of one thread each.
    """
    path = out / RESULTS_FILE
    runs = read_runs(path)
    left = [job for job in jobs if str(job.seed) not in runs.get(job.name, {})]
    out.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    bar = _progress()
    with bar, ProcessPoolExecutor(n_workers, context, _prepare_worker) as pool:
        task = bar.add_task("trainings", total=len(left))
        waiting: dict[Future[Row], Job] = {}
        queue = iter(left)
        while True:
            # Only as many jobs as there are workers are handed over, so a stop ends soon.
            while len(waiting) < n_workers and (job := next(queue, None)) is not None:
                waiting[pool.submit(_timed, run, job)] = job
            if not waiting:
                return runs
            for done in wait(waiting, return_when=FIRST_COMPLETED).done:
                job = waiting.pop(done)
                runs.setdefault(job.name, {})[str(job.seed)] = done.result()
                write_json(path, {"environment": _environment(), "runs": runs})
                bar.advance(task)
                if not bar.console.is_terminal:
                    bar.console.print(f"{job.name}, seed {job.seed}", highlight=False)


def read_runs(path: Path) -> Runs:
    """Return the runs of a file of results; an empty mapping if the file is missing.

    Raises:
        SystemExit: The file does not have the form of `results.json`.
    """
    if not path.is_file():
        return {}
    try:
        runs = json.loads(path.read_text(encoding="utf-8"))["runs"]
        is_valid = all(isinstance(row, dict) for seeds in runs.values() for row in seeds.values())
    except (ValueError, KeyError, TypeError, AttributeError):
        is_valid = False
    if not is_valid:
        raise SystemExit(f"{path}: not the results of a study: move the file away to start again")
    return runs


def hours(runs: Runs) -> float:
    """Return the hours of processor time that all runs took together, each on one thread."""
    return sum(row["cpu_seconds"] for seeds in runs.values() for row in seeds.values()) / 3600


def values_of(runs: Runs, name: str, measure: str) -> list[float]:
    """Return a measure of each run of a condition, in the order of the seeds."""
    return [row[measure] for _, row in sorted(runs.get(name, {}).items())]


def show(runs: Runs, name: str, measure: str) -> str:
    """Return the mean of a measure in percent, ± its standard deviation over seeds."""
    values = values_of(runs, name, measure)
    if not values:
        return "not run"
    mean, spread = mean_and_spread(values)
    return f"{100 * mean:.1f}" + ("" if spread is None else f" ± {100 * spread:.1f}")


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference between two conditions, over the seeds that both were run with.

    Attributes:
        mean: The mean difference.
        half_width: Half the width of its 95% confidence interval; NaN with fewer than two seeds.
        p_value: The two-sided p-value of the paired t-test; NaN with fewer than two seeds.
        n_seeds: The number of seeds.
    """

    mean: float
    half_width: float
    p_value: float
    n_seeds: int

    def __str__(self) -> str:
        if self.n_seeds < 2:
            return f"{100 * self.mean:+.1f} (one seed)" if self.n_seeds else "not run"
        return (
            f"{100 * self.mean:+.1f} [{100 * (self.mean - self.half_width):+.1f}, "
            f"{100 * (self.mean + self.half_width):+.1f}]"
        )

    def as_json(self) -> dict[str, float | int]:
        """Return the fields under their names."""
        return asdict(self)


def difference(runs: Runs, name: str, other: str, measure: str) -> Difference:
    """Return the difference between two conditions, by a t-test that pairs the runs of a seed.

    Runs of the same seed start from the same weights and read the passages in the same order.
    """
    seeds = sorted(runs.get(name, {}).keys() & runs.get(other, {}).keys())
    gaps = np.array([runs[name][seed][measure] - runs[other][seed][measure] for seed in seeds])
    if len(gaps) < 2:
        return Difference(float(gaps.mean()) if len(gaps) else np.nan, np.nan, np.nan, len(gaps))
    if np.ptp(gaps) == 0:
        return Difference(float(gaps[0]), 0.0, float(gaps[0] == 0), len(gaps))
    test = stats.ttest_1samp(gaps, 0.0)
    half_width = (test.confidence_interval().high - test.confidence_interval().low) / 2
    return Difference(float(gaps.mean()), float(half_width), float(test.pvalue), len(gaps))


Curve = Sequence[tuple[float, Sequence[float]]]
"""The points of a curve: x, and the values of y, one per seed, as shares."""


def draw_curves(
    path: Path,
    panels: Mapping[str, Mapping[str, Curve]],
    *,
    x_label: str,
    y_label: str,
    is_log: bool = False,
    share_y: bool = True,
) -> None:
    """Draw panels of curves: the mean over seeds, in percent, with a band of ± one deviation.

    Args:
        path: The PNG file to write.
        panels: The curves of each panel, by title and by the name of the curve.
        x_label: The label of the x axes.
        y_label: The label of the left y axis.
        is_log: Whether the x axes are logarithmic.
        share_y: Whether all panels have the same y axis.
    """
    if not panels:
        return
    n_rows = 1 if len(panels) <= MAX_PANELS else 2
    n_columns = math.ceil(len(panels) / n_rows)
    size = (1.5 + 3.6 * n_columns, 4 * n_rows)
    figure = Figure(figsize=size, dpi=110, layout="constrained")
    all_axes = figure.subplots(n_rows, n_columns, sharey=share_y, squeeze=False)
    names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    lines: dict[str, Any] = {}
    for axes in all_axes.flat[len(panels) :]:
        axes.set_axis_off()
    for axes, (title, curves) in zip(all_axes.flat, panels.items(), strict=False):
        for name, points in curves.items():
            color = COLORS[names.index(name) % len(COLORS)]
            drawn = [(x, *mean_and_spread(list(values))) for x, values in points if values]
            if not drawn:
                continue
            x = [point[0] for point in drawn]
            y = 100 * np.array([point[1] for point in drawn])
            band = 100 * np.array([point[2] or 0.0 for point in drawn])
            [lines[name]] = axes.plot(x, y, marker="o", markersize=3, color=color, label=name)
            axes.fill_between(x, y - band, y + band, color=color, alpha=0.2, linewidth=0)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel(x_label)
        axes.grid(alpha=0.3)
        if is_log:
            axes.set_xscale("log")
            ticks = sorted({x for points in curves.values() for x, values in points if values})
            axes.set_xticks(ticks, [_short(x) for x in ticks], fontsize=8)
            axes.minorticks_off()
    for axes in all_axes[:, 0]:
        axes.set_ylabel(y_label)
    handles = [lines[name] for name in names if name in lines]
    figure.legend(
        handles=handles, loc="outside upper center", ncols=len(names), frameon=False, fontsize=9
    )
    figure.savefig(path, metadata={"Software": None})


def _short(number: float) -> str:
    """Return a number for an axis: 1,900,000 as 1.9M, 89,042 as 89k, and 70 as 70."""
    if number >= 999_500:
        return f"{number / 1e6:.2g}M" if number < 9_950_000 else f"{number / 1e6:.0f}M"
    return f"{number / 1e3:.0f}k" if number >= 1e4 else f"{number:g}"


def draw_bars(
    path: Path, groups: Mapping[str, Mapping[str, Sequence[float]]], *, x_label: str
) -> None:
    """Draw panels of horizontal bars: the mean over seeds, in percent, ± one deviation."""
    if not groups:
        return
    n_bars = max(len(bars) for bars in groups.values())
    size = (3.0 + 2.6 * len(groups), 1.2 + 0.3 * n_bars)
    figure = Figure(figsize=size, dpi=110, layout="constrained")
    all_axes = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    for axes, (title, bars) in zip(all_axes, groups.items(), strict=True):
        drawn = {name: mean_and_spread(list(values)) for name, values in bars.items() if values}
        axes.barh(
            list(drawn),
            [100 * mean for mean, _ in drawn.values()],
            xerr=[100 * (spread or 0.0) for _, spread in drawn.values()],
            color=COLORS[0],
        )
        axes.set_title(title, fontsize=10)
        axes.grid(axis="x", alpha=0.3)
    all_axes[0].invert_yaxis()
    figure.supxlabel(x_label, fontsize=10)
    figure.savefig(path, metadata={"Software": None})


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose first column is text and whose others are numbers."""
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _prepare_worker() -> None:
    torch.set_num_threads(1)

    def end_with_parent() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    # A worker would otherwise train on after the study was killed.
    threading.Thread(target=end_with_parent, daemon=True).start()


def _environment() -> dict[str, object]:
    instructions = torch.backends.cpu.get_cpu_capability()
    return describe_environment() | {"date": date.today().isoformat(), "instructions": instructions}


def _timed(run: Callable[[Any, int], Row], job: Job) -> Row:
    # Other work on the machine does not change the time that a thread computes.
    started = time.process_time()
    row = run(job.condition, job.seed)
    return row | {"cpu_seconds": round(time.process_time() - started, 1)}


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeLeftColumn(),
        console=Console(stderr=True),
    )
