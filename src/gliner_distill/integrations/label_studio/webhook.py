"""Turn what Label Studio reports about annotations into answers in the file of gold.

Source: Label Studio (https://labelstud.io/guide/webhook_reference). `ANNOTATION_CREATED` and
`ANNOTATION_UPDATED` come with the annotation, its task and its project, `ANNOTATIONS_CREATED` with
lists of both, and `ANNOTATIONS_DELETED` with the ids of annotations. All other actions are
answered, but change nothing.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gliner_distill.corpus.exports.recognition import as_words
from gliner_distill.corpus.records import RawRecord, RecordError, passage_from_record
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.integrations.label_studio.gold import Answer, GoldFile, TextKey
from gliner_distill.integrations.label_studio.labeling_config import (
    TextLabels,
    read_labeling_config,
)
from gliner_distill.integrations.label_studio.payloads import PayloadError, checked, member
from gliner_distill.integrations.label_studio.predictions import task_text

_logger = logging.getLogger(__name__)

_SAVED = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED")
_DELETED = "ANNOTATIONS_DELETED"

Json = dict[str, Any]


def take_event(event: Json, gold: GoldFile | None) -> Json:
    """Carry out an event, and return the answer to Label Studio.

    An annotation without entities counts: its text has none. The annotation of a skipped task does
    not count.

    Args:
        event: The body of the request.
        gold: The file to change; None if corrections are not kept.

    Returns:
        `status`, which is `saved`, `removed` or `ignored`, and `reason` or the number of texts.

    Raises:
        PayloadError: The event lacks a field, or holds a wrong value; the file is unchanged.
        CorpusError: The file cannot be read or written.
    """
    action = member(event, "action", str)
    if action not in (*_SAVED, _DELETED):
        return _ignored("this action does not concern annotations")
    if gold is None:
        return _ignored("the backend was started without a file for gold")
    project = member(event, "project", dict)
    project_id = member(project, "id", int, where="project")
    if action == _DELETED:
        pairs = _objects(event, "annotations")
        deleted = {member(part, "id", int, where=field) for field, part in pairs}
        return {"status": "removed", "texts": gold.remove(project_id, deleted)}
    config = member(project, "label_config", str, where="project")
    texts = read_labeling_config(config, field="project.label_config")
    answers: dict[TextKey, Answer] = {}
    skipped: set[int] = set()
    for annotated in _annotated_tasks(event):
        if annotated.annotation.get("was_cancelled"):
            skipped.add(annotated.annotation_id)
        else:
            answers |= {
                TextKey(project_id, annotated.task_id, to_name): answer
                for to_name, answer in _answers(annotated, texts).items()
            }
    if skipped:
        # An annotator may skip a task after having annotated it.
        gold.remove(project_id, skipped)
    if answers:
        gold.put(answers)
    return {"status": "saved", "texts": len(answers)} if answers else _ignored("nothing to keep")


@dataclass(frozen=True, slots=True)
class _AnnotatedTask:
    """An annotation and its task, with the fields that hold them in the request."""

    annotation: Json
    annotation_field: str
    annotation_id: int
    task: Json
    task_field: str
    task_id: int


def _annotated_tasks(event: Json) -> list[_AnnotatedTask]:
    """Return the annotations of an event with their tasks; `ANNOTATIONS_CREATED` has lists.

    Raises:
        PayloadError: One of them is missing, or there is not one task per annotation.
    """
    if isinstance(event.get("annotation"), list):
        annotations, tasks = _objects(event, "annotation"), _objects(event, "task")
    else:
        annotations = [("annotation", member(event, "annotation", dict))]
        tasks = [("task", member(event, "task", dict))]
    if len(annotations) != len(tasks):
        raise PayloadError("task", f"there are {len(tasks)} for {len(annotations)} annotations")
    return [
        _AnnotatedTask(
            annotation,
            annotation_field,
            member(annotation, "id", int, where=annotation_field),
            task,
            task_field,
            member(task, "id", int, where=task_field),
        )
        for (annotation_field, annotation), (task_field, task) in zip(
            annotations, tasks, strict=True
        )
    ]


def _objects(event: Json, key: str) -> list[tuple[str, Json]]:
    """Return the objects of a list, each with its field."""
    fields = [(f"{key}[{number}]", part) for number, part in enumerate(member(event, key, list))]
    return [(field, checked(part, field, dict)) for field, part in fields]


def _ignored(reason: str) -> Json:
    return {"status": "ignored", "reason": reason}


def _answers(annotated: _AnnotatedTask, texts: Sequence[TextLabels]) -> dict[str, Answer]:
    """Return the answer for each text of a task by the name of its tag; blank texts have none.

    Raises:
        PayloadError: See `take_event`.
    """
    where = annotated.annotation_field
    regions = member(annotated.annotation, "result", list, where=where)
    updated_at = _checked_time(annotated.annotation, where)
    to_names = {labels.to_name for labels in texts}
    entities = _entities(regions, to_names, f"{where}.result")
    answers: dict[str, Answer] = {}
    # Several `Labels` may belong to one text.
    for labels in {labels.to_name: labels for labels in texts}.values():
        text = task_text(annotated.task, labels, where=annotated.task_field)
        own = entities[labels.to_name]
        if text.strip() or own:
            answer = Answer(annotated.annotation_id, updated_at, text, own)
            _check_readable(answer, f"{where}.result")
            answers[labels.to_name] = answer
    return answers


def _checked_time(annotation: Json, where: str) -> str:
    time = member(annotation, "updated_at", str, where=where)
    try:
        has_zone = datetime.fromisoformat(time).tzinfo is not None
    except ValueError:
        has_zone = False
    if not has_zone:
        raise PayloadError(f"{where}.updated_at", "expected a time with its zone in ISO 8601")
    return time


def _entities(regions: list[Any], to_names: set[str], where: str) -> dict[str, list[Json]]:
    """Return the entities of each text; regions that do not label a text are left out."""
    entities: dict[str, list[Json]] = {to_name: [] for to_name in to_names}
    for number, region in enumerate(regions):
        field = f"{where}[{number}]"
        content = checked(region, field, dict)
        own = entities.get(str(content.get("to_name")))
        if content.get("type") != "labels" or own is None:
            continue
        value = member(content, "value", dict, where=field)
        field = f"{field}.value"
        span: Json = {key: member(value, key, int, where=field) for key in ("start", "end")}
        if value.get("text") is not None:
            span["text"] = member(value, "text", str, where=field)
        for label in member(value, "labels", list, where=field):
            own.append(span | {"label": checked(label, f"{field}.labels", str)})
    return entities


def _check_readable(answer: Answer, field: str) -> None:
    """Read an answer as `distill --gold` will, so that a bad one is refused at once.

    Raises:
        PayloadError: It cannot be read.
    """
    notes = CorpusNotes()
    record = RawRecord(
        f"annotation {answer.annotation}",
        {"text": answer.text, "entities": list(answer.entities)},
    )
    try:
        words = as_words(record, notes)
        if words is not None:
            passage_from_record(words, notes)
    except RecordError as error:
        raise PayloadError(field, str(error), quotes_text=True) from None
    n_left_out = sum(count for count, _ in notes.left_out.values())
    if n_left_out:
        _logger.warning(
            "annotation %d: %d of %d entities do not begin and end where words do, so a student "
            "cannot learn them",
            answer.annotation,
            n_left_out,
            len(answer.entities),
        )
