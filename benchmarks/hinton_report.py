"""The tables and the plot of `hinton.py`, from the runs in its `results.json`."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from hinton_conditions import (
    ALPHAS,
    HARD,
    MIXED,
    N_ALL,
    N_TRAIN,
    OMITTED,
    SOFT,
    TEACHERS,
    Condition,
)
from hinton_teachers import FINE, MIXTURES, TEMPERATURES
from matplotlib.figure import Figure
from study import COLORS, Runs, difference, show, table, values_of

from gliner_distill.metrics import mean_and_spread

STUDENTS: Final = {"hard": HARD, "soft": SOFT, "mixed": MIXED}
SIZES: Final = (30, 100, N_TRAIN, N_ALL)
MEASURES: Final = {"word F1 vs. gold": "f1_vs_gold", "word F1 vs. teacher": "f1_vs_teacher"}

Points = Sequence[tuple[float, Sequence[float]]]


def tables(runs: Runs) -> Iterator[str]:
    """Yield the tables as Markdown."""
    for title, measure in MEASURES.items():
        yield _temperature_table(runs, title, measure)
    yield _dark_table(runs)
    yield _fine_table(runs)
    for title, measure in MEASURES.items():
        yield _size_table(runs, title, measure)
    yield _transfer_table(runs)
    yield _teacher_table(runs)
    yield _student_table(runs)
    yield _omitted_table(runs)


def _temperature_table(runs: Runs, title: str, measure: str) -> str:
    heads = [title, *(f"alpha {alpha:g}" for alpha in ALPHAS)]
    heads += [f"minus T = 1, alpha {alpha:g}" for alpha in ALPHAS]
    rows = [["gold alone", show(runs, HARD.name, measure), *["" for _ in heads[2:]]]]
    for temperature in TEMPERATURES:
        names = [Condition(alpha, temperature).name for alpha in ALPHAS]
        row = [f"T = {temperature:g}", *(show(runs, name, measure) for name in names)]
        bases = [Condition(alpha).name for alpha in ALPHAS]
        for name, base in zip(names, bases, strict=True):
            row.append("" if name == base else str(difference(runs, name, base, measure)))
        rows.append(row)
    return table(heads, rows)


def _dark_table(runs: Runs) -> str:
    row = runs.get(TEACHERS, {}).get("0", {})
    heads = ["passages", *(f"T = {temperature:g}" for temperature in TEMPERATURES)]
    heads += ["probabilities below 1/32"]
    keys = [*(f"dark, T {temperature:g}" for temperature in TEMPERATURES), "floor"]
    parts = ("train", "test", f"{FINE}, train", f"{FINE}, test")
    return table(
        heads,
        [
            [part, *(f"{100 * row[f'{key}, {part}']:.1f}" for key in keys)]
            for part in parts
            if f"floor, {part}" in row
        ],
    )


def _fine_table(runs: Runs) -> str:
    heads = [
        "probabilities, temperature",
        *MEASURES,
        *(f"{title}: minus T = 1" for title in MEASURES),
    ]
    rows = []
    for mixture in ("", FINE):
        base = replace(SOFT, mixture=mixture).name
        for temperature in (1.0, 4.0):
            name = replace(SOFT, mixture=mixture, temperature=temperature).name
            row = [f"{mixture or 'as in the sample'}, T = {temperature:g}"]
            row += [show(runs, name, measure) for measure in MEASURES.values()]
            gaps = [str(difference(runs, name, base, measure)) for measure in MEASURES.values()]
            rows.append([*row, *(gaps if name != base else ["", ""])])
    return table(heads, rows)


def _size_table(runs: Runs, title: str, measure: str) -> str:
    heads = [f"passages; {title}", *STUDENTS, "soft minus hard", "mixed minus hard"]
    heads += [f"{student}: train minus test" for student in STUDENTS]
    rows = []
    for size in SIZES:
        hard, soft, mixed = (replace(item, n_train=size).name for item in STUDENTS.values())
        row = [f"{size:,}", *(show(runs, name, measure) for name in (hard, soft, mixed))]
        row += [str(difference(runs, name, hard, measure)) for name in (soft, mixed)]
        row += [_gap(runs, name, measure) for name in (hard, soft, mixed)]
        rows.append(row)
    return table(heads, rows)


def _gap(runs: Runs, name: str, measure: str) -> str:
    """Return by how much a measure is higher on the training passages than on test."""
    gaps = {
        seed: {"gap": row[f"train_{measure}"] - row[measure]}
        for seed, row in runs.get(name, {}).items()
    }
    return show({name: gaps}, name, "gap")


def _transfer_table(runs: Runs) -> str:
    part = Condition(MIXED.alpha, n_train=N_ALL, n_gold=N_TRAIN)
    conditions = {
        f"{N_TRAIN} with gold, nothing else": HARD,
        f"{N_TRAIN} with soft labels, no gold": SOFT,
        f"{N_TRAIN} with both": MIXED,
        f"{N_ALL:,} with soft labels, no gold": replace(SOFT, n_train=N_ALL),
        f"{N_ALL:,} with soft labels, {N_TRAIN} of them with gold": part,
        f"{N_ALL:,} with both": replace(MIXED, n_train=N_ALL),
        f"{N_ALL:,} with gold": replace(HARD, n_train=N_ALL),
    }
    heads = ["transfer set", *MEASURES, f"word F1 vs. gold, minus {N_TRAIN} with gold"]
    return table(
        heads,
        [
            [
                title,
                *(show(runs, item.name, measure) for measure in MEASURES.values()),
                str(difference(runs, item.name, HARD.name, "f1_vs_gold")) if item != HARD else "",
            ]
            for title, item in conditions.items()
        ],
    )


def _teacher_table(runs: Runs) -> str:
    row = runs.get(TEACHERS, {}).get("0", {})
    heads = ["teacher", "test: word F1 vs. gold", "span F1 vs. gold", "word F1, confused labels"]
    heads += [f"{N_TRAIN} training passages: word F1 vs. gold"]
    keys = ["test, f1_vs_gold", "test, span_f1_vs_gold", "test, f1_vs_gold_special"]
    keys += ["train, f1_vs_gold"]
    rows = [
        [name, *(f"{100 * row[f'{name}, {key}']:.1f}" for key in keys)]
        for name in ("first", *MIXTURES)
        if row
    ]
    return table(heads, rows)


def _student_table(runs: Runs) -> str:
    heads = ["student of", "word F1 vs. gold", "minus first", "span F1 vs. gold", "minus first"]
    heads += [f"word F1 vs. {name}" for name in ("first", "second", "mean")]
    rows = []
    for mixture in ("", *MIXTURES):
        name = replace(SOFT, mixture=mixture).name
        row = [mixture or "first"]
        for measure in ("f1_vs_gold", "span_f1_vs_gold"):
            gap = str(difference(runs, name, SOFT.name, measure)) if mixture else ""
            row += [show(runs, name, measure), gap]
        measures = ("f1_vs_teacher", "f1_vs_second", "f1_vs_mean")
        rows.append([*row, *(show(runs, name, measure) for measure in measures)])
    return table(heads, rows)


def _omitted_table(runs: Runs) -> str:
    heads = ["student", f"{OMITTED}: word recall vs. gold", "with bias"]
    heads += [f"{OMITTED}: word F1 vs. gold", "with bias", "word recall vs. teacher"]
    heads += ["all labels: word F1 vs. gold", "with bias", "bias"]
    rows = []
    for title, item in (("soft", SOFT), ("mixed", MIXED)):
        for omits in (False, True):
            name = replace(item, omits=omits).name
            row = [f"{title}, without {OMITTED}" if omits else title]
            for measure in ("label_recall_vs_gold", "label_f1_vs_gold"):
                row += [show(runs, name, measure), show(runs, name, f"{measure}_biased")]
            row += [show(runs, name, "label_recall_vs_teacher")]
            row += [show(runs, name, "f1_vs_gold"), show(runs, name, "f1_vs_gold_biased")]
            biases = values_of(runs, name, "bias")
            rows.append([*row, ", ".join(f"{bias:g}" for bias in biases)])
    return table(heads, rows)


def draw(runs: Runs, path: Path) -> None:
    """Draw word F1 by temperature, by the number of passages, and by teacher."""
    figure = Figure(figsize=(12, 4), dpi=100, layout="constrained")
    by_temperature, by_size, by_teacher = figure.subplots(1, 3)
    by_alpha = {
        f"alpha {alpha:g}": [
            (temperature, values_of(runs, Condition(alpha, temperature).name, "f1_vs_gold"))
            for temperature in TEMPERATURES
        ]
        for alpha in ALPHAS
    }
    hard = values_of(runs, HARD.name, "f1_vs_gold")
    _draw_curves(
        by_temperature,
        by_alpha | {"gold alone": [(temperature, hard) for temperature in TEMPERATURES]},
    )
    by_temperature.set_xscale("log", base=2)
    by_temperature.set_xticks(TEMPERATURES, [f"{item:g}" for item in TEMPERATURES])
    by_temperature.set(xlabel="temperature", title=f"{N_TRAIN} passages")
    by_student = {
        student: [
            (size, values_of(runs, replace(item, n_train=size).name, "f1_vs_gold"))
            for size in SIZES
        ]
        for student, item in STUDENTS.items()
    }
    _draw_curves(by_size, by_student)
    by_size.set_xscale("log")
    by_size.set_xticks(SIZES, [f"{size:,}" for size in SIZES])
    by_size.minorticks_off()
    by_size.set(xlabel="training passages", title="from little data")
    _draw_teachers(by_teacher, runs)
    for axes in (by_temperature, by_size):
        axes.set_ylabel("word F1 vs. gold, %")
    figure.savefig(path, metadata={"Software": None})


def _draw_curves(axes: Any, curves: dict[str, Points]) -> None:
    for color, (name, points) in zip(COLORS, curves.items(), strict=False):
        drawn = [(x, *mean_and_spread(list(values))) for x, values in points if values]
        if not drawn:
            continue
        x = [point[0] for point in drawn]
        y = 100 * np.array([point[1] for point in drawn])
        band = 100 * np.array([point[2] or 0.0 for point in drawn])
        axes.plot(x, y, marker="o", markersize=3, color=color, label=name)
        axes.fill_between(x, y - band, y + band, color=color, alpha=0.2, linewidth=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)


def _draw_teachers(axes: Any, runs: Runs) -> None:
    teachers = runs.get(TEACHERS, {}).get("0", {})
    for row, mixture in enumerate(("first", *MIXTURES)):
        name = replace(SOFT, mixture="" if mixture == "first" else mixture).name
        values = values_of(runs, name, "f1_vs_gold")
        if values:
            mean, spread = mean_and_spread(values)
            axes.barh(row, 100 * mean, xerr=100 * (spread or 0.0), color=COLORS[0], height=0.6)
        if teachers:
            score = 100 * teachers[f"{mixture}, test, f1_vs_gold"]
            axes.plot([score], [row], "D", color=COLORS[1])
    axes.set_yticks(range(1 + len(MIXTURES)), ["first", *MIXTURES])
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.set(xlabel="word F1 vs. gold, %", title="students, and ◆ their teachers")
