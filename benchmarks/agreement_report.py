"""The tables and the plot of `agreement.py`, from the runs in its `results.json`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from agreement_conditions import MEASURES, MIXED, STARTS, TARGETS, Condition
from scipy import stats
from study import Runs, difference, draw_curves, show, table, values_of
from teacher_references import OTHER, REFERENCES


def tables(runs: Runs) -> Iterator[str]:
    """Yield the tables as Markdown."""
    heads = ["student, training", *MEASURES.values()]
    names = [OTHER, *reversed(REFERENCES)]
    yield _table(runs, ["reference", *heads[1:]], names)
    trained = [name for name in runs if name not in names]
    for start in STARTS:
        yield _table(runs, heads, sorted((n for n in trained if n.startswith(start)), key=_order))
    yield differences(runs)
    yield extrapolations(runs)


def _table(runs: Runs, heads: Sequence[str], names: Sequence[str]) -> str:
    rows = [
        [name, *(show(runs, name, measure) for measure in MEASURES)]
        for name in names
        if name in runs
    ]
    return table(heads, rows)


def differences(runs: Runs) -> str:
    """Return a table of students that differ in one thing from another one, seed by seed."""
    heads = ["student", "minus", *MEASURES.values()]
    rows = []
    for name, reference in pairs_of(runs):
        others = runs[reference]
        if reference in STARTS:
            # A start before training does not depend on the seed, and is measured once.
            others = dict.fromkeys(runs[name], others["0"])
        pair = {name: runs[name], reference: others}
        gaps = [difference(pair, name, reference, measure) for measure in MEASURES]
        rows.append([name, reference, *map(str, gaps)])
    return table(heads, rows)


def pairs_of(runs: Runs) -> list[tuple[str, str]]:
    """Return each student with the one that it is compared with, if both were run.

    A student with unusual settings is compared with the usual one of the same words, and the usual
    one with the start before training.
    """
    pairs = []
    for name in sorted((name for name in runs if name.split(", ")[0] in STARTS), key=_order):
        start, *rest = name.split(", ")
        if not rest:
            continue
        usual = Condition(start, int(rest[0].split()[0])).name
        reference = start if name == usual else usual
        if reference in runs:
            pairs.append((name, reference))
    return pairs


def _order(name: str) -> tuple[int, str]:
    parts = name.split(", ")
    return (int(parts[1].split()[0]) if len(parts) > 1 else 0), name


@dataclass(frozen=True, slots=True)
class Line:
    """A measure as a line over the decimal logarithm of the words.

    Attributes:
        slope: The shares gained by ten times as many words.
        half_width: Half the width of the slope's 95% interval.
        middle: The mean logarithm and the mean measure, through which the line goes.
    """

    slope: float
    half_width: float
    middle: tuple[float, float]

    def log_words_for(self, share: float, *, steeper: float = 0.0) -> float:
        """Return the decimal logarithm of the words at which the line reaches a share.

        Args:
            share: The share.
            steeper: Added to the slope; the line then turns around its middle.
        """
        log_words, mean = self.middle
        return log_words + (share - mean) / (self.slope + steeper)


def fit_line(points: Sequence[tuple[float, float]]) -> Line:
    """Return the line of least squares through points of words and a share."""
    logs = np.log10([words for words, _ in points])
    shares = [share for _, share in points]
    fit = stats.linregress(logs, shares)
    half_width = stats.t.ppf(0.975, len(points) - 2) * fit.stderr
    return Line(float(fit.slope), float(half_width), (float(logs.mean()), float(np.mean(shares))))


def curve_points(runs: Runs, start: str, measure: str, alpha: float = 1.0) -> list[Any]:
    """Return the points of a start's curve with its usual epochs: words and values by seed."""
    points = []
    for name, seeds in runs.items():
        if not name.startswith(f"{start}, "):
            continue
        n_words = int(name.split(", ")[1].split()[0])
        if name == Condition(start, n_words, alpha=alpha).name:
            points.append((float(n_words), values_of({name: seeds}, name, measure)))
    return sorted(points)


def extrapolations(runs: Runs) -> str:
    """Return a table of the lines through each curve, and the words that the targets would take.

    A line is left out if the interval of its slope includes 0 or less.
    """
    heads = ["start, measure", "per ten times the words", "target", "words on the line"]
    heads += ["at the steep end of the interval"]
    rows = []
    for start in STARTS:
        for measure, target in TARGETS.items():
            pairs = [
                (words, value)
                for words, values in curve_points(runs, start, measure)
                for value in values
            ]
            if len({words for words, _ in pairs}) < 3:
                continue
            line = fit_line(pairs)
            if line.slope <= line.half_width:
                continue
            gain = f"{100 * line.slope:+.1f} ± {100 * line.half_width:.1f}"
            words = [_power(line, target), _power(line, target, steeper=line.half_width)]
            rows.append([f"{start}, {MEASURES[measure]}", gain, f"{target:.0%}", *words])
    return table(heads, rows)


def _power(line: Line, share: float, *, steeper: float = 0.0) -> str:
    return f"10^{line.log_words_for(share, steeper=steeper):.1f}"


def draw(runs: Runs, out: Path) -> None:
    """Draw accuracy and recall by words, for both starts and both kinds of targets."""
    panels = {
        MEASURES[measure]: {
            f"{start}, {kind}": curve_points(runs, start, measure, alpha)
            for start in STARTS
            for kind, alpha in (("soft", 1.0), ("mixed", MIXED))
        }
        for measure in TARGETS
    }
    draw_curves(
        out / "agreement.png",
        panels,
        x_label="words of training text",
        y_label="agreement with the teacher, %",
        is_log=True,
        share_y=False,
    )
