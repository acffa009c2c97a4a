"""Read the annotations that Label Studio exports as JSON and as JSON_MIN.

Source: Label Studio (https://labelstud.io/guide/export). In JSON, a task has its text in `data` and
regions in `annotations[].result[].value`; in JSON_MIN, the regions are a list beside the text. A
region has `start`, `end`, `labels` and, in most versions, its `text`. Predictions are not read.
"""

from collections.abc import Iterator
from typing import Any

from gliner_distill.corpus.exports.spans import AnnotatedText, CharSpan, Content
from gliner_distill.corpus.records import RecordError
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.errors import name_kind, shorten


def is_label_studio(content: Content) -> bool:
    """Return whether a record is a task of the export JSON or JSON_MIN."""
    return _is_task(content) or ("text" in content and _region_key(content) is not None)


def read_label_studio(content: Content, notes: CorpusNotes) -> AnnotatedText | None:
    """Return the text of a task and its entities, or None if nobody has annotated it.

    Raises:
        RecordError: The task has several annotations, no field that is clearly its text, or regions
            in another form.
    """
    if not _is_task(content):
        key = _region_key(content)
        return _checked_offsets(content["text"], "text", list(_spans(content[key or ""], f"{key}")))
    annotations = [item for item in content["annotations"] if not item.get("was_cancelled")]
    if not annotations:
        notes.skipped["tasks that nobody has annotated"] += 1
        return None
    if len(annotations) > 1:
        raise RecordError(
            f"annotations: the task has {len(annotations)}; keep one, since it is not clear which "
            "of them is right"
        )
    field, text = _task_text(content["data"])
    regions = annotations[0].get("result")
    values = [region.get("value") for region in regions if region.get("type") == "labels"]
    return _checked_offsets(text, field, list(_spans(values, "annotations[0].result")))


def _is_task(content: Content) -> bool:
    annotations = content.get("annotations")
    return (
        isinstance(content.get("data"), dict)
        and isinstance(annotations, list)
        and all(isinstance(item, dict) and _has_regions(item) for item in annotations)
    )


def _has_regions(annotation: dict[str, Any]) -> bool:
    regions = annotation.get("result")
    return isinstance(regions, list) and all(isinstance(region, dict) for region in regions)


def _region_key(content: Content) -> str | None:
    """Return the key of the regions in JSON_MIN: the name of the control that made them."""
    for key, value in content.items():
        if isinstance(value, list) and any(
            isinstance(region, dict) and {"start", "labels"} <= region.keys() for region in value
        ):
            return key
    return None


def _task_text(data: dict[str, Any]) -> tuple[str, object]:
    """Return the field and the text of a task: `text`, or its only string."""
    if "text" in data:
        return "data.text", data["text"]
    texts = [key for key, value in data.items() if isinstance(value, str)]
    if len(texts) != 1:
        raise RecordError(
            f"data: the fields are {', '.join(map(repr, data)) or 'none'}; expected the text in "
            "the field 'text'"
        )
    return f"data.{texts[0]}", data[texts[0]]


def _spans(regions: list[Any], field: str) -> Iterator[CharSpan]:
    for number, region in enumerate(regions):
        place = f"{field}[{number}]"
        if not isinstance(region, dict) or not {"start", "end", "labels"} <= region.keys():
            raise RecordError(
                f"{place} is {shorten(region)}; expected an object with 'start', 'end' and 'labels'"
            )
        labels = region["labels"]
        if not isinstance(labels, list) or not labels:
            raise RecordError(f"{place}: labels is {name_kind(labels)}; expected a list of labels")
        for label in labels:
            yield CharSpan(place, region["start"], region["end"], label, region.get("text"))


def _checked_offsets(text: object, field: str, spans: list[CharSpan]) -> AnnotatedText:
    """Refuse offsets if it is not clear whether they count characters or UTF-16 code units."""
    is_unclear = isinstance(text, str) and any(char > "\uffff" for char in text)
    if is_unclear and spans and all(span.surface is None for span in spans):
        raise RecordError(
            f"{field}: the text has characters beyond U+FFFF, such as emoji, and no region repeats "
            "its 'text', so it is not clear what 'start' and 'end' count; export the regions with "
            "their text"
        )
    return AnnotatedText(text, spans, field)
