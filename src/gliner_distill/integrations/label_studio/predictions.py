"""Answer tasks: each gets the regions that a model finds in its texts.

Source: Label Studio (https://labelstud.io/guide/predictions). A prediction has a `result` of
regions, a `score` and a `model_version`. Offsets count characters, and the end is exclusive.
"""

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

from gliner_distill.entities import EntityDict
from gliner_distill.errors import name_kind
from gliner_distill.evaluation.models import NERModel
from gliner_distill.integrations.label_studio.labeling_config import TextLabels
from gliner_distill.integrations.label_studio.payloads import PayloadError, member
from gliner_distill.runtime.locate import locate_model

Prediction = dict[str, Any]


@final
class Predictor:
    """A model that answers tasks of Label Studio; several threads may share one.

    Args:
        model: The model.
        version: The name that predictions carry. Label Studio asks again for tasks whose
            predictions have another one.
        threshold: The score that an entity must exceed.
        patterns: Whether structured types are also found by checked patterns; see `NERModel`.

    Attributes:
        version: The name that predictions carry.
    """

    def __init__(
        self, model: NERModel, *, version: str, threshold: float = 0.5, patterns: bool = True
    ) -> None:
        self.version = version
        self._model = model
        self._threshold = threshold
        self._patterns = patterns
        # A model uses all processors, so requests take turns.
        self._turn = threading.Lock()

    def predict(
        self, tasks: Sequence[dict[str, Any]], config: Sequence[TextLabels]
    ) -> list[Prediction]:
        """Return one prediction per task, in order.

        A task whose text cannot be read gets a prediction without regions, and `error` says why.

        Args:
            tasks: The tasks, each with its fields in `data`.
            config: The labels of each text.
        """
        results: list[list[dict[str, Any]]] = [[] for _ in tasks]
        errors: list[list[str]] = [[] for _ in tasks]
        for labels in config:
            texts: dict[int, str] = {}
            for number, task in enumerate(tasks):
                try:
                    texts[number] = task_text(task, labels)
                except PayloadError as error:
                    errors[number].append(str(error))
            for number, found in zip(texts, self._find(list(texts.values()), labels), strict=True):
                results[number] += [_region(entity, labels) for entity in found]
        return [
            self._prediction(regions, list(dict.fromkeys(problems)))
            for regions, problems in zip(results, errors, strict=True)
        ]

    def _find(self, texts: list[str], labels: TextLabels) -> list[list[EntityDict]]:
        if not texts:
            return []
        with self._turn:
            return self._model.inference(
                texts,
                dict(labels.prompts),
                threshold=self._threshold,
                patterns=self._patterns,
            )

    def _prediction(self, regions: list[dict[str, Any]], problems: list[str]) -> Prediction:
        # Label Studio sorts tasks by the score, so that the least certain ones can come first.
        lowest = min((region["score"] for region in regions), default=None)
        prediction = {"model_version": self.version, "score": lowest, "result": regions}
        return prediction | ({"error": "; ".join(problems)} if problems else {})


def task_text(task: dict[str, Any], labels: TextLabels, *, where: str = "") -> str:
    """Return a text of a task.

    Args:
        task: The task.
        labels: The labels of the text, which say in which field it is.
        where: The field of the task in its request, for messages; empty for the task itself.

    Raises:
        PayloadError: The field is missing, is not a string that UTF-8 can encode, or holds the
            address of a text.
    """
    data = member(task, "data", dict, where=where)
    field = f"{where}.data" if where else "data"
    text = member(data, labels.data_field, str, where=field)
    if labels.is_url:
        raise PayloadError(
            f"{field}.{labels.data_field}",
            'it holds the address of a text (valueType="url"), which this backend does not '
            "download; import the text itself",
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PayloadError(
            f"{field}.{labels.data_field}",
            "it holds half of a surrogate pair, which is not a character",
        ) from None
    return text


def check_tasks(tasks: list[Any], *, max_tasks: int) -> list[dict[str, Any]]:
    """Return the tasks of a request.

    Raises:
        PayloadError: There are too many, or one of them is not an object.
    """
    if len(tasks) > max_tasks:
        raise PayloadError("tasks", f"there are {len(tasks):,}; send at most {max_tasks:,} at once")
    for number, task in enumerate(tasks):
        if not isinstance(task, dict):
            found = name_kind(task)
            raise PayloadError(f"tasks[{number}]", f"found {found}; expected an object")
    return tasks


def _region(entity: EntityDict, labels: TextLabels) -> dict[str, Any]:
    score = round(float(entity["score"]), 4)
    return {
        "from_name": labels.from_name,
        "to_name": labels.to_name,
        "type": "labels",
        "value": {
            "start": entity["start"],
            "end": entity["end"],
            "text": entity["text"],
            "labels": [entity["label"]],
            "score": score,
        },
        "score": score,
    }


def name_version(name: str | Path | None, *, threshold: float, patterns: bool) -> str:
    """Return a name that changes whenever a model may answer differently.

    Args:
        name: The name of the model; see `evaluation.models.load_model`.
        threshold: The threshold of the predictions.
        patterns: Whether patterns take part in them.

    Raises:
        StudentError: The name stands for no model.
        HubError: It is not on the hub, or cannot be downloaded.
    """
    folder = locate_model(name).folder
    digest = hashlib.sha256(f"{threshold} {patterns}".encode())
    # A student's configuration names the SHA-256 of its other files.
    for path in sorted(folder.glob("*config.json")):
        digest.update(path.read_bytes())
    shown = folder.name if name is None else Path(str(name)).name
    return f"{shown}-{digest.hexdigest()[:8]}"
