"""Read the training records of GLiNER2, which list the words of entities without their places.

Source: GLiNER2 (https://github.com/fastino-ai/GLiNER2). A record is `{"input": text, "output":
{"entities": {label: [mention, ...]}}}`. As in GLiNER2, every place where the words of a mention
stand in the text is an entity, in upper or lower case. A label with an empty list was asked for and
not found.
"""

from gliner_distill.corpus.exports.spans import Content
from gliner_distill.corpus.records import RecordError, checked_label, checked_text
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.entities import word_texts
from gliner_distill.errors import name_kind, shorten


def is_gliner2(content: Content) -> bool:
    """Return whether a record has an input and the entities of an output."""
    output = content.get("output")
    return "input" in content and isinstance(output, dict) and "entities" in output


def read_gliner2(content: Content, place: str, notes: CorpusNotes) -> dict[str, object]:
    """Return the words of a record, and the entities that its mentions stand for.

    Args:
        content: The record.
        place: The position of the record in its file, for messages.
        notes: Counts the mentions that the text does not have.

    Raises:
        RecordError: The entities have another form.
    """
    words = word_texts(checked_text(content["input"], "input"))
    folded = [word.lower() for word in words]
    entities = content["output"]["entities"]
    if not isinstance(entities, dict):
        raise RecordError(
            f"output.entities is {name_kind(entities)}; expected an object with a list of mentions "
            "for each label"
        )
    found, missing = [], []
    for label, mentions in entities.items():
        field = f"output.entities[{label!r}]"
        checked_label(label, "output.entities: label")
        if not isinstance(mentions, list):
            raise RecordError(f"{field} is {name_kind(mentions)}; expected a list of mentions")
        for number, mention in enumerate(mentions):
            wanted = word_texts(checked_text(mention, f"{field}[{number}]"))
            starts = _find_words(folded, wanted)
            found += [[start, start + len(wanted) - 1, label] for start in starts]
            if not starts:
                missing.append(f"{place}: {shorten(mention)}, label {label!r}")
    for example in missing:
        notes.add_left_out("their words are not in the text", example)
    return {"tokenized_text": words, "ner": found, "ner_labels": list(entities)}


def _find_words(folded: list[str], wanted: list[str]) -> list[int]:
    target, n_words = [word.lower() for word in wanted], len(wanted)
    return [
        start
        for start in range(len(folded) - n_words + 1)
        if folded[start : start + n_words] == target
    ]
