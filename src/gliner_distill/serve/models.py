"""The models that a server has, each with a name and a queue of its own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

from gliner_distill.evaluation.models import NERModel
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.serve.problems import RequestError
from gliner_distill.serve.questions import Bounds
from gliner_distill.serve.reader import Reader


@final
@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model with its name and its queue.

    Attributes:
        name: The name that requests may give.
        model: The model.
        reader: Its queue.
    """

    name: str
    model: NERModel
    reader: Reader

    @property
    def is_student(self) -> bool:
        """Whether the model is a student, which takes thresholds for single labels."""
        return isinstance(self.model, StudentNER)

    def describe(self) -> dict[str, Any]:
        """Return what clients may know about the model, as plain JSON."""
        return {"name": self.name, "kind": "student" if self.is_student else "teacher"}


@final
class ModelShelf:
    """The models of a server, the first of which answers requests that name none.

    Args:
        models: The models by name, at least one.
        bounds: The bounds of their queues.
        n_threads: The number of batches that each student reads side by side. A teacher reads one
            batch after the other.
    """

    def __init__(
        self, models: Mapping[str, NERModel], bounds: Bounds, *, n_threads: int = 1
    ) -> None:
        self._models = {
            name: ServedModel(
                name,
                model,
                Reader(
                    model,
                    n_threads=n_threads if isinstance(model, StudentNER) else 1,
                    bounds=bounds,
                ),
            )
            for name, model in models.items()
        }

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._models.values())

    @property
    def first(self) -> ServedModel:
        """The model that answers requests which name none."""
        return next(iter(self))

    def find(self, name: str | None) -> ServedModel:
        """Return the model of a name, or the first one for None.

        Raises:
            RequestError: No model has this name.
        """
        if name is None:
            return self.first
        if name not in self._models:
            names = ", ".join(self._models)
            message = f"model: this server has no such model; it has {names}"
            raise RequestError(404, message, "model")
        return self._models[name]

    def close(self) -> None:
        """Wait for the threads of all models."""
        for served in self:
            served.reader.close()
