"""The card of a student in its folder, and the file by which the hub counts its downloads."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gliner_distill.errors import StudentError
from gliner_distill.files import check_regular_file, write_file, write_json
from gliner_distill.hub.cards import CARD_FILE, LIBRARY, Card

COUNTED_FILE: Final = "config.json"
"""The file whose requests the hub counts as downloads of a model."""

COUNTED_CONTENT: Final = {
    "model_type": LIBRARY,
    "about": "The settings of this student are in student_config.json. The hub counts requests "
    "for this file as downloads.",
}

_MAX_CARD_BYTES = 1_000_000
_logger = logging.getLogger(__name__)


def read_card(folder: Path) -> str:
    """Return the content of the card in a folder; an empty text if there is none to read."""
    path = folder / CARD_FILE
    try:
        check_regular_file(path, max_bytes=_MAX_CARD_BYTES)
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def read_card_metadata(folder: Path) -> Mapping[str, Any]:
    """Return the metadata of the card in a folder; none if it cannot be read, with a warning."""
    try:
        return Card.parse(read_card(folder)).metadata
    except ValueError as error:
        _logger.warning("%s: this card is not used, because %s", folder / CARD_FILE, error)
        return {}


def write_card(folder: Path, card: Card) -> None:
    """Write the card of a student, and `config.json`, into its folder.

    The parts of an earlier card that were edited by hand stay. A `config.json` of something else,
    such as a training run, stays as well. A warning says so.

    Raises:
        StudentError: The folder cannot be written.
    """
    path = folder / CARD_FILE
    if not path.exists():
        write_file(path, card.render(), error=StudentError)
    elif (updated := update_card(read_card(folder), card, where=str(path))) is not None:
        write_file(path, updated, error=StudentError)
    if (folder / COUNTED_FILE).exists() and not _is_ours(folder / COUNTED_FILE):
        _logger.warning(
            "%s: this file is not that of a student, so it stays as it is", folder / COUNTED_FILE
        )
    else:
        write_json(folder / COUNTED_FILE, COUNTED_CONTENT, error=StudentError)


def update_card(content: str, card: Card, *, where: str) -> str | None:
    """Return the content of an earlier card with a new card in it; None to leave it as it is.

    A warning is logged if an edited text stays or if the metadata cannot be read.

    Args:
        content: The content of the earlier card.
        card: The new card.
        where: What to call the earlier card in warnings.
    """
    if not content.strip():
        return card.render()
    try:
        earlier = Card.parse(content)
    except ValueError as error:
        _logger.warning("%s: this card stays as it is, because %s; correct it", where, error)
        return None
    if earlier.is_edited_text and earlier.text.strip() != card.text.strip():
        _logger.warning(
            "%s: the text of this card was not written by this package or was edited, so it stays, "
            "and only the metadata is updated; delete the card to get a new text",
            where,
        )
    return earlier.updated(card).render()


def _is_ours(path: Path) -> bool:
    try:
        check_regular_file(path, max_bytes=_MAX_CARD_BYTES)
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("model_type") == LIBRARY
