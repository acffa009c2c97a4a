"""Recognize the export that a JSON record comes from, and turn it into words and their entities.

Each record is recognized by its own keys. A record of none of the exports is returned as it is.
"""

from gliner_distill.corpus.exports.answers import is_answer, read_answer
from gliner_distill.corpus.exports.doccano import is_doccano, read_doccano
from gliner_distill.corpus.exports.gliner2 import is_gliner2, read_gliner2
from gliner_distill.corpus.exports.label_studio import is_label_studio, read_label_studio
from gliner_distill.corpus.exports.presidio import is_presidio, read_presidio
from gliner_distill.corpus.exports.prodigy import is_prodigy, read_prodigy
from gliner_distill.corpus.exports.spans import AnnotatedText, word_record
from gliner_distill.corpus.records import RawRecord
from gliner_distill.corpus.statistics import CorpusNotes


def as_words(record: RawRecord, notes: CorpusNotes) -> RawRecord | None:
    """Return a record in the pile-mistral format, or None if there is nothing to learn from it.

    Args:
        record: A record of a JSON file, or of another one.
        notes: Counts the entities and records that are left out.

    Raises:
        RecordError: The record is of one of the exports, but bad.
    """
    content = record.content
    if record.problem is not None or not isinstance(content, dict) or "tokenized_text" in content:
        return record
    if is_gliner2(content):
        return RawRecord(record.place, read_gliner2(content, record.place, notes))
    annotated: AnnotatedText | None
    if is_presidio(content):
        annotated = read_presidio(content)
    elif is_label_studio(content):
        annotated = read_label_studio(content, notes)
    elif is_prodigy(content):
        annotated = read_prodigy(content, notes)
    elif is_doccano(content):
        annotated = read_doccano(content)
    elif is_answer(content):
        annotated = read_answer(content)
    else:
        return record
    words = None if annotated is None else word_record(annotated, record.place, notes)
    return None if words is None else RawRecord(record.place, words)
