"""Figures 3 to 6 of the published experiment: the training of both students, epoch by epoch.

The input is, for each model, one list per seed with the rows of that run's `metrics.jsonl`. The
output is a PNG and an SVG file per figure, with a title and a caption. Lines are means over seeds,
and bands reach from the lowest seed to the highest. The module uses matplotlib's `Figure` objects
and not pyplot, so it does not open windows or change global state. The same curves give the same
bytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from gliner_distill.errors import DistillError
from gliner_distill.files import reason_of, replacing
from gliner_distill.reproduction.results import MODEL_NAMES

Curves = Mapping[str, Sequence[Sequence[Mapping[str, Any]]]]
"""For each model, one list per seed with the rows of that run's `metrics.jsonl`."""

# Okabe and Ito's blue and vermilion can be told apart with all common kinds of color blindness.
_COLORS = {"student_hard": "#d55e00", "student_distilled": "#0072b2"}

PLOT_STYLE: dict[Any, Any] = {
    "axes.edgecolor": "#888888",
    "axes.grid": True,
    "axes.labelsize": 11,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.wspace": 0.06,
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "grid.color": "#dddddd",
    "legend.fontsize": 10,
    "legend.frameon": False,
    "savefig.facecolor": "white",
    # This makes the ids inside an SVG the same each time, instead of random.
    "svg.hashsalt": "gliner-distill",
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}


@dataclass(frozen=True, slots=True)
class FigureFile:
    """A figure and the files it was written to.

    Attributes:
        number: The number of the figure in the published paper, 3 to 6.
        title: A few words on what the figure shows.
        caption: An explanation of how to read it.
        png_path: The picture at 150 dots per inch.
        svg_path: The same picture as vectors.
    """

    number: int
    title: str
    caption: str
    png_path: Path
    svg_path: Path

    def as_json(self, folder: Path) -> dict[str, str]:
        """Return title, caption and the paths below a folder.

        Raises:
            ValueError: The files are not below the folder.
        """
        return {
            "title": self.title,
            "caption": self.caption,
            "png": self.png_path.relative_to(folder).as_posix(),
            "svg": self.svg_path.relative_to(folder).as_posix(),
        }


@dataclass(frozen=True, slots=True)
class _Panel:
    """One pair of axes: the split and the metric to draw, and the label of the y axis."""

    split: str
    metric: str
    y_label: str
    is_share: bool = True


@dataclass(frozen=True, slots=True)
class _Plan:
    number: int
    name: str
    title: str
    panels: tuple[_Panel, ...]
    caption: str


_BAND = "Lines are means over {seeds}; bands reach from the lowest seed to the highest."
_ONE_SEED = "One seed was run, so the figure has no band."

_READINGS = (
    "Solid lines: agreement with the teacher, which the published experiment reports. Thin dashed "
    "lines: the same words against the gold annotation."
)


_PLANS = (
    _Plan(
        3,
        "figure_3_training_loss",
        "Training loss by epoch",
        (_Panel("train", "loss", "Training loss", is_share=False),),
        "The objective of each student on the training passages: the loss against gold for the "
        "hard-label student, a mix of soft and gold labels for the distilled one. Compare only the "
        "shapes of the curves, since the two objectives differ.",
    ),
    _Plan(
        4,
        "figure_4_train_recall",
        "Recall on train",
        (_Panel("train", "recall", "Word recall, train"),),
        f"Recall over the words of the training passages. {_READINGS}",
    ),
    _Plan(
        5,
        "figure_5_test_recall",
        "Recall on test",
        (_Panel("test", "recall", "Word recall, test"),),
        f"Recall over the words of the test passages. {_READINGS}",
    ),
    _Plan(
        6,
        "figure_6_test_accuracy_f1",
        "Accuracy and F1 on test",
        (
            _Panel("test", "accuracy", "Word accuracy, test"),
            _Panel("test", "f1", "Word F1, test"),
        ),
        "Left: accuracy over all words, with and without an entity. Right: F1 over the words with "
        f"an entity. {_READINGS}",
    ),
)


def plot_curves(curves: Curves, folder: Path) -> list[FigureFile]:
    """Write figures 3 to 6 to a folder as PNG and SVG, and return them.

    Existing files are replaced.

    Args:
        curves: Rows with `epoch`, `split` and the metrics; see `draw_figure`.
        folder: The folder, which is created if necessary.

    Raises:
        ValueError: There are no curves.
        DistillError: The folder cannot be written.
    """
    if not any(curves.values()):
        raise ValueError("there are no curves to draw")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [_write_figure(plan, curves, folder) for plan in _PLANS]
    except OSError as error:
        raise DistillError(f"{folder}: cannot be written: {reason_of(error)}") from error


def draw_figure(number: int, curves: Curves) -> Figure:
    """Return one of figures 3 to 6, drawn but not written.

    A model without rows for the split and metric of a panel is not drawn in it. If only some seeds
    reached an epoch, its value is the mean over these seeds.

    Args:
        number: The number of the figure.
        curves: Rows with `epoch`, `split` and the metrics; rows without a metric are skipped.
    """
    plan = next(plan for plan in _PLANS if plan.number == number)
    # "default" comes first, so that a user's own matplotlibrc does not change the figures.
    with style.context(["default", PLOT_STYLE]):
        return _draw(plan, curves)


def _write_figure(plan: _Plan, curves: Curves, folder: Path) -> FigureFile:
    # Saving reads the style, too.
    with style.context(["default", PLOT_STYLE]):
        figure = draw_figure(plan.number, curves)
        png_path, svg_path = (folder / f"{plan.name}.{suffix}" for suffix in ("png", "svg"))
        _save(figure, png_path, {"Software": None})
        _save(figure, svg_path, {"Date": None, "Creator": None})
    n_seeds = max(len(runs) for runs in curves.values())
    spread = _BAND.format(seeds=f"{n_seeds} seeds") if n_seeds > 1 else _ONE_SEED
    return FigureFile(plan.number, plan.title, f"{plan.caption} {spread}", png_path, svg_path)


def _save(figure: Figure, path: Path, metadata: dict[str, None]) -> None:
    with replacing(path) as stream:
        figure.savefig(stream, format=path.suffix[1:], dpi=150, metadata=metadata)


def _draw(plan: _Plan, curves: Curves) -> Figure:
    figure = Figure(figsize=(6.4 if len(plan.panels) == 1 else 10.4, 4.4), layout="constrained")
    all_axes = figure.subplots(1, len(plan.panels), squeeze=False)[0]
    for axes, panel in zip(all_axes, plan.panels, strict=True):
        _draw_panel(axes, panel, curves)
    handles, names = all_axes[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, names, loc="outside lower center", ncols=2)
    figure.suptitle(plan.title, fontsize=13)
    return figure


def _draw_panel(axes: Axes, panel: _Panel, curves: Curves) -> None:
    for model, runs in curves.items():
        color, name = _COLORS[model], MODEL_NAMES[model]
        if not panel.is_share:
            _draw_line(axes, _by_epoch(runs, panel.split, panel.metric), color, name)
            continue
        teacher = _by_epoch(runs, panel.split, f"{panel.metric}_vs_teacher")
        gold = _by_epoch(runs, panel.split, f"{panel.metric}_vs_gold")
        _draw_line(axes, teacher, color, f"{name}, against teacher")
        _draw_line(axes, gold, color, f"{name}, against gold", is_gold=True)
    axes.set_xlabel("Epoch")
    axes.set_ylabel(panel.y_label)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.margins(x=0.02)
    if panel.is_share:
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1.0, decimals=None))
        axes.set_ylim(_share_limits(axes))
    else:
        axes.set_ylim(bottom=0.0)


def _draw_line(
    axes: Axes,
    by_epoch: Mapping[int, Sequence[float]],
    color: str,
    name: str,
    *,
    is_gold: bool = False,
) -> None:
    """Draw the mean of each epoch and behind it a band from the lowest seed to the highest."""
    if not by_epoch:
        return
    epochs = sorted(by_epoch)
    means = [sum(by_epoch[epoch]) / len(by_epoch[epoch]) for epoch in epochs]
    lows = [min(by_epoch[epoch]) for epoch in epochs]
    highs = [max(by_epoch[epoch]) for epoch in epochs]
    axes.fill_between(epochs, lows, highs, color=color, alpha=0.08 if is_gold else 0.2, lw=0)
    axes.plot(
        epochs,
        means,
        color=color,
        label=name,
        linestyle="--" if is_gold else "-",
        linewidth=1.2 if is_gold else 2.0,
        # A single epoch is only a point, so it needs a marker.
        marker="o" if len(epochs) == 1 else "",
        markerfacecolor="white" if is_gold else color,
    )


def _by_epoch(
    runs: Iterable[Sequence[Mapping[str, Any]]], split: str, metric: str
) -> dict[int, list[float]]:
    """Return the values of each epoch, one per seed that has it."""
    values: dict[int, list[float]] = {}
    for rows in runs:
        for row in rows:
            if row["split"] == split and row.get(metric) is not None:
                values.setdefault(int(row["epoch"]), []).append(float(row[metric]))
    return values


def _share_limits(axes: Axes) -> tuple[float, float]:
    """Return limits a little beyond the curves, but hardly beyond the range of a share, 0 to 1."""
    low, high = axes.dataLim.intervaly
    if low > high:
        return 0.0, 1.0
    room = max(0.02, 0.06 * (high - low))
    return max(-0.01, low - room), min(1.01, high + room)
