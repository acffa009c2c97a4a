"""Read the JSON lines that doccano exports for sequence labeling.

Source: doccano (https://github.com/doccano/doccano). "JSONL" has a `label` (before version 1.6
`labels`) of `[start, end, label]`, and "JSONL (relation)" has `entities` of objects with
`start_offset`, `end_offset` and `label`. Offsets count characters.
"""

from gliner_distill.corpus.exports.spans import AnnotatedText, Content, object_spans

_KEYS = ("label", "labels")


def is_doccano(content: Content) -> bool:
    """Return whether a record has a text and its labels in one of doccano's forms."""
    return "text" in content and (_list_key(content) is not None or _has_offsets(content))


def read_doccano(content: Content) -> AnnotatedText:
    """Return the text of a record and its entities.

    Raises:
        RecordError: The entities have another form.
    """
    if (key := _list_key(content)) is not None:
        return AnnotatedText(content["text"], list(object_spans(content[key], key)))
    spans = object_spans(content["entities"], "entities", start="start_offset", end="end_offset")
    return AnnotatedText(content["text"], list(spans))


def _list_key(content: Content) -> str | None:
    """Return the key of the entities; a list of class names for the whole text does not count."""
    for key in _KEYS:
        labels = content.get(key)
        is_list = isinstance(labels, list) and all(isinstance(label, list) for label in labels)
        # If the list is empty, the entities may be in the other field.
        if is_list and (labels or "entities" not in content):
            return key
    return None


def _has_offsets(content: Content) -> bool:
    entities = content.get("entities")
    return isinstance(entities, list) and any(
        isinstance(entity, dict) and "start_offset" in entity for entity in entities
    )
