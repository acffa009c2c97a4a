"""Read the sentences that Presidio's generator of fake data writes.

Source: presidio-research (https://github.com/microsoft/presidio-research). A sample has `full_text`
and `spans` of objects with `entity_type`, `entity_value`, `start_position` and `end_position`.
Offsets count characters.
"""

from gliner_distill.corpus.exports.spans import AnnotatedText, Content, object_spans


def is_presidio(content: Content) -> bool:
    """Return whether a record is a sample with spans."""
    return "full_text" in content and "spans" in content


def read_presidio(content: Content) -> AnnotatedText:
    """Return the text of a sample and its entities.

    Raises:
        RecordError: The spans have another form.
    """
    spans = object_spans(
        content["spans"],
        "spans",
        start="start_position",
        end="end_position",
        label="entity_type",
        surface="entity_value",
    )
    return AnnotatedText(content["full_text"], list(spans), "full_text")
