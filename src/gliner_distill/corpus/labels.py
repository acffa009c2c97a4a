"""Files that list labels, with descriptions, and the text that a teacher reads for a label."""

import csv
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

from gliner_distill.errors import CorpusError, name_kind, shorten, suggest_file
from gliner_distill.files import reason_of
from gliner_distill.labels import clean_label, strip_label

_DESCRIPTION_MARK = ": "
_COMMENT_MARK = "#"
# Other separators, descriptions, marks of lists, quotes and comments; labels hardly have these.
_ODD = re.compile(r"[;|\t\[\]{}]|:\s|^(?:[-*\u2022]|\d+[.)])\s|^'.*'$|\s#\s")
_logger = logging.getLogger(__name__)


def format_prompt(label: str, description: str = "") -> str:
    """Return the text of a label for a teacher: the label and, after a colon, its description.

    The label is in its clean form, so that its spelling does not change the teacher's answers.

    >>> format_prompt("Drug", "a medicine"), format_prompt("PLACE_NAME")
    ('drug: a medicine', 'place name')
    """
    name = clean_label(label)
    return f"{name}{_DESCRIPTION_MARK}{description}" if description else name


def split_prompt(prompt: str) -> tuple[str, str]:
    """Return the label and the description of a text that `format_prompt` has made.

    >>> split_prompt("drug: a medicine"), split_prompt("city")
    (('drug', 'a medicine'), ('city', ''))
    """
    label, _, description = prompt.partition(_DESCRIPTION_MARK)
    return label, description


def split_labels(text: str) -> list[str]:
    """Return the labels of a list with commas or of a JSON list of strings.

    In a list with commas, a label that contains a comma must be in quotes. A label that looks as if
    the list has other separators is read as it is, with a warning in the log.

    >>> split_labels('person, "date, time",City'), split_labels('["person", "date, time"]')
    (['person', 'date, time', 'City'], ['person', 'date, time'])
    """
    fields = _json_labels(text)
    if fields is None:
        [fields] = csv.reader([" ".join(re.split(r"[\r\n]+", text))], skipinitialspace=True)
    labels = [label for label in map(strip_label, fields) if label]
    for label in filter(_ODD.search, labels):
        _logger.warning(
            "%s is read as one label; separate labels by commas or line ends, not by other marks, "
            "and give descriptions in a file (--labels)",
            shorten(label),
        )
    return labels


def _json_labels(text: str) -> list[str] | None:
    """Return the strings of a JSON list; None if the text is something else."""
    if not text.lstrip().startswith("["):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if all(isinstance(label, str) for label in value) else None


def read_labels(path: str | Path) -> dict[str, str]:
    """Return the labels of a file with their descriptions; a missing description is empty.

    Each line is `label`, `label: description` or a list of labels with commas (see `split_labels`);
    blank lines and lines that begin with `#` are skipped. Instead of lines, the file may hold a
    JSON list of labels, or a JSON object that maps labels to descriptions. Labels keep their
    spelling.

    Raises:
        CorpusError: The file cannot be read, holds no label, or holds the same label twice, in
            whatever spelling.
    """
    text = _read_text(path)
    entries = _read_json(path, text) if text.lstrip()[:1] in ("[", "{") else _read_lines(path, text)
    descriptions: dict[str, str] = {}
    places: dict[str, str] = {}
    for place, label, description in entries:
        name = clean_label(label)
        if not name:
            raise CorpusError(
                f"{path}: {place}: a label is missing before {shorten(description or label)}; "
                "expected `label` or `label: description`"
            )
        if name in places:
            raise CorpusError(
                f"{path}: {place}: the label {name!r} is already on {places[name]}; upper case and "
                "underscores make no difference, so remove one of the two"
            )
        descriptions[label] = " ".join(description.split())
        places[name] = place
    if not descriptions:
        raise CorpusError(f"{path}: the file holds no label; expected one label per line")
    return descriptions


def _read_text(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise CorpusError(
            f"{path}: this file does not exist{suggest_file(path)}; expected a file with one label "
            "per line"
        ) from error
    except OSError as error:
        raise CorpusError(f"{path}: the file cannot be read: {reason_of(error)}") from error
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path}: the file is not UTF-8 text: {error}; save it in UTF-8"
        ) from error


def _read_lines(path: str | Path, text: str) -> Iterator[tuple[str, str, str]]:
    """Yield the place, the label and the description of each label in lines."""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith(_COMMENT_MARK):
            continue
        names, _, description = line.partition(_DESCRIPTION_MARK)
        try:
            labels = split_labels(names)
        except csv.Error as error:  # a label of more than 100,000 characters
            raise CorpusError(f"{path}: line {number}: cannot be read: {error}") from error
        if description.strip() and len(labels) > 1:
            raise CorpusError(
                f"{path}: line {number}: the description {shorten(description.strip())} follows "
                f"{len(labels)} labels; write each label on a line of its own, or put quotes "
                "around a label that contains a comma"
            )
        # A description without a label is an error, but a line without either is blank.
        for label in labels or ([""] if description.strip() else []):
            yield f"line {number}", label, description


def _read_json(path: str | Path, text: str) -> Iterator[tuple[str, str, str]]:
    """Yield the place, the label and the description of each label in a JSON list or object."""
    try:
        # Pairs instead of a dictionary, in which a repeated label would be lost.
        value = json.loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        raise CorpusError(
            f"{path}: the file begins like JSON, but is not valid JSON: {reason_of(error)}; "
            "expected a list of labels, or an object that maps labels to descriptions"
        ) from error
    is_list = text.lstrip().startswith("[")
    for number, item in enumerate(value, start=1):
        label, description = (item, "") if is_list else (item[0], item[1] or "")
        for part in (label, description):
            if not isinstance(part, str):
                raise CorpusError(
                    f"{path}: item {number}: {shorten(part)} is {name_kind(part)}; expected a "
                    "string"
                )
        yield f"item {number}", strip_label(label), description
