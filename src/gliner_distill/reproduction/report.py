"""The reproduction report: Table 1 in both readings, a verdict, the figures, all settings.

In: the dictionary that is also written as `results.json`, and the files that `figures.py` wrote.
Out: `report.html` (self-contained), `report.md`, and Table 1 for the terminal. Numbers are shown as
they come: the verdict is computed from them. The same input gives the same bytes.
"""

import base64
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from rich import box
from rich.table import Table

from gliner_distill.reproduction.figures import MODEL_NAMES, FigureFile

DASH = "–"
"""What stands in a table where nothing was measured."""

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
    "ms_per_passage": ("Milliseconds a passage", lambda value: f"{value:,.2f}"),
    "words_per_second": ("Words a second", lambda value: f"{value:,.0f}"),
}

_MEANING = (
    "Agreement with the teacher is the published report's reading. The teacher is compared with "
    "itself and scores 100% by construction. The reading says how faithfully a student copies, "
    "not how right it is; the reading against gold says that.",
    'Word accuracy counts every word, and "no entity" dominates it: a model that finds nothing '
    "at all is right on every word outside an entity. Read it beside recall.",
    "Word recall: of the words that the reference labels, the share to which the model gives a "
    "label of the reference. Precision: of the words that the model labels, the share it labels "
    "so. F1 is their harmonic mean. Gold may give a word several labels; a model gives it one.",
    "Span precision, recall and F1 count a span only where its first word, its last word and its "
    "label are all exactly those of the reference.",
    "The published report gives accuracy, recall and parameters alone: no precision, no span "
    "scores, no speed, no seeds. Its 2.1B parameters for GLiNER are ten times the 209M of "
    "GLiNER medium; the published models have 166M to 459M.",
)


_MARKDOWN_SYNTAX = re.compile(r"([\\`*_{}\[\]<>|#~&])")


def write_report(folder: Path, results: Mapping[str, Any], figures: Sequence[FigureFile]) -> None:
    """Write `report.html`, which needs no other file, and `report.md`, which links the PNG files.

    Args:
        folder: Made if missing.
        results: What `results.json` holds; `gap` and `probe` may be missing, and any number None.
        figures: Their files must lie under `folder`.

    Raises:
        ValueError: A figure lies outside `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gliner_distill", "resources/templates"),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = _escape_markdown
    context = _context(folder, results, figures)
    for name in ("report.html", "report.md"):
        temporary = folder / f".{name}.tmp"
        text = environment.get_template(f"{name}.j2").render(context)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(folder / name)


def table1(results: Mapping[str, Any]) -> Table:
    """Return Table 1 for the terminal: both readings and the costs, at most 100 columns wide.

    The last column has the published report's own figures in the order of the models.
    """
    rows = results["table1"]
    table = Table(title="Table 1", box=box.SIMPLE, caption=_footnote(rows) or None)
    table.add_column("")
    for row in rows:
        table.add_column(_model_name(row["model"]).replace(" ", "\n", 1), justify="right")
    table.add_column("Published\nreport", justify="right")
    for suffix, reading in _READINGS.items():
        table.add_row(f"[bold]{reading}[/bold]")
        for key, name in _MEASURES.items():
            published = _published(results, key) if suffix == "teacher" else ""
            table.add_row(f"  {name}", *_share_cells(rows, f"{key}_vs_{suffix}"), published)
        table.add_section()
    table.add_row("[bold]Size and speed[/bold]")
    for key, (name, format_cost) in _COSTS.items():
        published = _published(results, "parameters") if key == "n_parameters" else ""
        table.add_row(f"  {name}", *_cost_cells(rows, key, format_cost), published)
    return table


def verdict(results: Mapping[str, Any]) -> list[str]:
    """Return what the numbers say, as sentences: who leads by how much, and is 99 / 97 reached.

    A lead counts as clear where it exceeds the sum of both students' standard deviations.
    """
    by_model = {row["model"]: row for row in results["table1"]}
    hard, distilled = by_model["student_hard"], by_model["student_distilled"]
    has_spread = len(results["seeds"]) > 1
    sentences = [
        sentence
        for suffix in _READINGS
        for sentence in _lead_sentences(distilled, hard, suffix, has_spread=has_spread)
    ]
    if not has_spread:
        sentences.append("One seed was run, so nothing here says how far chance moves a number.")
    sentences += _target_sentences(distilled, results["reported"])
    teacher = by_model.get("gliner", {})
    if None not in (teacher.get("span_f1_vs_gold"), distilled.get("span_f1_vs_gold")):
        sentences.append(
            f"Against gold the teacher's span F1 is {_percent(teacher['span_f1_vs_gold'])}, the "
            f"distilled student's {_percent(distilled['span_f1_vs_gold'])}."
        )
    if teacher.get("ms_per_passage") and distilled.get("ms_per_passage"):
        ratio = teacher["ms_per_passage"] / distilled["ms_per_passage"]
        sentences.append(
            f"The teacher takes {ratio:.3g} times as long a passage as the distilled student."
        )
    return sentences


def _lead_sentences(
    distilled: Mapping[str, Any], hard: Mapping[str, Any], suffix: str, *, has_spread: bool
) -> Iterator[str]:
    """Yield one reading's comparison of the two students."""
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
    margin = " by more than the two spreads over seeds together" if has_spread else ""
    names = f" ({', '.join(clear)})" if 0 < len(clear) < n_measured else ""
    yield (
        f"{_READINGS[suffix]}: the distilled student leads the hard-label one{margin} in "
        f"{all_or_some}{names}."
    )
    if within:
        yield f"Its lead lies within the spreads in {', '.join(within)}."
    if behind:
        yield f"It does not lead in {', '.join(behind)}."


def _sorted_leads(
    distilled: Mapping[str, Any], hard: Mapping[str, Any], suffix: str
) -> tuple[list[str], list[str], list[str]]:
    """Return the measures with a clear lead, with one inside the spreads, and without lead."""
    clear: list[str] = []
    within: list[str] = []
    behind: list[str] = []
    for key, name in _MEASURES.items():
        column = f"{key}_vs_{suffix}"
        if distilled.get(column) is None or hard.get(column) is None:
            continue
        lead = distilled[column] - hard[column]
        spread = (distilled.get(f"{column}_sd") or 0.0) + (hard.get(f"{column}_sd") or 0.0)
        place = clear if lead > spread else within if lead > 0 else behind
        place.append(name[0].lower() + name[1:])
    return clear, within, behind


def _target_sentences(
    distilled: Mapping[str, Any], reported: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    """Yield whether the published accuracy and recall are reached, in whole per cent as printed."""
    target = next((row for row in reported if row["model"] == "student_distilled"), None)
    accuracy, recall = distilled.get("accuracy_vs_teacher"), distilled.get("recall_vs_teacher")
    if target is None or accuracy is None or recall is None:
        return
    pairs = (("accuracy", accuracy), ("recall", recall))
    reached = [name for name, share in pairs if round(100 * share) >= round(100 * target[name])]
    outcome = {0: "it reaches neither", 2: "it reaches both"}.get(len(reached))
    if outcome is None:
        missed = "recall" if reached == ["accuracy"] else "accuracy"
        outcome = f"it reaches the {reached[0]} but not the {missed}"
    yield (
        f"The published report gives its distilled student {target['accuracy']:.0%} accuracy and "
        f"{target['recall']:.0%} recall against the teacher; this one has {_percent(accuracy)} "
        f"and {_percent(recall)}: {outcome}."
    )


def _context(
    folder: Path, results: Mapping[str, Any], figures: Sequence[FigureFile]
) -> dict[str, Any]:
    """Return what both templates read; everything is formatted but not escaped."""
    rows, data = results["table1"], results["data"]
    details: dict[str, Mapping[str, Any]] = {
        "Data": {key: value for key, value in data.items() if key != "labels_asked"},
        "Gap between train and test": results.get("gap") or {},
        "Settings": {"seeds": results["seeds"], **results["settings"]},
        "Environment": results["environment"],
    }
    return {
        "summary": _summary(data, len(results["seeds"])),
        "meaning": [*_MEANING, f"Labels offered to every model: {data['labels_asked']}"],
        "models": [_model_name(row["model"]) for row in rows],
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
        "probe": results.get("probe"),
        "figures": [
            {
                "number": figure.number,
                "title": figure.title,
                "caption": figure.caption,
                "png": figure.png_path.relative_to(folder).as_posix(),
                "svg_base64": base64.b64encode(figure.svg_path.read_bytes()).decode("ascii"),
            }
            for figure in figures
        ],
        "details": [
            (title, list(_flat_items(values))) for title, values in details.items() if values
        ],
    }


def _summary(data: Mapping[str, Any], n_seeds: int) -> str:
    """Return one paragraph on what was done."""
    seeds = (
        f"Each was trained with {n_seeds} seeds; the tables give the mean ± the sample standard "
        "deviation over them."
        if n_seeds > 1
        else "Each was trained with one seed."
    )
    return (
        "Two students of the same architecture were trained for the same steps on "
        f"{data['n_train']:,} passages of {data['source']}: one on gold labels alone, the other "
        f"on gold mixed with the soft labels of the teacher {data['teacher']}. All were then "
        f"compared on {data['n_test']:,} passages that no student was trained on. {seeds}"
    )


def _beside(results: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return, for each column of the published Table 1, each model's (here, published) cells."""
    published = {row["model"]: row for row in results["reported"]}
    rows = results["table1"]
    columns: list[tuple[str, list[str], str]] = [
        ("Accuracy", _share_cells(rows, "accuracy_vs_teacher"), "accuracy"),
        ("Recall", _share_cells(rows, "recall_vs_teacher"), "recall"),
        ("Parameters", _cost_cells(rows, "n_parameters", _COSTS["n_parameters"][1]), "parameters"),
    ]
    return [
        (
            name,
            [
                (here, _published_cell(published.get(row["model"], {}).get(key)))
                for here, row in zip(cells, rows, strict=True)
            ],
        )
        for name, cells, key in columns
    ]


def _published(results: Mapping[str, Any], key: str) -> str:
    """Return the published report's values of all models, or nothing where it gives none."""
    values = [row.get(key) for row in results["reported"]]
    return " / ".join(map(_published_cell, values)) if any(values) else ""


def _published_cell(value: float | str | None) -> str:
    if value is None:
        return DASH
    return value if isinstance(value, str) else f"{value:.0%}"


def _share_cells(rows: Sequence[Mapping[str, Any]], column: str) -> list[str]:
    """Return each model's mean, with ± its standard deviation where there is one, in per cent."""
    cells = []
    for row in rows:
        mean, spread = row.get(column), row.get(f"{column}_sd")
        if mean is None:
            cells.append(DASH)
        else:
            cells.append(_percent(mean) + (f" ± {100 * spread:.1f}" if spread is not None else ""))
    return cells


def _cost_cells(
    rows: Sequence[Mapping[str, Any]], key: str, format_cost: Callable[[float], str]
) -> list[str]:
    return [DASH if row.get(key) is None else format_cost(row[key]) for row in rows]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _model_name(model: str) -> str:
    return MODEL_NAMES.get(model, model)


def _footnote(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return what a dash means in this table, or nothing where there is none."""
    keys = [f"{key}_vs_{suffix}" for key in _MEASURES for suffix in _READINGS]
    if any(row["model"] == "gliner" and row.get(key) is None for row in rows for key in _COSTS):
        return (
            f"{DASH} not measured. The teacher was not run live here: its answers come from the "
            "stored soft labels."
        )
    if any(row.get(key) is None for row in rows for key in [*keys, *_COSTS]):
        return f"{DASH} not measured."
    return ""


def _flat_items(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the leaves of nested settings as (dotted name, text)."""
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
    """Return text that Markdown shows as it is, on one line, also inside a table."""
    return _MARKDOWN_SYNTAX.sub(r"\\\1", " ".join(str(text).split()))
