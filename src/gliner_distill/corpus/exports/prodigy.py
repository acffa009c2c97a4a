"""Read the JSON lines of Prodigy's command `db-out`, for the interface `ner_manual`.

Source: Prodigy (https://prodi.gy/docs/api-interfaces#ner_manual). A task has a `text`, `tokens`,
`spans` of objects with `start`, `end` and `label`, and an `answer`. Offsets count characters. Tasks
that the annotator rejected or ignored are left out and counted.
"""

from gliner_distill.corpus.exports.spans import AnnotatedText, Content, object_spans
from gliner_distill.corpus.statistics import CorpusNotes

_ANSWERS = ("accept", "reject", "ignore")


def is_prodigy(content: Content) -> bool:
    """Return whether a record is a task, which has spans, an answer of an annotator, or both."""
    has_spans = isinstance(content.get("spans"), list)
    return "text" in content and (has_spans or content.get("answer") in _ANSWERS)


def read_prodigy(content: Content, notes: CorpusNotes) -> AnnotatedText | None:
    """Return the text of a task and its entities, or None if the annotator did not accept it.

    Raises:
        RecordError: The spans have another form.
    """
    answer = content.get("answer", "accept")
    if answer != "accept":
        notes.skipped[f"tasks with the answer {answer!r}"] += 1
        return None
    return AnnotatedText(content["text"], list(object_spans(content.get("spans", []), "spans")))
