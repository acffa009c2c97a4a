"""Questions to a model, and the bounds of requests: the one form in which all requests are read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gliner_distill.entities import EntityDict
from gliner_distill.evaluation.models import NERModel

Prompts = tuple[tuple[str, str], ...]

Render = Callable[[str, list[EntityDict]], bytes]
"""A function that turns a text and its entities into JSON."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that a request, and all waiting requests together, may ask for.

    Attributes:
        max_body_bytes: The size of a body.
        max_texts: The number of texts of a request.
        max_chars: The characters of a request: of all its texts, labels and descriptions.
        max_labels: The number of labels of a request.
        max_waiting: The number of requests that wait for one model.
        max_waiting_chars: The characters of these requests.
        time_limit_s: The seconds until a request must be answered.
    """

    max_body_bytes: int = 4 * 2**20
    max_texts: int = 1_000
    max_chars: int = 1_000_000
    max_labels: int = 500
    max_waiting: int = 1_024
    max_waiting_chars: int = 16_000_000
    time_limit_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Question:
    """The labels and options of a request; requests with equal options are read together.

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

    @property
    def options(self) -> tuple[Any, ...]:
        """All but the labels."""
        return self.threshold, self.thresholds, self.nested, self.multi_label, self.patterns

    def ask(
        self, model: NERModel, texts: list[str], labels: Sequence[Prompts] | None = None
    ) -> list[list[EntityDict]]:
        """Return the entities that a model finds in each text.

        Args:
            model: The model.
            texts: The texts.
            labels: Other labels for each text, which only a student takes.
        """
        asked: Any = dict(self.labels) if labels is None else [dict(own) for own in labels]
        more = {"thresholds": dict(self.thresholds)} if self.thresholds else {}
        return model.inference(
            texts,
            asked,
            not self.nested,
            self.threshold,
            self.multi_label,
            patterns=self.patterns,
            **more,
        )
