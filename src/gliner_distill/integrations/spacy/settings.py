"""The settings of the component `gliner_distill`, and their checks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gliner_distill.errors import InputError, shorten

ComponentLabels = Sequence[str] | Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ComponentSettings:
    """The settings of the component; those with the names of `StudentNER.inference` mean the same.

    Attributes:
        labels: The labels to find, or a mapping from each label to the description that the student
            reads in its place.
        threshold: The score that an entity must exceed.
        thresholds: Other thresholds for some labels.
        style: `ent` to set `doc.ents`, which do not overlap; `span` to set `doc.spans`, in which an
            entity may lie inside another.
        spans_key: The key of `doc.spans` for the style `span`.
        overwrite_ents: Whether entities of other components are replaced, with the style `ent`, if
            they overlap those of this one.
        patterns: Whether checked patterns find e-mail addresses, URLs and numbers, too.
    """

    labels: ComponentLabels
    threshold: float = 0.5
    thresholds: Mapping[str, float] | None = None
    style: Literal["ent", "span"] = "ent"
    spans_key: str = "sc"
    overwrite_ents: bool = False
    patterns: bool = True

    def check(self, name: str) -> None:
        """Raise an `InputError` for a wrong setting; the message names the component.

        Args:
            name: The name of the component.
        """
        # spaCy imports this module in every process, and this takes time.
        from gliner_distill.runtime.inputs import InferenceOptions

        try:
            check_labels(self.labels)
            InferenceOptions(threshold=self.threshold).check()
            check_thresholds(self.thresholds or {}, self.labels)
            if not self.spans_key:
                raise InputError("spans_key is empty; expected a key of doc.spans, such as 'sc'")
            _check_storable({"labels": self.labels, "thresholds": self.thresholds or {}})
        except InputError as error:
            raise InputError(f"component {name!r}: {error}") from error


def check_labels(labels: ComponentLabels) -> None:
    """Raise an `InputError` if there are no labels, or if they are a single string."""
    if isinstance(labels, str):
        raise InputError(f"labels is {shorten(labels)}; expected a list, such as [{labels!r}]")
    if not labels:
        raise InputError(
            "labels is empty; name what to find, for example config={'labels': ['person', 'city']}"
        )


def check_thresholds(thresholds: Mapping[str, float], labels: ComponentLabels) -> None:
    """Raise an `InputError` for a wrong threshold, or for one of a label that is not looked for."""
    from gliner_distill.runtime.inputs import InferenceOptions
    from gliner_distill.runtime.labels import check_asked

    InferenceOptions(thresholds=thresholds).check()
    check_asked(thresholds, labels)


def _check_storable(values: Mapping[str, object]) -> None:
    """Check that spaCy's config files give values back as they are.

    When a pipeline is saved and loaded, a dollar sign is doubled, for example, and a key with a
    colon becomes another key.
    """
    from thinc.api import Config, ConfigValidationError

    for field, value in values.items():
        plain = dict(value) if isinstance(value, Mapping) else value
        try:
            text = Config({"component": {field: plain}}).to_str()
            read = [
                Config().from_str(text, interpolate=interpolate) for interpolate in (False, True)
            ]
            is_same = all(config["component"][field] == plain for config in read)
        except ConfigValidationError:
            is_same = False
        if not is_same:
            raise InputError(
                f"{field} holds a text that spaCy's config files would change; use no dollar sign "
                "and, for labels in a mapping, neither a colon nor an equals sign, and no '#', ';' "
                "or '[' at the start"
            )
