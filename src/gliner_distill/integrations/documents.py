"""Find the entities of documents, for frameworks with their own classes of documents."""

from collections.abc import Mapping, Sequence, Sized
from pathlib import Path

from gliner_distill.entities import EntityDict
from gliner_distill.errors import InputError
from gliner_distill.runtime.inputs import InferenceOptions
from gliner_distill.runtime.labels import LabelSet, check_asked
from gliner_distill.runtime.ner import StudentNER


def check_settings(
    labels: LabelSet, threshold: float, thresholds: Mapping[str, float] | None
) -> None:
    """Check settings when a component is made, so that errors come before the first document.

    Args:
        labels: The labels, as `StudentNER.inference` takes them.
        threshold: The score that an entity must exceed.
        thresholds: Other thresholds for some labels.

    Raises:
        InputError: There are no labels, a setting has a wrong type or value, or a threshold is for
            a label that is not looked for.
    """
    check_not_empty(labels)
    InferenceOptions(threshold=threshold, thresholds=thresholds).check()
    check_asked(thresholds or {}, labels)


def plain_name(model: str | Path | None) -> str | None:
    """Return the name of a student as text, which every framework can save."""
    return str(model) if isinstance(model, Path) else model


def check_not_empty(labels: object) -> None:
    """Raise an `InputError` if there are no labels, for which the student would find nothing."""
    if isinstance(labels, Sized) and len(labels) == 0:
        raise InputError("labels is empty; expected at least one label, such as ['person']")


def find_entities(
    student: StudentNER,
    texts: Sequence[str | None],
    labels: LabelSet,
    threshold: float,
    thresholds: Mapping[str, float] | None,
) -> list[list[EntityDict]]:
    """Return the entities of each text, in batches; a document without text (None) has none.

    Raises:
        InputError: See `StudentNER.inference`.
    """
    found: list[list[EntityDict]] = [[] for _ in texts]
    places = [place for place, text in enumerate(texts) if text is not None]
    answers = student.inference(
        [text for text in texts if text is not None],
        labels,
        threshold=threshold,
        thresholds=thresholds,
    )
    for place, entities in zip(places, answers, strict=True):
        found[place] = entities
    return found
