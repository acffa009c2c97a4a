"""The card of a student: the one that came with its files, or a short one made from them."""

import json
import logging
from dataclasses import replace
from typing import Final

from gliner_distill.hub.cards import (
    RESULTS,
    Card,
    plain_markdown,
    rename_results,
    student_metadata,
)
from gliner_distill.hub.ids import looks_like_hub_id, public_name
from gliner_distill.runtime.bundle import Bundle

PLACE: Final = "path/to/this/folder"
"""The name of the student in the program of a card, until its real place is known."""

TUNED: Final = (
    "The thresholds of this student were changed after the measurements on this card, so it may "
    "give other answers than those that were measured."
)

_SHORT = """\
# {name}

A small LSTM that finds entities {of_labels} in text. The Python package gliner-distill runs it,
without torch.

```python
from gliner_distill import StudentNER

student = StudentNER.from_pretrained("{place}")
student.predict_entities("Ada Lovelace lived in London.", {labels})
```

| | |
|---|---|
{rows}

This card holds no measurements on texts that the student never saw. Test it on your own texts
before you rely on it.
"""
_logger = logging.getLogger(__name__)


def card_of(bundle: Bundle, name: str) -> Card:
    """Return the card that came with a student, or a short card made from its files.

    Args:
        bundle: The student.
        name: What the student is called, such as the name of its folder.
    """
    if not bundle.card:
        return short_card(bundle, name)
    try:
        return Card.parse(bundle.card)
    except ValueError as error:
        _logger.warning("the card that came with this student is left out, because %s", error)
        return short_card(bundle, name)


def short_card(bundle: Bundle, name: str) -> Card:
    """Return a card that says only what the files of a student say."""
    labels = [str(label) for label in bundle.metadata.get("labels") or ()]
    teacher = public_name(str(bundle.metadata.get("teacher") or ""))
    rows = {
        "parameters": f"{bundle.n_parameters:,}",
        "precision": bundle.precision,
        "head": bundle.config.head,
        "teacher": teacher or "not known",
    }
    teachers = [part for part in teacher.split(" + ") if looks_like_hub_id(part)]
    text = _SHORT.format(
        name=plain_markdown(name),
        of_labels="with its labels" if labels else "of the types that you name",
        place=PLACE,
        labels=json.dumps(labels or ["person", "city"], ensure_ascii=False),
        rows="\n".join(f"| {key} | {plain_markdown(value)} |" for key, value in rows.items()),
    )
    return Card(student_metadata(name, base_models=teachers), text)


def at_place(card: Card, repo_id: str) -> Card:
    """Return the card of a student that is published under a name of the hub."""
    return replace(
        card,
        metadata=rename_results(card.metadata, repo_id.rpartition("/")[2]),
        text=card.text.replace(PLACE, repo_id),
    )


def tuned_card(content: str) -> str:
    """Return the content of a card without results, because they were measured with others."""
    if not content:
        return content
    try:
        card = Card.parse(content)
    except ValueError:
        return content  # it is left out anyway when the student is saved
    metadata = {key: value for key, value in card.metadata.items() if key != RESULTS}
    text = card.text if TUNED in card.text else f"{card.text.rstrip()}\n\n{TUNED}\n"
    return replace(card, metadata=metadata, text=text).render()
