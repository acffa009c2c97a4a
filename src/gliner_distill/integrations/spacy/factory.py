"""Register the component `gliner_distill` with spaCy when this module is imported.

spaCy imports it in every process that makes a pipeline, even if the component is not used.
Therefore, this module does not import numpy.
"""

from typing import Any, Literal

from gliner_distill.errors import InputError, MissingExtraError
from gliner_distill.integrations.spacy.colors import assign_colors
from gliner_distill.integrations.spacy.component import StudentComponent
from gliner_distill.integrations.spacy.settings import ComponentSettings

try:
    from spacy.language import Language
except ModuleNotFoundError as error:
    raise MissingExtraError("spaCy", "spacy") from error

ASSIGNED = ["doc.ents", "doc.spans", "token.ent_iob", "token.ent_type", "span._.score"]
"""The attributes that the component sets, for `nlp.analyze_pipes`."""


def make_component(
    nlp: Language,
    name: str,
    labels: list[str] | dict[str, str],
    model: str | None,
    threshold: float,
    thresholds: dict[str, float],
    style: Literal["ent", "span"],
    spans_key: str,
    overwrite_ents: bool,
    patterns: bool,
    num_threads: int | None,
) -> StudentComponent:
    """Return the component; spaCy calls this with the settings of its config.

    Args:
        nlp: The pipeline.
        name: The name of the component in the pipeline.
        labels: See `ComponentSettings`, also for all other settings.
        model: The student: a folder, a hub id, or None for the one that is installed with the
            package. It is loaded when the first document arrives, because a pipeline that is read
            from a folder or from bytes brings its own.
        threshold: See `ComponentSettings`.
        thresholds: See `ComponentSettings`.
        style: See `ComponentSettings`.
        spans_key: See `ComponentSettings`.
        overwrite_ents: See `ComponentSettings`.
        patterns: See `ComponentSettings`.
        num_threads: The number of threads; None for `OMP_NUM_THREADS`, or else one per processor.

    Raises:
        InputError: A setting has a wrong value. This is a `ValueError`. spaCy itself refuses
            settings that are unknown or have a wrong type.
    """
    settings = ComponentSettings(
        labels=labels,
        threshold=threshold,
        thresholds=thresholds,
        style=style,
        spans_key=spans_key,
        overwrite_ents=overwrite_ents,
        patterns=patterns,
    )
    settings.check(name)
    if num_threads is not None and num_threads < 1:
        raise InputError(
            f"component {name!r}: num_threads is {num_threads}; expected at least 1, or null"
        )
    assign_colors(labels)
    return StudentComponent(name, settings, model=model, num_threads=num_threads)


_DEFAULTS: dict[str, Any] = {
    "model": None,
    "threshold": 0.5,
    "thresholds": {},
    "style": "ent",
    "spans_key": "sc",
    "overwrite_ents": False,
    "patterns": True,
    "num_threads": None,
}

Language.factory("gliner_distill", default_config=_DEFAULTS, assigns=ASSIGNED, func=make_component)
