"""Format and plot the figures that speed.py writes as JSON.

Each median is followed by the lowest and the highest round. A ratio is computed in each round,
between contenders that took turns; then its median over the rounds is taken.
"""

import math
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from gliner_distill.kernel.kernels import default_kernel

Row = Mapping[str, Any]

BASE = "student-int8"
PLOT_CASE = "100 words, 5 labels"
MANY_LABELS = ("100 words, 10 labels", "100 words, 1,000 labels")
LATENCY_CASE = "25 words, 5 labels, one at a time"
RATIO_GOALS = {
    "small-torch": ("gliner torch, small-v2.1 shape", 100),
    "teacher-torch": ("gliner torch, teacher", 20),
    "spacy": ("spaCy en_core_web_sm NER", 8),
}
RATE_GOAL, LATENCY_GOAL_MS = 100_000.0, 0.4
NOTES = (
    "Words/s counts all words of the texts, in batches (32 texts for students, 8 for GLiNER, "
    "spaCy's own batches).",
    "GLiNER reads at most 384 words of a text and, with the labels, 512 pieces; the words that it "
    "leaves out of 400 count as read.",
    "The small-v2.1 shape is the architecture of urchade/gliner_small-v2.1 with random weights and "
    "the teacher's tokenizer, since the published one is not available offline; it finds nothing, "
    "so it saves the time for decoding.",
    "The 2.5-small shape is the encoder of fastino/gliner2.5-small with gliner2's boundary head, "
    "random weights and the teacher's tokenizer; it finds nothing, too.",
    "spaCy runs in one process and has fixed types, so it is asked no labels.",
    "fast-gliner takes no number of threads and starts four; like every contender, it is limited "
    "to as many cores as the others have threads.",
)


def describe_machine(n_threads: int) -> dict[str, Any]:
    """Return the properties of the machine on which the figures depend."""
    cpu = platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = models[0].split(":", 1)[1].strip() if models else cpu
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "kernel": default_kernel().name,
        "threads": n_threads,
        "date": datetime.now(UTC).date().isoformat(),
    }


def add_comparisons(figures: dict[str, Any]) -> dict[str, Any]:
    """Return the figures with rates, ratios and goals, computed from the seconds."""
    rows = figures["contenders"]
    for row in rows.values():
        for key, case in row["cases"].items():
            if key == LATENCY_CASE and case.get("seconds"):
                case |= summarize_latency(case["seconds"])
            elif case.get("seconds"):
                rates = [case["words"] / seconds for seconds in case["seconds"]]
                case["words_a_second"] = spread(rates)
    base = rows.get(BASE, {"cases": {}})["cases"]
    figures["ratios"] = {
        name: compare(base, row["cases"]) for name, row in rows.items() if name != BASE
    }
    for row in rows.values():
        few, many = (row["cases"].get(key, {}).get("seconds") for key in MANY_LABELS)
        if few and many:
            row["many_labels"] = compare_labels(row["cases"])
    figures["goals"] = judge(figures)
    return figures


def summarize_latency(rounds: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Return percentiles over all rounds, in milliseconds, and the median of each round."""
    all_ms = 1000 * np.array(list(chain.from_iterable(rounds)))
    p50, p95 = np.percentile(all_ms, (50, 95)).tolist()
    rounds_ms = [1000 * median(seconds) for seconds in rounds]
    return {"p50_ms": p50, "p95_ms": p95, "p50_ms_by_round": spread(rounds_ms)}


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median, lowest and highest of at least one value."""
    return {"median": median(values), "min": min(values), "max": max(values)}


def compare(base: Mapping[str, Row], other: Mapping[str, Row]) -> dict[str, dict[str, float]]:
    """Return the speed of `base` over that of another contender, for each case that both have."""
    found = {}
    for key in base.keys() & other.keys() - {LATENCY_CASE}:
        if base[key].get("seconds") and other[key].get("seconds"):
            pairs = zip(base[key]["seconds"], other[key]["seconds"], strict=True)
            # Contenders read different numbers of words, so their times are compared per word.
            scale = base[key]["words"] / other[key]["words"]
            found[key] = spread([scale * theirs / ours for ours, theirs in pairs])
    # The order of the cases is that of the base.
    return {key: found[key] for key in base if key in found}


def compare_labels(cases: Mapping[str, Row]) -> dict[str, float]:
    """Return the time per word with the many labels over that with the few."""
    few, many = (cases[key] for key in MANY_LABELS)
    pairs = zip(few["seconds"], many["seconds"], strict=True)
    return spread([few["words"] / many["words"] * slow / fast for fast, slow in pairs])


def judge(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return each goal with its figures by case, and whether each case meets it."""
    ratios = figures["ratios"]
    base = figures["contenders"].get(BASE, {"cases": {}})["cases"]
    goals = []
    for name, (title, least) in RATIO_GOALS.items():
        found = {
            key: ratio["median"] for key, ratio in ratios.get(name, {}).items() if is_main(key)
        }
        goals.append({"goal": f"at least {least} times the words/s of {title}", "unit": " times"})
        goals[-1] |= {"by_case": found, "met": [value >= least for value in found.values()]}
    rates = {
        key: case["words_a_second"]["median"]
        for key, case in base.items()
        if is_main(key) and "words_a_second" in case
    }
    goals.append({"goal": f"at least {RATE_GOAL:,.0f} words/s in batches", "unit": " words/s"})
    goals[-1] |= {"by_case": rates, "met": [value >= RATE_GOAL for value in rates.values()]}
    latency = base.get(LATENCY_CASE, {})
    p50 = {LATENCY_CASE: latency["p50_ms"]} if "p50_ms" in latency else {}
    goals.append({"goal": f"p50 of at most {LATENCY_GOAL_MS:g} ms for 25 words", "unit": " ms"})
    goals[-1] |= {"by_case": p50, "met": [value <= LATENCY_GOAL_MS for value in p50.values()]}
    return goals


def is_main(case: str) -> bool:
    """Return whether a case is one that all contenders have, in batches."""
    return case not in (*MANY_LABELS, LATENCY_CASE)


def format_report(figures: Mapping[str, Any]) -> str:
    """Return all tables as Markdown."""
    machine, rows = figures["machine"], figures["contenders"]
    versions = dict(
        chain.from_iterable(sorted(row.get("versions", {}).items()) for row in rows.values())
    )
    measured = {name: row for name, row in rows.items() if "not_measured" not in row}
    cases = [key for key in find_cases(measured) if is_main(key)]
    parts = [
        f"{machine['cpu']}, {machine['cores']} cores; kernel: {machine.get('kernel', 'unknown')}; "
        f"threads: {machine['threads']} each; "
        f"{machine['date']}; {figures['rounds']} rounds; "
        + ", ".join(f"{name} {found}" for name, found in sorted(versions.items())),
        "### Words per second: median (lowest to highest round)",
        format_table(["", *cases], measured, lambda row: [format_rate(row, key) for key in cases]),
        "### Speed of the int8 student over that of others: median (lowest to highest round)",
        format_ratios(figures, cases),
        "### One text at a time, start, memory, size, F1",
        format_rest(measured),
        "### Words timed per round",
        format_table(["", *cases], measured, lambda row: [format_words(row, key) for key in cases]),
        format_many_labels(measured),
        "### Goals",
        "\n".join(format_goal(goal) for goal in figures["goals"]),
        "### Notes",
        "\n".join(f"- {note}" for note in (*NOTES, *list_gaps(rows))),
    ]
    return "\n\n".join(part for part in parts if part)


def find_cases(rows: Mapping[str, Row]) -> list[str]:
    return list(dict.fromkeys(chain.from_iterable(row["cases"] for row in rows.values())))


def format_table(
    head: Sequence[str], rows: Mapping[str, Row], cells: Callable[[Row], Sequence[str]]
) -> str:
    lines = [f"| {' | '.join(head)} |", "|---" + "|---:" * (len(head) - 1) + "|"]
    lines += [f"| {' | '.join([row['title'], *cells(row)])} |" for row in rows.values()]
    return "\n".join(lines)


def format_spread(found: Mapping[str, float] | None) -> str:
    """Return `median (min to max)`; numbers from 100 up have no decimals.

    >>> format_spread({"median": 1234.5, "min": 99.94, "max": 2000.0})
    '1,234 (99.9 to 2,000)'
    """
    if not found:
        return "not measured"
    low, middle, high = (show(found[key]) for key in ("min", "median", "max"))
    return f"{middle} ({low} to {high})"


def show(value: float | None, digits: int = 1) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.{digits}f}"


def format_rate(row: Row, case: str) -> str:
    return format_spread(row["cases"].get(case, {}).get("words_a_second"))


def format_words(row: Row, case: str) -> str:
    words = row["cases"].get(case, {}).get("words")
    return f"{words:,}" if words else "-"


def format_ratios(figures: Mapping[str, Any], cases: Sequence[str]) -> str:
    ratios = {name: found for name, found in figures["ratios"].items() if found}
    if not ratios:
        return "Not measured."
    rows = {
        name: {"title": figures["contenders"][name]["title"], "ratios": found}
        for name, found in ratios.items()
    }
    return format_table(
        ["", *cases], rows, lambda row: [format_spread(row["ratios"].get(key)) for key in cases]
    )


def format_rest(rows: Mapping[str, Row]) -> str:
    """Return the table of everything but rates; fresh processes count with their median."""

    def cells(row: Row) -> list[str]:
        latency = row["cases"].get(LATENCY_CASE, {})
        fresh = [figures for figures in row.get("fresh", ()) if "cold_s" in figures]
        taken = {
            key: median([figures[key] for figures in fresh]) if fresh else None
            for key in ("cold_s", "import_s", "peak_mb")
        }
        f1 = row.get("f1")
        return [
            show(latency.get("p50_ms"), 2),
            show(latency.get("p95_ms"), 2),
            show(taken["cold_s"], 2),
            show(taken["import_s"], 2),
            show(taken["peak_mb"]),
            show(row["size_mb"]),
            f"{100 * f1:.1f}" if isinstance(f1, float) else "-",
        ]

    head = ["", "p50, ms", "p95, ms", "first answer, s", "of which import, s"]
    return format_table([*head, "peak memory, MB", "weights, MB", "span F1, %"], rows, cells)


def format_many_labels(rows: Mapping[str, Row]) -> str:
    found = [
        f"{row['title']}: {format_spread(row['many_labels'])} times the time with 10 labels"
        for row in rows.values()
        if "many_labels" in row
    ]
    return "\n".join(["### 1,000 labels, 100 words", "", *found]) if found else ""


def format_goal(goal: Mapping[str, Any]) -> str:
    found, met = goal["by_case"], goal["met"]
    if not found:
        return f"- {goal['goal']}: not measured"
    answer = "yes" if all(met) else "no" if not any(met) else f"in {sum(met)} of {len(met)} cases"
    digits = 2 if goal["unit"] == " ms" else 1
    figures = [f"{show(value, digits)}{goal['unit']} ({key})" for key, value in found.items()]
    return f"- {goal['goal']}: {answer}: {'; '.join(figures)}"


def list_gaps(rows: Mapping[str, Row]) -> list[str]:
    """Return a line for each figure that was not measured, with the reason."""
    found = []
    for row in rows.values():
        if "not_measured" in row:
            found.append(f"{row['title']}: not measured: {row['not_measured']}")
        parts = dict(row["cases"])
        if isinstance(row.get("f1"), dict):
            parts["F1"] = row["f1"]
        for number, fresh in enumerate(row.get("fresh", ()), 1):
            parts[f"fresh process {number}"] = fresh
        found += [
            f"{row['title']}, {key}: not measured: {part['not_measured']}"
            for key, part in parts.items()
            if "not_measured" in part
        ]
    return found


def draw_plot(figures: Mapping[str, Any], path: Path) -> None:
    """Draw speed against F1; a contender without F1 is a vertical line."""
    from matplotlib import style
    from matplotlib.figure import Figure

    from gliner_distill.reproduction.figures import PLOT_STYLE

    rows = figures["contenders"]
    speeds = {
        name: row["cases"][PLOT_CASE]["words_a_second"]["median"]
        for name, row in rows.items()
        if "words_a_second" in row["cases"].get(PLOT_CASE, {})
    }
    machine = figures["machine"]
    with style.context(["default", PLOT_STYLE]):
        figure = Figure(figsize=(8.4, 4.8), layout="constrained")
        axes = figure.subplots()
        axes.set(xscale="log", ylim=(0, 100), ylabel="Exact-match span F1 on the sample's test, %")
        axes.set_xlabel(f"Words per second ({PLOT_CASE}; threads: {machine['threads']})")
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.xaxis.set_minor_formatter("")
        lines = [name for name in speeds if not isinstance(rows[name].get("f1"), float)]
        sides = place_names({name: speeds[name] for name in lines}, _log_range(speeds))
        for place, name in enumerate(sorted(speeds, key=speeds.__getitem__)):
            if name in sides:
                is_left, level = sides[name]
                draw_line(axes, rows[name]["title"], speeds[name], is_left=is_left, level=level)
            else:
                draw_bubble(axes, name, rows[name], speeds[name], is_above=place % 2 == 0)
        if speeds:
            axes.set_xlim(0.5 * min(speeds.values()), 2.5 * max(speeds.values()))
        figure.savefig(path, format=path.suffix[1:] or "png", dpi=150)


def _log_range(speeds: Mapping[str, float]) -> float:
    """Return the decimal logarithm of the range that the axis of speeds shows."""
    return math.log10(5 * max(speeds.values()) / min(speeds.values())) if speeds else 1.0


def place_names(speeds: Mapping[str, float], log_range: float) -> dict[str, tuple[bool, int]]:
    """Return for each line whether its name is on the left, and at which level, 0 at the bottom.

    Names of lines that are close together would cover each other.

    Args:
        speeds: The speed of each line.
        log_range: The decimal logarithm of the range of the axis.
    """
    width = 0.03 * log_range
    places: dict[str, tuple[bool, int]] = {}
    ends: dict[int, float] = {}
    for name in sorted(speeds, key=speeds.__getitem__):
        at = math.log10(speeds[name])
        # The names of a level come in the order of the speeds, so each begins after the last one.
        level, is_left = next(
            (level, is_left)
            for level in count()
            for is_left in (True, False)
            if at - width * is_left >= ends.get(level, -math.inf)
        )
        places[name] = is_left, level
        ends[level] = at if is_left else at + width
    return places


def draw_bubble(axes: Any, name: str, row: Row, speed: float, *, is_above: bool) -> None:
    """Draw a contender with an F1 as a bubble whose area is the size of its weights."""
    color = "#0072b2" if name.startswith("student") else "#d55e00"
    size_mb = row["size_mb"] or 1.0
    area, height = 6.0 * size_mb, 100 * row["f1"]
    axes.scatter([speed], [height], s=area, color=color, alpha=0.6, linewidths=0, zorder=3)
    distance = (6 + (area / np.pi) ** 0.5) * (1 if is_above else -1)
    axes.annotate(
        f"{row['title']}\n{size_mb:.0f} MB",
        (speed, height),
        xytext=(0, distance),
        textcoords="offset points",
        ha="center",
        va="bottom" if is_above else "top",
        fontsize=9,
    )


def draw_line(axes: Any, title: str, speed: float, *, is_left: bool, level: int) -> None:
    """Draw a contender without an F1 as a line, with its name on one side."""
    axes.axvline(speed, color="#888888", linestyle="--", linewidth=1)
    axes.annotate(
        title,
        (speed, 0.02 + 0.48 * level),
        xycoords=("data", "axes fraction"),
        xytext=(-2 if is_left else 3, 0),
        textcoords="offset points",
        rotation=90,
        ha="right" if is_left else "left",
        va="bottom",
        fontsize=8,
    )
