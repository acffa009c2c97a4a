"""The report of a reproduction: Table 1 in both readings, a verdict, the figures and all settings.

The input is the `Results` and the files that `plot_curves` wrote. The output is `report.html`,
which needs no other file, `report.md`, and Table 1 for the terminal. The verdict is computed from
the numbers. The same input gives the same bytes.
"""

import base64
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jinja2
from rich import box
from rich.table import Table

from gliner_distill.files import write_file
from gliner_distill.reproduction.figures import FigureFile
from gliner_distill.reproduction.results import (
    MODEL_NAMES,
    DataSummary,
    ModelRow,
    PublishedRow,
    Results,
)

DASH = "–"
"""The cell of a table for a number that was not measured."""

_MEASURES = {
    "accuracy": "Word accuracy",
    "precision": "Word precision",
    "recall": "Word recall",
    "f1": "Word F1",
    "span_precision": "Span precision",
    "span_recall": "Span recall",
    "span_f1": "Span F1",
}

_READINGS = {"teacher": "Agreement with the teacher", "gold": "Against gold"}

_COSTS: dict[str, tuple[str, Callable[[float], str]]] = {
    "n_parameters": ("Parameters", lambda value: f"{value:,.0f}"),
    "n_parameters_without_embeddings": (
        "Parameters without embeddings",
        lambda value: f"{value:,.0f}",
    ),
    "size_bytes": ("Size on disk, MB", lambda value: f"{value / 1e6:,.1f}"),
    "ms_per_passage": ("Milliseconds per passage", lambda value: f"{value:,.2f}"),
    "words_per_second": ("Words per second", lambda value: f"{value:,.0f}"),
}

_MEANING = (
    "The published experiment measures agreement with the teacher. In that reading the teacher is "
    "compared with itself and scores 100% by construction. Agreement tells how faithfully a "
    "student copies the teacher, not how often it is right; the reading against gold tells that.",
    'Word accuracy counts every word, and "no entity" dominates it: a model that finds nothing '
    "at all is right on every word outside an entity. Read it together with recall.",
    "Word recall is the share of the words labeled in the reference that get one of their "
    "reference labels from the model. Precision is the share of the words labeled by the model "
    "whose label is in the reference. F1 is their harmonic mean. Gold may give a word several "
    "labels; a model gives it one.",
    "Span precision, recall and F1 count a span only if its first word, its last word and its "
    "label are exactly those of the reference.",
    "The published experiment reports only accuracy, recall and parameters: no precision, no span "
    "scores, no speed and no seeds. Its 2.1B parameters for GLiNER are ten times the 209M of "
    "GLiNER medium; the released GLiNER models have 166M to 459M.",
)


_MARKDOWN_SYNTAX = re.compile(r"([\\`*_{}\[\]<>|#~&])")


def write_report(folder: Path, results: Results, figures: Sequence[FigureFile]) -> None:
    """Write `report.html`, which needs no other file, and `report.md`, which links the PNG files.

    Args:
        folder: The folder, which is created if necessary.
        results: The results.
        figures: The figures; their files must be below `folder`.

    Raises:
        ValueError: The file of a figure is not below `folder`.
        DistillError: The folder cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gliner_distill", "resources/templates"),
        # Names of corpora and teachers may contain HTML.
        autoescape=jinja2.select_autoescape(["html.j2"]),
        # A misspelled name in a template raises an error instead of leaving a gap.
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = _escape_markdown
    context = _context(folder, results, figures)
    for name in ("report.html", "report.md"):
        write_file(folder / name, environment.get_template(f"{name}.j2").render(context))


def table1(results: Results) -> Table:
    """Return Table 1 for the terminal: both readings and the costs, at most 100 columns wide.

    The last column has the published numbers, in the order of the models.
    """
    rows = results.table1
    table = Table(title="Table 1", box=box.SIMPLE, caption=_footnote(rows) or None)
    table.add_column("")
    for row in rows:
        table.add_column(_model_name(row.model).replace(" ", "\n", 1), justify="right")
    table.add_column("Published", justify="right")
    for suffix, reading in _READINGS.items():
        table.add_row(f"[bold]{reading}[/bold]")
        for key, name in _MEASURES.items():
            published = _published_cells(results, key) if suffix == "teacher" else ""
            table.add_row(f"  {name}", *_share_cells(rows, f"{key}_vs_{suffix}"), published)
        table.add_section()
    table.add_row("[bold]Size and speed[/bold]")
    for key, (name, format_cost) in _COSTS.items():
        published = _published_cells(results, "parameters") if key == "n_parameters" else ""
        table.add_row(f"  {name}", *_cost_cells(rows, key, format_cost), published)
    return table


def verdict(results: Results) -> list[str]:
    """Return sentences on which student leads, and on whether the published numbers are reached.

    A lead counts as clear if it exceeds the sum of the standard deviations of both students.
    """
    hard, distilled = results.row("student_hard"), results.row("student_distilled")
    teacher = results.row("gliner")
    has_spread = len(results.seeds) > 1
    sentences = [
        sentence
        for suffix in _READINGS
        for sentence in _lead_sentences(distilled, hard, suffix, has_spread=has_spread)
    ]
    if not has_spread:
        sentences.append(
            "Only one seed was run, so the numbers do not show how much chance varies them."
        )
    sentences += _target_sentences(distilled, results.published)
    teacher_f1, student_f1 = (row.shares.get("span_f1_vs_gold") for row in (teacher, distilled))
    if teacher_f1 is not None and student_f1 is not None:
        sentences.append(
            f"Against gold, the span F1 of the teacher is {teacher_f1:.1%} and that of the "
            f"distilled student is {student_f1:.1%}."
        )
    if teacher.ms_per_passage and distilled.ms_per_passage:
        ratio = teacher.ms_per_passage / distilled.ms_per_passage
        sentences.append(
            f"The teacher takes {ratio:.3g} times as long per passage as the distilled student."
        )
    return sentences


def _lead_sentences(
    distilled: ModelRow, hard: ModelRow, suffix: str, *, has_spread: bool
) -> Iterator[str]:
    """Yield sentences that compare the two students, against the teacher or against gold."""
    clear, within, behind = _sorted_leads(distilled, hard, suffix)
    n_measured = len(clear) + len(within) + len(behind)
    if not n_measured:
        yield f"{_READINGS[suffix]}: not measured for both students."
        return
    all_or_some = (
        f"all {n_measured} measures"
        if len(clear) == n_measured
        else f"{len(clear) or 'none'} of {n_measured} measures"
    )
    margin = " by more than the sum of both spreads over seeds" if has_spread else ""
    names = f" ({', '.join(clear)})" if 0 < len(clear) < n_measured else ""
    yield (
        f"{_READINGS[suffix]}: the distilled student leads the hard-label one{margin} in "
        f"{all_or_some}{names}."
    )
    if within:
        yield f"Its lead is smaller than the spreads in {', '.join(within)}."
    if behind:
        yield f"It does not lead in {', '.join(behind)}."


def _sorted_leads(
    distilled: ModelRow, hard: ModelRow, suffix: str
) -> tuple[list[str], list[str], list[str]]:
    """Return the measures with a clear lead, with a lead within the spreads, and without a lead."""
    clear: list[str] = []
    within: list[str] = []
    behind: list[str] = []
    for key, name in _MEASURES.items():
        column = f"{key}_vs_{suffix}"
        student_share, hard_share = distilled.shares.get(column), hard.shares.get(column)
        if student_share is None or hard_share is None:
            continue
        lead = student_share - hard_share
        spread = (distilled.spreads.get(column) or 0.0) + (hard.spreads.get(column) or 0.0)
        place = clear if lead > spread else within if lead > 0 else behind
        place.append(name[0].lower() + name[1:])
    return clear, within, behind


def _target_sentences(distilled: ModelRow, published: Sequence[PublishedRow]) -> Iterator[str]:
    """Yield a sentence on whether the published accuracy and recall are reached.

    Both are compared in whole percent, as they are published.
    """
    target = next((row for row in published if row.model == distilled.model), None)
    accuracy = distilled.shares.get("accuracy_vs_teacher")
    recall = distilled.shares.get("recall_vs_teacher")
    if target is None or accuracy is None or recall is None:
        return
    triples = (("accuracy", accuracy, target.accuracy), ("recall", recall, target.recall))
    reached = [name for name, share, goal in triples if round(100 * share) >= round(100 * goal)]
    outcome = {0: "it reaches neither", 2: "it reaches both"}.get(len(reached))
    if outcome is None:
        missed = "recall" if reached == ["accuracy"] else "accuracy"
        outcome = f"it reaches the {reached[0]} but not the {missed}"
    yield (
        f"The published distilled student has {target.accuracy:.0%} accuracy and "
        f"{target.recall:.0%} recall against the teacher; this one has {accuracy:.1%} "
        f"and {recall:.1%}: {outcome}."
    )


def _context(folder: Path, results: Results, figures: Sequence[FigureFile]) -> dict[str, Any]:
    """Return the values that both templates use, formatted but not escaped."""
    rows, data = results.table1, results.data
    details: dict[str, Mapping[str, Any]] = {
        "Data": {key: value for key, value in asdict(data).items() if key != "labels_asked"},
        "Gap between train and test": results.gap,
        "Settings": {"seeds": list(results.seeds), **results.settings},
        "Environment": results.environment,
    }
    return {
        "summary": _summary(data, len(results.seeds)),
        "meaning": [*_MEANING, f"Labels offered to every model: {data.labels_asked}."],
        "models": [_model_name(row.model) for row in rows],
        "readings": list(_READINGS.values()),
        "measures": [
            (name, [_share_cells(rows, f"{key}_vs_{suffix}") for suffix in _READINGS])
            for key, name in _MEASURES.items()
        ],
        "costs": [
            (name, _cost_cells(rows, key, format_cost))
            for key, (name, format_cost) in _COSTS.items()
        ],
        "beside": _beside(results),
        "footnote": _footnote(rows),
        "verdict": verdict(results),
        "probe": results.probe,
        "figures": [
            {
                "number": figure.number,
                "title": figure.title,
                "caption": figure.caption,
                "png": figure.as_json(folder)["png"],
                "svg_base64": base64.b64encode(figure.svg_path.read_bytes()).decode("ascii"),
            }
            for figure in figures
        ],
        "details": [
            (title, list(_flat_items(values))) for title, values in details.items() if values
        ],
    }


def _summary(data: DataSummary, n_seeds: int) -> str:
    """Return one paragraph on the experiment."""
    seeds = (
        f"Each was trained with {n_seeds} seeds; the tables give the mean ± the sample standard "
        "deviation over them."
        if n_seeds > 1
        else "Each was trained with one seed."
    )
    return (
        'This repeats the published experiment "Knowledge Distillation targeted at GliNER" (Xu, Ma '
        "and Wang). Two students of the same architecture were trained for the same number of "
        f"steps on {data.n_train:,} passages of {data.source}: one only on gold labels, the other "
        f'on gold mixed with the soft labels of a GLiNER called "{data.teacher}". All three models '
        f"were then compared on {data.n_test:,} passages that no student was trained on. {seeds}"
    )


def _beside(results: Results) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return each model's (here, published) cells for each column of the published Table 1."""
    published = {row.model: row for row in results.published}
    rows = results.table1
    columns: list[tuple[str, list[str], str]] = [
        ("Accuracy", _share_cells(rows, "accuracy_vs_teacher"), "accuracy"),
        ("Recall", _share_cells(rows, "recall_vs_teacher"), "recall"),
        ("Parameters", _cost_cells(rows, "n_parameters", _COSTS["n_parameters"][1]), "parameters"),
    ]
    return [
        (
            name,
            [
                (here, _published_cell(getattr(published.get(row.model), key, None)))
                for here, row in zip(cells, rows, strict=True)
            ],
        )
        for name, cells, key in columns
    ]


def _published_cells(results: Results, key: str) -> str:
    """Return the published values of all models, or "" if there are none."""
    values = [getattr(row, key, None) for row in results.published]
    return " / ".join(map(_published_cell, values)) if any(values) else ""


def _published_cell(value: float | str | None) -> str:
    if value is None:
        return DASH
    return value if isinstance(value, str) else f"{value:.0%}"


def _share_cells(rows: Sequence[ModelRow], column: str) -> list[str]:
    """Return each model's mean in percent, with ± its standard deviation if there is one."""
    cells = []
    for row in rows:
        mean, spread = row.shares.get(column), row.spreads.get(column)
        if mean is None:
            cells.append(DASH)
        else:
            cells.append(f"{mean:.1%}" + (f" ± {100 * spread:.1f}" if spread is not None else ""))
    return cells


def _cost_cells(
    rows: Sequence[ModelRow], key: str, format_cost: Callable[[float], str]
) -> list[str]:
    costs = [getattr(row, key) for row in rows]
    return [DASH if cost is None else format_cost(cost) for cost in costs]


def _model_name(model: str) -> str:
    return MODEL_NAMES.get(model, model)


def _footnote(rows: Sequence[ModelRow]) -> str:
    """Return an explanation of the dashes in the table, or "" if it has none."""
    keys = [f"{key}_vs_{suffix}" for key in _MEASURES for suffix in _READINGS]
    lacks_cost = {row.model: any(getattr(row, key) is None for key in _COSTS) for row in rows}
    if lacks_cost.get("gliner"):
        return (
            f"{DASH} not measured. The teacher was not run live: its answers come from the stored "
            "soft labels."
        )
    if any(lacks_cost.values()) or any(row.shares.get(key) is None for row in rows for key in keys):
        return f"{DASH} not measured."
    return ""


def _flat_items(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the leaves of nested settings as pairs of a dotted name and a text."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat_items(value, f"{name}.")
        elif isinstance(value, list | tuple):
            yield name, ", ".join(map(_plain, value)) or DASH
        else:
            yield name, _plain(value)


def _plain(value: Any) -> str:
    if value is None:
        return DASH
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _escape_markdown(text: object) -> str:
    """Return a text on one line that Markdown shows unchanged, also inside a table."""
    return _MARKDOWN_SYNTAX.sub(r"\\\1", " ".join(str(text).split()))
