"""Questions to a model: requests in the one form in which they wait for it and are read."""

from collections.abc import Callable
from dataclasses import dataclass

from gliner_distill.entities import EntityDict
from gliner_distill.evaluation.models import NERModel

Prompts = tuple[tuple[str, str], ...]

Render = Callable[[str, list[EntityDict]], bytes]
"""A function that turns a text and its entities into JSON."""


@dataclass(frozen=True, slots=True)
class Question:
    """All that is asked about texts; requests with equal questions are read together.

    Attributes:
        labels: The labels, each with the text that the model reads for it.
        threshold: The score that an entity must exceed.
        thresholds: Other thresholds for some labels.
        nested: Whether an entity may lie inside another.
        multi_label: Whether a span may have several labels.
        patterns: Whether structured types are also found by checked patterns.
    """

    labels: Prompts
    threshold: float = 0.5
    thresholds: tuple[tuple[str, float], ...] = ()
    nested: bool = False
    multi_label: bool = False
    patterns: bool = True

    def ask(self, model: NERModel, texts: list[str]) -> list[list[EntityDict]]:
        """Return the entities that a model finds in each text."""
        more = {"thresholds": dict(self.thresholds)} if self.thresholds else {}
        return model.inference(
            texts,
            dict(self.labels),
            not self.nested,
            self.threshold,
            self.multi_label,
            patterns=self.patterns,
            **more,
        )
