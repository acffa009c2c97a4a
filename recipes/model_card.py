"""Write the model card and the metrics of the open-label student from its measurements.

The measurements come from the folder that `bundled_student.py` fills and the benchmarks add to.
The results are `metrics.json` and `README.md` beside the weights. `licenses.py` finds the licenses.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from label_wordings import DESCRIBED, PLAIN, PLURAL, RENAMED
from licenses import OWN_TEXT, SetLicense, TaughtSet, read_licenses, taught_sets
from training_set import ASKED_SHARE, MAX_READ, N_ASKED, SETS_SHARE

from gliner_distill.files import write_file, write_json
from gliner_distill.hub.cards import CARD_FILE, Card, SpanResult, student_metadata
from gliner_distill.student.files import load_student

TEMPLATE = Path(__file__).with_name("model_card.md.jinja")
NAME = "gliner-distill-open-label"
"""The name of the student in the metadata of its card."""
SPLITS = {"held out": "validation", "in domain": "test"}
"""The split that each group of results is of: the held-out sets chose the recipe."""
PUBLISHED = "published"
"""The name of the student in the results of the benchmark of unseen passages."""
MIN_RECALL, MIN_PRECISION = 0.9, 0.8
"""The goal of the student for each type of personal data."""
WATTS = 20
"""The power that the two cores and their share of the machine are assumed to draw."""
RECIPE = {
    "sets_share": SETS_SHARE,
    "max_read": MAX_READ,
    "asked_share": ASKED_SHARE,
    "n_asked": N_ASKED,
    "plain": PLAIN,
    "described": DESCRIBED,
    "renamed": RENAMED,
    "plural": PLURAL,
}
"""The numbers of the recipe that the card names."""


def write_card(data: Path, out: Path) -> None:
    """Write `metrics.json` and `README.md` into `out/student`.

    Raises:
        CorpusError: A set that taught the student is not permitted, or its license is not known.
    """
    metrics = {
        "held out": read_json(out / "held_out" / "open_label.json"),
        "in domain": read_json(out / "in_domain_scores" / "open_label.json"),
        "robustness": read_json(out / "robustness.json"),
        "kept apart": read_json(out / "unseen_passages.json")[PUBLISHED],
        "personal data": personal_figures(read_json(out / "personal_data.json")),
        "hours": read_json(out / "hours.json"),
    }
    folder = out / "student"
    licenses = read_licenses(data / "corpora")
    sets = taught_sets(read_json(out / "sets.json"), licenses, read_json(data / "permissive.json"))
    card = Card(card_metadata(metrics, sets), render(out, metrics, sets, licenses))
    write_json(folder / "metrics.json", metrics)
    write_file(folder / CARD_FILE, card.render())


def card_metadata(metrics: dict[str, Any], sets: Iterable[TaughtSet]) -> dict[str, Any]:
    """Return the metadata of the card, with the F1 of the student on each measured set."""
    results = [
        SpanResult(name, split, {"f1": f1}, kind=name)
        for group, split in SPLITS.items()
        for name, f1 in metrics[group]["student"]["at 0.5"].items()
        if name not in ("macro", "micro")
    ]
    return student_metadata(
        NAME,
        datasets=[item.name for item in sets if item.name not in OWN_TEXT],
        results=results,
        license="apache-2.0",
        language="en",
    )


def render(
    out: Path,
    metrics: dict[str, Any],
    sets: list[TaughtSet],
    licenses: dict[str, SetLicense],
) -> str:
    """Return the text of the card."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["mean_share"] = mean_share
    environment.filters["share_of"] = share_of
    environment.filters["mute_of_all"] = mute_of_all
    environment.filters["percent"] = lambda share: f"{100 * share:.1f}"
    environment.filters["whole_percent"] = lambda share: f"{100 * share:.0f}%"
    student, _ = load_student(out / "student")
    config = read_json(out / "student" / "student_config.json")
    robustness = {
        change: (float(np.mean(row["gold"])), float(np.mean(row["own"])))
        for change, row in metrics["robustness"]["student"].items()
    }
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        config=config,
        recipe=RECIPE,
        halves=config["calibration"]["half of the sets, fitted on the other half"],
        teacher=metrics["held out"]["models"]["teacher"],
        groups={name: metrics[name] for name in ("held out", "in domain")},
        apart=metrics["kept apart"],
        personal=metrics["personal data"],
        is_reached=is_reached,
        robustness=robustness,
        sets=sets,
        share_alike_words=share_alike_words(sets),
        licenses=licenses,
        hours=metrics["hours"],
        kilowatt_hours=WATTS * sum(metrics["hours"].values()) / 1000,
        watts=WATTS,
        n_parameters=student.n_parameters,
    )


def personal_figures(results: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return the figures at 0.5 with patterns, from the results of the benchmark for one student.

    Returns:
        For each type, a row per wording with recall, precision, the number of entities and the
        lower and upper limit of the interval of the recall. For each wording, the number of false
        entities per 1,000 words without personal data.
    """
    [settings] = results.values()
    chosen = [row for row in settings if row["setting"] == "threshold 0.5" and row["patterns"]]
    names = ("recall", "precision", "n_gold", "recall interval")
    return {
        "types": {
            label: [{name: row["types"][label][name] for name in names} for row in chosen]
            for label in chosen[0]["types"]
        },
        "false entities per 1,000 words": [row["invented"]["per_1000_words"] for row in chosen],
    }


def is_reached(rows: list[dict[str, Any]]) -> bool:
    """Return whether a type has a recall of 90% at a precision of 80% in each wording."""
    return all(
        row["recall"] >= MIN_RECALL and (row["precision"] or 0) >= MIN_PRECISION for row in rows
    )


def share_of(ours: float, theirs: float) -> str:
    """Return the share of the teacher's F1 that the student keeps, or a dash if that F1 is 0."""
    return f"{100 * ours / theirs:.1f}%" if theirs else "-"


def share_alike_words(sets: list[TaughtSet]) -> float:
    """Return the share of words that come from sets with text under CC BY-SA."""
    marked = sum(item.n_words for item in sets if item.license.share_alike == "yes")
    return marked / sum(item.n_words for item in sets)


def mean_share(metrics: dict[str, Any]) -> str:
    """Return the mean over sets of the share of the teacher's F1 that is kept, each at most 1."""
    teacher, student = metrics["teacher"]["at 0.5"], metrics["student"]["at 0.5"]
    shares = [
        min(1.0, student[name] / f1)
        for name, f1 in teacher.items()
        if f1 and name not in ("macro", "micro")
    ]
    return share_of(float(np.mean(shares)), 1.0) if shares else "-"


def mute_of_all(counts_by_set: dict[str, dict[str, dict[str, int]]]) -> str:
    """Return the number of labels that find nothing, and of all labels, as "1 of 30".

    Args:
        counts_by_set: The numbers of `annotated` and `correct` entities by label and set.
    """
    counts = [count for by_label in counts_by_set.values() for count in by_label.values()]
    return f"{sum(not count['correct'] for count in counts)} of {len(counts)}"


def read_json(path: Path) -> Any:
    """Return the content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
