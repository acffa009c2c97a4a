"""Read texts whose entities are objects with offsets, such as the answers of `predict`.

Source: this package. `gliner-distill predict` prints, and `StudentNER.inference` returns,
`{"text": ..., "entities": [{"start": ..., "end": ..., "label": ...}]}`; so do many scripts.
"""

from gliner_distill.corpus.exports.spans import AnnotatedText, Content, object_spans


def is_answer(content: Content) -> bool:
    """Return whether a record has a text and a list of entities by characters."""
    entities = content.get("entities")
    if "text" not in content or not isinstance(entities, list | tuple):
        return False
    return not entities or any(
        "start" in entity if isinstance(entity, dict) else isinstance(entity, list | tuple)
        for entity in entities
    )


def read_answer(content: Content) -> AnnotatedText:
    """Return the text of a record and its entities.

    Raises:
        RecordError: The entities have another form.
    """
    spans = object_spans(content["entities"], "entities", surface="text")
    return AnnotatedText(content["text"], list(spans))
