"""Labels: their clean form, their descriptions, and files that list them."""

from pathlib import Path

from gliner_distill.errors import CorpusError
from gliner_distill.files import reason_of

_DESCRIPTION_MARK = ": "


def clean_label(raw: str) -> str:
    r"""Return a label in the one form that the package uses.

    The clean form is lower case, with single spaces instead of underscores. Quotes around the label
    are removed; a label has them if it was encoded as JSON twice.

    >>> clean_label('"Work_of  Art" ')
    'work of art'
    """
    label = raw.replace('\\"', '"').strip()
    while len(label) > 1 and label[0] == label[-1] == '"':
        label = label[1:-1].strip()
    return " ".join(label.replace("_", " ").lower().split())


def format_prompt(label: str, description: str = "") -> str:
    """Return the text of a label for a teacher: the label and, after a colon, its description.

    >>> format_prompt("drug", "a medicine"), format_prompt("city")
    ('drug: a medicine', 'city')
    """
    return f"{label}{_DESCRIPTION_MARK}{description}" if description else label


def read_labels(path: str | Path) -> dict[str, str]:
    """Return the labels of a file with their descriptions; a missing description is empty.

    Each line is `label` or `label: description`. Labels are cleaned by `clean_label`, as those of
    a corpus are; blank lines are skipped.

    Raises:
        CorpusError: The file cannot be read, holds no label, or holds the same label twice.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise CorpusError(f"{path}: the file cannot be read: {reason_of(error)}") from error
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path}: the file is not UTF-8 text: {error}; save it in UTF-8"
        ) from error
    descriptions: dict[str, str] = {}
    line_numbers: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        name, _, description = line.partition(_DESCRIPTION_MARK)
        label = clean_label(name)
        if label in line_numbers:
            raise CorpusError(
                f"{path}: line {number}: the label {label!r} is already on line "
                f"{line_numbers[label]}; remove one of the two lines"
            )
        if not label and description.strip():
            raise CorpusError(
                f"{path}: line {number}: there is a description but no label; "
                "expected `label` or `label: description`"
            )
        if label:
            descriptions[label] = " ".join(description.split())
            line_numbers[label] = number
    if not descriptions:
        raise CorpusError(f"{path}: the file holds no label; expected one label per line")
    return descriptions
