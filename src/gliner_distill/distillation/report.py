"""The report on a distilled student: `report.html`, and the model card `README.md`.

Text from the user's documents is escaped, so that a browser shows it and never runs it.
"""

import base64
import io
from typing import Any, Final

import jinja2
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gliner_distill.distillation.measurements import Measurements
from gliner_distill.hub.cards import RESULTS, Card, SpanResult, plain_markdown, student_metadata
from gliner_distill.hub.ids import looks_like_hub_id
from gliner_distill.runtime.sharing.cards import PLACE

_PAGE: Final = "distillation_report.html.j2"
_CARD: Final = "distillation_card.md.j2"
_COLOR: Final = "#0072b2"

_COST_WORDS: Final = 100_000_000
"""The number of words for which the report says how many hours a model takes."""


def render_page(measurements: Measurements, title: str) -> str:
    """Return the report as one HTML page that needs no other file."""
    curve = _draw_curve(measurements)
    return _render(_PAGE, measurements, title, cost_words=_COST_WORDS, curve=curve)


def make_card(measurements: Measurements, name: str, title: str, *, precision: str) -> Card:
    """Return the model card.

    Args:
        measurements: The measurements of the student.
        name: The name of the student in the results.
        title: The title of the text.
        precision: The precision of the student, `fp32` or `int8`.
    """
    metadata = student_metadata(
        name,
        base_models=[part for part in measurements.teacher.split(" + ") if looks_like_hub_id(part)],
        datasets=measurements.datasets,
        results=_results(measurements),
    )
    text = _render(_CARD, measurements, title, place=PLACE, precision=precision)
    return Card(metadata, text)


def as_other_precision(card: Card, precision: str) -> Card:
    """Return the card of the same student in another precision, which was not measured."""
    metadata = {key: value for key, value in card.metadata.items() if key != RESULTS}
    note = (
        f"This folder holds the student in {precision} precision. The figures above were measured "
        "with the smaller student of the folder above it."
    )
    return Card(metadata, f"{card.text.rstrip()}\n\n{note}\n")


def _results(measurements: Measurements) -> list[SpanResult]:
    """Return the results on the test passages: against gold, and against the teacher's answers."""
    figures = {"the answers of the teacher": ("soft-labels", measurements.agreement)}
    if measurements.gold is not None:
        annotated = {"annotated passages": ("gold", measurements.gold.student)}
        figures = annotated | figures
    return [
        SpanResult(
            name,
            "test",
            {"precision": scores.precision, "recall": scores.recall, "f1": scores.f1},
            kind=kind,
        )
        for name, (kind, scores) in figures.items()
        if scores.n_reference
    ]


def _render(name: str, measurements: Measurements, title: str, **more: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gliner_distill", "resources/templates"),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["plain"] = plain_markdown
    environment.filters["percent"] = lambda share: f"{100 * share:.1f}"
    return environment.get_template(name).render(m=measurements, title=title, **more)


def _draw_curve(measurements: Measurements) -> str:
    """Return a plot of the F1 on dev per epoch, as a PNG in base64."""
    figure = Figure(figsize=(6, 3), dpi=120, layout="constrained")
    axes = figure.subplots()
    epochs = [row.epoch for row in measurements.curve]
    f1s = [100 * row.agreement_f1 for row in measurements.curve]
    axes.plot(epochs, f1s, marker="o", color=_COLOR)
    axes.set_xlabel("epoch")
    axes.set_ylabel("span F1 against the targets, dev, %")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(True, color="#dddddd")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    picture = io.BytesIO()
    # The name of the software contains a version; without it, equal numbers give equal bytes.
    figure.savefig(picture, format="png", metadata={"Software": None})
    return base64.b64encode(picture.getvalue()).decode()
