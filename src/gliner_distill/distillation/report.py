"""The report on a distilled student: `report.html` for people, `README.md` beside the weights.

In: the dictionary of `evaluate_distilled`. Out: a self-contained page and a model card. Numbers are
shown as they come; text of the user's documents is escaped.
"""

import base64
import io
import re
from collections.abc import Mapping
from typing import Any

import jinja2
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

_COLOR = "#0072b2"


_PER = 100_000_000


_PAGE, _CARD = "domain_report.html.j2", "domain_card.md.j2"


def render_page(figures: Mapping[str, Any], title: str) -> str:
    """Return the report as one HTML page."""
    return _render(_PAGE, figures, title, per=_PER, curve=_draw_curve(figures))


def render_card(figures: Mapping[str, Any], title: str) -> str:
    """Return the model card in Markdown."""
    return _render(_CARD, figures, title)


def _render(name: str, figures: Mapping[str, Any], title: str, **more: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gliner_distill", "resources/templates"),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["plain"] = _as_plain_markdown
    return environment.get_template(name).render(f=figures, title=title, pc=_percent, **more)


def _as_plain_markdown(text: str) -> str:
    """Return a text on one line that Markdown shows as it is, in a table too."""
    return " ".join(re.sub(r"[\\`*_\[\]<>|&]", r"\\\g<0>", text).split())


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _draw_curve(figures: Mapping[str, Any]) -> str:
    """Return a picture of agreement on dev by epoch, as base64 of a PNG."""
    rows = figures["curve"]
    figure = Figure(figsize=(6, 3), dpi=120, layout="constrained")
    axes = figure.subplots()
    epochs = [row["epoch"] for row in rows]
    axes.plot(epochs, [100 * row["agreement_f1"] for row in rows], marker="o", color=_COLOR)
    axes.set_xlabel("epoch")
    axes.set_ylabel("span F1 against the teacher, dev, %")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(True, color="#dddddd")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    return base64.b64encode(picture.getvalue()).decode()
