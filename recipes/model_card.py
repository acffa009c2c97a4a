"""The card and the figures of the student of any label, from what was measured of it.

In: the folder that `bundled_student.py` fills, with what the benchmarks wrote there. Out:
`metrics.json` and `README.md` beside the weights. Licences are those that the tables of
DATA/corpora/SOURCES_*.md state.
"""

import json
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from gliner_distill.files import replace_file
from gliner_distill.student.files import load_student

TEMPLATE = Path(__file__).with_name("model_card.md.jinja")
WATTS = 20
"""Assumed for the two cores that were used, with their share of the machine."""


def write_card(data: Path, out: Path) -> None:
    """Write `metrics.json` and `README.md` into `out/student`."""
    metrics = {
        "held out": read(out / "held_out" / "open_label.json"),
        "in domain": read(out / "in_domain_scores" / "open_label.json"),
        "robustness": read(out / "robustness.json"),
        "hours": read(out / "hours.json"),
    }
    folder = out / "student"
    replace_file(folder / "metrics.json", (json.dumps(metrics, indent=1) + "\n").encode())
    replace_file(folder / "README.md", render(data, out, metrics).encode())


def render(data: Path, out: Path, metrics: dict[str, Any]) -> str:
    """Return the card."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["capped"] = mean_share
    environment.filters["percent"] = lambda share: f"{100 * share:.1f}"
    student, _ = load_student(out / "student")
    robustness = {
        change: (float(np.mean(row["gold"])), float(np.mean(row["own"])))
        for change, row in metrics["robustness"].items()
        if change != "sets"
    }
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        config=read(out / "student" / "student_config.json"),
        groups={name: metrics[name] for name in ("held out", "in domain")},
        robustness=robustness,
        sets=read(out / "sets.json"),
        licences=read_licences(data / "corpora"),
        hours=metrics["hours"],
        kilowatt_hours=WATTS * sum(metrics["hours"].values()) / 1000,
        watts=WATTS,
        n_parameters=student.n_parameters,
    )


def mean_share(figures: dict[str, Any]) -> float:
    """Return the mean over sets of the share of the teacher's F1 kept, at most 1 of each."""
    teacher, student = figures["teacher"]["at 0.5"], figures["student"]["at 0.5"]
    sets = [name for name in teacher if name not in ("macro", "micro") and teacher[name]]
    return float(np.mean([min(1.0, student[name] / teacher[name]) for name in sets]))


def read_licences(folder: Path) -> dict[str, tuple[str, str]]:
    """Return the origin and licence of each set, from the tables of SOURCES_*.md."""
    rows = [
        [cell.strip() for cell in line.strip("| \n").split("|")]
        for path in sorted(folder.glob("SOURCES_*.md"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    return {row[0]: (row[1], row[2]) for row in rows}


def read(path: Path) -> Any:
    """Return a JSON file's content."""
    return json.loads(path.read_text(encoding="utf-8"))
